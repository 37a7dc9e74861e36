"""Reads sensorElementList: temperatures in centi-degrees Celsius, accelerations in milli-g.

Units are UN/ECE Recommendation 20 codes, as EPCIS 2.0 section 7.3.7 asks for; the symbols [g] and
m/s2 are also supported. Any other unit is returned as written.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

from device_adapters.protocols.epcis import text as words
from device_adapters.protocols.epcis.notes import Notes

_G = Fraction(980_665, 100_000)  # m/s2 of one g (CGPM 1901)
# unit as written -> (our unit, factor, offset): ours = (written - offset) x factor
_SCALES: dict[str, tuple[str, Fraction, Fraction]] = {
    "CEL": ("centi_celsius", Fraction(100), Fraction(0)),
    "FAH": ("centi_celsius", Fraction(500, 9), Fraction(32)),
    "KEL": ("centi_celsius", Fraction(100), Fraction(27_315, 100)),
    "K40": ("milli_g", Fraction(1_000), Fraction(0)),
    "[g]": ("milli_g", Fraction(1_000), Fraction(0)),
    "MSK": ("milli_g", 1_000 / _G, Fraction(0)),
    "m/s2": ("milli_g", 1_000 / _G, Fraction(0)),
}
_NUMBERS = ("value", "minValue", "maxValue", "meanValue", "sDev", "percRank", "percValue")
_OTHER_VALUES = (
    "stringValue",
    "booleanValue",
    "hexBinaryValue",
    "uriValue",
    "component",
    "exception",
)
_LIMIT = 2**62


def read_sensors(event: dict[str, Any], at_ms: int, notes: Notes) -> list[dict[str, Any]]:
    """Return the reports of an event, in order.

    Args:
        at_ms: the event's own time, for reports without one.

    Returns:
        The members of "sensors" in `facts`.
    """
    sensors = []
    for metadata, report in _reports(event, notes):
        kind = notes.text(report, "type")
        word, _, is_known = words.read_word(words.MEASURES, kind)
        if kind and not is_known:
            notes.warn_word(words.MEASURES, kind)
        uom = notes.text(report, "uom")
        scaled = {name: _scaled(report.get(name), uom, notes) for name in _NUMBERS[:3]}
        sensors.append(
            {"type": word, "unit": _SCALES[uom][0] if uom in _SCALES else uom}
            | {"min": scaled["minValue"], "max": scaled["maxValue"], "value": scaled["value"]}
            | {"at_ms": _at_ms(metadata, report, at_ms, notes)}
            | {"device": notes.text(report, "deviceID") or notes.text(metadata, "deviceID")}
            | {"said": _as_written(report, uom)}
        )
    return sensors


def read_position(event: dict[str, Any], notes: Notes) -> tuple[int, int] | None:
    """Return (latitude, longitude) x 10^7 if reports have both components, else None."""
    degrees = {}
    for _, report in _reports(event, notes):
        word = words.read_word(words.COMPONENTS, notes.text(report, "component"))[0]
        if word in ("latitude", "longitude") and _is_number(report.get("value")):
            degrees[word] = round(Fraction(report["value"]) * 10**7)
    return degrees_e7(degrees["latitude"], degrees["longitude"]) if len(degrees) == 2 else None


def degrees_e7(latitude: int, longitude: int) -> tuple[int, int] | None:
    """Return the pair if it is a point on Earth (degrees x 10^7), else None."""
    on_earth = abs(latitude) <= 90 * 10**7 and abs(longitude) <= 180 * 10**7
    return (latitude, longitude) if on_earth else None


def _reports(
    event: dict[str, Any], notes: Notes
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for element in notes.objects(event, "sensorElementList"):
        metadata = element.get("sensorMetadata", {})
        for report in notes.objects(element, "sensorReport"):
            yield metadata if isinstance(metadata, dict) else {}, report


def _at_ms(metadata: dict[str, Any], report: dict[str, Any], at_ms: int, notes: Notes) -> int:
    for fields, name in ((report, "time"), (metadata, "endTime"), (metadata, "time")):
        if name in fields:
            return notes.time_ms(fields, name)
    return at_ms


def _as_written(report: dict[str, Any], uom: str) -> dict[str, str]:
    """Return the numbers, other values and unit of a report, exactly as written."""
    numbers = {name: str(report[name]) for name in _NUMBERS if _is_number(report.get(name))}
    others = {
        name: str(report[name])
        for name in _OTHER_VALUES
        if isinstance(report.get(name), str | bool)
    }
    return numbers | others | ({"uom": uom} if uom else {})


def _scaled(value: Any, uom: str, notes: Notes) -> int | None:
    if uom not in _SCALES or not _is_number(value):
        return None
    _, factor, offset = _SCALES[uom]
    whole = round((Fraction(value) - offset) * factor)  # half to even
    if abs(whole) >= _LIMIT:
        notes.out_of_range(f"{value} {uom}")
        return None
    return whole


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)
