"""Copies of SQLite databases that other processes use meanwhile, and the way to have one alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import StaticPool

from orchestrator.errors import Halt, Retry

_HEADER = b"SQLite format 3\0"
_PAGES_AT_ONCE = 2_000  # progress is reported this often
_WRITER_WAIT_S = 30

Progress = Callable[[int, int], None]  # pages that are copied, pages in all


def is_database(path: Path) -> bool:
    """Return whether a file is a SQLite database, by its first bytes."""
    with path.open("rb") as file:
        return file.read(len(_HEADER)) == _HEADER


@contextmanager
def snapshot(path: Path, meanwhile: Callable[[], None]) -> Iterator[sqlite3.Connection]:
    """Open a database at one moment, at which `meanwhile` ran and no process wrote to it.

    Later transactions of others are not seen and do not wait.

    Args:
        path: A database in WAL mode.
        meanwhile: What must fit the snapshot; writers wait while it runs.

    Raises:
        Retry: A writer holds the database too long.
    """
    with closing(_connect(path, _WRITER_WAIT_S)) as source:
        with closing(_connect(path, _WRITER_WAIT_S)) as writer:
            try:
                writer.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                raise Retry(f"the database {path} does not answer: {error}") from error
            meanwhile()
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()  # fixes the moment
        yield source


def copy_database(
    source: sqlite3.Connection, target: Path, progress: Progress = lambda done, total: None
) -> None:
    """Write the state that a connection reads to a new file, by SQLite's backup interface."""
    with closing(sqlite3.connect(target)) as copy:
        source.backup(
            copy,
            pages=_PAGES_AT_ONCE,
            progress=lambda _status, remaining, total: progress(total - remaining, total),
        )


def copy_file(path: Path, target: Path) -> None:
    """Copy a database that another process may write to."""
    with closing(_connect(path, _WRITER_WAIT_S)) as source:
        copy_database(source, target)


@contextmanager
def alone(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database that no other process has open, nor can open within the block.

    Raises:
        Halt: Another process has it open.
    """
    with closing(_connect(path, 0)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise Halt(
                f"Another process has the database {path} open ({error}). Nothing was changed. "
                "Next: stop the rail (`proofrail down`, or end its processes), then run this again."
            ) from error
        connection.execute("COMMIT")  # the lock stays with the connection
        yield connection


def engine_on(connection: sqlite3.Connection) -> Engine:
    """Return an engine that uses this one connection, for migrations."""
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)

    @event.listens_for(engine, "begin")
    def _begin(opened: Any) -> None:
        opened.exec_driver_sql("BEGIN")

    return engine


def _connect(path: Path, wait_s: int) -> sqlite3.Connection:
    # transactions are begun by name; "rw": a missing file is not created
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", timeout=wait_s, uri=True, isolation_level=None
    )
