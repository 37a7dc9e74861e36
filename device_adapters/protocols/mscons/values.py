"""Reads the values of MSCONS messages: which meter, which register, when, how much, how sure.

Source: EDI@Energy, MSCONS message implementation guide 2.2 to 2.5 (segments UNH, BGM, LOC, RFF,
LIN, PIA, QTY, DTM, STS). A segment belongs to the position, meter and message before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

from device_adapters.content import Content, Reading
from device_adapters.protocols.mscons.interchange import Interchange, Segment, read_interchange
from device_adapters.registers import Register, parse
from device_adapters.types import Reason, Rejected
from device_adapters.verdicts import Finding

MAX_READINGS = 50_000
_TRUE = "220"
_STATUS = {  # QTY, qualifier 6063
    _TRUE: "true value",
    "67": "substitute value",
    "201": "proposed value",
    "20": "value not usable",
    "187": "forecast value",
    "79": "summed quantity",
    "Z18": "provisional value",
}
_UNITS = {"KWH": "kWh", "WHR": "Wh", "MWH": "MWh", "KWT": "kW", "MTQ": "m3", "K3": "kvarh"}
_ORIGINAL, _CANCELLED = "9", "1"  # BGM, message function 1225
_MOMENT = re.compile(
    r"([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([+-])([0-9]{2})", re.ASCII
)
_AT, _READ_ON, _FROM, _TO = "7", "9", "163", "164"  # DTM, qualifier 2005
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,79}", re.ASCII)


class MsconsCautionReason(StrEnum):
    """What an auditor should know about a file. Stable codes."""

    NOT_A_TRUE_VALUE = "not_a_true_value"  # a substitute, forecast, provisional or unusable value
    CANCELLED = "cancelled"  # a message that cancels an earlier one
    TIME_MISSING = "time_missing"  # a date only, or nothing
    UNIT_MISSING = "unit_missing"
    INTERVAL = "interval"  # an amount of a period, not the state of a register


@dataclass
class _Quantity:
    """One QTY with the times after it; without any, those of its location count."""

    device: str
    register: str
    obis: Register | None
    segment: Segment
    is_cancelled: bool
    of_location: dict[str, int | None]
    times: dict[str, int | None] = field(default_factory=dict)
    states: list[str] = field(default_factory=list)


def read(content: bytes) -> Content:
    """Return the values of all messages of an interchange, in file order.

    Raises:
        Rejected: it is no MSCONS interchange, or the meter, register, number or time of a value
            cannot be read.
    """
    interchange = read_interchange(content)
    cautions: dict[MsconsCautionReason, int] = {}
    shown: dict[str, Any] = {
        "sender": interchange.header.at(1),
        "receiver": interchange.header.at(2),
        "reference": interchange.header.at(4),
        "messages": [],
    }
    readings = []
    for message in interchange.messages:
        for quantity in _quantities(message, shown):
            readings.append(_reading(quantity, interchange, cautions, shown))
            if len(readings) > MAX_READINGS:
                raise Rejected(Reason.TOO_MANY_RECORDS, f"over {MAX_READINGS} values in a file")
    if not readings:
        raise Rejected(Reason.READING_MISSING, "no message has a value (QTY)")
    counts = tuple((reason, f"{count} values") for reason, count in cautions.items())
    return Content(tuple(readings), _named(counts), shown)


def _named(cautions: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return tuple(sorted(cautions, key=lambda caution: caution[0].value))


def _quantities(message: list[Segment], shown: dict[str, Any]) -> Iterator[_Quantity]:
    """Yield the quantities of a message, each with its times."""
    head = message[0]
    if head.at(1) != "MSCONS":
        raise Rejected(Reason.MALFORMED, f"a message {head.at(1)!r:.20}, not MSCONS")
    about: dict[str, Any] = {"version": head.at(1, 4), "meters": {}}
    shown["messages"].append(about)
    device, register, quantity, is_cancelled = "", "", None, False
    times: dict[str, int | None] = {}
    for segment in message[1:]:
        if quantity and segment.tag not in ("DTM", "STS"):
            yield quantity
            quantity = None
        match segment.tag:
            case "BGM":
                about["document"] = segment.at(1)
                is_cancelled = _is_cancelled(segment.at(2))
            case "NAD":
                device = register = ""
            case "LOC":
                device, register = (segment.at(1) if segment.at(0) == "172" else device), ""
                times = {}
            case "LIN":
                register = ""
            case "PIA":
                register = segment.at(1) if segment.at(0) == "5" else register
            case "RFF" if segment.at(0) == "MG" and device:
                about["meters"][device] = segment.at(0, 1)
            case "QTY":
                quantity = _quantity(device, register, segment, is_cancelled, times)
            case "DTM" if quantity or device:
                (quantity.times if quantity else times)[segment.at(0)] = _time(segment)
            case "STS" if quantity:
                quantity.states.append("+".join(":".join(parts) for parts in segment.elements))
    if quantity:
        yield quantity


def _is_cancelled(function: str) -> bool:
    if function not in (_ORIGINAL, _CANCELLED):
        detail = f"message function {function!r:.10}: only 9 (original) and 1 (cancels) are read"
        raise Rejected(Reason.MALFORMED, detail)
    return function == _CANCELLED


def _quantity(
    device: str,
    register: str,
    segment: Segment,
    is_cancelled: bool,
    times: dict[str, int | None],
) -> _Quantity:
    if not _DEVICE.fullmatch(device):
        detail = f"a value (QTY) of {device!r:.40}: LOC+172 must name its location"
        raise Rejected(Reason.DEVICE_MISSING, detail)
    obis = parse(register, decimal=True)
    if not register:
        detail = f"a value (QTY) of {device} without register: PIA+5 must name it"
        raise Rejected(Reason.CODE_MALFORMED, detail)
    name = obis.text if obis else register
    return _Quantity(device.strip(), name, obis, segment, is_cancelled, times)


def _time(segment: Segment) -> int | None:
    """Return Unix milliseconds of a DTM; None for a date without a time (format 102, 610...)."""
    text, form = segment.at(0, 1), segment.at(0, 2)
    if form == "203":
        detail = f"DTM {text!r:.30} has no time zone (format 203): write format 303"
        raise Rejected(Reason.TIME_WITHOUT_ZONE, detail)
    if form != "303":
        return None
    match = _MOMENT.fullmatch(text)
    try:
        if not match:
            raise ValueError
        year, month, day, hour, minute = (int(part) for part in match.groups()[:5])
        offset = timedelta(hours=int(match[7]) * (-1 if match[6] == "-" else 1))
        moment = datetime(year, month, day, hour, minute, tzinfo=timezone(offset))
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        raise Rejected(
            Reason.TIME_MALFORMED, f"DTM {text!r:.40} is no time of format 303"
        ) from None
    return since // timedelta(milliseconds=1)


def _reading(
    quantity: _Quantity,
    interchange: Interchange,
    cautions: dict[MsconsCautionReason, int],
    shown: dict[str, Any],
) -> Reading:
    code, value, unit = (quantity.segment.at(0, index) for index in range(3))
    if code not in _STATUS:
        detail = f"QTY+{code[:10]}: this qualifier says nothing known about the value"
        raise Rejected(Reason.VOCABULARY_UNKNOWN, detail)
    times = quantity.times or quantity.of_location
    is_interval = _FROM in times or _TO in times
    at_ms = times.get(_TO) if is_interval else times.get(_AT, times.get(_READ_ON))
    reasons = {
        MsconsCautionReason.NOT_A_TRUE_VALUE: code != _TRUE,
        MsconsCautionReason.CANCELLED: quantity.is_cancelled,
        MsconsCautionReason.TIME_MISSING: at_ms is None,
        MsconsCautionReason.UNIT_MISSING: not unit,
        MsconsCautionReason.INTERVAL: is_interval,
    }
    for reason in (reason for reason, holds in reasons.items() if holds):
        cautions[reason] = cautions.get(reason, 0) + 1
    reading = Reading(
        quantity.device,
        at_ms,
        quantity.register,
        _number(value, interchange.decimal),
        _UNITS.get(unit, unit),
        usable=code == _TRUE and not quantity.is_cancelled and at_ms is not None,
        obis=None if is_interval else quantity.obis,  # an amount of a period is no register
    )
    if code != _TRUE or is_interval or quantity.states:
        about = {"device": reading.device, "register": reading.register, "to": at_ms}
        about |= {"from": times.get(_FROM), "status": _STATUS[code], "sts": quantity.states}
        shown.setdefault("values", []).append(about)
    return reading


def _number(text: str, decimal: str) -> str:
    """Return a decimal as text with a point; EDI@Energy writes no thousands separators."""
    match = re.fullmatch(rf"(-?)([0-9]{{1,30}})(?:[{decimal}]([0-9]{{1,30}}))?", text, re.ASCII)
    if not match:
        raise Rejected(Reason.NUMBER_OUT_OF_RANGE, f"QTY {text!r:.40} is no decimal number")
    whole = match[2].lstrip("0") or "0"
    return f"{match[1]}{whole}" + (f".{match[3]}" if match[3] else "")
