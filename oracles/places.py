"""Two places at once: whether one device can have been where two of its records say it was.

Pure. Distances are rough on purpose (a sphere, no heights): they only tell the impossible from the
rest, and nothing that is paid depends on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import asin, cos, radians, sin, sqrt

from device_adapters.types import Event, Place

MAX_METRES_PER_SECOND = 300  # faster than an airliner's ground speed: nobody carries it so fast
BLUR_METRES = 2_000  # how far apart two honest readings of one place may be
LONGEST_TRIP_MS = 20 * 60 * 60 * 1000  # half around the earth at that speed
_EARTH_METRES = 6_371_000


@dataclass(frozen=True, slots=True)
class Sighting:
    """Where a device was from when to when (Unix milliseconds, both inclusive)."""

    place: Place
    from_ms: int
    to_ms: int


def sighting(event: Event) -> Sighting | None:
    """From the first reading of a record to its last; None where it names no place.

    The first is `from_ms` of the facts, or the first of its `readings`; else it is a moment.
    """
    if event.place is None:
        return None
    first = event.facts.get("from_ms")
    if first is None and (readings := event.facts.get("readings")):
        first = readings[0]["at"]
    last = event.observed_at_ms
    return Sighting(event.place, min(last if first is None else first, last), last)


def clash(one: Sighting, other: Sighting) -> str:
    """Why one device cannot have been at both, in words; "" if it can.

    Where both know their coordinates these decide; else two names at overlapping times do.
    """
    if _located(one.place) and _located(other.place):
        apart_ms = max(one.from_ms - other.to_ms, other.from_ms - one.to_ms, 0)
        metres = metres_between(one.place, other.place)
        if metres <= BLUR_METRES + apart_ms * MAX_METRES_PER_SECOND // 1000:
            return ""
        return f"{metres} m apart within {apart_ms // 1000} s"
    names = one.place.name, other.place.name
    if not all(names) or names[0] == names[1]:
        return ""
    if one.from_ms < other.to_ms and other.from_ms < one.to_ms:
        return f"at {names[0][:60]!r} and at {names[1][:60]!r} at once"
    return ""


def metres_between(one: Place, other: Place) -> int:
    """The great-circle distance by the haversine formula, in whole metres."""
    lat1, lat2 = (radians((p.latitude_e7 or 0) / 1e7) for p in (one, other))
    lon1, lon2 = (radians((p.longitude_e7 or 0) / 1e7) for p in (one, other))
    square = sin((lat2 - lat1) / 2) ** 2 + cos(lat1) * cos(lat2) * sin((lon2 - lon1) / 2) ** 2
    return int(2 * _EARTH_METRES * asin(sqrt(min(square, 1.0))))


def _located(place: Place) -> bool:
    return place.latitude_e7 is not None and place.longitude_e7 is not None
