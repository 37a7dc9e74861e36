"""Missing counters of a stream, and what remains of them after some are declared lost.

A gateway that signs for several meters with one counter (OCMF: pagination) leaves gaps in the
stream of each meter, where it signed for another: no record is missing there.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from device_adapters.types import Event

# gateway -> the counters, ascending, that it used for other meters than the one in question
Siblings = Mapping[str, Sequence[int]]
NO_SIBLINGS: Siblings = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Hole:
    """A range of missing counters, both ends inclusive."""

    first: int
    last: int


def shared(siblings: Siblings, events: Iterable[Event]) -> Siblings:
    """Return the siblings of the gateways that use one counter for all their meters.

    A gateway that used one number for this meter and for another counts each meter by itself: what
    it used for others says nothing about this one.
    """
    own: dict[str, set[int]] = {}
    for event in events:
        own.setdefault(event.gateway, set()).add(event.counter)
    return {
        gateway: counters
        for gateway, counters in siblings.items()
        if gateway and own.get(gateway, set()).isdisjoint(counters)
    }


def gaps(
    last_claimed: int, events: Sequence[Event], siblings: Siblings = NO_SIBLINGS
) -> list[Hole]:
    """Return the counters missing from the last claimed one to the last of these sorted events."""
    missing, expected = [], last_claimed + 1
    for event in events:
        if event.counter > expected:
            used = [(c, c) for c in _between(siblings, event, expected)]
            missing += subtract([Hole(expected, event.counter - 1)], used)
        expected = event.counter + 1
    return missing


def follows(counter: int, event: Event, siblings: Siblings = NO_SIBLINGS) -> bool:
    """Return whether no record is missing between a counter and the event."""
    passed = event.counter - counter - 1
    return not passed or passed == len(_between(siblings, event, counter + 1))


def subtract(gaps: Iterable[Hole], lost: Sequence[tuple[int, int]]) -> list[Hole]:
    """Return the parts of the gaps that no range of `lost` (inclusive, sorted) covers."""
    holes = []
    for gap in gaps:
        first = gap.first
        for low, high in lost:
            if high < first or low > gap.last:
                continue
            if low > first:
                holes.append(Hole(first, low - 1))
            first = max(first, high + 1)
        if first <= gap.last:
            holes.append(Hole(first, gap.last))
    return holes


def _between(siblings: Siblings, event: Event, first: int) -> Sequence[int]:
    """Return what the event's gateway used for other meters, from `first` to before the event."""
    counters = siblings.get(event.gateway, ())
    return counters[bisect_left(counters, first) : bisect_left(counters, event.counter)]
