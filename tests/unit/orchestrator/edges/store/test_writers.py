"""Several writers: one at a time, none is refused, and a killed one leaves nothing behind."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from orchestrator.core import ledger
from orchestrator.edges.store import Store, add_all, evidence, schema
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.errors import Retry

ROOT = Path(__file__).resolve().parents[5]


@pytest.fixture
def store(tmp_path):
    empty = Store(tmp_path / "rail.sqlite3")
    yield empty
    empty.close()


def process(path, *arguments, **more) -> subprocess.Popen:
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.support.store_process",
            str(path),
            *map(str, arguments),
        ],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        **more,
    )


def test_writers__two_processes_and_two_threads__all_commit_and_the_chain_holds(store):
    """Each post reads the newest link and writes the next one: a lost update would break it."""
    failures: list[BaseException] = []

    def write(name: str) -> None:
        try:
            for number in range(25):
                with store.write() as session:
                    store_ledger.post(session, [ledger.funding_booked(f"{name}-{number}", 1)], 1)
        except BaseException as error:
            failures.append(error)

    others = [process(store.path, "write", 25, name) for name in ("p1", "p2")]
    threads = [threading.Thread(target=write, args=(name,)) for name in ("t1", "t2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [other.wait(300) for other in others] == [0, 0] and not failures
    with store.read() as session:
        assert store_ledger.count(session) == 100
        assert store_ledger.first_broken_link(session) is None


def test_writers__started_together_on_no_database__make_one(tmp_path):
    path = tmp_path / "rail.sqlite3"
    processes = [process(path, "make") for _ in range(3)]
    assert [writer.wait(300) for writer in processes] == [0, 0, 0]
    versions = sqlite3.connect(path).execute("SELECT version_num FROM alembic_version").fetchall()
    assert versions == [(schema.REVISION,)]


def test_store__while_another_process_begins_a_new_file__waits_for_it(tmp_path):
    """SQLite itself answers "database is locked" at once to who would make it a WAL file then."""
    path = tmp_path / "rail.sqlite3"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    begun = threading.Timer(0.3, other.commit)
    begun.start()
    store = Store(path)
    begun.join()
    with store.read() as session:
        assert store_ledger.count(session) == 0
    store.close()


def test_killed__within_a_transaction__leaves_nothing_half_written(store):
    other = process(store.path, "hold")
    assert other.stdout.readline() == "inside\n"
    other.kill()
    other.wait(60)
    with store.write() as session:  # and its lock is gone with it
        assert not evidence.stored(session, f"{0:064x}")
        assert store_ledger.count(session) == 0
        store_ledger.post(session, [ledger.funding_booked("whole", 1)], 1)


def test_write__raises_within__changes_nothing(store):
    with pytest.raises(ZeroDivisionError), store.write() as session:
        store_ledger.post(session, [ledger.funding_booked("c", 1)], 1)
        raise ZeroDivisionError
    with store.read() as session:
        assert store_ledger.count(session) == 0


def test_read__while_a_writer_is_at_work__sees_what_was_before(store):
    with store.write() as session:
        store_ledger.post(session, [ledger.funding_booked("c", 1)], 1)
        with store.read() as reading:
            assert store_ledger.count(reading) == 0
    with store.read() as reading:
        assert store_ledger.count(reading) == 1


def test_write__database_held_too_long_by_another__is_a_retry(store):
    hasty = Store(store.path, wait_s=0)
    holder = sqlite3.connect(store.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    entry = ledger.funding_booked("c", 1)
    with (
        pytest.raises(Retry, match="does not answer: database is locked"),
        hasty.write() as session,
    ):
        store_ledger.post(session, [entry], 1)
    holder.execute("ROLLBACK")
    with hasty.write() as session:
        assert store_ledger.post(session, [entry], 1) == 1
    hasty.close()


def test_write__wrong_statement__is_no_retry(store):
    with pytest.raises(Exception, match="no such table") as error, store.write() as session:
        session.connection().exec_driver_sql("SELECT * FROM nowhere")
    assert not isinstance(error.value, Retry)


def test_add_all__key_that_is_there__is_our_own_bug(store):
    row = evidence.EvidenceRow(evidence_hash="00", body=b"", protocol="", source="", received_at=0)
    with store.write() as session:
        add_all(session, [row])
    with pytest.raises(Exception, match="UNIQUE constraint"), store.write() as session:
        add_all(session, [row])
