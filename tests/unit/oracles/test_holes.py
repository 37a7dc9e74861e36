"""Missing counters of a stream, also where a gateway counts several meters as one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from device_adapters.types import device_id
from oracles import rules
from oracles.holes import Hole, follows, gaps, shared
from oracles.types import ClaimReason
from orchestrator.products.metered_energy import product
from tests.support.meter_streams import SOME_DAY, agreement, event


def behind(gateway: str, *events):
    return [replace(item, gateway=gateway) for item in events]


def outlet(counters: tuple[int, int], register: int, start: int = SOME_DAY):
    """Return a session of two records that gateway G signed, 1 kWh in an hour."""
    begin, end = counters
    return behind(
        "G",
        event(begin, ("B", register, start)),
        event(end, ("E", register + 1_000_000, start + 3_600)),
    )


@pytest.mark.parametrize(
    "siblings, missing",
    [
        ({}, [Hole(1, 2), Hole(4, 7)]),
        ({"G": [1, 2, 4, 5, 6, 7]}, []),
        ({"G": [2, 5, 9]}, [Hole(1, 1), Hole(4, 4), Hole(6, 7)]),
        ({"other": [1, 2, 4, 5, 6, 7]}, [Hole(1, 2), Hole(4, 7)]),
    ],
)
def test_gaps__counters_of_other_meters__are_no_gaps(siblings, missing):
    events = behind("G", event(3, ("", 1, 1)), event(8, ("", 1, 1)))
    assert gaps(0, events, siblings) == missing
    assert follows(3, events[1], siblings) is (missing == [])


def test_shared__a_gateway_that_counts_each_meter_by_itself__fills_no_gap():
    events = behind("G", event(1, ("", 1, 1)), event(4, ("", 1, 1)))
    assert shared({"G": [2, 3]}, events) == {"G": [2, 3]}
    assert shared({"G": [2, 3, 4]}, events) == {}
    assert shared({"": [2, 3]}, [event(1, ("", 1, 1))]) == {}


def test_runs__two_outlets_of_one_gateway__both_sessions_are_paid():
    first, second = outlet((1, 3), 5_000_000), outlet((2, 4), 90_000_000, SOME_DAY + 60)
    for own, used, counters in ((first, [2, 4], (1, 3)), (second, [1, 3], (2, 4))):
        result = rules.runs(agreement(), product, 0, None, own, siblings={"G": used})
        assert not result.holes and not result.dropped
        assert tuple(e.counter for e in result.run) == counters
        facts = product.decode_facts(product.derive(agreement().terms, None, result.run, {}))
        assert facts.energy == 1_000_000


def test_runs__a_page_that_neither_outlet_has__still_blocks_and_breaks_the_session():
    first, used = outlet((1, 4), 5_000_000), {"G": [2]}
    waiting = rules.runs(agreement(), product, 0, None, first, siblings=used)
    assert not waiting.run and waiting.holes == (Hole(3, 3),)
    lost = rules.runs(agreement(), product, 0, None, first, [(3, 3)], siblings=used)
    assert [v.reason for v in lost.dropped] == [ClaimReason.INCOMPLETE] * 2
    assert "1" in lost.dropped[0].detail and "4" in lost.dropped[0].detail


def test_runs__counters_of_a_gateway_that_did_not_sign__do_not_count():
    own = outlet((1, 3), 5_000_000)
    foreign = rules.runs(agreement(), product, 0, None, own, siblings={"H": [2]})
    direct = rules.runs(
        agreement(), product, 0, None, [replace(e, gateway="") for e in own], siblings={"": [2]}
    )
    assert foreign.holes == direct.holes == (Hole(2, 2),)


def test_late_run__two_outlets_of_one_gateway__the_session_is_found():
    own = outlet((1, 3), 5_000_000)
    deal = agreement(device_id=device_id("M1"))
    result = rules.late_run(deal, product, own, [(9, 9)], siblings={"G": [2]})
    assert [e.counter for e in result.run] == [1, 3]
    broken = rules.late_run(deal, product, own, [(9, 9)])
    assert not broken.run
