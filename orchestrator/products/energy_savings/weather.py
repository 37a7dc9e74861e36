"""From a reported month to degree days and watt-hours, by the site's meter and a station.

The site's device reports when a month begins and ends. Energy is what the register of the meter
rose between its first and its last reading in that time. Degree days (CalTRACK 2.0, 3.3.4
and 3.3.5): for each day the kelvins by which its mean temperature lies below `heat_below`, or above
`cool_above`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import NamedTuple

from device_adapters.registers import Direction, parse
from device_adapters.types import Event, device_id, is_device_name
from oracles.types import ClaimReason
from orchestrator.products.index import reports
from orchestrator.products.index.periods import Period, facts_of
from orchestrator.products.index.sensed import SensedValue, by_day, days_of, sensed
from orchestrator.products.index.tariff import (
    FULL,
    IndexTerms,
    decode_terms,
    encode_facts,
    malformed,
)

HEATING, COOLING, ENERGY = "heating", "cooling", "energy"
METRICS = (HEATING, COOLING, ENERGY)  # hundredths of degree days, twice; watt-hours
WAYS = (
    ("meter", "name of the site's meter"),
    ("station", "name of the station that measures the temperature outside"),
    ("heat_below", "degrees Celsius below which a site heats, such as 15.5"),
    ("cool_above", "degrees Celsius above which a site cools, such as 18"),
)
_METER = "meter.reading"


class WeatherWays(NamedTuple):
    """Names of meter and station, and the temperatures in degrees Celsius."""

    meter: str
    station: str
    heat_below: Fraction
    cool_above: Fraction


def ways_of(terms: IndexTerms) -> WeatherWays:
    """Return the product's own terms; Rejected as `parse_ways`."""
    return parse_ways(dict(terms.ways))


def parse_ways(words: Mapping[str, str]) -> WeatherWays:
    """Return the product's own terms as typed; Rejected (FACTS_MALFORMED) names what is wrong."""
    if missing := [name for name, _ in WAYS if name not in words]:
        raise malformed(f"{missing[0]} is missing: {dict(WAYS)[missing[0]]}")
    names = words["meter"], words["station"]
    if not all(map(is_device_name, names)) or names[0] == names[1]:
        raise malformed(f"meter and station are {names}, not two names of devices")
    try:
        below, above = (Decimal(words[name]) for name in ("heat_below", "cool_above"))
    except InvalidOperation:
        raise malformed("heat_below or cool_above is not a temperature") from None
    if not (below.is_finite() and above.is_finite() and below <= above):
        raise malformed("heat_below is above cool_above")
    return WeatherWays(*names, Fraction(below), Fraction(above))


def hears(terms: bytes) -> frozenset[bytes]:
    """Return the ids of meter and station."""
    ways = ways_of(decode_terms(terms))
    return frozenset((device_id(ways.meter), device_id(ways.station)))


def heard_period(
    terms: bytes, anchor: Event | None, events: Sequence[Event]
) -> tuple[int, int] | None:
    """Return the month that a report is about, in Unix milliseconds; both its ends count."""
    report = events[-1].facts
    return report["from"] * 1000, report["to"] * 1000


def admit(
    terms: bytes, previous: Event | None, event: Event, earlier: Sequence[Event] = ()
) -> tuple[ClaimReason, str] | None:
    """Return why a report is no month, or None."""
    return reports.admit_period(decode_terms(terms), previous, event)


complete = reports.complete


def derive(
    terms: bytes,
    anchor: Event | None,
    events: Sequence[Event],
    cited: Mapping[str, Event],
    late: bool = False,
) -> bytes:
    """Return the facts of a month; what it lacks of meter or weather lowers the coverage."""
    agreed = decode_terms(terms)
    ways, report = ways_of(agreed), events[-1].facts
    registers, values = measured(ways, cited.values())
    period = period_of(ways, report["from"], report["to"], registers, values)
    return encode_facts(facts_of(agreed, period))


def measured(
    ways: WeatherWays, events: Iterable[Event]
) -> tuple[list[tuple[int, int]], list[SensedValue]]:
    """Return what meter and station measured, by time: (Unix milliseconds, mWh), and values."""
    events = list(events)
    return _registers(events, ways.meter), sensed(events, ways.station, "temperature", "Cel")


def period_of(
    ways: WeatherWays,
    begin: int,
    end: int,
    registers: Sequence[tuple[int, int]],
    values: Iterable[SensedValue],
) -> Period:
    """Return a period (Unix seconds) from what was measured in it.

    A register at either end counts; a temperature at its end is one of the next day.
    """
    days = by_day(value for value in values if value.at < end)
    means = [Fraction(sum(day)) * Fraction(1, len(day)) for day in days.values()]
    metrics = {
        HEATING: int(100 * sum(max(ways.heat_below - mean, Fraction(0)) for mean in means)),
        COOLING: int(100 * sum(max(mean - ways.cool_above, Fraction(0)) for mean in means)),
        ENERGY: (registers[-1][1] - registers[0][1]) // 1000 if registers else 0,
    }
    metered = registers[-1][0] - registers[0][0] if registers else 0
    sensed_share = min(len(days) * FULL // days_of(begin, end), FULL)
    coverage = min(metered * FULL // ((end - begin) * 1000), sensed_share, FULL)
    return Period(begin, end, coverage, bool(registers) + bool(means), metrics)


def _registers(events: Iterable[Event], meter: str) -> list[tuple[int, int]]:
    """Return (Unix milliseconds, mWh) of a meter's register of energy taken from the grid."""
    identity = device_id(meter)
    return sorted(
        (reading["at"], reading["register"])
        for event in events
        if event.device_id == identity and event.kind == _METER
        for reading in event.facts["readings"]
        if (register := parse(reading["obis"])) and register.direction is Direction.IMPORT
    )
