"""Payouts that two officers approve are ordered once: above the limit, or after a failure."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import date
from hashlib import sha256

import pytest

from orchestrator import approvals
from orchestrator.core import ledger
from orchestrator.core.payout import Fact
from orchestrator.core.reconcile import StatementLine
from orchestrator.edges.store import approvals as rows
from orchestrator.edges.store import bank_files, payouts
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.errors import Halt
from orchestrator.steps.bank_files import post_lines, read_bank
from orchestrator.steps.payout_approvals import owed, to_order_again, to_pay
from orchestrator.steps.payouts import order_payouts
from services.bank import new_iban
from tests.support.officers import office_of
from tests.support.rail_with_bank import ADA, CLOSED, NORD, OURS, PAYEE, RailWithBank

CHAIN = 31337  # bare_rail's
KEYS = {"ada": bytes([1]) * 32, "ben": bytes([2]) * 32}
LIMIT = 1_000_000
DAY = date(2025, 10, 9)


@pytest.fixture
def rail(tmp_path):
    rail = RailWithBank(tmp_path)
    office = office_of(*KEYS.values(), now=2)
    rail.context = replace(rail.context, office=lambda: office)
    yield rail
    rail.bare.close()


def row(rail, payout):
    with rail.store.read() as session:
        return payouts.get(session, payout)


def decide(rail, approval, approve=True) -> str:
    identity = approvals.propose(rail.store, rail.context.office(), approval, KEYS["ada"])
    if approve:
        approvals.approve(rail.store, rail.context.office(), identity, KEYS["ben"])
    return identity


def again(rail, payout, iban=NORD, at=1) -> str:
    with rail.store.read() as session:
        cents = owed(session, payouts.get(session, payout))
    return decide(rail, to_order_again(row(rail, payout), cents, iban, at))


def executed(rail, identity) -> bool:
    with rail.store.read() as session:
        return rows.get(session, identity).executed_at is not None


def orders_at_bank(rail) -> list[tuple[str, int]]:
    """What the bank took as orders, over all time."""
    rail.bank.step()
    cursor = rail.bank.books.db.execute("SELECT iban, cents FROM orders ORDER BY rowid")
    return [tuple(row) for row in cursor.fetchall()]


def bank_day(rail) -> None:
    """The bank does what waits, and we read what it says."""
    rail.bank.step()
    read_bank(rail.context)


def change(rail, payout, column, value) -> None:
    with sqlite3.connect(rail.store.path) as db:
        db.execute(f"UPDATE payout SET {column} = ? WHERE payout_id = ?", (value, payout))


def test_release__above_the_limit__waits_for_two_officers_and_leaves_once(rail):
    large, small = rail.payout(1, LIMIT + 1), rail.payout(2, LIMIT)
    assert order_payouts(rail.context) == 1
    stage, why = rail.stage(large)
    assert stage == "waiting_for_approval" and "four_eyes" in why and rail.stage(small)[0] == "sent"
    identity = decide(rail, to_pay(row(rail, large), 1), approve=False)
    assert order_payouts(rail.context) == 0 and rail.stage(large)[0] == "waiting_for_approval"
    approvals.approve(rail.store, rail.context.office(), identity, KEYS["ben"])
    assert [order_payouts(rail.context) for _ in range(3)] == [1, 0, 0]
    assert rail.stage(large) == ("sent", None) and executed(rail, identity)
    assert orders_at_bank(rail) == [(NORD, LIMIT)]  # 10,000 euro: the other one is not covered


def test_release__limit_is_a_setting__and_zero_holds_everything(rail):
    rail.context = replace(
        rail.context, settings=rail.context.settings.model_copy(update={"four_eyes_cents": 0})
    )
    payout = rail.payout(1, 1)
    assert order_payouts(rail.context) == 0 and rail.stage(payout)[0] == "waiting_for_approval"


@pytest.mark.parametrize(("column", "value"), [("cents", 5), ("account", "0x" + "ab" * 32)])
def test_release__row_changed_since__halts_and_orders_nothing(rail, column, value):
    large = rail.payout(1, LIMIT + 1)
    order_payouts(rail.context)
    decide(rail, to_pay(row(rail, large), 1))
    change(rail, large, column, value)
    with pytest.raises(Halt, match="was changed since"):
        order_payouts(rail.context)
    assert orders_at_bank(rail) == []


def test_release__of_another_payout__lets_only_that_one_out(rail):
    first, two = rail.payout(1, LIMIT + 1), rail.payout(2, LIMIT + 2)
    order_payouts(rail.context)
    decide(rail, to_pay(row(rail, first), 1))
    order_payouts(rail.context)
    assert (rail.stage(first)[0], rail.stage(two)[0]) == ("sent", "waiting_for_approval")


def test_release__account_not_known__stays_open_until_it_is(rail):
    elsewhere = new_iban(77)
    large = rail.payout(1, LIMIT + 1, iban=elsewhere)
    order_payouts(rail.context)
    identity = decide(rail, to_pay(row(rail, large), 1))
    assert order_payouts(rail.context) == 0 and "account_unknown" in rail.stage(large)[1]
    assert not executed(rail, identity)
    rail.party("0x" + "77" * 20, "Ladepunkt Nord eG", elsewhere)
    assert order_payouts(rail.context) == 1 and executed(rail, identity)


def test_again__rejected_by_the_bank__leaves_as_a_new_order_to_a_new_account(rail):
    rail.party("0x" + "55" * 20, "Gone", CLOSED)
    payout = rail.payout(1, payee="0x" + "55" * 20, iban=CLOSED)
    order_payouts(rail.context)
    bank_day(rail)
    first = row(rail, payout)
    assert first.stage == "rejected"
    again(rail, payout)
    assert order_payouts(rail.context) == 1
    second = row(rail, payout)
    assert (second.stage, second.attempt, second.reason) == ("sent", 1, None)
    assert second.end_to_end_id != first.end_to_end_id and second.batch != first.batch
    assert second.file_hash != first.file_hash
    bodies = [file.body for file in rail.outgoing()]
    assert (
        len({b.split(b"UETR>")[1] for b in bodies})
        == len({b.split(b"MsgId>")[1] for b in bodies})
        == 2
    )
    assert orders_at_bank(rail) == [(NORD, 1_234)]
    bank_day(rail)
    assert rail.stage(payout)[0] == "booked"
    assert ledger.IN_TRANSIT not in rail.balances()


def test_again__returned_by_the_payees_bank__leaves_again_and_the_books_say_so(rail):
    payout = rail.payout(1)
    order_payouts(rail.context)
    bank_day(rail)
    rail.instruct(kind="return", end_to_end_id=row(rail, payout).end_to_end_id)
    read_bank(rail.context)
    assert rail.stage(payout)[0] == "returned" and rail.balances()[ledger.RETURNED] == -1_234
    identity = again(rail, payout)
    assert [order_payouts(rail.context) for _ in range(2)] == [1, 0] and executed(rail, identity)
    assert rail.balances() == {ledger.DEPOSITS: 1_234, ledger.IN_TRANSIT: -1_234}
    with rail.store.read() as session:
        [(_, entry)] = store_ledger.entries_of_kind(session, "reordered")
    assert entry.source == f"approval:{identity}" and entry.ref.startswith(payout)
    bank_day(rail)
    assert rail.balances() == {ledger.SAFEGUARDING: -1_234, ledger.DEPOSITS: 1_234}
    assert orders_at_bank(rail) == [(NORD, 1_234)] * 2 and rail.stage(payout)[0] == "booked"


def test_again__twice_returned__is_three_orders_under_three_references(rail):
    payout, seen = rail.payout(1), set()
    order_payouts(rail.context)
    for attempt in range(2):
        bank_day(rail)
        seen.add(row(rail, payout).end_to_end_id)
        rail.instruct(kind="return", end_to_end_id=row(rail, payout).end_to_end_id)
        read_bank(rail.context)
        again(rail, payout, at=attempt + 1)
        assert order_payouts(rail.context) == 1
    bank_day(rail)
    assert len(seen | {row(rail, payout).end_to_end_id}) == 3
    assert rail.balances() == {ledger.SAFEGUARDING: -1_234, ledger.DEPOSITS: 1_234}


@pytest.mark.parametrize("stage", ["sent", "booked"])
def test_again__order_has_not_failed__waits_and_pays_nothing_twice(rail, stage):
    payout = rail.payout(1)
    order_payouts(rail.context)
    if stage == "booked":
        bank_day(rail)
    identity = decide(rail, to_order_again(row(rail, payout), 1_234, ADA, 1))
    assert order_payouts(rail.context) == 0 and rail.stage(payout)[0] == stage
    assert not executed(rail, identity) and len(orders_at_bank(rail)) == 1


def test_again__above_the_limit__needs_no_third_approval(rail):
    rail.party("0x" + "55" * 20, "Gone", CLOSED)
    payout = rail.payout(1, LIMIT + 1, payee="0x" + "55" * 20, iban=CLOSED)
    order_payouts(rail.context)
    decide(rail, to_pay(row(rail, payout), 1))
    order_payouts(rail.context)
    bank_day(rail)
    assert rail.stage(payout)[0] == "rejected"
    again(rail, payout, at=2)
    assert order_payouts(rail.context) == 1 and rail.stage(payout)[0] == "sent"


def test_again__amount_is_not_what_is_owed__orders_nothing_and_can_be_signed_again(rail):
    rail.party(PAYEE, "Gone", CLOSED)
    payout = rail.payout(1, iban=CLOSED)
    order_payouts(rail.context)
    bank_day(rail)
    decide(
        rail,
        replace(
            to_order_again(row(rail, payout), 1_234, NORD, 1),
            detail={
                "payout": payout,
                "cents": 9_999,
                "account": row(rail, payout).account,
                "iban": NORD,
            },
        ),
    )
    rail.party(PAYEE, "Nord eG", NORD)
    assert order_payouts(rail.context) == 0 and rail.stage(payout)[0] == "rejected"
    again(rail, payout, at=2)
    assert order_payouts(rail.context) == 1 and orders_at_bank(rail) == [(NORD, 1_234)]


def book_parts(rail, payout, *parts: int, tag: str) -> None:
    """The bank books parts of the payout's order (cents; above zero: they came back)."""
    reference = row(rail, payout).end_to_end_id
    lines = [
        StatementLine(
            account=OURS,
            booking_date=DAY,
            value_date=DAY,
            amount_minor=cents,
            currency="EUR",
            source=sha256(tag.encode()).digest(),
            path=f"Ntry[{n}]",
            kind="camt.053",
            end_to_end_id=reference,
            bank_reference=f"{tag}{n}",
            reason="AC04" if cents > 0 else "",
        )
        for n, cents in enumerate(parts)
    ]
    with rail.store.write() as session:
        bank_files.add_lines(session, lines, sha256(tag.encode()).hexdigest())
        post_lines(session, lines, 1)


def test_again__part_came_back_and_part_is_not_booked__orders_only_what_came_back(rail):
    payout = rail.payout(1, 1_000)
    order_payouts(rail.context)
    book_parts(rail, payout, -600, 600, tag="x")  # the other 400 may still be booked
    again(rail, payout)
    assert order_payouts(rail.context) == 1
    orders = [file.body.count(b">6.00</InstdAmt>") for file in rail.outgoing()]
    assert sorted(orders) == [0, 1]
    with rail.store.write() as session:
        payouts.record_fact(session, [payout], Fact.REJECTED)
        assert owed(session, payouts.get(session, payout)) == 600


def test_again__more_came_back_after_the_signatures__waits_halts_nothing_and_is_signed_again(rail):
    payout, other = rail.payout(1, 1_000), None
    order_payouts(rail.context)
    book_parts(rail, payout, -1_000, 600, tag="x")
    stale = again(rail, payout)
    book_parts(rail, payout, 400, tag="y")
    other = rail.payout(2, 500)
    assert order_payouts(rail.context) == 1 and rail.stage(other)[0] == "sent"
    assert not executed(rail, stale) and rail.stage(payout)[0] == "returned"
    again(rail, payout, at=2)
    assert order_payouts(rail.context) == 1 and not executed(rail, stale)
    assert rail.balances()[ledger.IN_TRANSIT] == -1_500
