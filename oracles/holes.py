"""Missing counters of a stream, and what remains of them after some are declared lost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from device_adapters.types import Event


@dataclass(frozen=True, slots=True)
class Hole:
    """A range of missing counters, both ends inclusive."""

    first: int
    last: int


def gaps(last_claimed: int, events: Sequence[Event]) -> list[Hole]:
    """Return the counters missing from the last claimed one to the last of these sorted events."""
    missing, expected = [], last_claimed + 1
    for event in events:
        if event.counter > expected:
            missing.append(Hole(expected, event.counter - 1))
        expected = event.counter + 1
    return missing


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
