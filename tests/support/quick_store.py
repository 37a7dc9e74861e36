"""A new SQLite database of a test gets the newest schema without running every migration again.

The migrations run once in a process; their result is a script that each new database gets. What
the script makes is what they make: tests/unit/orchestrator/edges/store/test_migrations.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, create_engine

from orchestrator.edges.store import schema

run_migrations = schema.migrate


def use_quick_stores() -> None:
    """Have every store of this process that is made from nothing use the script."""
    schema.migrate = migrate_quickly


def migrate_quickly(connection: Connection) -> None:
    """Run the script where there is nothing yet; elsewhere the migrations that are missing."""
    if connection.dialect.name != "sqlite" or schema.revision_of(connection) is not None:
        run_migrations(connection)
        return
    for statement in _script(run_migrations):
        connection.exec_driver_sql(statement)


@cache
def _script(migrate: Callable[[Connection], None]) -> tuple[str, ...]:
    """Return the statements that make a new database as the migrations make it."""
    with tempfile.TemporaryDirectory(prefix="schema-") as folder:
        engine = create_engine(f"sqlite:///{Path(folder) / 'new.sqlite3'}")
        with engine.begin() as connection:
            migrate(connection)
        with engine.connect() as connection:
            statements = tuple(connection.connection.dbapi_connection.iterdump())
        engine.dispose()
    return statements[1:-1]  # without BEGIN and COMMIT: the caller has a transaction
