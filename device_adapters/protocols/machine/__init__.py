"""Machine: what an ATM or a kiosk says of its own service; README.md is the page for partners.

The sealed record's event is a "sensor.reading" about `about`, with the readings `in_service` (1 or
0) and `cash`.
"""

from __future__ import annotations

from typing import Any

from device_adapters import strict_json
from device_adapters.content import Content, Reading
from device_adapters.types import Reason, Rejected, canonical_name, is_device_name

UNSIGNED = True
FORMATS = ("machine 1",)
IN_SERVICE, CASH = "in_service", "cash"  # names of the readings
_UP = ("online", "deviceBusy")
_DOWN = (
    *("offline", "powerOff", "noDevice", "hardwareError", "userError", "fraudAttempt"),
    *("potentialFraud", "starting"),
)
_REQUIRED = {"machine", "about", "at", "device"}
_MOST_CASH, _LAST_MS = 1_000_000, 1 << 50


def recognise(data: bytes) -> bool:
    """Return whether bytes begin like an object of this protocol."""
    return data.lstrip()[:1] == b"{" and b'"machine"' in data[:200]


def read(content: bytes) -> Content:
    """Return whether the machine serves (1 or 0), and its cash.

    Raises:
        Rejected: the object is not exactly one of version 1.
    """
    try:
        fields = strict_json.decode(content.decode())
    except UnicodeDecodeError:
        raise Rejected(Reason.NOT_UTF8, "the object is not UTF-8") from None
    if not isinstance(fields, dict) or not _REQUIRED <= set(fields) <= {*_REQUIRED, "cash"}:
        raise Rejected(Reason.MALFORMED, "machine, about, at and device are required, cash may be")
    name, about, at, state = (fields[key] for key in ("machine", "about", "at", "device"))
    if not all(isinstance(text, str) and is_device_name(text) for text in (name, about)):
        raise Rejected(Reason.DEVICE_MISSING, "machine and about are names of 1 to 64 characters")
    _number(at, "at", _LAST_MS)
    if state not in _UP + _DOWN:
        detail = f"{state!r:.40} is no state of a device in XFS4IoT"
        raise Rejected(Reason.VOCABULARY_UNKNOWN, detail)
    values = [(IN_SERVICE, int(state in _UP))]
    if "cash" in fields:
        values.append((CASH, _number(fields["cash"], "cash", _MOST_CASH)))
    return Content(
        tuple(Reading(canonical_name(name), at, what, str(value), "") for what, value in values),
        shown={"device": state},
        subject=about,
    )


def _number(value: Any, name: str, end: int) -> int:
    if type(value) is not int or not 0 <= value < end:
        raise Rejected(Reason.NUMBER_OUT_OF_RANGE, f"{name} is not from 0 to {end - 1}")
    return value


_STATE = b'{"machine":"ATM-7","about":"atm:7","at":1767222000000,"device":"online","cash":4200}'
EXAMPLES = (
    ("a machine in service", _STATE, {"device": "ATM-7", "register": IN_SERVICE, "value": "1"}),
    ("out of order", _STATE.replace(b"online", b"hardwareError"), {"value": "0"}),
    ("an unknown state", _STATE.replace(b"online", b"fine"), Reason.VOCABULARY_UNKNOWN),
    ("a member too many", _STATE.replace(b"{", b'{"mood":1,'), Reason.MALFORMED),
    ("no whole number", _STATE.replace(b"4200", b"-1"), Reason.NUMBER_OUT_OF_RANGE),
    ("a machine without name", _STATE.replace(b"ATM-7", b""), Reason.DEVICE_MISSING),
)
