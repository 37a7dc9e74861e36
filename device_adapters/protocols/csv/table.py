"""Reads the rows of a declared table; a cell that cannot be read refuses the file with its row."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

from device_adapters.content import Content, Reading
from device_adapters.protocols.csv.declaration import START, Declaration, parse_line
from device_adapters.registers import parse
from device_adapters.types import Reason, Rejected
from device_adapters.verdicts import Finding

MAX_BYTES, MAX_ROWS, MAX_COLUMNS = 4 * 1024 * 1024, 50_000, 500
_BOM = b"\xef\xbb\xbf"
_DEVICE = re.compile(r"[^\x00-\x1f\x7f]{1,80}")


class CsvCautionReason(StrEnum):
    """What an auditor should know about a table. Stable codes."""

    VALUE_MISSING = "value_missing"  # rows without a value: no readings
    TIME_AMBIGUOUS = "time_ambiguous"  # local times that stand twice, or never, when clocks change
    STATUS_NOT_GOOD = "status_not_good"  # rows whose status is not one that the table calls good


def recognise(data: bytes) -> bool:
    """Return whether the bytes begin with a table's declaration, of any version."""
    return data.removeprefix(_BOM).startswith(START.encode())


def read(content: bytes) -> Content:
    """Return the readings of a table, in the order of its rows.

    Raises:
        Rejected: the declaration is missing or incomplete, or a row does not have what it declares.
    """
    if len(content) > MAX_BYTES:
        raise Rejected(Reason.TOO_LARGE, f"{len(content)} bytes, a table has at most {MAX_BYTES}")
    if not content.strip():
        raise Rejected(Reason.EMPTY, "the table has no bytes")
    try:
        text = content.removeprefix(_BOM).decode()
    except UnicodeDecodeError:
        raise Rejected(
            Reason.NOT_UTF8, "the table is not UTF-8: save it in this encoding"
        ) from None
    if not text.endswith(("\n", "\r")):
        raise Rejected(Reason.TRUNCATED, "the last row has no line end: the table may be cut")
    first, *lines = io.StringIO(text, newline="")
    declared = parse_line(first.rstrip("\r\n"))
    rows = _rows(lines, declared)
    header = next(rows, None)
    if header is None:
        raise Rejected(Reason.EMPTY, "the table has no header after its declaration")
    places = _places(header[1], declared)
    cautions: dict[CsvCautionReason, list[int]] = {}
    readings = []
    for count, (number, row) in enumerate(rows, 1):
        if count > MAX_ROWS:
            raise Rejected(Reason.TOO_MANY_RECORDS, f"over {MAX_ROWS} rows in a table")
        if len(row) != len(header[1]):
            detail = f"line {number} has {len(row)} cells, the header {len(header[1])}"
            raise Rejected(Reason.MALFORMED, detail)
        cells = declared.constants | {name: row[at].strip() for name, at in places.items()}
        reading = _reading(cells, declared, number, cautions)
        if reading:
            readings.append(reading)
    if not readings:
        raise Rejected(Reason.READING_MISSING, "the table has no row with a value")
    left = [name for at, name in enumerate(header[1]) if at not in places.values()]
    shown: dict[str, Any] = {"columns_not_read": left} if left else {}
    return Content(tuple(readings), tuple(_findings(cautions)), shown)


def _rows(lines: list[str], declared: Declaration) -> Iterator[tuple[int, list[str]]]:
    """Yield (line of the file, cells) of each row that is not blank."""
    reader = csv.reader(lines, delimiter=declared.separator, strict=True)
    try:
        for row in reader:
            if len(row) > MAX_COLUMNS:
                raise Rejected(Reason.MALFORMED, f"line {reader.line_num + 1}: {len(row)} cells")
            if any(cell.strip() for cell in row):
                yield reader.line_num + 1, row
    except csv.Error as error:
        detail = f"line {reader.line_num + 1}: {error}"
        raise Rejected(Reason.MALFORMED, detail) from None


def _places(header: list[str], declared: Declaration) -> dict[str, int]:
    names = [name.strip() for name in header]
    for field, name in declared.columns.items():
        if names.count(name) != 1:
            detail = (
                f"{field}={name:.40}: the header has {names.count(name)} such columns, of "
                f"{', '.join(names)}"
            )
            raise Rejected(Reason.MALFORMED, detail[:400])
    return {field: names.index(name) for field, name in declared.columns.items()}


def _reading(
    cells: dict[str, str],
    declared: Declaration,
    number: int,
    cautions: dict[CsvCautionReason, list[int]],
) -> Reading | None:
    if not cells["value"]:
        cautions.setdefault(CsvCautionReason.VALUE_MISSING, []).append(number)
        return None
    if "device" in cells and not _DEVICE.fullmatch(cells["device"]):
        raise Rejected(Reason.DEVICE_MISSING, f"line {number}: no device, or over 80 characters")
    if not cells["register"]:
        raise Rejected(Reason.CODE_MALFORMED, f"line {number}: no register")
    at_ms = _time(cells["at"], declared, number)
    if at_ms is None:
        cautions.setdefault(CsvCautionReason.TIME_AMBIGUOUS, []).append(number)
    is_good = not declared.good or cells["status"] in declared.good
    if not is_good:
        cautions.setdefault(CsvCautionReason.STATUS_NOT_GOOD, []).append(number)
    obis = parse(cells["register"], decimal=True)
    return Reading(
        cells.get("device", ""),
        at_ms,
        obis.text if obis else cells["register"],
        _number(cells["value"], declared.decimal, number),
        cells["unit"],
        usable=is_good and at_ms is not None,
        obis=obis,
    )


def _time(text: str, declared: Declaration, number: int) -> int | None:
    """Return Unix milliseconds; None for a local time that stands twice or never in its zone."""
    match = declared.time.fullmatch(text)
    try:
        if not match:
            raise ValueError
        part = match.groupdict()
        moment = datetime(
            int(part.get("year") or f"20{part['short']}"),
            *(int(part.get(name) or 0) for name in ("month", "day", "hour", "minute", "second")),
            int((part.get("fraction") or "0").ljust(3, "0")) * 1_000,
        )
        if declared.zone is None:
            return _milliseconds(moment.replace(tzinfo=_offset(part["offset"])))
        times = {_milliseconds(moment.replace(tzinfo=declared.zone, fold=fold)) for fold in (0, 1)}
    except (ValueError, OverflowError):
        detail = f"line {number}: {text!r:.40} is no time of the declared form"
        raise Rejected(Reason.TIME_MALFORMED, detail) from None
    return times.pop() if len(times) == 1 else None


def _milliseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _offset(text: str) -> timezone:
    if text == "Z":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-offset if text[0] == "-" else offset)


def _number(text: str, decimal: str, number: int) -> str:
    """Return a decimal as text with a point; there are no thousands separators."""
    sign = re.escape(decimal)
    match = re.fullmatch(rf"([+-]?)([0-9]{{1,30}})(?:{sign}([0-9]{{1,30}}))?", text, re.ASCII)
    if not match:
        detail = f"line {number}: {text!r:.40} is no number with the decimal sign {decimal!r}"
        raise Rejected(Reason.NUMBER_OUT_OF_RANGE, detail)
    whole = match[2].lstrip("0") or "0"
    return ("-" if match[1] == "-" else "") + whole + (f".{match[3]}" if match[3] else "")


def _findings(cautions: dict[CsvCautionReason, list[int]]) -> Iterator[Finding]:
    for reason, numbers in cautions.items():
        listed = ", ".join(map(str, numbers[:10])) + (" and more" if len(numbers) > 10 else "")
        yield reason, f"{len(numbers)} rows: lines {listed}"
