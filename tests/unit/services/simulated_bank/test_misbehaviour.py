"""The simulated bank misbehaves as instructed; its books stay balanced, its files readable."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.core.reconcile import distinct
from orchestrator.edges.bank.types import StatusReport
from services.simulated_bank.bank import SimulatedBank
from services.simulated_bank.misbehaviour import MISBEHAVIOURS
from tests.support.bank_customer import (
    CONFIG,
    PAYER,
    REFERENCE,
    SAFE,
    BankCustomer,
    order,
    payout,
)

ONE, TWO = payout(1), payout(2)


@pytest.fixture
def customer(tmp_path):
    customer = BankCustomer(tmp_path / "bank")
    customer.instruct(kind="pay", **{"from": PAYER, "to": SAFE}, amount_cents=50_000)
    customer.fetch()
    return customer


def misbehave(customer, what: str, **options) -> None:
    assert customer.instruct(kind="misbehave", what=what, **options) == {"ok": True}


def reported_lines(customer) -> list[tuple]:
    """Return (kind, EndToEndId, cents) of every line in the new files."""
    return [
        (line.kind, line.end_to_end_id, line.amount_minor)
        for report in customer.fetch()
        if not isinstance(report, StatusReport)
        for line in report.lines
    ]


def statement_lines(customer, days: int = 1) -> list[tuple]:
    """Close days and return the lines of their statements alone."""
    for _ in range(days):
        customer.instruct(kind="close_day")
    return [line for line in reported_lines(customer) if line[0] in ("camt.053", "MT940")]


def notified_lines(customer, what: str, **options) -> list[tuple]:
    """Return the notified lines of two orders under a misbehaviour."""
    misbehave(customer, what, **options)
    customer.send("p.xml", order(ONE, TWO))
    lines = reported_lines(customer)
    assert customer.bank.books.is_balanced()
    return [line[1:] for line in lines]


E1, E2 = ONE.end_to_end_id, TWO.end_to_end_id
BOTH = {(E1, -1_000), (E2, -1_000)}


@pytest.mark.parametrize(
    ("what", "options", "lines"),
    [
        ("split", {"for": E2}, [(E1, -1_000), (E2, -500), (E2, -500)]),
        ("duplicate", {"for": E1}, [(E1, -1_000), (E1, -1_000), (E2, -1_000)]),
        ("wrong_amount", {"cents": -3}, [(E1, -997), (E2, -1_000)]),
        ("charge_inside", {"for": E2}, [(E1, -1_000), (E2, -1_025)]),
        ("charge_line", {}, [(E1, -1_000), (E2, -1_000), ("", -90)]),
        ("forget", {"for": E1}, [(E2, -1_000)]),
        ("delay", {"for": E1}, [(E2, -1_000)]),
        ("reject_order", {"for": E1}, [(E2, -1_000)]),
        ("batch_sum", {}, [("", -2_000)]),
        ("batch_bare", {}, [("", -2_000)]),
        ("batch_details", {}, [("", -1_000), ("", -1_000)]),
        ("silence", {}, []),
    ],
)
def test_misbehaviour__about_orders__books_and_reports_the_same(customer, what, options, lines):
    assert sorted(notified_lines(customer, what, **options)) == sorted(lines)
    day = statement_lines(customer)
    if what != "silence":
        debits = [line[1:] for line in day if line[2] < 0]
        assert sorted(debits) == sorted(lines)
    cents = sum(cents for _, cents in lines) if lines else -2_000
    late = 1_000 if what == "delay" else 0  # its day has come meanwhile
    assert customer.bank.books.balance(SAFE) == 50_000 + cents - late


def test_misbehaviour__reject__reports_the_instructed_reason(customer):
    misbehave(customer, "reject_order", reason="AC06", **{"for": E2})
    customer.send("p.xml", order(ONE, TWO))
    [report] = [report for report in customer.fetch() if isinstance(report, StatusReport)]
    assert [(s.end_to_end_id, s.reason) for s in report.statuses] == [(E1, ""), (E2, "AC06")]
    misbehave(customer, "reject_file", reason="NARR")
    customer.send("q.xml", order(payout(3)))
    [report] = customer.fetch()
    assert (report.code, report.reason) == ("RJCT", "NARR")
    assert customer.bank.books.balance(SAFE) == 49_000


def test_misbehaviour__return_later__brings_the_money_back_on_that_bank_day(customer):
    assert set(notified_lines(customer, "return_later", days=2, **{"for": E1})) == BOTH
    assert statement_lines(customer)[-1][2] == -1_000
    customer.instruct(kind="close_day")
    assert ("camt.054", E1, 1_000) in reported_lines(customer)
    assert customer.bank.books.balance(SAFE) == 49_000 and customer.bank.books.is_balanced()


def test_misbehaviour__reverse_credit__takes_it_back_as_a_reversal(customer):
    misbehave(customer, "reverse_credit", days=1)
    customer.instruct(
        kind="pay", **{"from": PAYER, "to": SAFE}, amount_cents=700, reference=REFERENCE
    )
    customer.instruct(kind="close_day")
    lines = [
        line for report in customer.fetch() for line in report.lines if line.kind == "camt.054"
    ]
    assert [(line.amount_minor, line.is_reversal, line.counterparty_iban) for line in lines] == [
        (700, False, PAYER),
        (-700, True, PAYER),
    ]
    assert lines[0].reference == lines[1].reference and customer.bank.books.balance(SAFE) == 50_000
    assert customer.bank.books.is_balanced()


def test_reverse__of_a_duplicate__undoes_one_booking_of_it(customer):
    notified_lines(customer, "duplicate", **{"for": E1})
    assert customer.instruct(kind="reverse", end_to_end_id=E1) == {"ok": True}
    assert (
        reported_lines(customer) == [("camt.054", E1, 1_000)]
        and customer.bank.books.balance(SAFE) == 48_000
    )
    assert customer.instruct(kind="reverse", end_to_end_id="none")["ok"] is False


@pytest.mark.parametrize(
    ("what", "kinds"), [("camt052", ["camt.052", "camt.053"]), ("mt940", ["camt.054", "MT940"])]
)
def test_misbehaviour__other_formats__say_the_same_lines(customer, what, kinds):
    misbehave(customer, what)
    customer.send("p.xml", order(ONE, TWO))
    customer.instruct(kind="return", end_to_end_id=E1, reason="AC04")
    customer.instruct(kind="close_day")
    reports = [report for report in customer.fetch() if not isinstance(report, StatusReport)]
    lines = [line for report in reports for line in report.lines]
    assert sorted({line.kind for line in lines} - {"camt.054"} | {"camt.054"}) == sorted(
        {*kinds, "camt.054"}
    )
    booked = [item for item in distinct(lines) if item.line.amount_minor != 50_000]
    facts = [
        (b.confirmed, b.line.end_to_end_id, b.line.amount_minor, b.line.reason) for b in booked
    ]
    assert sorted(facts) == sorted(
        [(True, E1, -1_000, ""), (True, E2, -1_000, ""), (True, E1, 1_000, "AC04")]
    )


@pytest.mark.parametrize(
    ("what", "days", "statements"),
    [("skip_statement", 2, 1), ("resend_statement", 2, 3), ("renamed_statement", 2, 3)],
)
def test_misbehaviour__about_statements__one_fewer_or_one_more(customer, what, days, statements):
    misbehave(customer, what)
    for _ in range(days):
        customer.instruct(kind="close_day")
    names = [path.name for path in customer.channel.inbox.glob("*camt.053*")]
    assert len(names) == statements
    bodies = [(customer.channel.inbox / name).read_bytes() for name in names]
    assert len(set(bodies)) == statements - (what == "resend_statement")


def test_misbehaviour__late_statement__comes_after_newer_ones(customer):
    misbehave(customer, "late_statement")
    arrived = []
    for _ in range(3):
        customer.instruct(kind="close_day")
        arrived += [str(report.balances.day) for report in customer.fetch()]
    assert arrived == ["2026-11-23", "2026-11-20", "2026-11-24"]


def test_misbehaviour__other_references__are_one_booking_still(customer):
    misbehave(customer, "other_references")
    customer.send("p.xml", order(ONE, TWO))
    customer.instruct(kind="close_day")
    lines = [
        line
        for report in customer.fetch()
        if not isinstance(report, StatusReport)
        for line in report.lines
        if line.amount_minor < 0
    ]
    assert len(lines) == 4 and len({line.bank_reference for line in lines}) == 4
    assert len(distinct(lines)) == 2


def test_pay__in_dollars__is_notified_in_a_file_of_its_own(customer):
    customer.instruct(kind="pay", **{"from": PAYER, "to": SAFE}, amount_cents=900, currency="USD")
    [notice] = customer.fetch()
    assert [(line.amount_minor, line.currency) for line in notice.lines] == [(900, "USD")]
    assert customer.bank.books.balance(SAFE) == 50_000 and customer.bank.books.is_balanced()


@pytest.mark.parametrize("cents", [1, -1])
def test_books__with_a_line_that_has_no_other_side__are_not_balanced(customer, cents):
    customer.bank.books.db.execute("UPDATE lines SET cents = cents + ? WHERE id = 1", (cents,))
    assert not customer.bank.books.is_balanced()


def test_misbehaviour__in_the_configuration__counts_once_over_restarts(tmp_path):
    config = CONFIG | {"misbehaviour": [{"what": "forget", "times": 2}]}
    for _ in range(2):
        bank = SimulatedBank(tmp_path, config)
    assert [bank.misbehaviours.trigger("forget") for _ in range(3)] == [{}, {}, None]


@pytest.mark.parametrize(
    "instruction",
    [
        {},
        {"what": "dance"},
        {"what": "split", "times": 0},
        {"what": "split", "times": True},
        {"what": "delay", "days": "x"},
        {"what": "split", "for": 1},
    ],
)
def test_misbehaviour__malformed__is_refused(customer, instruction):
    assert customer.instruct(kind="misbehave", **instruction)["ok"] is False


def test_misbehaviours__all_of_them__have_a_test():
    tested = Path(__file__).read_text()
    assert [what for what in MISBEHAVIOURS if f'"{what}"' not in tested] == []


def test_books__of_an_older_version__keep_their_misbehaviours_and_instructions(tmp_path):
    bank = SimulatedBank(tmp_path, CONFIG | {"misbehaviour": [{"what": "forget"}]})
    bank.books.put_off({"kind": "close_day"}, 0)
    for statement in (
        "ALTER TABLE misbehaviours RENAME COLUMN options TO said",
        "ALTER TABLE misbehaviours RENAME TO moods",
        "ALTER TABLE put_off RENAME COLUMN instruction TO wish",
    ):
        bank.books.db.execute(statement)
    bank.books.db.close()
    bank = SimulatedBank(tmp_path, CONFIG)
    assert [bank.misbehaviours.trigger("forget") for _ in range(2)] == [{}, None]
    assert bank.books.put_off_until_today() == [{"kind": "close_day"}]
