"""Booked lines: each once, however often and in whatever form the bank reports it.

A bank reports a booking intraday (camt.054) and again at end of day (camt.053), may send a
notification twice, and leaves out its own reference here and there. A file never repeats
itself, so equal lines of one file stay two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from orchestrator.core.identity import credit_id
from orchestrator.core.reconcile.types import Booked, StatementLine


def distinct(lines: Iterable[StatementLine]) -> tuple[Booked, ...]:
    """Each booked line once, in an order that does not depend on the input's."""
    ordered = sorted(set(lines), key=_order)
    statement = _numbered([line for line in ordered if line.kind == "camt.053"])
    notified = _numbered([line for line in ordered if line.kind == "camt.054"])
    pairs = _pair(statement, notified)
    booked = [_merge(line, key, pairs.get(key)) for key, line in statement.items()]
    repeated = set(pairs.values())
    booked += [Booked(line, (_id(line.account, key),), False)
               for key, line in notified.items() if key not in repeated]
    return tuple(sorted(booked, key=lambda item: _order(item.line)))


def _order(line: StatementLine) -> tuple:
    return (line.account, line.booking_date, line.bank_reference, line.end_to_end_id,
            line.amount_minor, _content(line), line.kind, line.source, line.path)


def _content(line: StatementLine) -> tuple:
    return ("content", line.account, line.booking_date.isoformat(), line.amount_minor,
            line.currency, line.end_to_end_id, line.reference, line.counterparty_iban,
            line.batch, line.reason, line.is_reversal, "" if line.reference else line.text)


def _referenced(line: StatementLine) -> tuple:
    """Banks give one reference to all lines of a batch: amount and EndToEndId tell them apart."""
    return ("bank", line.account, line.bank_reference, line.end_to_end_id, line.amount_minor,
            line.is_return)


def _numbered(lines: list[StatementLine]) -> dict[tuple, StatementLine]:
    """Lines of one kind by (identity, how many equal ones of its file came before).

    With a bank reference, the same line in two files is one line. Without one, only the content
    speaks, and two files never overlap: both count.
    """
    found: dict[tuple, StatementLine] = {}
    seen: dict[tuple, int] = defaultdict(int)
    for line in lines:
        identity = _referenced(line) if line.bank_reference else _content(line)
        counter = (identity, line.source) if line.bank_reference else (identity,)
        found.setdefault((*identity, seen[counter]), line)
        seen[counter] += 1
    return found


def _pair(statement: dict[tuple, StatementLine],
          notified: dict[tuple, StatementLine]) -> dict[tuple, tuple]:
    """Which notification each statement line repeats: by identity, then by content where one
    of the two reports lacks the bank's reference."""
    pairs = {key: key for key in statement if key in notified}
    waiting: dict[tuple, list[tuple]] = defaultdict(list)
    for key, line in reversed(notified.items()):
        if key not in pairs:
            waiting[(bool(line.bank_reference), *_content(line))].append(key)
    for key, line in statement.items():
        if key in pairs:
            continue
        for referenced in (False,) if line.bank_reference else (True, False):
            if candidates := waiting[(referenced, *_content(line))]:
                pairs[key] = candidates.pop()
                break
    return pairs


def _merge(line: StatementLine, key: tuple, other: tuple | None) -> Booked:
    keys = (key,) if other in (None, key) else (other, key)
    return Booked(line, tuple(_id(line.account, each) for each in keys), True)


def _id(account: str, key: tuple) -> bytes:
    """No XML text can hold the separator, so two keys never print alike."""
    return credit_id(account, "\x1f".join(map(str, key)))
