"""The schema: migrations and tables say the same, history is frozen, evidence stays as it is."""

from __future__ import annotations

import ast
import hashlib
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, event

from orchestrator.edges.store import MIGRATIONS, REVISION, Store, add_new, evidence
from orchestrator.edges.store.tables import SQLModel
from orchestrator.errors import Halt

VERSIONS = sorted((MIGRATIONS / "versions").glob("[0-9]*.py"))
APPEND_ONLY = ("evidence", "paymentfact", "ledgerentry", "ledgerposting", "bankfile")
GROUND = "0fa21362a58bbdad20ad7dad87fdadd28692f41ca04fc83ad97f8844ca33821a"


@pytest.fixture
def store(tmp_path):
    empty = Store(tmp_path / "new" / "rail.sqlite3")
    yield empty
    empty.close()


def raw(store) -> sqlite3.Connection:
    connection = sqlite3.connect(store.path)
    connection.execute("PRAGMA recursive_triggers = ON")  # as every connection of the store has it
    return connection


def rows(count: int) -> list[evidence.EvidenceRow]:
    return [
        evidence.EvidenceRow(
            evidence_hash=f"{n:064x}", body=b"OCMF|", protocol="ocmf", source="mqtt", received_at=n
        )
        for n in range(count)
    ]


def test_migrations__a_fresh_database__equals_the_tables(store):
    with create_engine(f"sqlite:///{store.path}").connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_migrations__a_table_that_changed__is_noticed(store):
    """The comparison above can fail: a column more, and it speaks."""
    raw(store).execute("ALTER TABLE payment ADD COLUMN colour TEXT")
    with create_engine(f"sqlite:///{store.path}").connect() as connection:
        context = MigrationContext.configure(connection)
        assert len(compare_metadata(context, SQLModel.metadata)) == 1


def test_migrations__revision_in_the_code__is_the_newest_file():
    differences = [
        node.value.value
        for node in ast.parse(VERSIONS[-1].read_text()).body
        if isinstance(node, ast.Assign) and node.targets[0].id == "revision"
    ]
    assert differences == [REVISION]
    assert VERSIONS[-1].name.startswith(REVISION)


def test_migrations__the_first__is_frozen_and_reads_no_live_table():
    """A change of a table is a new revision: whoever edits this file rewrites old databases."""
    ground = MIGRATIONS / "versions" / "0001_ground.sql"
    assert hashlib.sha256(ground.read_bytes()).hexdigest() == GROUND
    assert "metadata" not in ground.with_suffix(".py").read_text()


def test_migrations__a_database_that_is_there__is_opened_without_any(store, monkeypatch):
    monkeypatch.setattr("alembic.command.upgrade", None)
    Store(store.path).close()


def test_migrations__backwards__never_drop_evidence(store):
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with pytest.raises(Halt, match="never dropped"), store._writers.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert "evidence" in str(raw(store).execute("SELECT name FROM sqlite_master").fetchall())


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_append_only__update_delete_and_replace__are_refused(store, table):
    database = raw(store)
    columns = [
        (name, kind) for _, name, kind, *_ in database.execute(f"PRAGMA table_info({table})")
    ]
    values = ", ".join("1" if "INT" in kind else "'x'" for _, kind in columns)
    database.execute(f"INSERT INTO {table} VALUES ({values})")
    for change in (
        f"UPDATE {table} SET {columns[-1][0]} = {columns[-1][0]}",
        f"DELETE FROM {table}",
        f"INSERT OR REPLACE INTO {table} VALUES ({values})",
    ):
        with pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only"):
            database.execute(change)
    assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (1,)


def test_append_only__every_connection_of_the_store__has_recursive_triggers(store):
    with store.write() as session:
        assert session.connection().exec_driver_sql("PRAGMA recursive_triggers").scalar() == 1


def test_durability__write_ahead_log_and_full_sync__are_in_force(store):
    with store.read() as session:
        assert session.connection().exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert session.connection().exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_add_new__thousand_rows__are_one_statement(store):
    statements = []
    event.listen(
        store._engine, "before_cursor_execute", lambda *call: statements.append((call[2], call[5]))
    )
    with store.write() as session:
        add_new(session, rows(1_000))
        add_new(session, rows(1_000))  # the keys are there: nothing happens
    inserts = [many for statement, many in statements if statement.startswith("INSERT")]
    assert inserts == [True, True]
    assert raw(store).execute("SELECT count(*) FROM evidence").fetchone() == (1_000,)


def test_known_contents__in_a_large_table__looks_up_by_key(store):
    with store.write() as session:
        evidence.known_contents(session, [b"\x01"])
        plan = (
            session.connection()
            .exec_driver_sql(
                "EXPLAIN QUERY PLAN SELECT device_id FROM event WHERE event_id IN ('0x01', '0x02')"
            )
            .fetchall()
        )
    assert "USING INDEX" in str(plan) and "SCAN" not in str(plan)


def test_money_columns__everywhere__are_integers():
    for table in SQLModel.metadata.tables.values():
        for column in table.columns:
            if column.name.endswith(("_micro", "_minor", "cents", "micro", "minor")):
                assert column.type.python_type is int, f"{table.name}.{column.name}"
            assert str(column.type) not in ("FLOAT", "NUMERIC", "DECIMAL", "REAL")


def test_paths__folder_that_is_not_there__is_made(tmp_path):
    Store(tmp_path / "a" / "b" / "rail.sqlite3").close()
    assert Path(tmp_path / "a" / "b" / "rail.sqlite3").exists()
