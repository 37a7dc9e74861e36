"""From a reported season to the median of the stations that the terms list.

The insured site's device reports when a season begins and ends. Everything that the listed stations
signed in that time counts, whoever would rather leave it out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from device_adapters.types import Event, device_id, is_device_name
from oracles.types import ClaimReason
from orchestrator.products.index import reports
from orchestrator.products.index.periods import Period, facts_of
from orchestrator.products.index.sensed import by_day, days_of, sensed
from orchestrator.products.index.tariff import (
    FULL,
    IndexTerms,
    decode_terms,
    encode_facts,
    malformed,
)

MEASURED = "measured"
METRICS = (MEASURED,)
WAYS = (
    ("stations", "names of the stations that count, such as st-1, st-2, st-3"),
    ("quantity", 'what they measure, with its unit, as in "rain mm"'),
    ("measure", "sum, lowest or highest of a season"),
    ("step", "the metric counts in steps of this much, such as 0.1"),
    ("premium", "id of the agreement that pays a premium before each season, or none (left out)"),
)
_MEASURES = {"sum": sum, "lowest": min, "highest": max}
_MOST_STATIONS = 100
NO_PREMIUM = "none"
_AGREEMENT = re.compile("0x[0-9a-f]{64}")


class StationWays(NamedTuple):
    """Names, the quantity and its unit, how a season is summed up, and the step of the metric."""

    stations: tuple[str, ...]
    quantity: str
    unit: str
    measure: str
    step: Decimal


def ways_of(terms: IndexTerms) -> StationWays:
    """Return the product's own terms; Rejected (FACTS_MALFORMED) names what is wrong."""
    words = dict(terms.ways)
    premium = words.setdefault("premium", NO_PREMIUM)
    if missing := [name for name, _ in WAYS if name not in words]:
        raise malformed(f"{missing[0]} is missing: {dict(WAYS)[missing[0]]}")
    names = tuple(name.strip() for name in words["stations"].split(","))
    listed = len(set(names)) == len(names) <= _MOST_STATIONS
    if not listed or not all(map(is_device_name, names)):
        raise malformed(f"stations has {words['stations']!r:.60}, not different names of devices")
    quantity, _, unit = words["quantity"].partition(" ")
    if words["measure"] not in _MEASURES or not quantity:
        raise malformed(f"measure is {words['measure']!r}, not {', '.join(_MEASURES)}")
    try:
        step = Decimal(words["step"])
    except InvalidOperation:
        step = Decimal(0)
    if not step.is_finite() or step <= 0:
        raise malformed(f"step is {words['step']!r}, not a number above zero")
    if premium != NO_PREMIUM and not (_AGREEMENT.fullmatch(premium) and int(premium, 16)):
        raise malformed(f"premium is {premium!r:.80}, neither an agreement's id nor none")
    return StationWays(names, quantity, unit, words["measure"], step)


def hears(terms: bytes) -> frozenset[bytes]:
    """Return the ids of the stations."""
    return frozenset(map(device_id, ways_of(decode_terms(terms)).stations))


def heard_period(
    terms: bytes, anchor: Event | None, events: Sequence[Event]
) -> tuple[int, int] | None:
    """Return the season that a report is about, in Unix milliseconds."""
    report = events[-1].facts
    return report["from"] * 1000, report["to"] * 1000 - 1


def admit(
    terms: bytes, previous: Event | None, event: Event, earlier: Sequence[Event] = ()
) -> tuple[ClaimReason, str] | None:
    """Return why a report is no season, or None."""
    return reports.admit_period(decode_terms(terms), previous, event)


complete = reports.complete


def derive(
    terms: bytes,
    anchor: Event | None,
    events: Sequence[Event],
    cited: Mapping[str, Event],
    late: bool = False,
) -> bytes:
    """Return the facts of a season: the median of the stations that measured enough of its days."""
    agreed, report = decode_terms(terms), events[-1].facts
    season = season_of(agreed, report["from"], report["to"], cited.values())
    return encode_facts(facts_of(agreed, season))


def season_of(terms: IndexTerms, begin: int, end: int, events: Iterable[Event]) -> Period:
    """Return what the stations measured from begin to end (Unix seconds)."""
    ways, records = ways_of(terms), list(events)
    least, totals, shares = terms.coverage, [], []
    for station in ways.stations:
        values = sensed(records, station, ways.quantity, ways.unit)
        share = len(by_day(values)) * FULL // days_of(begin, end)
        if values and share >= least:
            whole = _MEASURES[ways.measure](value.value for value in values)
            totals.append(int(whole // ways.step))
            shares.append(share)
    coverage = min(shares, default=FULL)
    return Period(begin, end, coverage, len(totals), {MEASURED: median(totals)})


def median(values: list[int]) -> int:
    """Return the middle one, or the mean of the middle two, rounded down; 0 of none."""
    ordered = sorted(values)
    if not ordered:
        return 0
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return (low + high) // 2
