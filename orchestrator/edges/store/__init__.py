"""The database: one writer at a time, whole transactions, nothing half done."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel import Session, SQLModel, create_engine, func, literal_column, select

from orchestrator.edges.store import schema, tables
from orchestrator.errors import Retry, passing_trouble

__all__ = [
    "Head",
    "Session",
    "Store",
    "add_all",
    "add_new",
    "add_values",
    "all_rows",
    "count_rows",
    "tables",
]

# recursive triggers: REPLACE deletes, and must meet the append-only triggers too
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "recursive_triggers=ON")
_ROWS_AT_ONCE = 500
_PAUSE_S = 1  # rarely needed: only where two processes make one database

Row = TypeVar("Row", bound=SQLModel)


class Head(NamedTuple):
    """The newest item of the chain or of the journal at some time.

    Attributes:
        number: Its number; 0 at the beginning.
        hash: Its hash; "" at the beginning.
    """

    number: int
    hash: str


def _connect(path: Path, wait_s: int) -> Engine:
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": wait_s})

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # BEGIN is sent below
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            _patiently(cursor, f"PRAGMA {pragma}", wait_s)
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        # plain BEGIN ignores the busy timeout when a reader turns writer
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

    return engine


def _patiently(cursor: sqlite3.Cursor, statement: str, wait_s: int) -> None:
    """Execute a statement; wait for another process where SQLite does not wait by itself.

    It does not where a new file becomes a WAL one while another process has begun to write.
    """
    deadline = time.monotonic() + wait_s
    while True:
        try:
            cursor.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
        time.sleep(_PAUSE_S)


class Store:
    """Give transactions on a database (SQLite, WAL, synchronous=FULL) of the newest revision.

    Args:
        path: The database file; it is created where it is missing or empty.
        wait_s: How many seconds a writer waits for another process's transaction to end.

    Raises:
        Halt: The database has another schema; `proofrail upgrade` migrates it.
    """

    def __init__(self, path: Path, wait_s: int = 30) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._engine = _connect(path, wait_s)
        self._writers = self._engine.execution_options(begin="BEGIN IMMEDIATE")
        self._lock = threading.RLock()
        self._prepare()

    def _prepare(self) -> None:
        with self._engine.connect() as connection:
            revision = schema.revision_of(connection)
        if revision is not None:
            schema.require_newest(revision)
            return
        with self._lock, self._writers.begin() as connection:
            # another process may have made the tables since
            if schema.revision_of(connection) is None:
                schema.migrate(connection)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a transaction that is committed whole or not at all; the only way to change data.

        Raises:
            Retry: Another process holds the database too long, or the disk refuses.
        """
        with (
            _slowness(self.path),
            self._lock,
            Session(self._writers, expire_on_commit=False) as session,
        ):
            yield session
            session.commit()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a consistent snapshot, which never waits for a writer.

        Raises:
            Retry: The database does not answer.
        """
        with _slowness(self.path), Session(self._engine, expire_on_commit=False) as session:
            yield session

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


@contextmanager
def _slowness(path: Path) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        trouble = passing_trouble(error)
        if isinstance(error, PoolTimeout):
            trouble = "too many callers at once"
        if trouble is None:
            raise
        raise Retry(f"the database {path} does not answer: {trouble}") from error


def _values(rows: Iterable[SQLModel]) -> list[dict[str, Any]]:
    return [row.model_dump() for row in rows]


def add_new(session: Session, rows: list[SQLModel]) -> None:
    """Insert a batch in one statement; rows whose key is already there stay as they are."""
    if rows:
        add_values(session, type(rows[0]), _values(rows))


def add_values(session: Session, table: type[SQLModel], values: list[dict[str, Any]]) -> None:
    """Insert like `add_new`, for many rows: plain columns, the same ones for all of them.

    Making an object of each row costs more than verifying a signature.
    """
    if values:
        session.exec(insert(table).on_conflict_do_nothing(), params=values)


def add_all(session: Session, rows: list[SQLModel]) -> None:
    """Insert a batch in one statement; a key that is already there is our own bug."""
    if rows:
        session.exec(insert(type(rows[0])), params=_values(rows))


def count_rows(session: Session, table: type[SQLModel]) -> int:
    """Return how many rows a table has."""
    return session.exec(select(func.count()).select_from(table)).one()


def all_rows(session: Session, table: type[Row], *order: Any) -> Iterator[Row]:
    """Yield all rows of a table by these columns, or in the order in which they were stored."""
    columns = order or (literal_column(f"{table.__tablename__}.rowid"),)
    query = select(table).order_by(*columns).execution_options(yield_per=_ROWS_AT_ONCE)
    for row in session.exec(query):
        yield row
        session.expunge(row)  # a report over millions of rows keeps none of them
