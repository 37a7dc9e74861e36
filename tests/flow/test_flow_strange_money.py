"""Money without a known reference, broken bank files, and escrow too short for a claim."""

from __future__ import annotations

from orchestrator.core.payment import Stage
from orchestrator.core.reconcile import BreakKind
from orchestrator.edges.store import fundings, payouts, rejections
from scripts.demo import parties
from tests.support import invariants
from tests.support.whole_rail import AT_BANK, SHORT, WholeRail

STRAY_CENTS = 4_321
BOMB = b"""<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "aaaaaaaaaa">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>
<Document><BkToCstmrStmt>&c;</BkToCstmrStmt></Document>"""


def test_escrow__too_short_for_a_claim__waits_for_a_credit_and_settles_then(rail):
    rail.measure(2, [SHORT])
    rail.until(lambda: _stage(rail, SHORT) == {Stage.WAITING_FOR_FUNDS}, "waiting for funds")
    assert invariants.escrow_now(rail, SHORT) == 0
    rail.measure(1)  # other agreements are paid meanwhile
    rail.until_claimed()
    rail.until(
        lambda: all(_stage(rail, name) <= AT_BANK for name in rail.funded),
        "other agreements paid",
    )
    assert _stage(rail, SHORT) == {Stage.WAITING_FOR_FUNDS}
    paid = rail.stack.bank.pay(
        parties.iban(parties.FLEET_OPERATOR), "", 50_000, rail.references[SHORT]
    )
    assert paid["ok"]
    rail.until_booked()
    assert _stage(rail, SHORT) and _stage(rail, SHORT) <= AT_BANK
    (row,) = [row for row in rail.all_payments() if _is_of(rail, row, SHORT)]
    assert row.amount_micro > 0
    assert invariants.escrow_now(rail, SHORT) == 500_000_000 - row.amount_micro
    invariants.assert_one_effect(rail)
    invariants.assert_books_agree(rail)


def _is_of(rail: WholeRail, row, name: str) -> bool:
    return row.agreement_id == rail.agreement(name).agreement_id


def _stage(rail: WholeRail, name: str) -> set[str]:
    return {row.stage for row in rail.all_payments() if _is_of(rail, row, name)}


def test_bank_files__truncated_or_hostile__are_kept_by_reason_and_stop_nothing(rail):
    inbox = rail.stack.home / "bank" / "from_bank"
    good = max((inbox / "archive").glob("*camt.054.xml")).read_bytes()
    bad = {"a-truncated.xml": good[: len(good) // 2], "b-bomb.xml": BOMB, "c-junk.xml": b"\x00\xff"}
    for name, body in bad.items():
        partial = inbox / f".{name}"
        partial.write_bytes(body)
        partial.rename(inbox / name)
    rail.until(lambda: set(_kept(rail)) >= set(bad), "every bad file kept")
    kept = _kept(rail)
    for name, body in bad.items():
        assert kept[name].body == body
        assert kept[name].reason not in ("", "internal_error"), name
        assert (inbox / "rejected" / name).read_bytes() == body
    rail.measure(1)
    rail.until_booked()  # payouts are ordered and their lines read as usual
    assert rail.halted() == {}
    invariants.assert_paid_once(rail)


def _kept(rail: WholeRail) -> dict[str, rejections.RejectionRow]:
    with rail.store.read() as session:
        rows = rejections.newest(session, None, None, 5_000)
    return {row.device: row for row in rows if row.source == "bank"}


def test_credit__with_an_unknown_reference__goes_to_suspense_and_is_a_reported_break(rail):
    supply = rail.stack.chain.view("EuroToken", "totalSupply")
    assert not rail.reconciliation().breaks
    paid = rail.stack.bank.pay(
        parties.iban(parties.FLEET_OPERATOR), "", STRAY_CENTS, "RF18539007547034"
    )
    assert paid["ok"]
    rail.until(lambda: _suspense(rail) == [STRAY_CENTS], "the credit in suspense")
    (item,) = rail.reconciliation().breaks
    assert (item.kind, item.found_minor) == (BreakKind.UNMATCHED_FUNDING, STRAY_CENTS)
    assert rail.reconciliation().difference_micro == 0  # the break explains it
    rail.measure(1)
    rail.until_booked()
    redeemed = sum(row.cents for row in _payouts(rail)) * 10_000
    minted = sum(log.args["amount"] for log in invariants.chain_logs(rail, "EuroToken", "Minted"))
    assert rail.stack.chain.view("EuroToken", "totalSupply") == minted - redeemed <= supply
    invariants.assert_books_agree(rail)


def _suspense(rail: WholeRail) -> list[int]:
    with rail.store.read() as session:
        return [f.cents for f in fundings.all_fundings(session) if f.stage == "suspense"]


def _payouts(rail: WholeRail) -> list[payouts.PayoutRow]:
    with rail.store.read() as session:
        return list(payouts.all_payouts(session))
