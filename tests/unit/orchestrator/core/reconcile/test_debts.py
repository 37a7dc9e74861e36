"""Debts and stolen keys in the reconciliation: each has its name, its amount and its age."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core.reconcile import (
    AtRisk,
    BankFacts,
    BreakKind,
    ChainFacts,
    Ledger,
    OpenDebt,
    SettlementMoves,
    reconcile,
)
from tests.support.three_books import ThreeBooks

TX, OTHER = b"\x01" * 32, b"\x02" * 32
NEW, OLD = OpenDebt(TX, "0xp", 500, 20), OpenDebt(OTHER, "0xp", 300, 10)


def found(
    chain: ChainFacts, ledger: Ledger
) -> dict[tuple[BreakKind, tuple[str, ...]], tuple[int, int]]:
    breaks = reconcile(chain, ledger, BankFacts("DE0")).breaks
    return {(b.kind, b.ids): (b.expected_minor, b.found_minor) for b in breaks}


def test_books__that_agree__have_no_break_of_the_new_kinds():
    assert ThreeBooks().run().breaks == ()


@pytest.mark.parametrize(
    ("pending", "uncovered"),
    [
        (0, {OTHER: (300, 0), TX: (500, 0)}),
        (300, {TX: (500, 0)}),  # the oldest is paid first
        (799, {TX: (500, 499)}),
        (800, {}),
    ],
)
def test_debt__not_covered_by_what_waits_for_its_payee__is_unpaid(pending, uncovered):
    ledger = Ledger(open_debts=[NEW, OLD], pending={"0xp": pending, "0xother": 10_000})
    wanted = {(BreakKind.DEBT_UNPAID, (i.hex(),)): amounts for i, amounts in uncovered.items()}
    assert found(ChainFacts(0), ledger) == wanted


def test_debt__unpaid__says_who_owes_it_and_since_when():
    [only] = reconcile(ChainFacts(0), Ledger(open_debts=[OLD]), BankFacts("DE0")).breaks
    assert (only.since, only.detail, only.asset) == (10, "owed by 0xp", "tEUR/6")
    assert "repay" in only.action


def test_owed__other_in_the_ledger_than_on_chain__is_a_break():
    assert found(ChainFacts(0, owed_micro=5), Ledger(owed_micro=5)) == {}
    assert found(ChainFacts(0, owed_micro=5), Ledger(owed_micro=4)) == {
        (BreakKind.LEDGER_DIFFERS_FROM_CHAIN, ("owed",)): (5, 4)
    }


def test_debts__of_a_settlement_that_nets_to_nothing__are_compared_apart_from_its_charges():
    """A charge and a debt of the same amount, neither of them in the ledger, are two breaks."""
    chain = ChainFacts(0, settlements=[SettlementMoves(TX, 7)], debts=[SettlementMoves(TX, 7)])
    ledger = Ledger(settlements=[SettlementMoves(TX, 7)], debts=[SettlementMoves(TX, 7)])
    assert found(chain, ledger) == {}
    key = (BreakKind.LEDGER_DIFFERS_FROM_CHAIN, (TX.hex(),))
    assert found(chain, replace(ledger, debts=())) == {key: (7, 0)}
    assert len(reconcile(chain, Ledger(), BankFacts("DE0")).breaks) == 2


def test_key__compromised__names_each_payment_with_what_can_be_done():
    ledger = Ledger(at_risk=[AtRisk(TX, 900, "at_bank", 33)])
    [only] = reconcile(ChainFacts(0), ledger, BankFacts("DE0")).breaks
    assert only.kind is BreakKind.KEY_COMPROMISED
    assert (only.found_minor, only.since, only.detail) == (900, 33, "at_bank")
