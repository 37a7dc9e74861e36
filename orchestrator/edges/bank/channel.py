"""The channel to the bank: each file goes once, and none is ever half there.

By default it is a pair of folders; sftp.py has the other one. A crash at any point is repaired by
calling the same function again. Between placing a file and noting that it was placed a bank may
take it away unseen; then it is sent again with the same name and the same MsgId, which the bank
refuses as a repetition.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from orchestrator.errors import Halt, Retry
from orchestrator.settings import Settings

MAX_FILE_BYTES = 32 * 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")


class Channel(Protocol):
    """How files go to the bank and come from it; every call may be repeated after a crash."""

    def send(self, name: str, data: bytes) -> bool:
        """Places a file once, whole; False where it was there before. Raises Halt for another
        content under a used name, Retry where the other side does not take it."""

    def placed(self, name: str) -> bool:
        """Whether `send` has placed a file of this name; asked often, so it costs little."""

    def receive(self) -> list[tuple[str, bytes]]:
        """Whole files that wait, by name; call `done` or `reject` once each is stored."""

    def done(self, name: str) -> None:
        """Puts a stored file away; a second call changes nothing."""

    def reject(self, name: str) -> None:
        """Puts a refused file away, apart from the good ones."""


def open_channel(settings: Settings) -> Channel:
    """The channel that PROOFRAIL_BANK_CHANNEL names: an SFTP server, or the pair of folders."""
    if not settings.bank_channel:
        return Folder(settings.to_bank, settings.from_bank)
    from orchestrator.edges.bank.sftp import Sftp  # late: it costs what folders do not need

    return Sftp(settings.bank_channel, settings.keys / "bank-sftp", settings.bank_sftp)


@dataclass(frozen=True)
class Folder:
    """outbox: where the bank fetches (it may keep what it took in outbox/archive).
    inbox: where it delivers. outbox/sent, inbox/archive and inbox/rejected are ours."""

    outbox: Path
    inbox: Path

    def send(self, name: str, data: bytes) -> bool:
        """Places a file once; False where it was there before.

        Raises Halt for another content under a used name, Retry where the disk does not take it.
        """
        noted = self.outbox / "sent" / file_name(name)
        try:
            for place in (noted, self.outbox / name, self.outbox / "archive" / name):
                if place.exists():
                    must_equal(place.read_bytes(), data, name)
                    if place != noted:
                        write_atomically(noted, data)
                    return False
            write_atomically(self.outbox / name, data)
            write_atomically(noted, data)
        except OSError as error:
            raise Retry(f"the bank's outbox does not take {name}: {error}") from error
        return True

    def placed(self, name: str) -> bool:
        """Whether `send` has placed a file of this name."""
        return (self.outbox / "sent" / name).exists()

    def receive(self) -> list[tuple[str, bytes]]:
        """Files waiting in the inbox, by name; call `done` or `reject` once each is stored.

        What cannot be read as a file of bearable size is put aside in rejected/.
        """
        files = []
        for path in sorted(self.inbox.iterdir()) if self.inbox.is_dir() else ():
            if path.name.startswith(".") or path.name in ("archive", "rejected"):
                continue
            try:
                path.name.encode()  # a name that is no text could never be stored
                if path.is_symlink() or not path.is_file():
                    raise OSError("not a plain file")
                if path.stat().st_size > MAX_FILE_BYTES:
                    raise OSError(f"more than {MAX_FILE_BYTES} bytes")
                files.append((path.name, path.read_bytes()))
            except FileNotFoundError:
                continue  # the bank took it back between listing and reading
            except (OSError, UnicodeEncodeError):
                self._move(path, "rejected")
        return files

    def done(self, name: str) -> None:
        """Puts a stored file into archive/; a second call changes nothing."""
        self._move(self.inbox / _plain(name), "archive")

    def reject(self, name: str) -> None:
        """Puts a refused file into rejected/, kept for inspection."""
        self._move(self.inbox / _plain(name), "rejected")

    def _move(self, path: Path, folder: str) -> None:
        target = self.inbox / folder / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(path):
            return
        if target.exists() and path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            if target.read_bytes() != data:  # another file under a name used before: keep both
                target = target.with_name(f"{sha256(data).hexdigest()[:16]}-{path.name}")
        elif os.path.lexists(target):
            target = _free(target)
        os.replace(path, target)
        _sync_folder(target.parent)


def write_atomically(path: Path, data: bytes) -> None:
    """The file is absent or whole, and on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    _sync_folder(path.parent)


def file_name(name: str) -> str:
    """A name that every bank takes; Halt otherwise."""
    if not _NAME.fullmatch(name):
        raise Halt(f"{name!r} is no file name for the bank: letters, digits, '.', '_' and '-'")
    return name


def must_equal(there: bytes, data: bytes, name: str) -> None:
    """Halt where another content went under a name."""
    if there != data:
        raise Halt(
            f"{name} went to the bank with other bytes: a second content under one "
            "name would order money twice. Compare both; send under a new message id."
        )


def _free(path: Path) -> Path:
    number = 1
    while os.path.lexists(path.with_name(f"{number}-{path.name}")):
        number += 1
    return path.with_name(f"{number}-{path.name}")


def _plain(name: str) -> str:
    if Path(name).name != name:
        raise Halt(f"{name!r} is not the name of a received file")
    return name


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
