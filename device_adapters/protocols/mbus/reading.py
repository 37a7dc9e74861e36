"""Recognises the two forms, and reads what wmbusmeters writes."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from device_adapters import strict_json
from device_adapters.content import Content, Reading
from device_adapters.protocols.mbus.frame import as_bytes, is_frame, read_frame
from device_adapters.registers import Register
from device_adapters.types import Reason, Rejected

MAX_BYTES = 16 * 1024
IMPORT, EXPORT = (Register(bytes([1, 0, group, 8, 0, 255])) for group in (1, 2))
_ELECTRICITY = "electricity"
# names of wmbusmeters ("Common field names" of its manual) that are the total registers
_TOTALS = {
    "total_energy_consumption_kwh": IMPORT,
    "total_energy_production_kwh": EXPORT,
}
_UNITS = {"kwh": "kWh", "mj": "MJ", "m3": "m3", "kw": "kW", "c": "Cel", "v": "V", "a": "A"}
_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,9})?", re.ASCII)


def recognise(data: bytes) -> bool:
    """Return whether the bytes are a frame, raw or as hex text, or look like wmbusmeters' JSON."""
    if is_frame(as_bytes(data)):
        return True
    start = data.lstrip()[:4_000]
    return start.startswith(b"{") and all(
        name in start for name in (b'"meter"', b'"id"', b'"timestamp"')
    )


def read(content: bytes) -> Content:
    """Return the readings of one frame or one JSON object.

    Raises:
        Rejected: TOO_LARGE, EMPTY, MALFORMED, TRUNCATED, NUMBER_OUT_OF_RANGE, READING_MISSING, or
            the reason why the JSON cannot be read.
    """
    if len(content) > MAX_BYTES:
        raise Rejected(Reason.TOO_LARGE, f"more than {MAX_BYTES} bytes")
    if not content.strip():
        raise Rejected(Reason.EMPTY, "the content is empty")
    return _json(content) if content.lstrip().startswith(b"{") else read_frame(as_bytes(content))


def _json(content: bytes) -> Content:
    try:
        fields = strict_json.decode(content.decode().strip())
    except UnicodeDecodeError:
        raise Rejected(Reason.NOT_UTF8, "the JSON is not UTF-8") from None
    if not isinstance(fields, dict):
        raise Rejected(Reason.WRONG_TYPE, "the JSON of wmbusmeters is not an object")
    device, at_ms = fields.get("id"), _time(fields.get("timestamp"))
    if not isinstance(device, str) or not device.strip() or not device.isprintable():
        raise Rejected(Reason.DEVICE_MISSING, "the JSON of wmbusmeters names no meter (id)")
    is_electric = fields.get("media") == _ELECTRICITY
    readings = [
        _reading(device.strip(), at_ms, name, value, is_electric)
        for name, value in fields.items()
        if _is_number(value) and name.rpartition("_")[2] in _UNITS
    ]
    if not readings:
        raise Rejected(Reason.READING_MISSING, "the JSON of wmbusmeters has no value with a unit")
    shown = {name: str(value)[:200] for name, value in fields.items() if not _is_number(value)}
    return Content(tuple(readings), (), shown)


def _reading(device: str, at_ms: int, name: str, value: Any, is_electric: bool) -> Reading:
    number = f"{value:f}" if not isinstance(value, int) else str(value)
    if not _NUMBER.fullmatch(number):
        raise Rejected(Reason.NUMBER_OUT_OF_RANGE, f"{name} is {number[:40]}")
    register = _TOTALS.get(name) if is_electric else None
    unit = _UNITS[name.rpartition("_")[2]]
    return Reading(device, at_ms, register.text if register else name, number, unit, obis=register)


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool | str | dict | list) and value is not None


def _time(text: Any) -> int:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise Rejected(Reason.TIME_WITHOUT_ZONE, f"the timestamp has no zone: {text[:40]!r}")
        return int(moment.timestamp() * 1000)
    except (TypeError, ValueError, OverflowError):
        raise Rejected(Reason.TIME_MALFORMED, f"the timestamp is {text!r:.40}") from None
