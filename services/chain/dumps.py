"""The files that hold the chain: `state-NUMBER.dump` in HOME/chain, the two newest of them.

A dump is written under another name, synced and renamed, and never changed afterwards: a file with
its final name is complete, whenever the process or the machine ends. Each one alone is the whole
chain at one block, so a backup copies the newest (and may find that an older one has just gone);
a restore puts it into an empty folder. `lock`, `*.tmp`, `loading.json` and `*.unreadable` need no
copy.

Format, version 1: one line of JSON {"format", "version", "block", "hash", "timestamp", "bytes",
"sha256"}, then that many bytes of gzip: the JSON that `anvil --load-state` reads.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from io import BufferedWriter
from pathlib import Path

from orchestrator.errors import Halt

FORMAT, VERSION = "proofrail-chain-state", 1
KEPT = 2
_NAME = re.compile(r"state-(\d{10})\.dump")
_HEADER_BYTES = 1_024


@dataclass(frozen=True, slots=True)
class Dump:
    """A readable dump: the chain up to a block.

    Attributes:
        path: its file.
        number: the block.
        block_hash: 0x-hex.
        timestamp: Unix seconds of the block.
        packed: gzip of the JSON for `anvil --load-state`.
    """

    path: Path
    number: int
    block_hash: str
    timestamp: int
    packed: bytes

    def state(self) -> bytes:
        """Return the JSON for `anvil --load-state`."""
        return gzip.decompress(self.packed)


class Dumps:
    """The dumps of one chain, for one process at a time.

    Args:
        folder: HOME/chain; it is made if it is missing.
        step: called after each step of a write ("written", "synced", "renamed", "folder synced",
            "older removed"), for tests that end the process there.
    """

    def __init__(self, folder: Path, step: Callable[[str], None] = lambda name: None) -> None:
        self.folder, self._step = folder, step
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = (folder / "lock").open("ab")

    def claim(self) -> None:
        """Hold the folder until this process ends.

        Raises:
            Halt: another process holds it.
        """
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Halt(
                f"another process keeps the chain in {self.folder}; two would overwrite each "
                "other's blocks. Nothing was changed. Next: use the chain that runs, or stop it "
                "first with `proofrail down`."
            ) from None
        for left in (*self.folder.glob("*.tmp"), self.folder / "loading.json"):
            left.unlink(missing_ok=True)

    def newest(self) -> tuple[Dump | None, list[str]]:
        """Return the newest readable dump and what is wrong with newer ones.

        (None, []) if there was never a dump. Unreadable ones are set aside as `*.unreadable`.

        Raises:
            Halt: there are dumps, and none can be read.
        """
        problems: list[tuple[Path, str]] = []
        dump = None
        for path in reversed(self._paths()):
            try:
                dump = read_dump(path)
                break
            except (OSError, ValueError) as error:
                problems.append((path, f"{path.name} is not used: {error}"))
        notes = [note for _, note in problems]
        if dump is None and (problems or list(self.folder.glob("*.unreadable"))):
            raise Halt(
                f"no dump in {self.folder} can be read ({'; '.join(notes) or 'set aside before'}), "
                "so the chain cannot go on from where it was. Nothing was changed, and no new "
                "chain was begun. Next: copy the folder away, then restore a backup."
            )
        for path, _ in problems:
            path.rename(path.with_name(f"{path.name}.unreadable"))
        return dump, notes

    def write(self, number: int, block_hash: str, timestamp: int, packed: bytes) -> Path:
        """Store a state so that it is absent or complete; return its file.

        Args:
            number: The newest block in it.
            block_hash: That block's hash, 0x-hex.
            timestamp: That block's Unix seconds.
            packed: gzip of the JSON, as `anvil_dumpState` returns it.

        Raises:
            OSError: It could not be written; older dumps are as they were.
        """
        header = {
            "format": FORMAT,
            "version": VERSION,
            "block": number,
            "hash": block_hash,
            "timestamp": timestamp,
            "bytes": len(packed),
            "sha256": hashlib.sha256(packed).hexdigest(),
        }
        paths = self._paths()
        sequence = max((_sequence(path) for path in self._all()), default=0) + 1
        path = self.folder / f"state-{sequence:010d}.dump"
        temporary = path.with_name(f"{path.name}.tmp")
        try:
            with temporary.open("wb") as file:
                file.write(json.dumps(header).encode() + b"\n")
                self._write_halves(file, packed)
                file.flush()
                self._step("written")
                os.fsync(file.fileno())
            self._step("synced")
            temporary.rename(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        self._step("renamed")
        sync_folder(self.folder)
        self._step("folder synced")
        for old in paths[: -(KEPT - 1)]:
            old.unlink(missing_ok=True)
        self._step("older removed")
        return path

    def _write_halves(self, file: BufferedWriter, packed: bytes) -> None:
        half = len(packed) // 2
        file.write(packed[:half])
        file.flush()
        self._step("half written")
        file.write(packed[half:])

    def _paths(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if _NAME.fullmatch(path.name))

    def _all(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if _NAME.match(path.name)]


def read_dump(path: Path) -> Dump:
    """Return a dump after checking all of its bytes.

    Raises:
        ValueError: It is not a complete dump of this version; the text says why.
    """
    body = path.read_bytes()
    line, line_end, packed = body.partition(b"\n")
    if not line_end or len(line) > _HEADER_BYTES:
        raise ValueError("its first line is not complete")
    try:
        header = json.loads(line)
        known = (header["format"], header["version"])
        number, timestamp = int(header["block"]), int(header["timestamp"])
        block_hash = str(header["hash"])
        size, digest = header["bytes"], header["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError("its first line is not a header") from error
    if known != (FORMAT, VERSION):
        raise ValueError(f"format {known[0]!r:.40} version {known[1]!r:.20} is not known here")
    if len(packed) != size:
        raise ValueError(f"it has {len(packed)} of {size} bytes")
    if hashlib.sha256(packed).hexdigest() != digest:
        raise ValueError("its bytes are not those of its checksum")
    return Dump(path, number, block_hash, timestamp, packed)


def sync_folder(folder: Path) -> None:
    """Write the entries of a folder to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sequence(path: Path) -> int:
    match = _NAME.match(path.name)
    return int(match[1]) if match else 0
