"""The store on SQLite: evidence and journal are append-only, writes are durable and in batches."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import event

from orchestrator.edges.store import Store, add_new, evidence
from orchestrator.edges.store.tables import SQLModel

APPEND_ONLY = ("evidence", "paymentfact", "ledgerentry", "ledgerposting", "bankfile")


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
