"""Pairs the begin and end records of charging transactions in one file and judges each pair.

As in the Transparenzsoftware, records with one transaction id belong together, one with the context
Transaction.Begin and one with Transaction.End; where a file has neither, a begin is paired with
the next end of the same device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pyocmf.core import Payload

from device_adapters.protocols.ocmf.rules import BillingReason, Finding, judge_pair

_BEGIN, _END = "Transaction.Begin", "Transaction.End"
_CLOSING = ("E", "L", "R", "A", "P")
_MISSING = (BillingReason.BEGIN_MISSING, BillingReason.END_MISSING)
_SEVERAL = (BillingReason.SEVERAL_BEGINS, BillingReason.SEVERAL_ENDS)
Entry = tuple[Payload | None, str | None, str | None]  # payload, transaction id, context


@dataclass
class TransactionVerdict:
    """A transaction: indices of its records, reasons why it may not be billed, and warnings."""

    transaction_id: str | None
    members: tuple[int, ...]
    errors: list[Finding] = field(default_factory=list)
    cautions: list[Finding] = field(default_factory=list)


def judge_transactions(entries: Sequence[Entry]) -> list[TransactionVerdict]:
    """Return the verdict on every transaction of two or more records, in file order."""
    groups: dict[str, list[int]] = {}
    loose: list[int] = []
    for index, (_, transaction_id, _) in enumerate(entries):
        (loose if transaction_id is None else groups.setdefault(transaction_id, [])).append(index)
    judged = [
        _judge_group(entries, name, members) for name, members in groups.items() if len(members) > 1
    ]
    judged.extend(_judge(entries, None, pair) for pair in _pairs(entries, loose))
    return sorted(judged, key=lambda transaction: transaction.members)


def _judge_group(entries: Sequence[Entry], name: str, members: list[int]) -> TransactionVerdict:
    """Judge one begin and one end, by context, or by the readings where no record has one."""
    by_context = any(entries[index][2] in (_BEGIN, _END) for index in members)
    roles = [entries[i][2] if by_context else _role(entries[i][0]) for i in members]
    if not by_context and "whole" in roles:
        return TransactionVerdict(name, tuple(members))  # each record is a transaction of its own
    by_role = [
        [i for i, role in zip(members, roles, strict=True) if role == wanted]
        for wanted in (_BEGIN, _END)
    ]
    errors: list[Finding] = []
    for role, matching, missing, several in zip(
        (_BEGIN, _END), by_role, _MISSING, _SEVERAL, strict=True
    ):
        if len(matching) != 1:
            detail = f"{len(matching)} records of transaction {name} are its {role}"
            errors.append((several if matching else missing, detail))
    if errors:
        return TransactionVerdict(name, tuple(members), errors)
    judged = _judge(entries, name, (by_role[0][0], by_role[1][0]))
    return TransactionVerdict(name, tuple(members), judged.errors, judged.cautions)


def _judge(entries: Sequence[Entry], name: str | None, pair: tuple[int, int]) -> TransactionVerdict:
    begin, end = (entries[index][0] for index in pair)
    if begin is None or end is None:
        return TransactionVerdict(name, pair)
    return TransactionVerdict(name, pair, *judge_pair(begin, end))


def _pairs(entries: Sequence[Entry], loose: list[int]) -> list[tuple[int, int]]:
    open_begins: dict[str, int] = {}
    pairs = []
    for index in loose:
        payload = entries[index][0]
        role = _role(payload)
        if payload is None or role not in (_BEGIN, _END):
            continue
        device = payload.MS or payload.GS or ""
        if role == _BEGIN:
            open_begins[device] = index
        elif device in open_begins:
            pairs.append((open_begins.pop(device), index))
    return pairs


def _role(payload: Payload | None) -> str:
    """Return whether a record's readings begin a transaction, end one, both ("whole"), or ""."""
    marks = {str(reading.TX) for reading in payload.RD} if payload else set()
    begins, ends = "B" in marks, not marks.isdisjoint(_CLOSING)
    if begins and ends:
        return "whole"
    return _BEGIN if begins else _END if ends else ""
