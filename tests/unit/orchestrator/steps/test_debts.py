"""Negative payments on the real chain: owed, paid back, and reported until they are."""

from __future__ import annotations

import json

import pytest

from orchestrator.core import ledger
from orchestrator.core.audit import verify
from orchestrator.core.reconcile import BreakKind
from orchestrator.edges.chain.client import Call
from orchestrator.edges.store import agreements, blocks, debts, payments, payouts
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.products import products
from orchestrator.steps.reconcile import reconcile_store
from orchestrator.views.audit_bundle import export
from orchestrator.views.payment import life
from tests.support.open_rail import OpenRail, open_rail
from tests.support.payee_debts import (
    corrected,
    meter,
    read,
    repay,
)
from tests.support.small_rail import has_anvil
from tests.support.strangers import STRANGER

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


@pytest.fixture
def rail():
    """After each test nothing is halted and the ledger is the chain, to the last unit; and since
    all payments on this rail have one payee, nothing of its debts is left to the next test."""
    started = open_rail()
    started.with_oracles_down()
    yield started
    assert started.worker.halted == {}
    started.agree_with_the_chain()
    if owed := started.chain.view("PaymentRail", "owed", started.payee.address):
        repay(started, owed, owed)
        started.agree_with_the_chain()


def balance(rail: OpenRail, account: str) -> int:
    with rail.store.read() as session:
        return store_ledger.balances(session).get((account, ledger.TEUR), 0)


def breaks(rail: OpenRail, kind: BreakKind) -> dict[str, tuple[int, int]]:
    """{payment: (expected, found)} of the breaks of a kind."""
    with rail.store.read() as session:
        differences = reconcile_store(session, rail.iban).breaks
    return {b.ids[0]: (b.expected_minor, b.found_minor) for b in differences if b.kind is kind}


def test_debt__while_its_payee_has_no_money_left__is_a_named_break_until_the_next_release(rail):
    meter(rail, "meter-1001")
    row = corrected(rail, "meter-1001", 4, 1)
    assert balance(rail, ledger.receivable(row.payee)) == 900_000
    assert balance(rail, ledger.debt_due(row.agreement_id)) == -900_000
    assert breaks(rail, BreakKind.DEBT_UNPAID) == {row.payment_id[2:]: (900_000, 0)}
    escrow = balance(rail, ledger.escrow(row.agreement_id))
    read(rail, "meter-1001", "5", "posted")
    assert breaks(rail, BreakKind.DEBT_UNPAID) == {}  # the next money covers it
    rail.until("meter-1001", "paid_out")
    with rail.store.read() as session:
        paid = payments.by_ids(session, [row.payment_id])[0]
        payout = payouts.get(session, rail.payment("meter-1001").payout_id)
        debt = debts.of_payment(session, row.payment_id)
    assert (paid.stage, debt.paid_micro) == ("reconciled", 900_000)
    assert 0 <= 600_000 - payout.cents * 10_000 < 20_000  # 1.50 released, 0.90 of it owed
    assert balance(rail, ledger.receivable(row.payee)) == 0
    # debit positive: 1.50 left the escrow, and 0.90 came back
    assert balance(rail, ledger.escrow(row.agreement_id)) == escrow + 1_500_000 - 900_000


def test_charge__all_of_which_pays_debts__is_set_off_and_no_payout_holds_it(rail):
    meter(rail, "meter-1002")
    row = corrected(rail, "meter-1002", 6, 1)
    charge = read(rail, "meter-1002", "2", "reconciled")
    assert (charge.amount_micro, charge.payout_id) == (600_000, None)
    with rail.store.read() as session:
        debt = debts.of_payment(session, row.payment_id)
        facts = [fact.fact for fact in payments.facts_of(session, charge.payment_id)]
    assert (debt.amount_micro, debt.paid_micro) == (1_500_000, 600_000)
    assert facts[-1] == "set_off"
    read(rail, "meter-1002", "5", "paid_out")
    with rail.store.read() as session:
        assert payments.by_ids(session, [row.payment_id])[0].stage == "reconciled"


def test_debt__repaid_out_of_the_payee_s_own_tokens__comes_from_its_wallet(rail):
    meter(rail, "meter-1003")
    row = corrected(rail, "meter-1003", 3, 1)
    wallets = balance(rail, ledger.WALLETS)
    repay(rail, 700_000, 700_000)
    rail.work(3)
    assert balance(rail, ledger.WALLETS) == wallets - 100_000  # credits are negative: 0.10 is left
    assert balance(rail, ledger.receivable(row.payee)) == 0
    with rail.store.read() as session:
        assert payments.by_ids(session, [row.payment_id])[0].stage == "reconciled"


def test_release__of_the_time_zero_by_a_stranger__takes_no_debt_for_money(rail):
    meter(rail, "meter-1004")
    row = corrected(rail, "meter-1004", 6, 1)
    charge = read(rail, "meter-1004", "2", "posted")
    with rail.store.write() as session:  # our own worker looks away for a while
        payments.postpone(session, [charge.payment_id], rail.clock + 900, "")
    rail.work(1, 90)
    rail.send(STRANGER, Call("PaymentRail", "release", (row.payee, [0, charge.release_at])))
    rail.work(3)
    with rail.store.read() as session:
        back = payments.by_ids(session, [row.payment_id])[0]
        [log] = blocks.logs_about(session, ("DebtPaid",), row.agreement_id)
        owed = debts.of_payment(session, row.payment_id)
    assert (back.stage, back.release_tx, back.payout_id) == ("posted", None, None)
    assert (owed.amount_micro, owed.paid_micro) == (1_500_000, 600_000)
    assert json.loads(log.args)["amount"] == 600_000


def test_debt__exported_and_traced__says_who_owes_what(rail):
    meter(rail, "meter-1005")
    row = corrected(rail, "meter-1005", 3, 1)
    with rail.store.read() as session:
        bundle = export(session, row.payment_id, rail.chain.deployment)
        view = life(session, row, agreements.get(session, row.agreement_id))
    report = verify(bundle.bundle, products())
    assert report.failed is None
    assert not report.complete
    assert bundle.bundle["settlement"]["amount_micro"] == -600_000
    assert bundle.missing == (
        "payout: the payee owes 0.600000 EUR to the agreement and has paid 0.000000 EUR of it",
    )
    assert view["debt"]["owed"] == {"amount": "600000", "asset": "tEUR/6"}
    assert [entry["kind"] for entry in view["ledger"]] == ["debt_recorded"]
