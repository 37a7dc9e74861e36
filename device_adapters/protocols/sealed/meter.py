"""The facts of a foreign protocol's content: registers of the meter that the envelope is about."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from device_adapters.content import Content, Reading
from device_adapters.registers import Direction
from device_adapters.strict_json import exact_decimal
from device_adapters.types import Reason, Rejected, canonical_name

METER, SENSOR = "meter.reading", "sensor.reading"
MAX_REGISTER = 1 << 63  # mWh
_MILLIWATT_HOURS = {  # mWh in lower case would be milliwatt-hours: only MWh is read
    "Wh": Fraction(1_000),
    "wh": Fraction(1_000),
    "WH": Fraction(1_000),
    "kWh": Fraction(1_000_000),
    "kwh": Fraction(1_000_000),
    "KWH": Fraction(1_000_000),
    "MWh": Fraction(1_000_000_000),
    "J": Fraction(1_000, 3_600),
}


def facts_of(content: Content, sub: str, sealed_at_ms: int) -> tuple[str, dict[str, Any], int]:
    """Return (kind, facts, Unix ms of the last reading) of what a content says about `sub`.

    Facts of a "meter.reading": {"readings": [{"at" ms, "mark" "", "register" mWh, "obis",
    "clock", "status", "flags" ""}] for every register of total active energy, "others": readings
    that are shown only, "other_meters": names, "cautions": codes}. Of a "sensor.reading": the
    same, with `readings` as `Reading.as_json` has them.

    A value is rounded down to the mWh. Clock: S where the content has a time, U where only the
    time of sealing is known. Status: G, or S for a value that the content marks as not usable.

    Raises:
        Rejected: READING_MISSING, UNIT_UNKNOWN or NUMBER_OUT_OF_RANGE.
    """
    own = [reading for reading in content.readings if _is_of(reading.device, sub)]
    strangers = {r.device for r in content.readings if not _is_of(r.device, sub)}
    if not own:
        named = f"; it names {', '.join(sorted(strangers))[:100]}" if strangers else ""
        raise Rejected(Reason.READING_MISSING, f"the content has no reading of {sub[:60]!r}{named}")
    energy = [reading for reading in own if is_energy(reading)]
    others = [reading.as_json() for reading in own if not is_energy(reading)]
    shared = {
        "other_meters": sorted(strangers),
        "cautions": sorted({code.value for code, _ in content.cautions}),
    }
    if not energy:
        times = [reading.at_ms for reading in own if reading.at_ms is not None]
        last_ms = _plausible(max(times, default=sealed_at_ms))
        return SENSOR, {"readings": others, "others": [], **shared}, last_ms
    readings = [_fact(reading, sealed_at_ms) for reading in energy]
    last_ms = max(fact["at"] for fact in readings)
    return METER, {"readings": readings, "others": others, **shared}, last_ms


def is_energy(reading: Reading) -> bool:
    """Return whether a reading is of a register of total active energy."""
    return reading.obis is not None and reading.obis.direction is not Direction.OTHER


def register_mwh(value: str, unit: str) -> int:
    """Return whole milliwatt-hours, rounded down; Rejected where they are unknown or too many."""
    scale = _MILLIWATT_HOURS.get(unit)
    if scale is None:
        raise Rejected(Reason.UNIT_UNKNOWN, f"a register in {unit!r:.40} is no energy that counts")
    register = Fraction(exact_decimal(value)) * scale
    if not 0 <= register < MAX_REGISTER:
        raise Rejected(Reason.NUMBER_OUT_OF_RANGE, f"a register of {value:.40} {unit}")
    return int(register)


def _fact(reading: Reading, sealed_at_ms: int) -> dict[str, Any]:
    return {
        "at": sealed_at_ms if reading.at_ms is None else _plausible(reading.at_ms),
        "mark": "",
        "register": register_mwh(reading.value, reading.unit),
        "obis": reading.obis.text if reading.obis else "",
        "clock": "U" if reading.at_ms is None else "S",
        "status": "G" if reading.usable else "S",
        "flags": "",
    }


def _plausible(at_ms: int) -> int:
    if not 0 <= at_ms < MAX_REGISTER:
        raise Rejected(Reason.TIME_MALFORMED, f"a reading of {at_ms} ms after 1970")
    return at_ms


def _is_of(device: str, sub: str) -> bool:
    """Return whether a reading of this name, or of none, is the sub's."""
    return not device or canonical_name(device) == sub
