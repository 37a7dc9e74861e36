"""Statements in their order: which one holds which line, and which are missing, late or repeated.

A statement covers the days since the one before it, if it opens where that one closed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from orchestrator.core.reconcile.types import CONFIRMING, Booked, StatementBalances, StatementLine


@dataclass(frozen=True, slots=True)
class Coverage:
    """The statements of one account.

    Attributes:
        statements: The statements in their order, each once.
        gaps: Index of each statement that does not open where the one before it closed -> (closing
            balance before it, its opening balance), in cents.
        opening: The balance before all statements, in cents.
    """

    statements: tuple[StatementBalances, ...]
    gaps: dict[int, tuple[int, int]]
    opening: int

    @property
    def days(self) -> list[date]:
        """Return the day of each statement."""
        return [statement.day for statement in self.statements]

    def holder(self, day: date) -> int:
        """Return the index of the first statement of a day or a later one; their number if there is
        none."""
        return bisect_left(self.days, day)

    def answers_for(self, day: date) -> bool:
        """Return whether a statement exists that must show what was booked by a day.

        A statement behind a gap need not show it, unless it is of that very day.
        """
        at = self.holder(day)
        return at < len(self.statements) and (self.statements[at].day == day or at not in self.gaps)

    def place(self, booked: Booked) -> int:
        """Return the index of the statement whose closing balance is the first to hold a line."""
        line = booked.line
        own = [
            at
            for at, statement in enumerate(self.statements)
            if booked.confirmed and statement.source and statement.source == line.source
        ]
        later = [at for at in own if self.statements[at].day >= line.booking_date]
        return min(later or own, default=self.holder(line.booking_date))


def coverage(balances: Iterable[StatementBalances], opening: int) -> Coverage:
    """Return the statements of one account in their order; the result depends on the facts only.

    Args:
        balances: The statements, in any order.
        opening: The balance before all of them, in cents.
    """
    by_day: dict[date, list[StatementBalances]] = defaultdict(list)
    for statement in balances:
        by_day[statement.day].append(statement)
    ordered: list[StatementBalances] = []
    gaps, closing = {}, opening
    for day in sorted(by_day):
        left = sorted(by_day[day], key=lambda item: item.statement)
        while left:  # several of one day: each opens where another one closed
            statement = next((item for item in left if item.opening_minor == closing), left[0])
            left.remove(statement)
            if statement.opening_minor != closing:
                gaps[len(ordered)] = (closing, statement.opening_minor)
            ordered.append(statement)
            closing = statement.closing_minor
    return Coverage(tuple(ordered), gaps, opening)


def late(balances: Sequence[StatementBalances]) -> list[StatementBalances]:
    """Return statements that were received after one of a later day."""
    timed = [statement for statement in balances if statement.received_at]
    return [
        statement
        for statement in timed
        if any(
            other.day > statement.day and other.received_at < statement.received_at
            for other in timed
        )
    ]


def repeated(
    balances: Iterable[StatementBalances], lines: Iterable[StatementLine]
) -> list[StatementBalances]:
    """Return statements that repeat an earlier one in another file.

    They have the same day, the same balances, and lines of the same days and amounts. References
    may differ: an MT940 has fewer than a camt.053 of the same day.
    """
    content: dict[bytes, Counter[tuple]] = defaultdict(Counter)
    for line in lines:
        if line.kind in CONFIRMING:
            content[line.source][_line_key(line)] += 1
    first: dict[tuple, StatementBalances] = {}
    repetitions = []
    for statement in sorted(
        balances, key=lambda item: (item.received_at, item.statement, item.source)
    ):
        repeatable = (
            statement.account,
            statement.day,
            statement.opening_minor,
            statement.closing_minor,
            frozenset(content[statement.source].items()),
        )
        before = first.setdefault(repeatable, statement)
        if before is not statement and statement.source and before.source != statement.source:
            repetitions.append(statement)
    return repetitions


def _line_key(line: StatementLine) -> tuple:
    return (line.account, line.booking_date, line.amount_minor, line.currency)
