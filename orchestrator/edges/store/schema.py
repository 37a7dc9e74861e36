"""The schema of a database: its revision, and the migrations that bring it to the newest one."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import inspect
from sqlalchemy.engine import Connection
from sqlmodel import text

from orchestrator.errors import Halt

MIGRATIONS = Path(__file__).parent / "migrations"
REVISION = "0017"  # the newest file in migrations/versions; a test compares the two


def revision_of(connection: Connection) -> str | None:
    """Return the revision of a database, None where it has no tables of ours.

    Raises:
        Halt: The database has tables and no revision: another program made it.
    """
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    if "alembic_version" in tables:
        row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
        if row is not None:
            return row[0]
    raise Halt(
        f"The database has the tables {', '.join(tables[:3])} and no schema revision, so proofrail "
        "did not make it, or its making was cut off. Nothing was changed. Next: check the path; "
        "restore a backup if this was a rail's database."
    )


def require_newest(revision: str) -> None:
    """Accept the newest revision alone: services and commands never migrate by themselves.

    Raises:
        Halt: The schema is older or is not known; the text says what to run.
    """
    if revision == REVISION:
        return
    if revision in known_revisions():
        raise Halt(
            f"The database has schema {revision}, and this program needs {REVISION}. Nothing was "
            "changed. Next: run `proofrail upgrade`; it makes a backup first."
        )
    raise unknown(revision)


def unknown(revision: str) -> Halt:
    """Return the error for a revision that this program does not have."""
    return Halt(
        f"The database has schema {revision}, which this program does not know (its newest is "
        f"{REVISION}): a newer release wrote it. Nothing was changed. Next: install that release."
    )


def known_revisions() -> list[str]:
    """Return all revisions, oldest first; they are the first four letters of the files' names."""
    return sorted(path.name[:4] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def migrate(connection: Connection) -> None:
    """Run all missing migrations in the caller's transaction, on SQLite or PostgreSQL."""
    # imported late: it costs half a second and is needed once in a schema's life
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
