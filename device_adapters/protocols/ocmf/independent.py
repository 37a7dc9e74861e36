"""A second reader of OCMF: the maintained library pyocmf alone, for oracles of another opinion.

It shares no code with `plain`, `rules`, `fields`, `sections` and `sessions`, so that one bug in
either reader gives two claims that differ, and no quorum. It is slower, reads one record at a time,
and is stricter about form: what pyocmf does not accept it rejects as malformed, where the other
reader may accept it with a caution.
"""

from __future__ import annotations

import base64
import re
import warnings
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from threading import Lock
from typing import Any

from pyocmf import (
    OCMF,
    IssueCode,
    IssueSeverity,
    Payload,
    PyOCMFError,
    Reading,
    check_eichrecht_payload,
)

from device_adapters.keys import raw_to_der
from device_adapters.types import (
    STREAM_BIT,
    Curve,
    Event,
    Place,
    Reason,
    Rejected,
    Signed,
    canonical_name,
)

_UNITS = {"kwh": ("kWh", 1_000_000), "wh": ("Wh", 1_000)}
_STATES = frozenset("ISR")
_SETTLEABLE = {"G", "S", "X"}  # fiscal records: the product may settle them
_NO_IDENTIFICATION = {"MISMATCH", "INVALID", "OUTDATED", "UNKNOWN"}
_OBIS = re.compile(
    r"(?:([0-9A-F]{1,2})-([0-9A-F]{1,2}):)?([0-9A-F]{1,2})\.([0-9A-F]{1,2})\.([0-9A-F]{1,2})"
    r"(?:[*.&]([0-9A-F]{1,3}))?",
    re.IGNORECASE,
)
_ENERGY = {*range(0xB0, 0xB4), *range(0xC0, 0xC4), 0x01, 0x02, 0x98, 0x9E}  # group C
_EPOCH, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
_WARNINGS = Lock()  # Python's warning filters are global to the process


def decode(record: bytes) -> Event:
    """Return the meter reading in one record, as `ocmf.decode` describes it. Pure.

    Raises:
        Rejected: with a `Reason`, not always the one that `ocmf.decode` gives.
    """
    try:
        with _WARNINGS, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            document = OCMF.from_string(record.decode().strip())
            return _event(document, record)
    except UnicodeDecodeError as error:
        raise Rejected(Reason.NOT_UTF8, f"byte {error.start} is not UTF-8") from None
    except (PyOCMFError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise Rejected(Reason.MALFORMED, f"pyocmf: {error}"[:300]) from None


def _event(document: OCMF, record: bytes) -> Event:
    payload = document.payload
    readings, errors = _readings(payload.RD)
    device, gateway, counter = *_names(payload), _counter(payload.PG)
    fiscal = bool(counter >> STREAM_BIT)
    point = _charge_point(payload)
    facts: dict[str, Any] = {"readings": readings} | ({"errors": errors} if errors else {})
    facts |= {
        "format": _text(payload.FV),
        "pagination": _text(payload.PG),
        "tariff": _text(payload.TT),
        "meter": canonical_name(_text(payload.MS)),
        "gateway": canonical_name(_text(payload.GS)),
        "charge_point": point,
        "cautions": [],
    }
    return Event(
        device,
        counter,
        readings[-1]["at"] if readings else _milliseconds(payload.RD[-1]),
        "meter.reading",
        facts,
        record,
        _signed(document),
        not_billable=_not_billable(payload, readings, fiscal),
        place=Place(point) if point and _text(payload.MS) else None,
        gateway=gateway,
    )


def _readings(items: list[Reading]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the readings of registers of energy, and the errors of others without a value."""
    readings: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for item in items:
        code = _register(str(item.RI)) if item.RI is not None else ""
        entry = {
            "at": _milliseconds(item),
            "clock": str(item.time_status) if str(item.time_status) in _STATES else "U",
            "mark": str(item.TX or ""),
            "status": str(item.ST or ""),
            "flags": item.EF or "",
        }
        unit = _UNITS.get(str(item.RU or "").strip().lower())
        if code and item.RV is not None:
            if unit is None:
                raise Rejected(Reason.UNIT_UNKNOWN, f"the unit (RU) is {str(item.RU)!r:.40}")
            value = (Decimal(item.RV) * unit[1]).to_integral_value(ROUND_FLOOR)
            if not 0 <= value < 2**63:
                raise Rejected(Reason.NUMBER_OUT_OF_RANGE, f"a register of {item.RV}")
            readings.append(entry | {"register": int(value), "unit": unit[0], "obis": code})
        elif "E" in entry["flags"] or (entry["mark"] == "X" and entry["flags"] != "t"):
            errors.append(entry | {"obis": code, "before": len(readings)})
    return readings, errors


def _milliseconds(item: Reading) -> int:
    if item.timestamp.tzinfo is None:
        raise Rejected(Reason.TIME_WITHOUT_ZONE, f"the time (TM) has no zone: {item.TM}")
    return (item.timestamp - _EPOCH) // _MILLISECOND


def _register(text: str) -> str:
    """Return the canonical code of a total register of active energy; "" for any other."""
    match = _OBIS.fullmatch("".join(text.split()).rstrip("*"))
    if match is None:
        return ""
    a, b, c, d, e = (
        int(part or default, 16)
        for part, default in zip(match.groups()[:5], ("1", "0", "", "", ""), strict=True)
    )
    last = {None: 0xFF, "255": 0xFF, "200": 0x00}.get(match[6])
    f = int(match[6], 16) if last is None else last
    if (a, d, e) != (1, 8, 0) or c not in _ENERGY or f not in (0x00, 0xFF):
        return ""
    return f"{a:02X}-{b:02X}:{c:02X}.{d:02X}.{e:02X}*{f:02X}"


def _names(payload: Payload) -> tuple[str, str]:
    """Return the device that the record is about, and the gateway that may have signed it."""
    meter, gateway = (canonical_name(_text(name)) for name in (payload.MS, payload.GS))
    device = meter or gateway or _charge_point(payload)
    if not device:
        raise Rejected(Reason.DEVICE_MISSING, "neither MS nor GS nor a charge point")
    return device, gateway if meter and gateway != meter else ""


def _charge_point(payload: Payload) -> str:
    kind, identity = _text(payload.CT), canonical_name(_text(payload.CI))
    return f"{kind}:{identity}" if kind and identity else ""


def _counter(pagination: object) -> int:
    text = _text(pagination)
    if text[:1] not in ("T", "F") or not text[1:].isdecimal() or not text.isascii():
        raise Rejected(Reason.COUNTER_MISSING, "the pagination (PG) is not T or F and a number")
    number = int(text[1:])
    if number >> STREAM_BIT:
        raise Rejected(Reason.NUMBER_OUT_OF_RANGE, f"pagination {text} is beyond 2^{STREAM_BIT}")
    return number + ((text[0] == "F") << STREAM_BIT)


def _not_billable(
    payload: Payload, readings: list[dict[str, Any]], fiscal: bool
) -> tuple[str, ...]:
    """Return why pyocmf's compliance checks call the record not billable, register by register.

    An error of the energy during a session is left to who charges: what came before it counts. So
    are the states of fiscal readings, and a begin or an end that stands in another record.
    """
    if str(payload.IL or "") in _NO_IDENTIFICATION:
        return ("identification_level_invalid",)
    if not readings:
        return ("no_billing_register",)
    left = {IssueCode.BEGIN_TX, IssueCode.END_TX}
    if not fiscal and any(reading["mark"] for reading in readings):
        left.add(IssueCode.ERROR_FLAGS)
    if fiscal and {reading["status"] for reading in readings} <= _SETTLEABLE:
        left |= {IssueCode.METER_STATUS, IssueCode.VALUE_REGRESSION, IssueCode.TIME_REGRESSION}
    codes = []
    for code in sorted({str(item.RI) for item in payload.RD if item.RI is not None}):
        own = [item for item in payload.RD if str(item.RI) == code]
        issues = check_eichrecht_payload(payload.model_copy(update={"RD": own}))
        errors = [i for i in issues if i.severity == IssueSeverity.ERROR and i.code not in left]
        if _register(code) and not errors:
            return ()
        codes += [error.code.value for error in errors if _register(code)]
    return tuple(dict.fromkeys(codes))


def _signed(document: OCMF) -> Signed:
    """Return the signature as DER over the text between the two pipes."""
    name = str(document.signature.SA or "ECDSA-secp256r1-SHA256")
    _, curve_name, digest = name.split("-")
    curves = {curve.value.lower(): curve for curve in Curve}
    curve = curves.get(re.sub("^brainpoolp?", "brainpoolp", curve_name.lower()))
    if curve is None or digest.lower() not in ("sha256", "sha512"):
        raise Rejected(Reason.SIGNATURE_ALGORITHM_UNKNOWN, f"{name[:60]!r} is not supported")
    data = "".join(document.signature.SD.split())
    try:
        raw = bytes.fromhex(data)
    except ValueError:
        raw = base64.b64decode(data, validate=True)
    der = raw if raw[:1] == b"\x30" else raw_to_der(raw)
    content = document._original_payload_json or ""  # the library keeps what was signed here
    return Signed(content.encode(), der, curve, digest.lower())


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()
