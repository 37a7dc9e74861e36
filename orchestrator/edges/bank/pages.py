"""Which reports of a file are pages of one statement, and which repeat an earlier one.

A statement is identified by account, id, number or page, day and balances; its id alone may be the
same every day. Pages may have no numbers: then each opens where the one before has closed, on the
same day. A repeat has the same balances and the same lines.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from orchestrator.edges.bank.facts import AccountReport, Line


def number_pages(reports: Sequence[AccountReport]) -> list[AccountReport]:
    """Return the reports with page numbers, where consecutive ones are pages without numbers."""
    numbered: list[AccountReport] = []
    for group in _runs(reports):
        if len(group) == 1:
            numbered += group
            continue
        numbered += [
            replace(report, page=page, last_page=page == len(group))
            for page, report in enumerate(group, 1)
        ]
    return numbered


def _runs(reports: Sequence[AccountReport]) -> Iterator[list[AccountReport]]:
    run: list[AccountReport] = []
    for report in reports:
        if run and not (
            _is_unnumbered(report)
            and _is_same(run[-1], report)
            and _day(run[-1]) == _day(report)
            and _continues(run[-1], report)
            and all(_content(page) != _content(report) for page in run)
        ):
            yield run
            run = []
        run.append(report)
    if run:
        yield run


def _continues(earlier: AccountReport, report: AccountReport) -> bool:
    """Return whether a report opens with the booked balance that the one before has closed with.

    The balances of a report without a net movement prove nothing: then it has other lines too.
    """
    before, opening, closing = earlier.closing(), report.opening(), report.closing()
    if not (before and opening and closing):
        return False
    if (before.amount_minor, before.currency) != (opening.amount_minor, opening.currency):
        return False
    moves = opening.amount_minor != closing.amount_minor
    return moves or _lines(earlier).isdisjoint(_lines(report))


def repeated(reports: Iterable[AccountReport]) -> Iterator[AccountReport]:
    """Yield each report that repeats an earlier one of the file, whole or in part.

    Another statement or page under the same id opens where the one before has closed, or has none
    of its lines. Anything else would count a line twice.
    """
    groups: dict[tuple, list[AccountReport]] = defaultdict(list)
    for report in reports:
        if report.id:
            groups[report.account, report.id, report.page].append(report)
    for group in groups.values():
        yield from _repeated(group) if len(group) > 1 else ()


def _repeated(group: list[AccountReport]) -> Iterator[AccountReport]:
    contents, lines = {_content(group[0])}, _lines(group[0])
    for earlier, report in pairwise(group):
        content, own = _content(report), _lines(report)
        is_new = _continues(earlier, report) or lines.isdisjoint(own)
        if content in contents or not is_new:
            yield report
        contents.add(content)
        lines |= own


def _is_unnumbered(report: AccountReport) -> bool:
    return report.page in (None, 1)


def _is_same(report: AccountReport, other: AccountReport) -> bool:
    sequences = (report.electronic_sequence, other.electronic_sequence)
    return (
        bool(report.id)
        and (report.kind, report.account, report.id) == (other.kind, other.account, other.id)
        and (sequences[0] == sequences[1] or "" in sequences)
    )


def _day(report: AccountReport) -> Any:
    closing = report.closing()
    return closing.date if closing else report.created


def _content(report: AccountReport) -> tuple:
    balances = tuple(
        (balance.code, balance.date, balance.amount_minor, balance.currency)
        for balance in report.balances
    )
    return balances, report.electronic_sequence, tuple(map(_without_place, report.lines))


def _lines(report: AccountReport) -> set[Line]:
    return set(map(_without_place, report.lines))


def _without_place(line: Line) -> Line:
    return replace(line, path="", line=None)
