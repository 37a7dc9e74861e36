"""The formula of measured numbers, worked out by hand: nothing of the rail is used.

Money is exact while it is counted, and rounded down to a micro-euro once, at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import floor

Knots = Sequence[tuple[int, int]]
FULL = 10_000  # basis points


def on_line(knots: Knots, x: int) -> int:
    """Return the value at x of a line through knots; outside of them it stays level."""
    (left, value), *others = knots
    if x <= left:
        return value
    for right, next_value in others:
        if x <= right:
            return value + floor(Fraction((next_value - value) * (x - left), right - left))
        left, value = right, next_value
    return value


def priced(sum_micro: int, factors: Sequence[int], ceiling_micro: int) -> int:
    """Return a sum times its factors (basis points), between zero and the ceiling."""
    amount = Fraction(sum_micro)
    for factor in factors:
        amount *= Fraction(factor, FULL)
    return max(0, min(ceiling_micro, floor(amount)))
