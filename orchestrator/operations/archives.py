"""The archive of a backup: a gzipped tar that names each member with its SHA-256.

Its first member, `manifest.json` (version 1), names every other one. Nothing is unpacked before all
of it was checked.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from orchestrator.edges.bank.files import sync_folder
from orchestrator.errors import Halt

FORMAT, VERSION = "proofrail-backup", 1
_MANIFEST = "manifest.json"
_MANIFEST_BYTES = 64 * 1024 * 1024
_CHUNK = 1024 * 1024

Report = Callable[[str, int, int], None]  # what, done, total


@dataclass(frozen=True)
class Backup:
    """What a backup holds.

    Attributes:
        created_at: Unix seconds.
        revision: The schema of its database.
        rail: Chain id, genesis hash and the address of PaymentRail; {} without a deployment.
        with_keys: Whether keys, passwords and tokens are in it.
        files: Name -> {"sha256", "bytes"}.
    """

    created_at: int
    revision: str
    rail: Mapping[str, Any]
    with_keys: bool
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def manifest(self) -> bytes:
        """Return the content of the member `manifest.json`."""
        content = {
            "format": FORMAT,
            "version": VERSION,
            "created_at": self.created_at,
            "schema": self.revision,
            "rail": dict(self.rail),
            "with_keys": self.with_keys,
            "files": dict(self.files),
        }
        return json.dumps(content, indent=1, sort_keys=True).encode()


def require_space(folder: Path, needed: int) -> None:
    """Refuse work for which the disk has too little free space.

    Raises:
        Halt: The text has both numbers.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Halt(
            f"{folder} has {free / 1e6:,.0f} MB of free disk space, and this may need "
            f"{needed / 1e6:,.0f} MB. Nothing was changed. Next: make space, or use another disk."
        )


def pack(partial: Path, backup: Backup, folder: Path, report: Report) -> None:
    """Write the copies that are in a folder, with their manifest, to a new file (mode 0600)."""
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        with tarfile.open(fileobj=file, mode="w:gz", compresslevel=3) as archive:
            manifest = folder / f".{_MANIFEST}"
            manifest.write_bytes(backup.manifest())
            archive.add(manifest, _MANIFEST)
            for done, name in enumerate(sorted(backup.files)):
                report("archive", done, len(backup.files))
                archive.add(folder / name, name)
        file.flush()
        os.fsync(file.fileno())


def read_backup(archive: Path, report: Report = lambda what, done, total: None) -> Backup:
    """Check every member of an archive against its manifest; return what it holds.

    Raises:
        Halt: It is no backup, or a member is changed, missing, not named, or no plain file.
    """
    with _opened(archive) as members:
        backup = _manifest(archive, members)
        seen: set[str] = set()
        for member in islice(members, 1, None):  # the manifest is the first
            report("check", len(seen), len(backup.files))
            stated = backup.files.get(member.name)
            if stated is None or member.name in seen or not member.isfile():
                raise _damaged(archive, f"{member.name!r} is not in its manifest as a plain file")
            if _hash(members.extractfile(member)) != stated["sha256"]:
                raise _damaged(archive, f"{member.name} is not the file that was saved")
            seen.add(member.name)
        while members.fileobj.read(_CHUNK):  # gzip compares its checksum at its end, past the tar's
            pass
        missing = sorted(set(backup.files) - seen)
        if missing:
            raise _damaged(archive, f"{missing[0]} is missing")
    return backup


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(archive, "r:gz") as members:
            yield members
    except (OSError, tarfile.TarError, zlib.error, EOFError, ValueError, RecursionError) as error:
        raise _damaged(archive, f"it cannot be read: {error}") from error


def _manifest(archive: Path, members: tarfile.TarFile) -> Backup:
    first = members.next()
    if first is None or first.name != _MANIFEST or first.size > _MANIFEST_BYTES:
        raise _damaged(archive, f"it does not begin with {_MANIFEST}")
    content = json.loads(members.extractfile(first).read())
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _damaged(archive, "its manifest is not that of a backup")
    if content.get("version") != VERSION:
        raise Halt(
            f"{archive} is a backup of format {content.get('version')}, and this program reads "
            f"format {VERSION}. Nothing was written. Next: restore it with the newer release."
        )
    try:
        backup = Backup(
            created_at=int(content["created_at"]),
            revision=str(content["schema"]),
            rail=dict(content["rail"]),
            with_keys=bool(content["with_keys"]),
            files={str(name): dict(stated) for name, stated in content["files"].items()},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged(archive, f"its manifest lacks {error}") from error
    for name in backup.files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or str(path) != name or "\0" in name:
            raise _damaged(archive, f"it names {name!r}, which is outside a home")
    return backup


def _hash(file: Any) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _damaged(archive: Path, why: str) -> Halt:
    return Halt(
        f"{archive} is not a whole backup of a rail: {why}. Nothing was written. Next: take "
        "another backup, or another copy of this one."
    )


def restore_backup(
    archive: Path, home: Path, report: Report = lambda what, done, total: None
) -> Backup:
    """Unpack a checked archive into an empty home (files 0600, folders 0700), whole or not at all.

    Raises:
        Halt: The home is not empty, its disk is too small, or the archive is not whole.
    """
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise Halt(
            f"{home} is not empty, and a restore never replaces files. Nothing was written. Next: "
            "give a new folder with --home."
        )
    backup = read_backup(archive, report)
    home = home.absolute()
    home.parent.mkdir(parents=True, exist_ok=True)
    require_space(home.parent, sum(stated["bytes"] for stated in backup.files.values()))
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=".proofrail-restore-") as folder:
        whole = Path(folder) / "home"
        whole.mkdir(mode=0o700)
        with _opened(archive) as members:
            _manifest(archive, members)
            for done, member in enumerate(islice(members, 1, None)):
                report("restore", done, len(backup.files))
                _unpack(archive, members, member, whole, backup)
        os.sync()
        os.rename(whole, home)  # replaces an empty folder alone
    sync_folder(home.parent)
    return backup


def _unpack(
    archive: Path, members: tarfile.TarFile, member: tarfile.TarInfo, whole: Path, backup: Backup
) -> None:
    """Write one member; it is checked again, for the file may have changed since."""
    stated = backup.files.get(member.name)
    if stated is None or not member.isfile():
        raise _damaged(archive, f"{member.name!r} changed while it was read")
    target = whole / member.name
    for folder in reversed(target.relative_to(whole).parents[:-1]):
        (whole / folder).mkdir(mode=0o700, exist_ok=True)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        shutil.copyfileobj(members.extractfile(member), file, _CHUNK)
    with target.open("rb") as file:
        if _hash(file) != stated["sha256"]:
            raise _damaged(archive, f"{member.name} changed while it was read")
