"""Each misbehaviour of the bank with a real rail: the books stay right, the break is reported.

For each, two payouts of 10.00 EUR are redeemed from a wallet; the new breaks of reconciliation are
compared with what the bank did.
"""

from __future__ import annotations

import pytest

from orchestrator.core import ledger
from orchestrator.edges.store import fundings
from tests.support.redeeming_rail import CENTS, RedeemingRail, since
from tests.support.small_rail import has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


@pytest.fixture(scope="module")
def rail(tmp_path_factory):
    rail = RedeemingRail(tmp_path_factory.mktemp("misbehaviour") / "home").start()
    try:
        rail.prepare()
        rail.end_day()
        yield rail
    finally:
        rail.stop()


PAID = {ledger.SAFEGUARDING: -2 * CENTS, ledger.DEPOSITS: 2 * CENTS}
ONE_PAID = {ledger.SAFEGUARDING: -CENTS, ledger.DEPOSITS: 2 * CENTS, ledger.IN_TRANSIT: -CENTS}

CASES = {  # misbehaviour: (its options, changes of the ledger, breaks left open)
    "split": ({}, PAID, {}),
    "batch_sum": ({}, PAID, {}),
    "batch_details": ({}, PAID, {}),
    "camt052": ({}, PAID, {}),
    "mt940": ({}, PAID, {}),
    "silence": ({}, PAID, {}),
    "other_references": ({}, PAID, {}),
    "resend_statement": ({}, PAID, {}),
    "delay": ({}, PAID, {}),
    "late_statement": ({}, PAID, {}),
    "charge_inside": (
        {"cents": 25},
        PAID | {ledger.SAFEGUARDING: -2 * CENTS - 25, ledger.CHARGES: 25},
        {"charges": 1},
    ),
    "charge_line": (
        {"cents": 90},
        PAID | {ledger.SAFEGUARDING: -2 * CENTS - 90, ledger.CHARGES: 90},
        {"charges": 1},
    ),
    "batch_bare": (
        {},
        {
            ledger.SAFEGUARDING: -2 * CENTS,
            ledger.DEPOSITS: 2 * CENTS,
            ledger.IN_TRANSIT: -2 * CENTS,
            ledger.UNEXPLAINED: 2 * CENTS,
        },
        {"batch_booked": 1},
    ),
    "duplicate": (
        {},
        PAID | {ledger.SAFEGUARDING: -3 * CENTS, ledger.UNEXPLAINED: CENTS},
        {"duplicate": 1},
    ),
    "wrong_amount": (
        {},
        ONE_PAID | {ledger.SAFEGUARDING: -2 * CENTS - 1, ledger.UNEXPLAINED: CENTS + 1},
        {"amount": 1},
    ),
    "forget": ({}, ONE_PAID, {"missing": 1}),
    "reject_order": ({}, ONE_PAID, {"rejected": 1}),
    "reject_file": (
        {},
        {ledger.DEPOSITS: 2 * CENTS, ledger.IN_TRANSIT: -2 * CENTS},
        {"rejected": 2},
    ),
    "skip_statement": ({}, PAID, {"statement_gap": 1}),
    "renamed_statement": ({}, PAID, {}),
    "return_later": (
        {"days": 1},
        ONE_PAID | {ledger.IN_TRANSIT: 0, ledger.RETURNED: -CENTS},
        {"returned": 1},
    ),
}


@pytest.mark.parametrize("what", CASES)
def test_misbehaviour__with_a_whole_rail__keeps_the_books_right_and_reports_the_break(rail, what):
    options, expected, reported = CASES[what]
    rail.morning()
    before, broken = rail.cents(), rail.breaks()
    rail.misbehave(what, **options)
    rail.release_matured()
    rail.end_day(3)
    assert since(rail.cents(), before) == {key: cents for key, cents in expected.items() if cents}
    assert since(rail.breaks(), broken) == reported
    assert rail.bank.books.is_balanced()
    assert rail.cents()[ledger.SAFEGUARDING] == rail.bank.books.balance(rail.iban)


def waiting(rail) -> list[fundings.FundingRow]:
    with rail.store.read() as session:
        return list(fundings.in_stages(session, ["suspense"]))


def pay_in(rail, cents: int, reference: str = "", **fields: object) -> None:
    rail.instruct_bank(
        {
            "kind": "pay",
            "from": rail.payer_iban,
            "to": "",
            "text": "",
            "amount_cents": cents,
            "reference": reference,
            **fields,
        }
    )


def test_credit__in_dollars__mints_no_euro_and_is_reported(rail):
    rail.morning()
    before, broken = rail.cents(), rail.breaks()
    pay_in(rail, 900, currency="USD")
    rail.end_day(2)
    assert since(rail.cents(), before) == {}
    assert since(rail.breaks(), broken) == {"currency": 1}


def test_credit__reversed_before_it_is_allocated__waits_no_more(rail):
    rail.morning()
    before, broken, count = rail.cents(), rail.breaks(), len(waiting(rail))
    rail.misbehave("reverse_credit", days=1)
    pay_in(rail, 4_321)
    rail.work(2)
    assert len(waiting(rail)) == count + 1
    rail.end_day(2)
    assert len(waiting(rail)) == count and since(rail.cents(), before) == {}
    assert since(rail.breaks(), broken) == {}


def test_credit__reversed_after_its_mint__is_reported_and_books_no_token(rail):
    rail.morning()
    before, broken = rail.cents(), rail.breaks()
    rail.misbehave("reverse_credit", days=1)
    rail.fund("cp-0001", 4_000)
    rail.work(4)
    assert since(rail.cents(), before) == {ledger.SAFEGUARDING: 4_000, ledger.DEPOSITS: -4_000}
    rail.end_day(2)
    assert since(rail.cents(), before) == {ledger.UNEXPLAINED: 4_000, ledger.DEPOSITS: -4_000}
    assert since(rail.breaks(), broken) == {"returned": 1}
