"""Write a day's statement as MT940, with field 86 as German banks fill it (GVC, ?-subfields)."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import date
from itertools import count

from services.simulated_bank.messages import entries_of

_TRANSFER_OUT, _TRANSFER_IN, _RETURN, _CHARGE = "116", "166", "159", "808"
_PART = 27  # characters of one ?-subfield


def statement(
    number: int,
    account: str,
    day: str,
    opening: int,
    lines: Sequence[sqlite3.Row],
    *,
    mark: str = "",
) -> bytes:
    """Return one message: the opening balance, the lines of the day, the closing balance."""
    booked = date.fromisoformat(day)
    closing = opening + sum(line["cents"] for line in lines)
    fields = [
        f":20:STM{number:09d}",
        f":25:{account}",
        f":28C:{number % 100_000}/1",
        f":60F:{_balance(booked, opening)}",
    ]
    for details in entries_of(lines).values():
        if details[0]["shape"] in ("batch_sum", "batch_bare"):
            fields += _line(details[0], sum(line["cents"] for line in details), booked, mark)
        else:
            for line in details:
                fields += _line(line, line["cents"], booked, mark)
    fields.append(f":62F:{_balance(booked, closing)}")
    return "".join(f"{field}\r\n" for field in [*fields, "-"]).encode("ascii", "replace")


def _line(line: sqlite3.Row, cents: int, booked: date, mark: str) -> list[str]:
    side = "D" if cents < 0 else "C"
    if line["reversal"]:  # RC reverses a credit, RD a debit
        side = "RC" if cents < 0 else "RD"
    reference = f"{mark[:4]}BK{line['id']:010d}"
    return [
        f":61:{booked:%y%m%d}{booked:%m%d}{side}{_comma(cents)}NTRFNONREF//{reference}",
        f":86:{_details(line, cents)}",
    ]


def _details(line: sqlite3.Row, cents: int) -> str:
    is_sum = line["shape"] in ("batch_sum", "batch_bare")
    parts = []
    if line["end_to_end_id"] and not line["shape"]:
        parts.append(f"EREF+{line['end_to_end_id']}")
    if line["batch"] and line["shape"] != "batch_bare":
        parts.append(f"KREF+{line['batch']}")
    if line["reason"]:
        parts.append(f"SVWZ+RETURN {line['reason']}")
    else:
        parts.append(f"SVWZ+{line['text'] or line['reference']}")
    subfields = [f"?00{line['code'] or 'TRANSFER'}"]
    numbers = count(20)
    for part in parts:
        subfields += [
            f"?{next(numbers)}{part[start : start + _PART]}" for start in range(0, len(part), _PART)
        ]
    if line["iban"] and not is_sum:
        subfields.append(f"?31{line['iban']}")
    if line["name"] and not is_sum:
        subfields.append(f"?32{line['name'][:_PART]}")
    if line["reason"]:
        subfields.append("?34914")
    code = (
        _CHARGE
        if line["code"]
        else _RETURN
        if line["reason"]
        else (_TRANSFER_IN if cents > 0 else _TRANSFER_OUT)
    )
    return code + "".join(subfields)


def _balance(day: date, cents: int) -> str:
    return f"{'D' if cents < 0 else 'C'}{day:%y%m%d}EUR{_comma(cents)}"


def _comma(cents: int) -> str:
    return f"{abs(cents) // 100},{abs(cents) % 100:02d}"
