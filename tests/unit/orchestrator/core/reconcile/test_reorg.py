"""A block that leaves a real chain is named, and stays open until its entries stand again."""

from __future__ import annotations

import pytest

from orchestrator.core.reconcile import Break, BreakKind
from orchestrator.steps.breaks import CLOSED, OPEN, register_breaks, standing
from orchestrator.steps.reconcile import reconcile_store
from tests.support.deep_rail import FINALITY, DeepRail
from tests.support.small_rail import has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


def reorganised(rail: DeepRail) -> tuple[list[Break], list[Break]]:
    """(open, closed) breaks of that kind."""
    with rail.store.read() as session:
        result = reconcile_store(session, rail.iban)
    return tuple(
        [difference for difference in view if difference.kind is BreakKind.REORGANISED]
        for view in (result.breaks, result.closed)
    )


def test_block__that_leaves_with_a_settlement__is_named_until_its_entry_stands_again(tmp_path):
    rail = DeepRail(tmp_path / "home").start()
    try:
        rail.join("gone", 5_000)
        rail.settle_now("gone", 1)
        assert reorganised(rail) == ([], [])
        rail.reorganise(1)
        [left], closed = reorganised(rail)
        assert closed == [] and (left.expected_minor, left.found_minor) == (1, 0)
        assert left.owner == "engineering" and "entries voided: 1" in left.detail
        register_breaks(rail.rail)
        assert states(rail) == [OPEN]
        rail.until("gone", "settled")  # the rail sends the same bytes again by itself
        rail.work(FINALITY + 3)
        opened, [back] = reorganised(rail)
        assert opened == [] and back.ids == left.ids and "came back" in back.closed
        assert states(rail) == [CLOSED]
    finally:
        rail.stop()


def states(rail: DeepRail) -> list[str]:
    with rail.store.read() as session:
        standings = standing(session, 31337, reconcile_store(session, rail.iban), rail.clock)
    return [standing_break.state for standing_break in standings]
