"""What a turn of the worker costs: as much in a store that is in use for years as in a new one.

Counted are instructions of SQLite's virtual machine, which grow with each row that is looked at,
also by COUNT(*) and by a search without an index; and calls to the node.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import requests

from orchestrator import worker
from orchestrator.steps.breaks import register_breaks
from tests.support.full_store import Connections, Work, counted, fill
from tests.support.small_rail import SmallRail, has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")

FEW, MANY = 100, 100_000
# with a payment under way, a sort compares ids, which differ from run to run
TOLERANCE = 1.05


@dataclass
class Costs:
    """What one rail spent: to take a record, to bring payments to the end, and to do nothing."""

    intake: Work
    payment: Work
    idle: Work


@pytest.fixture(scope="module")
def costs(tmp_path_factory):
    """Return {old rows: what the same work costs in a store that has so many}."""
    connections, patch = Connections(), pytest.MonkeyPatch()
    real_post = requests.Session.post

    def post(session, url, **options):
        if connections.work is not None:
            connections.work.calls += 1
        return real_post(session, url, **options)

    patch.setattr(requests.Session, "post", post)
    try:
        yield {
            rows: _costs(connections, tmp_path_factory.mktemp(str(rows)) / "home", rows)
            for rows in (FEW, MANY)
        }
    finally:
        patch.undo()
        connections.close()


def _costs(connections: Connections, home, rows: int) -> Costs:
    rail = SmallRail(home).start()
    try:
        for name in ("cp-0001", "meter-0001"):
            rail.fund(name, 20_000)
        rail.work(4)
        _charge(rail)  # so that agreement, journal and chain have a past of their own
        rail.work(18, 10)
        assert rail.stages() == {"booked": 2}
        rail.close_day()  # the bank books the next payout on its own next day
        sender = rail.rail.sender.account.address
        fill(
            home / "proofrail.sqlite3", rows, rail.agreements["cp-0001"], rail.payee.address, sender
        )
        rail.clock += 86_400  # a payee gets one payout a day
        with counted(connections) as intake:
            _charge(rail)
        with pytest.MonkeyPatch.context() as patch, counted(connections) as payment:
            # a file of the bank makes it compare the whole history: see test_breaks
            steps = tuple(step for step in worker.STEPS if step is not register_breaks)
            patch.setattr(worker, "STEPS", steps)
            rail.work(18, 10)
        assert rail.stages() == {"booked": 2, "reconciled": rows + 2}
        rail.rail.memory.files_taken = rail.rail.memory.break_causes[0]  # no file since
        rail.worker.turn()
        with counted(connections) as idle:
            assert rail.worker.turn() == 0
        assert not rail.worker.halted
        return Costs(intake, payment, idle)
    finally:
        rail.stop()


def _charge(rail: SmallRail) -> None:
    point, meter = rail.fleet["cp-0001"], rail.fleet["meter-0001"]
    point.now = max(point.now, rail.clock)
    assert rail.take(*point.session("3"), *meter.reading("0.5")) == ["accepted"] * 2


def _grown(few: Work, many: Work) -> dict[str, tuple[int, int]]:
    """Return the statements that cost more in the full store, for the message of a failure."""
    return {
        statement: (few.steps[statement], count)
        for statement, count in many.steps.most_common()
        if count > few.steps[statement] * TOLERANCE + 10
    }


@pytest.mark.parametrize("work", ["intake", "payment"])
def test_payment__from_record_to_bank_line__costs_the_same_in_a_full_store(costs, work):
    few, many = getattr(costs[FEW], work), getattr(costs[MANY], work)
    assert many.calls == few.calls
    assert few.total > 200
    assert many.total <= few.total * TOLERANCE, _grown(few, many)


def test_turn__with_nothing_to_do__costs_the_same_in_a_full_store(costs):
    few, many = costs[FEW].idle, costs[MANY].idle
    assert (few.calls, many.calls) == (1, 1)  # which block is the newest?
    assert few.total > 200
    assert many.total == few.total, _grown(few, many)
