"""Migrations: from nothing and from 0.3.0 to the same tables, on SQLite and PostgreSQL."""

from __future__ import annotations

import ast
import gzip
import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError

from orchestrator.edges.store import Store, schema
from orchestrator.edges.store.tables import SQLModel
from orchestrator.errors import Halt
from tests.support.postgres import postgres
from tests.support.quick_store import run_migrations

VERSIONS = sorted((schema.MIGRATIONS / "versions").glob("[0-9]*.py"))
RELEASED = Path(__file__).resolve().parents[4] / "data" / "released"
APPEND_ONLY = ("evidence", "paymentfact", "ledgerentry", "ledgerposting", "bankfile")
GROUND = "44306a92bb6c47a57d80bb0f30d6288e4c8ecb5cc01e625ef29bbb61607d665e"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def engine(request, tmp_path_factory) -> Iterator[Engine]:
    """Give an empty database with all migrations run."""
    if request.param == "postgresql":
        with postgres() as engine:
            with engine.begin() as connection:
                schema.migrate(connection)
            yield engine
        return
    path = tmp_path_factory.mktemp("schema") / "rail.sqlite3"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        run_migrations(connection)
    yield engine
    engine.dispose()


@pytest.fixture(params=sorted(folder.name for folder in RELEASED.glob("0.*")))
def released(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Give the database of each earlier release."""
    path = tmp_path / "proofrail.sqlite3"
    packed = RELEASED / request.param / "proofrail.sqlite3.gz"
    path.write_bytes(gzip.decompress(packed.read_bytes()))
    return path


def differences(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, SQLModel.metadata)


def test_migrations__an_empty_database__equals_the_tables(engine):
    assert differences(engine) == []
    with engine.connect() as connection:
        assert schema.revision_of(connection) == schema.REVISION


def test_quick_store__of_the_tests__is_what_the_migrations_make(tmp_path):
    """The stores of all other tests are made by tests/support/quick_store.py."""
    Store(tmp_path / "quick.sqlite3").close()
    engine = create_engine(f"sqlite:///{tmp_path / 'migrated.sqlite3'}")
    with engine.begin() as connection:
        run_migrations(connection)
    engine.dispose()
    assert _schema_of(tmp_path / "quick.sqlite3") == _schema_of(tmp_path / "migrated.sqlite3")


def _schema_of(path: Path) -> list[tuple]:
    """Return every table, index and trigger with its SQL, and the revision."""
    connection = sqlite3.connect(path)
    objects = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    revision = connection.execute("SELECT * FROM alembic_version").fetchall()
    connection.close()
    return sorted(map(str, objects)) + revision


def test_migrations__a_table_or_index_that_changed__is_noticed(tmp_path):
    """The comparison above can fail."""
    Store(tmp_path / "rail.sqlite3").close()
    engine = create_engine(f"sqlite:///{tmp_path / 'rail.sqlite3'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE payment ADD COLUMN colour TEXT")
        connection.exec_driver_sql("DROP INDEX event_placed")
    assert len(differences(engine)) == 2


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("change", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {}"])
def test_append_only__a_change_on_either_database__is_refused(engine, table, change):
    if change.startswith("TRUNCATE") and engine.dialect.name == "sqlite":
        change = "DELETE FROM {}"  # all that SQLite has
    columns = SQLModel.metadata.tables[table].columns
    key = json.dumps(next(iter(columns)).name)
    samples = {int: 1, bytes: b"x"}
    values = {c.name: samples.get(c.type.python_type, "x") for c in columns}
    insert = SQLModel.metadata.tables[table].insert().values(values)
    with engine.connect() as connection:
        connection.execute(insert)
        with pytest.raises(DBAPIError, match=f"{table} is append-only"):
            connection.exec_driver_sql(change.format(table, key, key))


def shape_of(path: Path) -> dict[str, Any]:
    """Return tables with their columns, indexes and triggers; the order of columns is left out."""
    base, shapes = sqlite3.connect(path), {}
    objects = base.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    for kind, name, table, sql in objects:
        if kind == "table":
            columns = base.execute(f"PRAGMA table_xinfo('{name}')").fetchall()
            shapes[name] = sorted(column[1:] for column in columns)
        else:
            columns = base.execute(f"PRAGMA index_info('{name}')").fetchall()
            text = re.sub(r"\s+", " ", sql or "").replace('"', "")
            shapes[name] = (kind, table, text, [column[2] for column in columns])
    base.close()
    return shapes


def test_migrations__database_of_an_earlier_release__comes_to_the_same_shape_as_a_new_one(
    released, tmp_path
):
    Store(tmp_path / "new.sqlite3").close()
    with create_engine(f"sqlite:///{released}").begin() as connection:
        schema.migrate(connection)
    assert shape_of(released) == shape_of(tmp_path / "new.sqlite3")
    assert len(shape_of(released)) > 120


def test_store__schema_of_an_earlier_release__asks_for_the_upgrade_and_changes_nothing(released):
    before = shape_of(released)
    with pytest.raises(Halt, match="run `proofrail upgrade`"):
        Store(released)
    assert shape_of(released) == before


def test_store__schema_of_a_later_release__names_both_and_changes_nothing(tmp_path):
    path = tmp_path / "rail.sqlite3"
    Store(path).close()
    with sqlite3.connect(path) as base:
        base.execute("UPDATE alembic_version SET version_num = '9001'")
    with pytest.raises(Halt, match="schema 9001, which this program does not know"):
        Store(path)


def test_store__tables_without_a_revision__are_not_taken_for_ours(tmp_path):
    path = tmp_path / "other.sqlite3"
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE recipe (name TEXT)")
    with pytest.raises(Halt, match="recipe and no schema revision"):
        Store(path)
    assert sqlite3.connect(path).execute("SELECT count(*) FROM sqlite_master").fetchone() == (1,)


def test_store__newest_schema__is_opened_without_alembic(tmp_path, monkeypatch):
    Store(tmp_path / "rail.sqlite3").close()
    monkeypatch.setattr("alembic.command.upgrade", None)
    Store(tmp_path / "rail.sqlite3").close()


def test_migrations__revision_in_the_code__is_the_newest_file():
    revisions = [
        node.value.value
        for node in ast.parse(VERSIONS[-1].read_text()).body
        if isinstance(node, ast.Assign) and node.targets[0].id == "revision"
    ]
    assert revisions == [schema.REVISION] == [schema.known_revisions()[-1]]
    assert VERSIONS[-1].name.startswith(schema.REVISION)


def test_migrations__the_first__is_frozen_and_reads_no_live_table():
    """A change of a table is a new revision: an edit of this file would rewrite old databases."""
    ground = schema.MIGRATIONS / "versions" / "0001_ground.py"
    assert hashlib.sha256(ground.read_bytes()).hexdigest() == GROUND
    assert "metadata" not in ground.read_text()


def test_migrations__backwards__never_drop_evidence(tmp_path):
    from alembic import command
    from alembic.config import Config

    Store(tmp_path / "rail.sqlite3").close()
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    engine = create_engine(f"sqlite:///{tmp_path / 'rail.sqlite3'}")
    with pytest.raises(Halt, match="not undone"), engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert "evidence" in shape_of(tmp_path / "rail.sqlite3")
