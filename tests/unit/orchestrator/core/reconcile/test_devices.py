"""Device events against settlements, on a store that a real rail filled and somebody changed."""

from __future__ import annotations

import pytest

from orchestrator.core.reconcile import BreakKind, Leg
from tests.support.rail_copy import RailCopy
from tests.support.small_rail import has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
SETTLED = "SELECT payment_id FROM payment WHERE stage = 'reconciled' ORDER BY payment_id LIMIT 1"


@pytest.fixture
def copy(tmp_path):
    return RailCopy(tmp_path / "home")


def device_breaks(copy: RailCopy) -> list[tuple[BreakKind, tuple[str, ...]]]:
    return [(b.kind, b.ids) for b in copy.reconcile().breaks if b.leg is Leg.DEVICE]


def test_records__untouched__stand_behind_every_settled_claim(copy):
    view = copy.reconcile()
    assert (view.breaks, view.closed) == ((), ())


def test_record__changed_in_one_byte__is_not_the_one_that_was_settled(copy):
    payment = copy.value(SETTLED)
    copy.sql(
        "UPDATE evidence SET body = CAST(body || x'20' AS BLOB) WHERE evidence_hash = (SELECT "
        f"evidence_hash FROM event WHERE payment_id = '{payment}' LIMIT 1)"
    )
    assert device_breaks(copy) == [(BreakKind.AMOUNT, (payment[2:],))]


def test_records__deleted__leave_a_settled_claim_without_its_events(copy):
    payment = copy.value(SETTLED)
    copy.sql(f"DELETE FROM event WHERE payment_id = '{payment}'")
    assert device_breaks(copy) == [(BreakKind.MISSING, (payment[2:],))]


def test_record__moved_to_another_counter__no_longer_covers_the_claim(copy):
    payment = copy.value(SETTLED)
    copy.sql(
        "UPDATE event SET counter = counter + 1000 WHERE event_id = (SELECT event_id FROM "
        f"event WHERE payment_id = '{payment}' LIMIT 1)"
    )
    assert device_breaks(copy) == [(BreakKind.MISSING, (payment[2:],))]


def test_payment__deleted__is_settled_by_a_stranger_and_its_events_are_lost(copy):
    payment = copy.value(SETTLED)
    copy.sql(f"DELETE FROM payment WHERE payment_id = '{payment}'")
    assert set(device_breaks(copy)) == {
        (BreakKind.MISSING, (payment[2:],)),
        (BreakKind.EXTRA, (payment[2:],)),
    }


def test_event__taken_out_of_its_payment__is_missing_there_and_waits(copy):
    """Nothing else of that agreement is on its way, and it came long ago."""
    payment = copy.value(SETTLED)
    copy.sql(
        f"UPDATE event SET payment_id = NULL, received_at = 1 WHERE payment_id = '{payment}'",
        "UPDATE agreement SET last_counter = first_counter",
        "UPDATE payment SET stage = 'posted' WHERE stage IN ('verified', 'waiting_for_funds')",
    )
    agreement = copy.value(f"SELECT agreement_id FROM payment WHERE payment_id = '{payment}'")
    assert set(device_breaks(copy)) == {
        (BreakKind.MISSING, (payment[2:],)),
        (BreakKind.MISSING, (agreement[2:],)),
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE agreement SET stage = 'closed'", "agreement_closed"),
        ("UPDATE payment SET stage = 'rejected' WHERE stage = 'verified'", "agreement_stopped"),
        ("UPDATE payment SET stage = 'held' WHERE stage = 'verified'", "payment_held"),
        ("UPDATE agreement SET ends_at = 1", "agreement_ended"),
        ("UPDATE event SET received_at = received_at", "payment_in_flight"),
    ],
)
def test_event__that_waits__waits_by_a_named_reason(copy, change, reason):
    [where] = [
        f"payment_id = '{copy.value(query)}'"
        for query in ("SELECT payment_id FROM payment WHERE stage = 'verified'",)
    ]
    copy.sql(f"UPDATE event SET payment_id = NULL, received_at = 1 WHERE {where}", change)
    view = copy.reconcile()
    assert [(w.reason, w.events) for w in view.waiting] == [(reason, 1)]
    assert view.breaks == ()
