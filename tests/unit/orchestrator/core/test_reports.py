"""The ledger's reports: they add up for any journal, and their CSV reads back."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core import reports
from orchestrator.core.chart import CHART, find, row_of
from orchestrator.core.ledger import DEPOSITS, EUR, SAFEGUARDING, TEUR, WALLETS, escrow
from orchestrator.core.reports import LedgerMovement
from orchestrator.errors import Halt

ACCOUNTS = {
    EUR: (SAFEGUARDING, DEPOSITS, "rounding"),
    TEUR: (WALLETS, escrow("0xa"), escrow("0xb")),
}
TIMES = st.integers(0, 50)


@st.composite
def journals(draw) -> list[LedgerMovement]:
    """Balanced two-legged entries of both assets, dated in any order."""
    moves = []
    for number in range(1, draw(st.integers(1, 20)) + 1):
        asset = draw(st.sampled_from((EUR, TEUR)))
        debit, credit = draw(st.permutations(ACCOUNTS[asset]))[:2]
        amount, at = draw(st.integers(1, 10**15)), draw(TIMES)
        legs = ((debit, amount), (credit, -amount))
        moves += [
            LedgerMovement(number, at, "k", f"r{number}", "s", account, asset, signed)
            for account, signed in legs
        ]
    return moves


def balances(moves, until=None) -> dict[tuple[str, str], int]:
    sums: dict[tuple[str, str], int] = {}
    for m in moves:
        if until is None or m.at <= until:
            sums[m.account, m.asset] = sums.get((m.account, m.asset), 0) + m.amount_minor
    return sums


@given(journals(), st.booleans())
def test_trial_balance__any_journal__debits_equal_credits_per_asset(moves, detail) -> None:
    rows = reports.trial_balance(balances(moves), detail=detail)
    for debit, credit, _ in reports.totals(rows).values():
        assert debit == credit
    shown = {row.account for row in rows}
    assert ("escrow:*" in shown) is (not detail and any("escrow" in m.account for m in moves))


@given(journals(), TIMES, TIMES)
@settings(deadline=None)
def test_general_ledger__any_time__opening_plus_movements_is_closing(moves, moment, other) -> None:
    first, last = sorted((moment, other))
    for account in reports.general_ledger(moves, first, last, detail=True):
        key = (account.account, account.asset)
        assert account.opening_minor == balances(moves, first - 1).get(key, 0)
        assert account.closing_minor == balances(moves, last).get(key, 0)
        balance = account.opening_minor
        for line in account.lines:
            balance += line.debit_minor - line.credit_minor
            assert line.balance_minor == balance and first <= line.at <= last
        assert balance == account.closing_minor
        order = [(line.at, line.number) for line in account.lines]
        assert order == sorted(order)


@given(journals(), TIMES)
@settings(deadline=None)
def test_statements__of_two_times_that_meet__chain(moves, middle) -> None:
    for account, asset in balances(moves):
        row = row_of(account, asset)
        before = reports.statement(row, account, moves, None, middle)
        after = reports.statement(row, account, moves, middle + 1, None)
        assert before.closing_minor == after.opening_minor
        assert after.closing_minor == balances(moves)[account, asset]


def test_statement__of_a_sub_ledger__holds_all_its_accounts_and_no_other() -> None:
    moves = [
        LedgerMovement(1, 5, "k", "r", "s", escrow(name), TEUR, amount)
        for name, amount in (("0xa", -7), ("0xb", -5), ("0xa", 2))
    ]
    moves.append(LedgerMovement(1, 5, "k", "r", "s", WALLETS, TEUR, 10))
    whole = reports.statement(find("escrow"), "escrow:*", moves, None, None)
    report = reports.statement(find("escrow"), escrow("0xa"), moves, None, None)
    assert (whole.closing_minor, report.closing_minor) == (-10, -5)
    assert [line.account for line in whole.lines] == [escrow("0xa"), escrow("0xb"), escrow("0xa")]


def test_trial_balance__pending__is_next_to_what_is_posted() -> None:
    posted = {(WALLETS, TEUR): -10, ("token:issued", TEUR): 10}
    pending = {(WALLETS, TEUR): 4, (escrow("0xa"), TEUR): -4}
    rows = reports.trial_balance(posted, pending)
    assert {
        row.account: (row.debit_minor, row.credit_minor, row.pending_minor) for row in rows
    } == {"token:issued": (10, 0, 0), WALLETS: (0, 10, 4), "escrow:*": (0, 0, -4)}
    assert reports.totals(rows) == {TEUR: (10, 10, 0)}


def test_trial_balance__account_without_a_row__halts_by_name() -> None:
    with pytest.raises(Halt, match="'nostro'"):
        reports.trial_balance({("nostro", EUR): 1})


@given(journals())
@settings(deadline=None)
def test_csv__any_general_ledger__reads_back_with_one_row_per_movement(moves) -> None:
    accounts = reports.general_ledger(moves, None, None)
    text = reports.csv_text(reports.STATEMENT_COLUMNS, reports.statement_table(accounts))
    assert text.endswith("\r\n") and "\n" not in text.replace("\r\n", "")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    lines = [row for row in rows if row["number"]]
    assert len(lines) == len(moves)
    assert sum(int(r["debit_minor"]) - int(r["credit_minor"]) for r in lines) == 0
    for row in lines:
        digits = 10 ** int(row["asset"][-1])
        whole, _, cents = row["debit"].partition(".")
        assert int(whole) * digits + int(cents) == int(row["debit_minor"])


def test_csv__awkward_text__is_quoted_as_rfc_4180_says() -> None:
    assert reports.csv_text(("a", "b"), [('x"y', "1,2\r\n3")]) == 'a,b\r\n"x""y","1,2\r\n3"\r\n'


def test_tables__each__have_as_many_cells_as_columns() -> None:
    rows = reports.trial_balance({(SAFEGUARDING, EUR): 5, (DEPOSITS, EUR): -5})
    assert {len(r) for r in reports.trial_table(rows)} == {len(reports.TRIAL_COLUMNS)}
    assert {len(r) for r in reports.chart_table()} == {len(reports.CHART_COLUMNS)}
    assert len(reports.chart_table()) == len(CHART)
    assert {len(r) for r in reports.balance_table({(SAFEGUARDING, EUR): 5})} == {4}
