"""The simulated bank misbehaves as it is told, its books stay balanced, and its files are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.core.reconcile import distinct
from orchestrator.edges.bank.types import StatusReport
from scripts.simulated_bank.bank import SimulatedBank
from scripts.simulated_bank.moods import MOODS
from tests.unit.scripts.simulated_bank.test_bank_simulator import (
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
def desk(tmp_path):
    made = BankCustomer(tmp_path / "bank")
    made.tell(kind="pay", **{"from": PAYER, "to": SAFE}, amount_cents=50_000)
    made.fetch()
    return made


def mood(desk, what: str, **said) -> None:
    assert desk.tell(kind="misbehave", what=what, **said) == {"ok": True}


def told(desk) -> list[tuple]:
    """(kind, EndToEndId, cents) of every line in the files that came."""
    return [
        (line.kind, line.end_to_end_id, line.amount_minor)
        for each in desk.fetch()
        if not isinstance(each, StatusReport)
        for line in each.lines
    ]


def closed(desk, days: int = 1) -> list[tuple]:
    """The same, of the statements of the next days alone."""
    for _ in range(days):
        desk.tell(kind="close_day")
    return [each for each in told(desk) if each[0] in ("camt.053", "MT940")]


def out(desk, what: str, **said) -> list[tuple]:
    """What the notification says of two orders, with the bank in that mood."""
    mood(desk, what, **said)
    desk.send("p.xml", order(ONE, TWO))
    found = told(desk)
    assert desk.bank.books.is_balanced()
    return [each[1:] for each in found]


E1, E2 = ONE.end_to_end_id, TWO.end_to_end_id
BOTH = {(E1, -1_000), (E2, -1_000)}


@pytest.mark.parametrize(
    ("what", "said", "lines"),
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
def test_mood__about_orders__books_and_tells_what_the_bank_did(desk, what, said, lines):
    assert sorted(out(desk, what, **said)) == sorted(lines)
    day = closed(desk)
    if what != "silence":
        told_again = [each[1:] for each in day if each[2] < 0]
        assert sorted(told_again) == sorted(lines)
    cents = sum(cents for _, cents in lines) if lines else -2_000
    late = 1_000 if what == "delay" else 0  # its day has come since
    assert desk.bank.books.balance(SAFE) == 50_000 + cents - late


def test_mood__rejects__names_the_reason_it_was_told(desk):
    mood(desk, "reject_order", reason="AC06", **{"for": E2})
    desk.send("p.xml", order(ONE, TWO))
    [report] = [each for each in desk.fetch() if isinstance(each, StatusReport)]
    assert [(s.end_to_end_id, s.reason) for s in report.statuses] == [(E1, ""), (E2, "AC06")]
    mood(desk, "reject_file", reason="NARR")
    desk.send("q.xml", order(payout(3)))
    [report] = desk.fetch()
    assert (report.code, report.reason) == ("RJCT", "NARR")
    assert desk.bank.books.balance(SAFE) == 49_000


def test_mood__return_later__brings_the_money_back_on_that_bank_day(desk):
    assert set(out(desk, "return_later", days=2, **{"for": E1})) == BOTH
    assert closed(desk)[-1][2] == -1_000
    desk.tell(kind="close_day")
    assert ("camt.054", E1, 1_000) in told(desk)
    assert desk.bank.books.balance(SAFE) == 49_000 and desk.bank.books.is_balanced()


def test_mood__reverse_credit__takes_it_back_as_a_reversal(desk):
    mood(desk, "reverse_credit", days=1)
    desk.tell(kind="pay", **{"from": PAYER, "to": SAFE}, amount_cents=700, reference=REFERENCE)
    desk.tell(kind="close_day")
    lines = [line for each in desk.fetch() for line in each.lines if line.kind == "camt.054"]
    assert [(each.amount_minor, each.is_reversal, each.counterparty_iban) for each in lines] == [
        (700, False, PAYER),
        (-700, True, PAYER),
    ]
    assert lines[0].reference == lines[1].reference and desk.bank.books.balance(SAFE) == 50_000
    assert desk.bank.books.is_balanced()


def test_reverse__of_a_duplicate__undoes_one_booking_of_it(desk):
    out(desk, "duplicate", **{"for": E1})
    assert desk.tell(kind="reverse", end_to_end_id=E1) == {"ok": True}
    assert told(desk) == [("camt.054", E1, 1_000)] and desk.bank.books.balance(SAFE) == 48_000
    assert desk.tell(kind="reverse", end_to_end_id="none")["ok"] is False


@pytest.mark.parametrize(
    ("what", "kinds"), [("camt052", ["camt.052", "camt.053"]), ("mt940", ["camt.054", "MT940"])]
)
def test_mood__other_formats__say_the_same_lines(desk, what, kinds):
    mood(desk, what)
    desk.send("p.xml", order(ONE, TWO))
    desk.tell(kind="return", end_to_end_id=E1, reason="AC04")
    desk.tell(kind="close_day")
    reports = [each for each in desk.fetch() if not isinstance(each, StatusReport)]
    lines = [line for each in reports for line in each.lines]
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
def test_mood__about_statements__one_fewer_or_one_more(desk, what, days, statements):
    mood(desk, what)
    for _ in range(days):
        desk.tell(kind="close_day")
    names = [path.name for path in desk.channel.inbox.glob("*camt.053*")]
    assert len(names) == statements
    bodies = [(desk.channel.inbox / name).read_bytes() for name in names]
    assert len(set(bodies)) == statements - (what == "resend_statement")


def test_mood__late_statement__comes_after_newer_ones(desk):
    mood(desk, "late_statement")
    arrived = []
    for _ in range(3):
        desk.tell(kind="close_day")
        arrived += [str(each.balances.day) for each in desk.fetch()]
    assert arrived == ["2026-11-23", "2026-11-20", "2026-11-24"]


def test_mood__other_references__are_one_booking_still(desk):
    mood(desk, "other_references")
    desk.send("p.xml", order(ONE, TWO))
    desk.tell(kind="close_day")
    lines = [
        line
        for each in desk.fetch()
        if not isinstance(each, StatusReport)
        for line in each.lines
        if line.amount_minor < 0
    ]
    assert len(lines) == 4 and len({line.bank_reference for line in lines}) == 4
    assert len(distinct(lines)) == 2


def test_pay__in_dollars__is_told_in_a_file_of_its_own(desk):
    desk.tell(kind="pay", **{"from": PAYER, "to": SAFE}, amount_cents=900, currency="USD")
    [notice] = desk.fetch()
    assert [(line.amount_minor, line.currency) for line in notice.lines] == [(900, "USD")]
    assert desk.bank.books.balance(SAFE) == 50_000 and desk.bank.books.is_balanced()


@pytest.mark.parametrize("cents", [1, -1])
def test_books__with_a_line_that_has_no_other_side__are_not_balanced(desk, cents):
    desk.bank.books.db.execute("UPDATE lines SET cents = cents + ? WHERE id = 1", (cents,))
    assert not desk.bank.books.is_balanced()


def test_mood__in_the_configuration__counts_once_over_restarts(tmp_path):
    config = CONFIG | {"misbehaviour": [{"what": "forget", "times": 2}]}
    for _ in range(2):
        bank = SimulatedBank(tmp_path, config)
    assert [bank.moods.strike("forget") for _ in range(3)] == [{}, {}, None]


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"what": "dance"},
        {"what": "split", "times": 0},
        {"what": "split", "times": True},
        {"what": "delay", "days": "x"},
        {"what": "split", "for": 1},
    ],
)
def test_mood__that_is_none__is_refused(desk, wish):
    assert desk.tell(kind="misbehave", **wish)["ok"] is False


def test_moods__all_of_them__have_a_test():
    tested = Path(__file__).read_text()
    assert [what for what in MOODS if f'"{what}"' not in tested] == []
