"""Whether one device can have been at both places that two of its records state.

Pure. Distances are approximate on purpose (a sphere, no altitude): they only detect what is
physically impossible, and no payment amount depends on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import asin, cos, radians, sin, sqrt

from device_adapters.types import Event, Place

MAX_METRES_PER_SECOND = 300  # above the ground speed of an airliner
BLUR_METRES = 2_000  # error between two honest positions of one place
LONGEST_TRIP_MS = 20 * 60 * 60 * 1000  # half the way around the earth at that speed
_EARTH_METRES = 6_371_000


@dataclass(frozen=True, slots=True)
class Sighting:
    """A place and the time that a device spent there (Unix milliseconds, both inclusive)."""

    place: Place
    from_ms: int
    to_ms: int


def sighting(event: Event) -> Sighting | None:
    """Return where a record says its device was; None if it names no place.

    It lasts from the facts' `from_ms`, or else the first of their `readings`, to the time of the
    event; without either it is a single moment.
    """
    if event.place is None:
        return None
    first = event.facts.get("from_ms")
    if first is None and (readings := event.facts.get("readings")):
        first = readings[0]["at"]
    last = event.observed_at_ms
    return Sighting(event.place, min(last if first is None else first, last), last)


def clash(first: Sighting, second: Sighting) -> str:
    """Return why one device cannot have been at both places, in words; "" if it can.

    Coordinates decide where both places have them; otherwise two different names at overlapping
    times do.
    """
    if _located(first.place) and _located(second.place):
        apart_ms = max(first.from_ms - second.to_ms, second.from_ms - first.to_ms, 0)
        metres = metres_between(first.place, second.place)
        if metres <= BLUR_METRES + apart_ms * MAX_METRES_PER_SECOND // 1000:
            return ""
        return f"{metres} m apart within {apart_ms // 1000} s"
    names = first.place.name, second.place.name
    if not all(names) or names[0] == names[1]:
        return ""
    if first.from_ms < second.to_ms and second.from_ms < first.to_ms:
        return f"at {names[0][:60]!r} and at {names[1][:60]!r} at once"
    return ""


def metres_between(start: Place, end: Place) -> int:
    """Return the great-circle distance (haversine formula) in whole metres."""
    lat1, lat2 = (radians((p.latitude_e7 or 0) / 1e7) for p in (start, end))
    lon1, lon2 = (radians((p.longitude_e7 or 0) / 1e7) for p in (start, end))
    square = sin((lat2 - lat1) / 2) ** 2 + cos(lat1) * cos(lat2) * sin((lon2 - lon1) / 2) ** 2
    return int(2 * _EARTH_METRES * asin(sqrt(min(square, 1.0))))


def _located(place: Place) -> bool:
    return place.latitude_e7 is not None and place.longitude_e7 is not None
