"""Reports of the ledger: trial balance, account statement, general ledger, and their CSV. Pure.

Amounts are minor units of the account's asset, debits positive; times are Unix seconds. The date of
an entry (`at`) decides which report holds it; its number in the journal orders entries of the same
time.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from orchestrator.core.chart import CHART, LedgerAccount, decimal_text, row_of

Balances = Mapping[tuple[str, str], int]  # {(account, asset): balance}


@dataclass(frozen=True, slots=True)
class LedgerMovement:
    """One posting with the entry that it belongs to."""

    number: int  # of the entry in the journal
    at: int
    kind: str
    ref: str
    source: str
    account: str
    asset: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One account of a trial balance, or one control account with all its details added up."""

    code: str
    account: str
    name: str
    kind: str
    asset: str
    accounts: int  # how many ledger accounts stand in it
    debit_minor: int
    credit_minor: int
    pending_minor: int = 0  # what entries that are not final would add; debit positive


@dataclass(frozen=True, slots=True)
class LedgerStatementLine:
    """One movement of an account, with the balance after it."""

    number: int
    at: int
    kind: str
    ref: str
    source: str
    account: str
    debit_minor: int
    credit_minor: int
    balance_minor: int


@dataclass(frozen=True, slots=True)
class LedgerStatement:
    """An account in a period: opening balance + lines = closing balance; debits positive."""

    code: str
    account: str
    name: str
    asset: str
    opening_minor: int
    lines: tuple[LedgerStatementLine, ...]
    closing_minor: int


def trial_balance(
    balances: Balances, pending: Balances | None = None, detail: bool = False
) -> list[TrialRow]:
    """Return the trial balance of all accounts that were ever posted to, by code.

    Args:
        balances: The balance of each account in each asset.
        pending: What entries of blocks that are not final would add.
        detail: Whether each detail of a control account gets a row of its own.

    Raises:
        Halt: An account is not in the chart.
    """
    pending = pending or {}
    groups: dict[tuple[int, str], list[tuple[str, str]]] = defaultdict(list)
    for account, asset in sorted({*balances, *pending}):
        row = row_of(account, asset)
        shown = account if detail else row.pattern
        groups[CHART.index(row), shown].append((account, asset))
    return [
        _trial_row(
            CHART[place],
            shown,
            len(keys),
            sum(balances.get(k, 0) for k in keys),
            sum(pending.get(k, 0) for k in keys),
        )
        for (place, shown), keys in sorted(groups.items())
    ]


def _trial_row(row: LedgerAccount, shown: str, count: int, balance: int, pending: int) -> TrialRow:
    return TrialRow(
        row.code,
        shown,
        row.name,
        row.kind,
        row.asset,
        count,
        max(balance, 0),
        max(-balance, 0),
        pending,
    )


def totals(rows: Iterable[TrialRow]) -> dict[str, tuple[int, int, int]]:
    """Return {asset: (debits, credits, pending)}; debits equal credits, and pending is zero."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in rows:
        for place, amount in enumerate((row.debit_minor, row.credit_minor, row.pending_minor)):
            sums[row.asset][place] += amount
    return {asset: tuple(amounts) for asset, amounts in sorted(sums.items())}


def statement(
    row: LedgerAccount,
    account: str,
    movements: Iterable[LedgerMovement],
    first: int | None,
    last: int | None,
) -> LedgerStatement:
    """Return the statement of one ledger account, or of a control account with all its details.

    Args:
        row: The row of the chart.
        account: The account's name, or the row's pattern for the whole control account.
        movements: The postings.
        first: Unix seconds, inclusive; None for the beginning.
        last: Unix seconds, inclusive; None for the end.
    """
    whole = row.pattern == account
    own_movements = [
        m for m in movements if (row.holds(m.account) if whole else m.account == account)
    ]
    opening = sum(m.amount_minor for m in own_movements if first is not None and m.at < first)
    within = [m for m in own_movements if _between(m.at, first, last)]
    balance, lines = opening, []
    for move in sorted(within, key=lambda m: (m.at, m.number)):
        balance += move.amount_minor
        lines.append(
            LedgerStatementLine(
                move.number,
                move.at,
                move.kind,
                move.ref,
                move.source,
                move.account,
                max(move.amount_minor, 0),
                max(-move.amount_minor, 0),
                balance,
            )
        )
    return LedgerStatement(row.code, account, row.name, row.asset, opening, tuple(lines), balance)


def _between(at: int, first: int | None, last: int | None) -> bool:
    return (first is None or at >= first) and (last is None or at <= last)


def general_ledger(
    movements: Iterable[LedgerMovement], first: int | None, last: int | None, detail: bool = False
) -> list[LedgerStatement]:
    """Return the statements of all accounts that were posted to up to `last`, by code."""
    by_account: dict[tuple[int, str], list[LedgerMovement]] = defaultdict(list)
    for move in movements:
        if last is None or move.at <= last:
            row = row_of(move.account, move.asset)
            shown = move.account if detail else row.pattern
            by_account[CHART.index(row), shown].append(move)
    return [
        statement(CHART[place], shown, moves, first, last)
        for (place, shown), moves in sorted(by_account.items())
    ]


# --- tables: what a spreadsheet gets; columns are only ever added at the end

TRIAL_COLUMNS = (
    "code",
    "account",
    "name",
    "kind",
    "asset",
    "accounts",
    "debit_minor",
    "credit_minor",
    "debit",
    "credit",
    "pending_minor",
    "pending",
)
STATEMENT_COLUMNS = (
    "code",
    "account",
    "asset",
    "number",
    "at",
    "kind",
    "ref",
    "source",
    "debit_minor",
    "credit_minor",
    "balance_minor",
    "debit",
    "credit",
    "balance",
)
BALANCE_COLUMNS = ("account", "asset", "balance_minor", "balance")
CHART_COLUMNS = ("code", "account", "name", "kind", "normal", "asset", "meaning")


def trial_table(rows: Iterable[TrialRow]) -> list[tuple]:
    """Return rows of TRIAL_COLUMNS."""
    return [
        (
            r.code,
            r.account,
            r.name,
            r.kind,
            r.asset,
            r.accounts,
            r.debit_minor,
            r.credit_minor,
            decimal_text(r.debit_minor, r.asset),
            decimal_text(r.credit_minor, r.asset),
            r.pending_minor,
            decimal_text(r.pending_minor, r.asset),
        )
        for r in rows
    ]


def statement_table(statements: Iterable[LedgerStatement]) -> list[tuple]:
    """Return rows of STATEMENT_COLUMNS.

    Each statement begins with a row of kind "opening" and ends with one of kind "closing"; these
    two have no number.
    """
    table = []
    for account_statement in statements:
        table.append(_edge(account_statement, "opening", account_statement.opening_minor))
        for line in account_statement.lines:
            moved = (line.debit_minor, line.credit_minor, line.balance_minor)
            table.append(
                (
                    account_statement.code,
                    line.account,
                    account_statement.asset,
                    line.number,
                    line.at,
                    line.kind,
                    line.ref,
                    line.source,
                    *moved,
                    *(decimal_text(amount, account_statement.asset) for amount in moved),
                )
            )
        table.append(_edge(account_statement, "closing", account_statement.closing_minor))
    return table


def _edge(account_statement: LedgerStatement, kind: str, balance: int) -> tuple:
    return (
        account_statement.code,
        account_statement.account,
        account_statement.asset,
        "",
        "",
        kind,
        "",
        "",
        "",
        "",
        balance,
        "",
        "",
        decimal_text(balance, account_statement.asset),
    )


def balance_table(balances: Balances) -> list[tuple]:
    """Return rows of BALANCE_COLUMNS, by asset and account."""
    return [
        (account, asset, amount, decimal_text(amount, asset))
        for (account, asset), amount in sorted(balances.items(), key=lambda i: i[0][::-1])
    ]


def chart_table() -> list[tuple]:
    """Return rows of CHART_COLUMNS."""
    return [(r.code, r.pattern, r.name, r.kind, r.normal, r.asset, r.meaning) for r in CHART]


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return CSV as in RFC 4180: a header, CRLF after each record, quotes where needed."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return written.getvalue()


def json_view(record: Any) -> dict[str, Any]:
    """Return the JSON view of a record of a report.

    Amounts are text, for readers without big integers.
    """
    view = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if field.name == "lines":
            value = [json_view(line) for line in value]
        view[field.name] = str(value) if field.name.endswith("_minor") else value
    return view
