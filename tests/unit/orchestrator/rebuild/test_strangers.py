"""Rebuild of what strangers and people did on chain: detours, debts, disputes, withdrawals."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.edges.chain.client import Call
from orchestrator.edges.store import ledger
from orchestrator.rebuild import rebuild
from tests.support.open_rail import OpenRail
from tests.support.payee_debts import corrected, meter, repay
from tests.support.small_rail import has_anvil
from tests.support.strangers import STRANGER, forward, kept_call

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


@pytest.fixture(scope="module")
def rail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenRail]:
    open_rail = OpenRail(tmp_path_factory.mktemp("strangers") / "home").start()
    yield open_rail
    open_rail.stop()


def same(rail: OpenRail) -> set[str]:
    """The kinds of entries, once they were all made again."""
    rail.work(3)
    rebuilt = rebuild(rail.store, rail.chain)
    assert rebuilt.differences == [] and rebuilt.same
    with rail.store.read() as session:
        return {item.kind for _, item in ledger.entries(session)}


def test_rebuild__settlement_through_another_contract__is_proven_by_its_root(rail) -> None:
    forward(rail, kept_call(rail, "detour"))
    rail.with_oracles_down()
    rail.until("detour", "paid_out")
    assert {"settled", "redeemed"} <= same(rail)


def test_rebuild__credit_that_its_payee_repays__is_the_same_bytes(rail) -> None:
    meter(rail, "meter-guessed")
    row = corrected(rail, "meter-guessed", 9, 4)
    repay(rail, -row.amount_micro, -row.amount_micro)
    assert {"debt_recorded", "debt_paid"} <= same(rail)


def test_rebuild__settlement_by_a_stranger__is_the_same_bytes(rail) -> None:
    rail.send(STRANGER, kept_call(rail, "quicker"))
    rail.with_oracles_down()
    rail.until("quicker", "posted")
    assert isinstance(rail.settle_call("quicker"), Call)
    assert "settled" in same(rail)
