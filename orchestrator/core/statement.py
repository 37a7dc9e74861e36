"""Statement lines as facts, each booked line once however often the bank repeats it.

A bank reports a booking intraday (camt.054) and again at end of day (camt.053), may send a
notification twice, and leaves out its own reference here and there. `distinct` folds those
reports into booked lines; a file never repeats itself, so equal lines of one file stay two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal

from orchestrator.core.identity import credit_id

Kind = Literal["camt.053", "camt.054"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """One booked line as one bank file reports it.

    account: IBAN. amount_minor: minor units of `currency`; credits positive, debits negative.
    end_to_end_id, reference, bank_reference, batch: "" where the bank left them out;
    `reference` is the ISO 11649 one in canonical form; `batch` is the PmtInfId of a batch booking.
    reason: return reason code (ISO external list), "" for an ordinary booking.
    source: SHA-256 of the file; path: of the element within it, as a local-name XPath.
    """

    account: str
    booking_date: date
    value_date: date
    amount_minor: int
    currency: str
    source: bytes
    path: str
    kind: Kind
    end_to_end_id: str = ""
    reference: str = ""
    bank_reference: str = ""
    batch: str = ""
    counterparty_name: str = ""
    counterparty_iban: str = ""
    reason: str = ""
    is_reversal: bool = False
    text: str = ""  # unstructured remittance information

    @property
    def is_return(self) -> bool:
        """Whether it undoes an earlier booking."""
        return self.is_reversal or self.reason != ""


@dataclass(frozen=True, slots=True)
class Balances:
    """Opening and closing booked balance of one statement (minor units, credits positive)."""

    account: str
    statement: str  # the bank's id of the statement
    day: date
    opening_minor: int
    closing_minor: int
    currency: str = "EUR"


@dataclass(frozen=True, slots=True)
class Booked:
    """One booked line: the report that stands for it, and every id it was ever known by.

    ids: 32 bytes each, the earliest kind of report first (a notification precedes its statement),
    so ids[0] is what a mint made on the notification carries. Whoever acts on a line must
    check all of `ids` first.
    """

    line: StatementLine
    ids: tuple[bytes, ...]
    confirmed: bool  # a camt.053 holds it


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
