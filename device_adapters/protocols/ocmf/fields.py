"""The single fields of an OCMF record as exact values: counter, device, time, register.

Source: OCMF specification, tables 1 to 3, 7, 19 and 20.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from device_adapters.types import STREAM_BIT, Place, Reason, Rejected

MAX_REGISTER = 2**63  # mWh
_MAX_NAME = 100
_MILLIWATT_HOURS = {"kwh": 1_000_000, "wh": 1_000}
_EPOCH, _SECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(seconds=1)
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])"
    r"(?:[.,]([0-9]{1,9}))?(Z|[+-][0-9]{2}:?[0-9]{2})?(?:\s+(\S+))?"
)
_PAGINATION = re.compile(r"([TF])([0-9]{1,15})")


def counter_of(pagination: object) -> int:
    """Return the device's counter in a pagination: T<n> gives n, F<n> gives 2^39 + n.

    Raises:
        Rejected: COUNTER_MISSING or NUMBER_OUT_OF_RANGE.
    """
    text = pagination.strip() if isinstance(pagination, str) else ""
    match = _PAGINATION.fullmatch(text)
    if match is None:
        raise Rejected(Reason.COUNTER_MISSING, "the pagination (PG) is not T or F and a number")
    number = int(match[2])
    if number >> STREAM_BIT:
        raise Rejected(Reason.NUMBER_OUT_OF_RANGE, f"pagination {text} is beyond 2^{STREAM_BIT}")
    return number | (match[1] == "F") << STREAM_BIT


def device_of(payload: dict[str, Any]) -> str:
    """Return the signing device's name: the meter serial (MS), else the gateway serial (GS)."""
    for key in ("MS", "GS"):
        name = str(payload.get(key, "")).strip() if payload.get(key) is not None else ""
        if name and len(name) <= _MAX_NAME and name.isprintable():
            return name
    raise Rejected(Reason.DEVICE_MISSING, "neither MS nor GS has a serial number")


def place_of(meter: object, kind: object, charge_point: object) -> Place | None:
    """Return the charge point of a meter, such as "EVSEID:DE*ABC*E1*1", or None.

    A gateway that signs for the meters behind it serves many charge points: it has no place.
    """
    values = [value.strip() if isinstance(value, str) else "" for value in (kind, charge_point)]
    name = ":".join(values)
    complete = all(values) and str(meter or "").strip()
    return Place(name) if complete and len(name) <= _MAX_NAME and name.isprintable() else None


def read_time(text: object) -> tuple[int, str]:
    """Return (Unix milliseconds, clock state); Rejected (TIME_MALFORMED, TIME_WITHOUT_ZONE)."""
    match = _TIME.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise Rejected(Reason.TIME_MALFORMED, f"the time (TM) is {text!r:.60}")
    day, hours, minutes, seconds, fraction, zone, state = match.groups()
    if zone is None:
        raise Rejected(Reason.TIME_WITHOUT_ZONE, f"the time (TM) has no zone: {text!r:.60}")
    whole = _midnight(day, zone) + (int(hours) * 60 + int(minutes)) * 60 + int(seconds)
    if whole < 0:
        raise Rejected(Reason.TIME_MALFORMED, f"before 1970: {text!r:.60}")
    return whole * 1_000 + int(((fraction or "") + "000")[:3]), clock_of(state or "U")


@lru_cache(maxsize=1_024)
def _midnight(day: str, zone: str) -> int:
    """Return Unix seconds at the day's begin in that zone; a fleet's records share a few."""
    try:
        return (datetime.fromisoformat(f"{day}T00:00:00{zone}") - _EPOCH) // _SECOND
    except (ValueError, OverflowError):
        raise Rejected(Reason.TIME_MALFORMED, f"no such time: {day} {zone}") from None


def register_mwh(value: Decimal | int, unit: object) -> int:
    """Return exact milliwatt-hours.

    Raises:
        Rejected: UNIT_UNKNOWN, TOO_PRECISE or NUMBER_OUT_OF_RANGE.
    """
    scale = _MILLIWATT_HOURS.get(unit.lower()) if isinstance(unit, str) else None
    if scale is None:
        raise Rejected(Reason.UNIT_UNKNOWN, f"the unit (RU) of a register is {unit!r:.40}")
    numerator, denominator = value.as_integer_ratio()
    register, rest = divmod(numerator * scale, denominator)
    if not 0 <= register < MAX_REGISTER:
        raise Rejected(Reason.NUMBER_OUT_OF_RANGE, f"a register of {value} {unit}")
    if rest:
        raise Rejected(Reason.TOO_PRECISE, f"{value} {unit} is finer than a milliwatt-hour")
    return register


def clock_of(state: str) -> str:
    """Return U, I, S or R; a state that is not in the specification counts as unknown (U)."""
    return state if state in ("I", "S", "R") else "U"
