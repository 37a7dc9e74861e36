"""Booked lines: each once, however often and in whatever form the bank reports it.

A bank reports a booking intraday (camt.052, camt.054) and again at end of day (camt.053, MT940),
may send a notification twice, and leaves out its own reference here and there. A file never repeats
itself, so equal lines of one file stay two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from hashlib import sha256

from orchestrator.core.identity import credit_id
from orchestrator.core.reconcile.types import CONFIRMING, Booked, StatementLine

_Lines = dict[tuple, StatementLine]


def distinct(lines: Iterable[StatementLine]) -> tuple[Booked, ...]:
    """Each booked line once, in an order that does not depend on the input's."""
    ordered = sorted(set(lines), key=_order)
    statement, *notices = [
        _numbered([line for line in ordered if line.kind in kinds])
        for kinds in (CONFIRMING, ("camt.054",), ("camt.052",))
    ]
    booked = {key: [line, True, (key,)] for key, line in statement.items()}
    for notified in notices:  # what no better report repeats stands for itself
        pairs = _pair({key: line for key, (line, *_) in booked.items()}, notified)
        for key, other in pairs.items():
            ids = booked[key][2]
            booked[key][2] = ids if other in ids else (other, *ids)
        taken = set(pairs.values())
        booked |= {key: [line, False, (key,)] for key, line in notified.items()
                   if key not in taken}
    found = [
        Booked(line, tuple(_id(line.account, key) for key in keys), confirmed)
        for line, confirmed, keys in booked.values()
    ]
    return tuple(sorted(found, key=lambda item: _order(item.line)))


def keys(line: StatementLine) -> tuple[str, str]:
    """What lines must share to be reports of one booking: ("" or SHA-256 of the identity that the
    bank's reference gives, SHA-256 of the content). Lines that no chain of shared keys connects
    never change what `distinct` says of each other."""
    identity = _digest(_referenced(line)) if line.bank_reference else ""
    return identity, _digest(_content(line))


def _digest(key: tuple) -> str:
    return sha256("\x1f".join(map(str, key)).encode()).hexdigest()


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


def _numbered(lines: list[StatementLine]) -> _Lines:
    """Lines of one kind by (identity, how many equal ones of its file came before).

    With a bank reference, the same line in two files is one line. Without one, only the content
    speaks, and two files never overlap: both count.
    """
    found: _Lines = {}
    seen: dict[tuple, int] = defaultdict(int)
    for line in lines:
        identity = _referenced(line) if line.bank_reference else _content(line)
        counter = (identity, line.source) if line.bank_reference else (identity,)
        found.setdefault((*identity, seen[counter]), line)
        seen[counter] += 1
    return found


def _pair(better: _Lines, notified: _Lines) -> dict[tuple, tuple]:
    """Which notification each line of a better report repeats: by identity, then by content where
    one of the two lacks the bank's reference, then by content under another reference: some banks
    give another one at end of day, and a day's statement holds all that was notified of it. Taken
    for two, a credit would be minted twice."""
    pairs = {key: key for key in better if key in notified}
    waiting: dict[tuple, list[tuple]] = defaultdict(list)
    for key, line in reversed(notified.items()):
        if key not in pairs:
            waiting[(bool(line.bank_reference), *_content(line))].append(key)
    for renamed in (False, True):
        for key, line in better.items():
            if key in pairs or (renamed and not line.bank_reference):
                continue
            kinds = (renamed,) if line.bank_reference else (True, False)
            for referenced in kinds:
                if candidates := waiting[(referenced, *_content(line))]:
                    pairs[key] = candidates.pop()
                    break
    return pairs


def _id(account: str, key: tuple) -> bytes:
    """No XML text can hold the separator, so two keys never print alike."""
    return credit_id(account, "\x1f".join(map(str, key)))
