"""Backups: one archive with all that a rail cannot compute again, taken while it runs.

Order of the copies: the folders of the bank and the store at one moment, then the rest. So the
chain's copy is never behind the store's, which would look like a chain that lost final blocks; a
chain that is ahead is read again. What is left out begins empty: logs, ready files, the broker's
stored messages (a record with a receipt is in the store; a device keeps every other one).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from orchestrator.edges.bank.files import sync_folder
from orchestrator.edges.store import copies, schema
from orchestrator.errors import Halt
from orchestrator.operations.archives import Backup, Report, pack, read_backup, require_space
from orchestrator.settings import Settings

BACKUPS = "backups"  # the folder in a home that no backup contains
_SKIPPED_FOLDERS = {"logs", "run", BACKUPS}
_SKIPPED_NAMES = {"lock", "rail.lock", "ready", "loading.json"}
_SKIPPED_ENDINGS = ("-wal", "-shm", "-journal", ".tmp", ".unreadable", ".log", ".pid")
_SECRET_NAMES = {"key.json", "key.pem", "password", "token", "broker.password"}


def archive_name(now: int, prefix: str = "proofrail") -> str:
    """Return the usual name of a backup that is made at this time (Unix seconds)."""
    return f"{prefix}-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}.tar.gz"


def bytes_needed(settings: Settings) -> int:
    """Return how much free space a backup may need: the copies, and the archive of them."""
    return 2 * sum(path.stat().st_size for path in _listed(settings.home, True))


def write_backup(
    settings: Settings,
    archive: Path,
    now: int,
    *,
    with_keys: bool = True,
    source: sqlite3.Connection | None = None,
    report: Report = lambda what, done, total: None,
) -> Backup:
    """Write the archive (mode 0600), check it, and return what it holds.

    Args:
        settings: The settings of the home.
        archive: The file to make; it must not exist.
        now: Unix seconds.
        with_keys: Whether to include keys, passwords and tokens.
        source: The store's database where the caller has it alone; None: other processes may use
            it meanwhile.
        report: Called as the work proceeds.

    Raises:
        Halt: There is no rail, the file exists, or there is not enough free space.
        Retry: The database does not answer.
    """
    _require_possible(settings, archive)
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".proofrail-backup-") as folder:
        staged = _Staged(settings.home, Path(folder), with_keys, report)
        staged.copy(settings.database, source)
        backup = Backup(
            created_at=now,
            revision=staged.revision,
            rail=_rail_of(settings.deployment),
            with_keys=with_keys,
            files=staged.files,
        )
        partial = Path(folder) / f".{archive.name}.partial"
        pack(partial, backup, Path(folder), report)
        read_backup(partial, report)
        os.link(partial, archive)  # unlike a rename, it never replaces a file
    sync_folder(archive.parent)
    return backup


def _require_possible(settings: Settings, archive: Path) -> None:
    if not settings.database.is_file():
        raise Halt(
            f"There is no rail at {settings.home}: {settings.database.name} is missing. "
            "Nothing was written. Next: give the rail's home with --home or PROOFRAIL_HOME."
        )
    if archive.exists():
        raise Halt(
            f"{archive} exists, and a backup never replaces a file. Next: give another name, or a "
            "folder; in a folder each backup is named by its time."
        )
    home = settings.home.resolve()
    if home in archive.resolve().parents and archive.resolve().parent != home / BACKUPS:
        raise Halt(
            f"{archive} is inside the home that it would be a backup of. Nothing was written. "
            "Next: give a place on another disk."
        )
    archive.parent.mkdir(parents=True, exist_ok=True)
    require_space(archive.parent, bytes_needed(settings))


def _rail_of(deployment: Path) -> dict[str, Any]:
    try:
        content = json.loads(deployment.read_bytes())
    except FileNotFoundError:
        return {}
    content = content.get("deployment", content)
    address = content.get("addresses", {}).get("PaymentRail")
    return {
        "chain_id": content.get("chain_id"),
        "genesis": content.get("genesis"),
        "address": address,
    }


def _is_secret(name: PurePosixPath) -> bool:
    public = name.name.endswith(".pub.pem") or "receipts" in name.parts
    return name.name in _SECRET_NAMES or (name.parts[0] == "keys" and not public)


def _listed(home: Path, with_keys: bool) -> Iterator[Path]:
    """Yield the files of a home that belong into a backup, each folder before what is below it."""
    for folder, below, names in os.walk(home):
        place = Path(folder)
        if place == home:
            below[:] = [name for name in below if name not in _SKIPPED_FOLDERS]
        if place == home / "broker":
            below.clear()  # the broker's own files; they are not consistent while it runs
        for name in names:
            path = place / name
            skipped = (
                name.startswith(".") or name in _SKIPPED_NAMES or name.endswith(_SKIPPED_ENDINGS)
            )
            secret = _is_secret(PurePosixPath(path.relative_to(home).as_posix()))
            if not skipped and (with_keys or not secret) and path.is_file():
                yield path


class _Staged:
    """Copies of a home's files in a folder, with their hashes."""

    def __init__(self, home: Path, folder: Path, with_keys: bool, report: Report) -> None:
        self.home, self.folder = home, folder
        self.files: dict[str, dict[str, Any]] = {}
        self.revision = ""  # the schema of the database
        self._with_keys, self._report = with_keys, report

    def copy(self, database: Path, source: sqlite3.Connection | None) -> None:
        """Copy bank and database at one moment, then everything else."""
        bank = lambda: self._copy_below(self.home / "bank")  # noqa: E731
        if source is not None:
            bank()
            self._copy_database(database, source)
        else:
            with copies.snapshot(database, bank) as snapshot:
                self._copy_database(database, snapshot)
        self._copy_below(self.home)

    def _copy_database(self, path: Path, source: sqlite3.Connection) -> None:
        target = self._target(path)
        copies.copy_database(source, target, lambda *pages: self._report("database", *pages))
        with copies.alone(target) as copy, copies.engine_on(copy).connect() as connection:
            self.revision = schema.revision_of(connection) or ""
        self._note(path, target)

    def _copy_below(self, folder: Path) -> None:
        """Copy until a look finds no more: running processes add and move files meanwhile."""
        while True:
            paths = [
                path
                for path in _listed(self.home, self._with_keys)
                if folder in path.parents and self._name(path) not in self.files
            ]
            copied = 0
            for done, path in enumerate(paths):
                self._report("files", done, len(paths))
                copied += self._copy_one(path)
            if copied == len(paths):
                return

    def _copy_one(self, path: Path) -> bool:
        target = self._target(path)
        try:
            if copies.is_database(path):
                copies.copy_file(path, target)
            else:
                shutil.copyfile(path, target)
        except (FileNotFoundError, sqlite3.OperationalError):
            if path.exists():
                raise
            return False  # moved since it was listed; the next look finds it elsewhere
        self._note(path, target)
        return True

    def _target(self, path: Path) -> Path:
        target = self.folder / self._name(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _note(self, path: Path, target: Path) -> None:
        with target.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.files[self._name(path)] = {"sha256": digest, "bytes": target.stat().st_size}

    def _name(self, path: Path) -> str:
        return path.relative_to(self.home).as_posix()
