"""Payouts that two officers approve are ordered once: above the limit, or after a failure."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import date
from hashlib import sha256

import pytest

from oracles.attest import address_of
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
from scripts.run_bank import new_iban
from tests.support.rail_with_bank import ADA, CLOSED, NORD, OURS, PAYEE, RailWithBank

CHAIN = 31337  # bare_rail's
KEYS = {"ada": bytes([1]) * 32, "ben": bytes([2]) * 32}
LIMIT = 1_000_000
DAY = date(2025, 10, 9)


@pytest.fixture
def desk(tmp_path):
    rail = RailWithBank(tmp_path)
    for name, key in KEYS.items():
        approvals.found_officer(rail.store, address_of(key), name, 0)
    yield rail
    rail.bare.close()


def row(desk, payout):
    with desk.store.read() as session:
        return payouts.get(session, payout)


def decide(desk, approval, approve=True) -> str:
    identity = approvals.propose(desk.store, CHAIN, approval, KEYS["ada"])
    if approve:
        approvals.approve(desk.store, CHAIN, identity, KEYS["ben"], desk.rail.now())
    return identity


def again(desk, payout, iban=NORD, at=1) -> str:
    with desk.store.read() as session:
        cents = owed(session, payouts.get(session, payout))
    return decide(desk, to_order_again(row(desk, payout), cents, iban, at))


def executed(desk, identity) -> bool:
    with desk.store.read() as session:
        return rows.get(session, identity).executed_at is not None


def orders_at_bank(desk) -> list[tuple[str, int]]:
    """What the bank took as orders, over all time."""
    desk.bank.step()
    cursor = desk.bank.books.db.execute("SELECT iban, cents FROM orders ORDER BY rowid")
    return [tuple(row) for row in cursor.fetchall()]


def bank_day(desk) -> None:
    """The bank does what waits, and we read what it says."""
    desk.bank.step()
    read_bank(desk.rail)


def change(desk, payout, column, value) -> None:
    with sqlite3.connect(desk.store.path) as db:
        db.execute(f"UPDATE payout SET {column} = ? WHERE payout_id = ?", (value, payout))


def test_release__above_the_limit__waits_for_two_officers_and_leaves_once(desk):
    large, small = desk.payout(1, LIMIT + 1), desk.payout(2, LIMIT)
    assert order_payouts(desk.rail) == 1
    stage, why = desk.stage(large)
    assert stage == "waiting_for_approval" and "four_eyes" in why and desk.stage(small)[0] == "sent"
    identity = decide(desk, to_pay(row(desk, large), 1), approve=False)
    assert order_payouts(desk.rail) == 0 and desk.stage(large)[0] == "waiting_for_approval"
    approvals.approve(desk.store, CHAIN, identity, KEYS["ben"], 2)
    assert [order_payouts(desk.rail) for _ in range(3)] == [1, 0, 0]
    assert desk.stage(large) == ("sent", None) and executed(desk, identity)
    assert orders_at_bank(desk) == [(NORD, LIMIT)]  # 10,000 euro: the other one is not covered


def test_release__limit_is_a_setting__and_zero_holds_everything(desk):
    desk.rail = replace(
        desk.rail, settings=desk.rail.settings.model_copy(update={"four_eyes_cents": 0})
    )
    payout = desk.payout(1, 1)
    assert order_payouts(desk.rail) == 0 and desk.stage(payout)[0] == "waiting_for_approval"


@pytest.mark.parametrize(("column", "value"), [("cents", 5), ("account", "0x" + "ab" * 32)])
def test_release__row_changed_since__halts_and_orders_nothing(desk, column, value):
    large = desk.payout(1, LIMIT + 1)
    order_payouts(desk.rail)
    decide(desk, to_pay(row(desk, large), 1))
    change(desk, large, column, value)
    with pytest.raises(Halt, match="was changed since"):
        order_payouts(desk.rail)
    assert orders_at_bank(desk) == []


def test_release__of_another_payout__lets_only_that_one_out(desk):
    first, two = desk.payout(1, LIMIT + 1), desk.payout(2, LIMIT + 2)
    order_payouts(desk.rail)
    decide(desk, to_pay(row(desk, first), 1))
    order_payouts(desk.rail)
    assert (desk.stage(first)[0], desk.stage(two)[0]) == ("sent", "waiting_for_approval")


def test_release__account_not_known__stays_open_until_it_is(desk):
    elsewhere = new_iban(77)
    large = desk.payout(1, LIMIT + 1, iban=elsewhere)
    order_payouts(desk.rail)
    identity = decide(desk, to_pay(row(desk, large), 1))
    assert order_payouts(desk.rail) == 0 and "account_unknown" in desk.stage(large)[1]
    assert not executed(desk, identity)
    desk.party("0x" + "77" * 20, "Ladepunkt Nord eG", elsewhere)
    assert order_payouts(desk.rail) == 1 and executed(desk, identity)


def test_again__rejected_by_the_bank__leaves_as_a_new_order_to_a_new_account(desk):
    desk.party("0x" + "55" * 20, "Gone", CLOSED)
    payout = desk.payout(1, payee="0x" + "55" * 20, iban=CLOSED)
    order_payouts(desk.rail)
    bank_day(desk)
    first = row(desk, payout)
    assert first.stage == "rejected"
    again(desk, payout)
    assert order_payouts(desk.rail) == 1
    second = row(desk, payout)
    assert (second.stage, second.attempt, second.reason) == ("sent", 1, None)
    assert second.end_to_end_id != first.end_to_end_id and second.batch != first.batch
    assert second.file_hash != first.file_hash
    bodies = [file.body for file in desk.outgoing()]
    assert (
        len({b.split(b"UETR>")[1] for b in bodies})
        == len({b.split(b"MsgId>")[1] for b in bodies})
        == 2
    )
    assert orders_at_bank(desk) == [(NORD, 1_234)]
    bank_day(desk)
    assert desk.stage(payout)[0] == "booked"
    assert ledger.IN_TRANSIT not in desk.balances()


def test_again__returned_by_the_payees_bank__leaves_again_and_the_books_say_so(desk):
    payout = desk.payout(1)
    order_payouts(desk.rail)
    bank_day(desk)
    desk.instruct(kind="return", end_to_end_id=row(desk, payout).end_to_end_id)
    read_bank(desk.rail)
    assert desk.stage(payout)[0] == "returned" and desk.balances()[ledger.RETURNED] == -1_234
    identity = again(desk, payout)
    assert [order_payouts(desk.rail) for _ in range(2)] == [1, 0] and executed(desk, identity)
    assert desk.balances() == {ledger.DEPOSITS: 1_234, ledger.IN_TRANSIT: -1_234}
    with desk.store.read() as session:
        [(_, entry)] = store_ledger.entries_of_kind(session, "reordered")
    assert entry.source == f"approval:{identity}" and entry.ref.startswith(payout)
    bank_day(desk)
    assert desk.balances() == {ledger.SAFEGUARDING: -1_234, ledger.DEPOSITS: 1_234}
    assert orders_at_bank(desk) == [(NORD, 1_234)] * 2 and desk.stage(payout)[0] == "booked"


def test_again__twice_returned__is_three_orders_under_three_references(desk):
    payout, seen = desk.payout(1), set()
    order_payouts(desk.rail)
    for attempt in range(2):
        bank_day(desk)
        seen.add(row(desk, payout).end_to_end_id)
        desk.instruct(kind="return", end_to_end_id=row(desk, payout).end_to_end_id)
        read_bank(desk.rail)
        again(desk, payout, at=attempt + 1)
        assert order_payouts(desk.rail) == 1
    bank_day(desk)
    assert len(seen | {row(desk, payout).end_to_end_id}) == 3
    assert desk.balances() == {ledger.SAFEGUARDING: -1_234, ledger.DEPOSITS: 1_234}


@pytest.mark.parametrize("stage", ["sent", "booked"])
def test_again__order_has_not_failed__waits_and_pays_nothing_twice(desk, stage):
    payout = desk.payout(1)
    order_payouts(desk.rail)
    if stage == "booked":
        bank_day(desk)
    identity = decide(desk, to_order_again(row(desk, payout), 1_234, ADA, 1))
    assert order_payouts(desk.rail) == 0 and desk.stage(payout)[0] == stage
    assert not executed(desk, identity) and len(orders_at_bank(desk)) == 1


def test_again__above_the_limit__needs_no_third_approval(desk):
    desk.party("0x" + "55" * 20, "Gone", CLOSED)
    payout = desk.payout(1, LIMIT + 1, payee="0x" + "55" * 20, iban=CLOSED)
    order_payouts(desk.rail)
    decide(desk, to_pay(row(desk, payout), 1))
    order_payouts(desk.rail)
    bank_day(desk)
    assert desk.stage(payout)[0] == "rejected"
    again(desk, payout, at=2)
    assert order_payouts(desk.rail) == 1 and desk.stage(payout)[0] == "sent"


def test_again__amount_is_not_what_is_owed__orders_nothing_and_can_be_signed_again(desk):
    desk.party(PAYEE, "Gone", CLOSED)
    payout = desk.payout(1, iban=CLOSED)
    order_payouts(desk.rail)
    bank_day(desk)
    decide(
        desk,
        replace(
            to_order_again(row(desk, payout), 1_234, NORD, 1),
            detail={
                "payout": payout,
                "cents": 9_999,
                "account": row(desk, payout).account,
                "iban": NORD,
            },
        ),
    )
    desk.party(PAYEE, "Nord eG", NORD)
    assert order_payouts(desk.rail) == 0 and desk.stage(payout)[0] == "rejected"
    again(desk, payout, at=2)
    assert order_payouts(desk.rail) == 1 and orders_at_bank(desk) == [(NORD, 1_234)]


def book_parts(desk, payout, *parts: int, tag: str) -> None:
    """The bank books parts of the payout's order (cents; above zero: they came back)."""
    reference = row(desk, payout).end_to_end_id
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
    with desk.store.write() as session:
        bank_files.add_lines(session, lines, sha256(tag.encode()).hexdigest())
        post_lines(session, lines, 1)


def test_again__part_came_back_and_part_is_not_booked__orders_only_what_came_back(desk):
    payout = desk.payout(1, 1_000)
    order_payouts(desk.rail)
    book_parts(desk, payout, -600, 600, tag="x")  # the other 400 may still be booked
    again(desk, payout)
    assert order_payouts(desk.rail) == 1
    orders = [file.body.count(b">6.00</InstdAmt>") for file in desk.outgoing()]
    assert sorted(orders) == [0, 1]
    with desk.store.write() as session:
        payouts.record_fact(session, [payout], Fact.REJECTED)
        assert owed(session, payouts.get(session, payout)) == 600


def test_again__more_came_back_after_the_signatures__waits_halts_nothing_and_is_signed_again(desk):
    payout, other = desk.payout(1, 1_000), None
    order_payouts(desk.rail)
    book_parts(desk, payout, -1_000, 600, tag="x")
    stale = again(desk, payout)
    book_parts(desk, payout, 400, tag="y")
    other = desk.payout(2, 500)
    assert order_payouts(desk.rail) == 1 and desk.stage(other)[0] == "sent"
    assert not executed(desk, stale) and desk.stage(payout)[0] == "returned"
    again(desk, payout, at=2)
    assert order_payouts(desk.rail) == 1 and not executed(desk, stale)
    assert desk.balances()[ledger.IN_TRANSIT] == -1_500
