"""A booking is one booked line however often the bank reports it, and keeps one identity."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.reconcile import (
    BankFacts,
    BreakKind,
    ChainFacts,
    Ledger,
    StatementBalances,
    StatementLine,
    distinct,
    reconcile,
)

DAY = date(2026, 11, 23)
LINE = StatementLine(
    account="A",
    booking_date=DAY,
    value_date=DAY,
    amount_minor=500,
    currency="EUR",
    source=b"\1" * 32,
    path="Ntfctn[1]/Ntry[1]",
    kind="camt.054",
    bank_reference="B1",
)
END = replace(LINE, source=b"\2" * 32, path="Stmt[1]/Ntry[1]", kind="camt.053")


def test_distinct__intraday_and_end_of_day_with_reference__is_one_line():
    (booked,) = distinct([LINE, END])
    assert booked.line == END and booked.confirmed and len(booked.ids) == 1
    assert distinct([LINE])[0].ids == booked.ids


def test_distinct__without_reference__is_one_line_by_content():
    bare = [replace(item, bank_reference="") for item in (LINE, END)]
    assert len(distinct(bare)) == 1


def test_distinct__only_one_report_has_the_reference__is_one_line_with_both_ids():
    for first, last in (
        (LINE, replace(END, bank_reference="")),
        (replace(LINE, bank_reference=""), END),
    ):
        (booked,) = distinct([first, last])
        assert booked.ids == (*distinct([first])[0].ids, *distinct([last])[0].ids)


def test_distinct__other_reference_at_end_of_day__is_one_line_with_both_ids():
    other = replace(END, bank_reference="B2")
    (booked,) = distinct([LINE, other])
    assert booked.ids == (*distinct([LINE])[0].ids, *distinct([other])[0].ids)
    both = [replace(END, path="Stmt[1]/Ntry[2]"), other]  # its own reference comes first
    assert [(b.line.bank_reference, len(b.ids)) for b in distinct([LINE, *both])] == [
        ("B1", 1),
        ("B2", 1),
    ]


def test_distinct__other_reference_on_two_statements__is_two_lines():
    assert len(distinct([END, replace(END, bank_reference="B2")])) == 2


def test_distinct__notification_sent_twice__is_one_line():
    again = replace(LINE, source=b"\3" * 32)
    for first in ("", "B1"):
        for then in ("", "B1"):
            lines = distinct(
                [replace(LINE, bank_reference=first), replace(again, bank_reference=then)]
            )
            assert len(lines) == 1, (first, then)


def test_distinct__equal_lines_in_one_file__are_two_payments():
    twin = replace(LINE, path="Ntfctn[1]/Ntry[2]")
    for reference in ("", "B1"):
        pair = [replace(item, bank_reference=reference) for item in (LINE, twin)]
        ends = [
            replace(END, bank_reference=reference),
            replace(END, bank_reference=reference, path="Stmt[1]/Ntry[2]"),
        ]
        assert len(distinct(pair)) == len(distinct(pair + ends)) == 2


def test_distinct__lines_of_a_batch_under_one_reference__stay_apart_by_end_to_end_id():
    assert len(distinct([LINE, replace(LINE, end_to_end_id="E2")])) == 2


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "B1", "B2"]),
            st.sampled_from([500, -500]),
            st.sampled_from(["camt.053", "camt.054"]),
            st.integers(1, 3),
        ),
        max_size=5,
    )
)
def test_distinct__any_order__same_answer(rows):
    lines = [
        replace(
            LINE,
            bank_reference=ref,
            amount_minor=cents,
            kind=kind,
            source=bytes([source]) * 32,
            path=f"x[{index}]",
        )
        for index, (ref, cents, kind, source) in enumerate(rows)
    ]
    assert len({distinct(order) for order in permutations(lines)}) == 1
    answer = distinct(lines)
    assert len({line_id for booked in answer for line_id in booked.ids}) == sum(
        len(booked.ids) for booked in answer
    )


def test_reconcile__notified_and_absent_from_that_days_statement__is_not_confirmed():
    bank = BankFacts("A", [LINE], [StatementBalances("A", "S1", DAY, 0, 0)])
    result = reconcile(ChainFacts(0), Ledger(), bank)
    assert {item.kind for item in result.breaks} == {
        BreakKind.NOT_CONFIRMED,
        BreakKind.UNMATCHED_FUNDING,
    }
    assert result.difference_micro == 0


def test_reconcile__notified_after_the_last_statement__counts_in_the_balance():
    bank = BankFacts(
        "A",
        [replace(LINE, booking_date=DAY + timedelta(days=1))],
        [StatementBalances("A", "S1", DAY, 0, 0)],
    )
    assert reconcile(ChainFacts(0), Ledger(), bank).balance_cents == 500


def bare(kind: str, file: int, *numbers: int, **facts) -> list[StatementLine]:
    """Equal lines without the bank's reference, at these places of a file."""
    return [
        replace(
            LINE,
            kind=kind,
            source=bytes([file]) * 32,
            path=f"Rpt[1]/Ntry[{number}]",
            **{"bank_reference": "", "reference": "RF18X"} | facts,
        )
        for number in numbers
    ]


def test_distinct__interim_reports_of_all_the_day_so_far__count_each_line_once():
    booked_lines = distinct(
        bare("camt.052", 1, 1) + bare("camt.052", 2, 1, 2) + bare("camt.052", 3, 1, 2)
    )
    assert len(booked_lines) == 2  # two that are equal in one file are two


def test_distinct__mt940_and_camt053_of_one_day__count_each_line_once():
    lines = bare("camt.053", 1, 1, 2, bank_reference="B1") + bare(
        "MT940", 2, 1, 2, bank_reference="", counterparty_iban=""
    )
    booked_lines = distinct(lines)
    assert [len(booked.ids) for booked in booked_lines] == [2, 2] and all(
        booked.confirmed for booked in booked_lines
    )


def test_distinct__second_equal_credit__counts_when_the_statement_has_both():
    notified = bare("camt.054", 1, 1) + bare("camt.054", 2, 1)  # one reported twice, or two? one
    [first] = distinct(notified)
    both = distinct(notified + bare("camt.053", 3, 1, 2))
    assert len(both) == 2 and sum(first.ids[0] in booked.ids for booked in both) == 1


def test_distinct__put_off_by_a_day_of_one_value__is_one_line():
    later = bare("camt.053", 2, 1, booking_date=DAY + timedelta(days=1))
    assert len(distinct(bare("camt.054", 1, 1) + later)) == 1
    next_value = [replace(line, value_date=DAY + timedelta(days=1)) for line in later]
    assert len(distinct(bare("camt.054", 1, 1) + next_value)) == 2


def test_distinct__statement_leaves_out_details__is_one_line():
    full = bare("camt.054", 1, 1, bank_reference="B1", end_to_end_id="E1", counterparty_iban="DE1")
    for less in (
        {"bank_reference": "B1"},
        {"bank_reference": "B1", "reference": ""},
        {"bank_reference": "C7"},
        {},
    ):
        assert len(distinct(full + bare("camt.053", 2, 1, **less))) == 1, less
    for other in ({"end_to_end_id": "E2"}, {"counterparty_iban": "DE2"}):
        assert len(distinct(full + bare("camt.053", 2, 1, **other))) == 2, other


def test_distinct__reports_of_an_archive__are_files_of_their_own():
    members = [
        replace(LINE, path=f"{name}.xml!Rpt[1]/Ntry[1]", kind="camt.052", bank_reference=ref)
        for name in "ab"
        for ref in ("", "B1")
    ]
    for ref in ("", "B1"):
        assert len(distinct(line for line in members if line.bank_reference == ref)) == 1


def test_reconcile__a_day_reported_as_camt_and_as_mt940__is_one_statement_and_no_gap():
    camt = bare("camt.053", 1, 1, bank_reference="B1")
    swift = bare("MT940", 2, 1, reference="RF18X", counterparty_iban="DE9")
    balances = [
        StatementBalances("A", name, DAY, 0, 500, source=line.source, received_at=at)
        for at, (name, line) in enumerate((("S1", camt[0]), ("M1", swift[0])), 1)
    ]
    result = reconcile(
        ChainFacts(0), Ledger(bank_cents=500), BankFacts("A", camt + swift, balances)
    )
    assert {item.kind for item in result.breaks} == {BreakKind.UNMATCHED_FUNDING}
    assert {item.kind for item in result.closed} == {BreakKind.DUPLICATE}
    assert result.difference_micro == 0 and result.balance_cents == 500
