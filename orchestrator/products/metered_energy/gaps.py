"""The counters that claims passed by, which a late claim may still take: `CounterGaps.sol`.

The contract keeps four gaps of an agreement. A fifth drops the one with the lowest counters, and a
gap of more than 2^24 - 1 counters keeps its highest ones. A late claim uses up what it takes.
"""

from __future__ import annotations

from collections.abc import Iterable

MOST_GAPS = 4
LONGEST_GAP = (1 << 24) - 1
CounterRange = tuple[int, int]  # inclusive


def open_gaps(claimed_to: int, claims: Iterable[CounterRange]) -> list[CounterRange]:
    """Return the gaps that are open after some claims, the lowest first.

    Lower gaps never keep a higher one open, so the claims above a counter are enough to know the
    gaps above it.

    Args:
        claimed_to: how far claims had come before these.
        claims: counters (inclusive) of claims in the order of their sequence.
    """
    gaps: list[CounterRange] = []
    for first, last in claims:
        if first > claimed_to:
            gaps = passed(gaps, claimed_to, first)
            claimed_to = last
        else:
            gaps = without(gaps, first, last) or []
    return gaps


def passed(gaps: list[CounterRange], claimed_to: int, first: int) -> list[CounterRange]:
    """Return the gaps after a claim from `first` on, where claims had come to `claimed_to`."""
    return _kept([*gaps, (max(claimed_to + 1, first - LONGEST_GAP), first - 1)])


def without(gaps: list[CounterRange], first: int, last: int) -> list[CounterRange] | None:
    """Return the gaps without these counters; None where no gap holds all of them."""
    left: list[CounterRange] = []
    for low, high in gaps:
        inside = low <= first and last <= high
        left += [(low, first - 1), (last + 1, high)] if inside else [(low, high)]
    return _kept(left) if any(low <= first and last <= high for low, high in gaps) else None


def _kept(gaps: list[CounterRange]) -> list[CounterRange]:
    return [gap for gap in gaps if gap[0] <= gap[1]][-MOST_GAPS:]
