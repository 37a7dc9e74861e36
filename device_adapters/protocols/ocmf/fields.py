"""The single fields of an OCMF record as exact values: counter, device, time, register.

Source: OCMF specification, tables 1 to 3, 7, 19 and 20.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from device_adapters.types import STREAM_BIT, Place, Reason, Rejected, canonical_name

MAX_REGISTER = 2**63  # mWh
_MAX_NAME = 100
_ENERGY = {"kwh": ("kWh", 1_000_000), "wh": ("Wh", 1_000)}  # table 20; mWh in one of the unit
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
    """Return the name of the device that a record is about.

    The meter serial (MS), else the gateway serial (GS), else the charge point as "CT:CI", such as
    "EVSEID:DE*ABC*E1*1" (specification, "Relation of Serial Numbers").

    Raises:
        Rejected: DEVICE_MISSING.
    """
    names = (name_of(payload.get("MS")), name_of(payload.get("GS")), charge_point_of(payload))
    for name in names:
        if name and len(name) <= _MAX_NAME and name.isprintable():
            return name
    detail = "it has no serial number (MS or GS) and no charge point (CT and CI)"
    raise Rejected(Reason.DEVICE_MISSING, detail)


def gateway_of(payload: dict[str, Any]) -> str:
    """Return the gateway that may have signed for the meter: GS, where MS is another name."""
    gateway, device = name_of(payload.get("GS")), device_of(payload)
    fits = len(gateway) <= _MAX_NAME and gateway.isprintable()
    return gateway if fits and name_of(payload.get("MS")) == device != gateway else ""


def signer_of(payload: dict[str, Any]) -> str:
    """Return the component that signs, and so counts the pages (PG): the gateway, else the meter.

    Raises:
        Rejected: DEVICE_MISSING.
    """
    return gateway_of(payload) or device_of(payload)


def name_of(serial: object) -> str:
    """Return a serial number as a device's name; "" for none."""
    return canonical_name(str(serial)) if isinstance(serial, str | int | Decimal) else ""


def charge_point_of(payload: dict[str, Any]) -> str:
    """Return the charge point as "CT:CI", or "" where a part is missing."""
    kind, identity = payload.get("CT"), name_of(payload.get("CI"))
    kind = name_of(kind) if isinstance(kind, str) else ""
    return f"{kind}:{identity}" if kind and identity else ""


def place_of(meter: str, charge_point: str) -> Place | None:
    """Return the charge point of a meter, such as "EVSEID:DE*ABC*E1*1", or None.

    A gateway that signs for the meters behind it serves many charge points: it has no place.
    """
    fits = len(charge_point) <= _MAX_NAME and charge_point.isprintable()
    return Place(charge_point) if meter and charge_point and fits else None


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


def energy_unit(unit: object) -> tuple[str, int]:
    """Return the canonical spelling of a unit of energy (table 20), and its mWh.

    Raises:
        Rejected: UNIT_UNKNOWN for any other unit, such as kW.
    """
    known = _ENERGY.get(unit.strip().lower()) if isinstance(unit, str) else None
    if known is None:
        detail = f"the unit (RU) {unit!r:.40} is not one of energy: kWh or Wh (table 20)"
        raise Rejected(Reason.UNIT_UNKNOWN, detail)
    return known


def register_mwh(value: Decimal | int, scale: int) -> tuple[int, bool]:
    """Return whole milliwatt-hours, and whether the register is finer and was rounded down.

    Each reading is rounded down by itself, so the differences of a chain of readings add up to the
    difference of its ends: nothing accumulates.

    Raises:
        Rejected: NUMBER_OUT_OF_RANGE.
    """
    numerator, denominator = value.as_integer_ratio()
    register, rest = divmod(numerator * scale, denominator)
    if not 0 <= register < MAX_REGISTER:
        raise Rejected(Reason.NUMBER_OUT_OF_RANGE, f"a register of {value}")
    return register, bool(rest)


def clock_of(state: str) -> str:
    """Return U, I, S or R; a state that is not in the specification counts as unknown (U)."""
    return state if state in ("I", "S", "R") else "U"
