"""Statements in their order: which of them holds which line, where one is missing, came late or
came twice.

A statement answers for the days since the one before it, if it opens where that one closed.
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
    """statements: in their order, each once. gaps: the index of each one that does not open where
    the one before it closed -> (closing before, opening). opening: the balance before all (cents).
    """

    statements: tuple[StatementBalances, ...]
    gaps: dict[int, tuple[int, int]]
    opening: int

    @property
    def days(self) -> list[date]:
        return [statement.day for statement in self.statements]

    def holder(self, day: date) -> int:
        """Return the index of the first statement of a day or a later one; their number if none is
        there."""
        return bisect_left(self.days, day)

    def answers_for(self, day: date) -> bool:
        """Whether a statement is here that must show what was booked by that day: one of a day
        in a gap is not."""
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
    """Return the statements of one account in their order; the answer depends on the facts only."""
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
    """Return statements that came after the one of a later day."""
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
    """Return statements that repeat an earlier one in another file: same day, same balances, lines
    of the same days and amounts.

    References may differ: an MT940 next to a camt.053 has fewer.
    """
    content: dict[bytes, Counter[tuple]] = defaultdict(Counter)
    for line in lines:
        if line.kind in CONFIRMING:
            content[line.source][_said(line)] += 1
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


def _said(line: StatementLine) -> tuple:
    return (line.account, line.booking_date, line.amount_minor, line.currency)
