"""Counters that are missing from a stream, and what is left of them once some are declared lost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from device_adapters.types import Event


@dataclass(frozen=True, slots=True)
class Hole:
    """Missing counters, both inclusive."""

    first: int
    last: int


def gaps(last_claimed: int, events: Sequence[Event]) -> list[Hole]:
    """What is missing between the last claimed counter and the last of these sorted events."""
    found, expected = [], last_claimed + 1
    for event in events:
        if event.counter > expected:
            found.append(Hole(expected, event.counter - 1))
        expected = event.counter + 1
    return found


def without(gaps: Iterable[Hole], lost: Sequence[tuple[int, int]]) -> list[Hole]:
    """The parts of the gaps that no range of `lost` (sorted) covers."""
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
