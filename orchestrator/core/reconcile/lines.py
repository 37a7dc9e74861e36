"""Booked lines: each once, no matter how often and in which form the bank reports it.

A bank reports a booking intraday (camt.054, camt.052, where each file may repeat the whole day so
far) and at end of day (camt.053, MT940, some banks both), and leaves out references here and there.
A file never repeats itself, so equal lines of one file stay two. Equal lines in two files without a
bank's reference count as one: if they counted as two, a credit would be minted twice, while a real
second one appears on the day's statement.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256

from orchestrator.core.identity import credit_id
from orchestrator.core.reconcile.types import CONFIRMING, Booked, StatementLine


@dataclass(frozen=True, slots=True)
class ReportedLine:
    """A line of one kind of report.

    Attributes:
        line: The line.
        files: All files that report it.
    """

    line: StatementLine
    files: frozenset[str]


_Lines = dict[tuple, ReportedLine]
_Key = Callable[[StatementLine], tuple]
# the best report first; what a bank's reference names comes before what only its content does
_REPORTS = (
    ("camt.053", None),
    ("MT940", None),
    ("camt.054", True),
    ("camt.054", False),
    ("camt.052", True),
    ("camt.052", False),
)


def distinct(lines: Iterable[StatementLine]) -> tuple[Booked, ...]:
    """Return each booked line once, in an order that does not depend on the input's."""
    ordered = sorted(set(lines), key=_order)
    booked: _Lines = {}
    ids: dict[tuple, tuple[tuple, ...]] = {}
    for kind, named in _REPORTS:
        reported = _numbered(
            [
                line
                for line in ordered
                if line.kind == kind and named in (None, bool(line.bank_reference))
            ]
        )
        pairs = _pair(booked, reported)
        for key, other in pairs.items():
            booked[key] = ReportedLine(booked[key].line, booked[key].files | reported[other].files)
            ids[key] = ids[key] if other in ids[key] else (other, *ids[key])
        taken = set(pairs.values())
        for key, report in reported.items():  # what no better report repeats stands for itself
            if key not in taken:
                booked[key], ids[key] = report, (key,)
    lines_once = [
        Booked(
            report.line,
            tuple(_id(report.line.account, place) for place in ids[key]),
            report.line.kind in CONFIRMING,
        )
        for key, report in booked.items()
    ]
    return tuple(sorted(lines_once, key=lambda item: _order(item.line)))


def keys(line: StatementLine) -> tuple[str, str, str]:
    """Return the keys by which reports of one booking are found, as three SHA-256 hashes.

    They cover the bank's reference ("" for none), the line with its booking date, and the line with
    its value date. Lines that no chain of shared keys connects never change the result of
    `distinct` for each other.
    """
    identity = _digest(_by_reference(line)) if line.bank_reference else ""
    return identity, _digest(_by_day(line)), _digest(_by_value(line))


def _digest(key: tuple) -> str:
    return sha256("\x1f".join(map(str, key)).encode()).hexdigest()


def _order(line: StatementLine) -> tuple:
    return (
        line.account,
        line.booking_date,
        line.bank_reference,
        line.end_to_end_id,
        line.amount_minor,
        _content(line),
        line.kind,
        line.source,
        line.path,
    )


def _content(line: StatementLine) -> tuple:
    return (
        "content",
        line.account,
        line.booking_date.isoformat(),
        line.amount_minor,
        line.currency,
        line.end_to_end_id,
        line.reference,
        line.counterparty_iban,
        line.batch,
        line.reason,
        line.is_reversal,
        "" if line.reference else line.text,
    )


def _referenced(line: StatementLine) -> tuple:
    """Return the key of a line by its reference.

    Banks give one reference to all lines of a batch: amount and EndToEndId distinguish them.
    """
    return (
        "bank",
        line.account,
        line.bank_reference,
        line.end_to_end_id,
        line.amount_minor,
        line.is_return,
    )


def _by_reference(line: StatementLine) -> tuple:
    return ("named", line.account, line.bank_reference, line.amount_minor, line.is_return)


def _by_day(line: StatementLine) -> tuple:
    return ("booked", line.booking_date.isoformat(), *_essence(line))


def _by_value(line: StatementLine) -> tuple:
    return ("valued", line.value_date.isoformat(), *_essence(line))


def _essence(line: StatementLine) -> tuple:
    """Return what distinguishes a line from others, apart from its day.

    That is its reference, which every report with details has, or else everything there is.
    """
    details = (
        (line.reference,)
        if line.reference
        else (
            line.end_to_end_id,
            line.counterparty_iban,
            line.batch,
            line.reason,
            line.is_reversal,
            line.text,
        )
    )
    return (line.account, line.amount_minor, line.currency, line.is_return, *details)


def _numbered(lines: list[StatementLine]) -> _Lines:
    """Return lines of one kind by (identity, how many equal ones of its file came before).

    By the bank's reference, or else by content, the same line in two files is one line.
    """
    numbered: _Lines = {}
    seen: dict[tuple, int] = defaultdict(int)
    for line in lines:
        identity = _referenced(line) if line.bank_reference else _content(line)
        file = _file(line)
        key = (*identity, seen[identity, file])
        seen[identity, file] += 1
        earlier = numbered.get(key)
        numbered[key] = (
            ReportedLine(earlier.line, earlier.files | {file})
            if earlier
            else ReportedLine(line, frozenset((file,)))
        )
    return numbered


def _file(line: StatementLine) -> str:
    """Return the file of a line; each member of an archive is a file of its own."""
    return line.source.hex() + line.path.rpartition("!")[0]


def _pair(better: _Lines, notified: _Lines) -> dict[tuple, tuple]:
    """Return which line of this kind each line of a better report repeats.

    By identity; by content where one of the two lacks the bank's reference; by content under
    another reference, since some banks give another one at end of day; then by reference or day
    where one of them leaves out details, and where the day was put off. A day's statement holds all
    that was notified of it, and taken for two, a credit would be minted twice.
    """
    pairs = {key: key for key in notified if key in better}
    if len(pairs) == len(notified):
        return pairs
    for renamed in (False, True):
        _pair_by(
            _content,
            better,
            notified,
            pairs,
            lambda line, other, renamed=renamed: (
                renamed == (bool(line.bank_reference) and bool(other.bank_reference))
            ),
        )
    _pair_by(
        _by_reference,
        better,
        notified,
        pairs,
        lambda line, other: line.bank_reference != "" and _agree(line, other),
    )
    _pair_by(_by_day, better, notified, pairs, _agree)
    _pair_by(
        _by_value,
        better,
        notified,
        pairs,
        lambda line, other: line.booking_date > other.booking_date and _agree(line, other),
    )
    return pairs


def _pair_by(
    alike: _Key,
    better: _Lines,
    notified: _Lines,
    pairs: dict[tuple, tuple],
    fits: Callable[[StatementLine, StatementLine], bool],
) -> None:
    """Add pairs of lines that this key calls alike; two lines of one file are never a pair."""
    taken = set(pairs.values())
    waiting: dict[tuple, list[tuple]] = defaultdict(list)
    for key, report in notified.items():
        if key not in taken:
            waiting[alike(report.line)].append(key)
    for key, report in better.items():
        candidates = waiting.get(alike(report.line), ()) if key not in pairs else ()
        repeated = next(
            (
                other
                for other in candidates
                if report.files.isdisjoint(notified[other].files)
                and fits(report.line, notified[other].line)
            ),
            None,
        )
        if repeated:
            pairs[key] = repeated
            waiting[alike(report.line)].remove(repeated)


def _agree(line: StatementLine, other: StatementLine) -> bool:
    """Whether nothing that both of them say is different; what one leaves out is no difference."""
    return all(
        getattr(line, name) == getattr(other, name)
        or not getattr(line, name)
        or not getattr(other, name)
        for name in _DETAILS
    )


_DETAILS = ("currency", "end_to_end_id", "reference", "counterparty_iban", "batch")


def _id(account: str, key: tuple) -> bytes:
    """Return the id of a key. No XML text can hold the separator, so two keys never print alike."""
    return credit_id(account, "\x1f".join(map(str, key)))
