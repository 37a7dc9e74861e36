"""A store that is restored from a backup learns from the chain what was settled since."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.edges.store import Store, agreements, evidence
from orchestrator.rebuild import rebuild
from orchestrator.steps.collect import collect
from orchestrator.steps.follow import follow
from orchestrator.steps.reconcile import reconcile_store
from tests.support.open_rail import OpenRail
from tests.support.small_rail import has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
POINT, METER = "cp-0001", "meter-0001"


class Restored(OpenRail):
    """The rail of a live chain and bank, whose store is an older copy."""

    def __init__(self, live: OpenRail, database: Path) -> None:
        vars(self).update(vars(live))
        self.store = Store(database)
        self._rail()

    def agree_with_all(self) -> None:
        """Every book says the same, and the stored evidence makes what the chain settled."""
        self.agree_with_the_chain()
        assert self.worker.halted == {}
        with self.store.read() as session:
            assert reconcile_store(session, self.iban).breaks == ()
        rebuilt = rebuild(self.store, self.chain)
        assert rebuilt.differences == []
        assert rebuilt.same


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory):
    """(live rail, backup, records that it took since): two payments of each device were settled."""
    folder = tmp_path_factory.mktemp("adopt")
    rail = OpenRail(folder / "home").start()
    for name in (POINT, METER):
        rail.fund(name, 5_000)
    rail.work(4)
    records = []

    def sent(new: list[bytes]) -> None:
        records.extend(new)
        assert set(rail.take(*new)) == {"accepted"}
        rail.work(5)

    rail.clock += 10_000
    meter, point = rail.fleet[METER], rail.fleet[POINT]
    sent([*meter.reading("0.5"), *point.session("1")])
    backup = folder / "backup.sqlite3"
    with closing(sqlite3.connect(rail.settings.database)) as original:
        original.execute("VACUUM INTO ?", (str(backup),))
    records.clear()
    sent([*meter.reading("0.25"), *meter.reading("0.25"), *point.session("2")])
    sent([*meter.reading("0.75"), *point.session("3"), *point.session("4")])
    rail.work(8, 20)
    rail.next_day()  # the second payout of a payee is ordered on another day
    rail.work(8, 20)
    yield rail, backup, records
    rail.stop()


@pytest.fixture
def restored(lost, tmp_path: Path):
    live, backup, records = lost
    database = tmp_path / "restored.sqlite3"
    database.write_bytes(backup.read_bytes())
    rail = Restored(live, database)
    yield rail, records, history(live)
    rail.store.close()


def history(rail: OpenRail) -> set[tuple]:
    """Return what each payment came to; the tests share a chain, so later ones see more of them."""
    query = (
        "SELECT payment_id, first_counter, last_counter, evidence_root, facts, amount_micro,"
        " settlement_tx, release_tx, payout_id FROM payment"
    )
    with closing(sqlite3.connect(rail.store.path)) as base:
        return set(base.execute(query))


def assert_paid_once(rail: OpenRail) -> None:
    """Every payment left the rail, and the bank took each payout once."""
    assert not set(rail.stages()) - {"paid_out", "booked", "reconciled"}
    with closing(sqlite3.connect(rail.store.path)) as base:
        ordered = base.execute("SELECT end_to_end_id, cents FROM payout").fetchall()
    with closing(sqlite3.connect(rail.home / "bank" / "books.sqlite3")) as books:
        taken = books.execute("SELECT end_to_end_id, cents FROM orders").fetchall()
    assert len(taken) == len(set(taken))
    assert set(taken) == set(ordered)


def send_new(rail: OpenRail, records: list[bytes], energy: str) -> None:
    """Send one more reading, and keep it for the tests that follow on this chain."""
    new = rail.fleet[METER].reading(energy)
    assert rail.take(*new) == ["accepted"]
    records.extend(new)


def test_settled_payments__of_a_restored_store__are_paid_before_their_records_are_back(restored):
    rail, records, before = restored
    rail.work(8, 20)
    assert history(rail) >= before
    rail.next_day()  # the rail has ordered the payee's payout of the day
    rail.work(4)
    assert_paid_once(rail)
    assert rail.take(*records) == ["accepted"] * len(records)
    rail.work(2)
    rail.agree_with_all()
    payments = len(history(rail))
    send_new(rail, records, "0.5")
    rail.work(5)
    assert len(history(rail)) == payments + 1


def test_runs__that_were_begun_again_from_all_records__become_those_of_the_chain(restored):
    """Records are back before the blocks are read: one run holds what two claims settled."""
    rail, records, before = restored
    assert rail.take(*records) == ["accepted"] * len(records)
    assert collect(rail.rail) == 2
    rail.work(8, 20)
    assert history(rail) >= before
    rail.next_day()  # the rail has ordered the payee's payout of the day
    rail.work(4)
    assert_paid_once(rail)
    rail.agree_with_all()


def test_new_records__while_older_ones_are_missing__wait_for_them(restored):
    """The next claim starts where the last one ended, so it needs that record."""
    rail, records, before = restored
    while follow(rail.rail):
        pass
    payments, missing = len(history(rail)), list(records)
    send_new(rail, records, "0.5")
    rail.work(3)
    assert len(history(rail)) == payments >= len(before)
    with rail.store.read() as session:
        row = agreements.get(session, rail.agreements[METER])
        assert evidence.at_counter(session, row.agreement_id, row.last_counter) is None
    rail.take(*missing)
    rail.work(5)
    assert len(history(rail)) == payments + 1
    rail.agree_with_all()
