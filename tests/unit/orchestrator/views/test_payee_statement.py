"""A payee's account on chain as a bank's statement: it adds up, chains, and an ERP can read it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from orchestrator.core.payee_account import Movement, statement
from orchestrator.edges.bank import chain_statement
from orchestrator.edges.bank.reading import read
from tests.support.rail_copy import RailCopy
from tests.support.small_rail import has_anvil

DAY, DAY_S = date(2026, 3, 2), 86_400
START = (DAY - date(1970, 1, 1)).days * DAY_S
SCHEMA = Path(__file__).resolve().parents[5] / "shared/data/iso20022/camt.053.001.08.xsd"
ADDRESS = "0x" + "5a" * 20


def move(number: int, micro: int, day: int = 0, kind: str = "settled") -> Movement:
    digest = f"{number:064x}"
    return Movement(
        digest,
        START + day * DAY_S + number,
        kind,
        "0x" + digest,
        "0x" + digest,
        micro,
        0,
        f"PR{number}",
        "Ada <Sommer> & Söhne",
        "0x" + "11" * 20,
        f"claim {number}",
    )


def history(amounts: list[tuple[int, int]]) -> list[Movement]:
    """Movements of (days since the one before, micro-euro); nothing goes out that is not there."""
    account, day, exact = [], 0, 0
    for number, (pause, micro) in enumerate(amounts):
        day, micro = day + pause, max(micro, -exact)
        exact += micro
        account.append(move(number, micro, day, "settled" if micro > 0 else "withdrawn"))
    return account


AMOUNTS = st.lists(st.tuples(st.integers(0, 2), st.integers(-30_000, 30_000)), max_size=30)


@given(AMOUNTS, st.integers(0, 30), st.integers(0, 30))
def test_statement__of_any_history__adds_up_and_loses_no_cent(amounts, start, length):
    movements, first = history(amounts), DAY + timedelta(days=start)
    account = statement(movements, first, first + timedelta(days=length))
    assert account.opening_cents + sum(b.cents for b in account.bookings) == account.closing_cents
    exact = sum(m.amount_micro for m in movements if m.day <= account.last)
    assert account.closing_cents * 10_000 + account.remainder_micro == exact
    assert 0 <= account.remainder_micro < 10_000
    assert all(b.cents and first <= b.movement.day <= account.last for b in account.bookings)


@given(AMOUNTS, st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_statements__one_after_the_other__chain_and_name_every_movement_once(amounts, lengths):
    movements, day, closing, named = history(amounts), DAY, 0, []
    for length in [*lengths, 100]:
        last = day + timedelta(days=length - 1)
        account = statement(movements, day, last)
        assert account.opening_cents == closing
        named += [m.entry_id for b in account.bookings for m in (*b.carried, b.movement)]
        day, closing, waiting = last + timedelta(days=1), account.closing_cents, account.waiting
    named += [m.entry_id for m in waiting]
    assert sorted(named) == sorted(m.entry_id for m in movements if m.amount_micro)


def test_payments__below_a_cent__are_booked_with_the_payment_that_completes_it():
    account = statement([move(1, 4_000), move(2, 5_999), move(3, 1), move(4, 9_999)], DAY, DAY)
    [only] = account.bookings
    assert only.cents == 1 and [m.entry_id[-1] for m in only.carried] == ["1", "2"]
    assert only.movement.entry_id[-1] == "3" and account.remainder_micro == 9_999
    assert [m.entry_id[-1] for m in account.waiting] == ["4"]


def written(movements: list[Movement], is_over: bool = True) -> bytes:
    account = statement(movements, DAY, DAY + timedelta(days=5))
    return chain_statement.write(account, ADDRESS, "Nord eG", "proofrail", is_over)


MIXED = [
    move(1, 4_000),
    move(2, 1_006_000),
    replace(move(3, -1_000_000, 1), kind="redeemed", account="DE89370400440532013000"),
    move(4, 7, 2),
    move(5, -7, 3),
]


def test_camt053__of_an_account__is_read_back_by_our_own_parser():
    view = read(written(MIXED)).as_json()
    assert view["problems"] == []
    [account] = view["statements"]
    balances = {b["code"]: b["amount_minor"] for b in account["balances"]}
    assert balances == {"OPBD": 0, "CLBD": 1, "CLAV": 0}
    lines = [(e["amount_minor"], e["references"]["end_to_end_id"]) for e in account["lines"]]
    assert lines == [(0, "PR1"), (101, "PR2"), (-100, "PR3")]
    assert sum(cents for cents, _ in lines) == balances["CLBD"] - balances["OPBD"]
    assert {e["booking_date"] for e in account["lines"]} == {"2026-03-02", "2026-03-03"}


def test_camt053__of_the_same_account_and_period__is_the_same_bytes_and_names_no_machine():
    assert written(MIXED) == written(list(MIXED))
    assert written(MIXED) != written(MIXED, is_over=False)
    assert b"ITBD" in written(MIXED, is_over=False) and b"CLBD" not in written(MIXED, False)


@pytest.mark.skipif(not SCHEMA.exists(), reason="the camt.053.001.08 schema is not here")
@pytest.mark.parametrize(
    "movements",
    [
        [],
        MIXED,
        [move(1, 10**13)],
        [replace(move(n, 1), name="", account="", end_to_end_id="") for n in range(40)],
    ],
)
def test_camt053__of_any_account__is_valid_by_the_official_schema(movements):
    schema = etree.XMLSchema(etree.parse(SCHEMA))
    for is_over in (True, False):
        schema.assertValid(etree.fromstring(written(movements, is_over)))


@pytest.fixture
def copy(tmp_path):
    if not has_anvil():
        pytest.skip("anvil is not installed")
    return RailCopy(tmp_path / "home")


def test_party_statement__of_a_rail_with_history__is_the_ledger_and_the_bank_knows_its_references(
    copy,
):
    file = copy.home / "statement.xml"
    view = copy.json_of("party", "statement", "Ladepunkt Nord eG", "-o", str(file))
    held = -copy.value(
        "SELECT SUM(amount_minor) FROM ledgerposting WHERE account LIKE 'pending:%' "
        "OR account LIKE 'withdrawable:%'"
    )
    assert view["closing_cents"] * 10_000 + view["remainder_micro"] == held
    booked = copy.value("SELECT end_to_end_id FROM payout")
    [out] = [entry for entry in view["entries"] if entry["kind"] == "redeemed"]
    assert (out["amount_cents"], out["end_to_end_id"]) == (-472, booked)
    reading = copy.json_of("bank", "parse", str(file))
    assert [e["amount_minor"] for e in reading["statements"][0]["lines"]] == [
        entry["amount_cents"] for entry in view["entries"]
    ]
    if SCHEMA.exists():
        etree.XMLSchema(etree.parse(SCHEMA)).assertValid(etree.parse(file))


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--from", "2025-10-09", "--to", "2025-10-08"), "is after"),
        (("--to", "2031-01-01"), "after the newest final block"),
        (("-o", "/nowhere/at/all.xml"), "cannot be written"),
    ],
)
def test_party_statement__of_no_period__says_so(copy, arguments, why):
    refusal = copy.json_of("party", "statement", "Ladepunkt Nord eG", *arguments, code=2)
    assert why in refusal["error"]["message"]
