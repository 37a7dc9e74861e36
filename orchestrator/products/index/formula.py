"""The formula of an Index agreement, in whole numbers, rounded down as the contract rounds."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from orchestrator.products.index.tariff import FULL, IndexTerms, TariffCurve


def amount_of(terms: IndexTerms, metrics: Sequence[int]) -> int:
    """Return what a period with these metrics comes to, token minor units.

    max(floor, min(ceiling, (base + sum of curves) * product of factors / 10000^n)).
    """
    values = [(curve.factor, value_at(curve, metrics[curve.metric])) for curve in terms.curves]
    added = terms.base + sum(y for factor, y in values if not factor)
    factors = [y for factor, y in values if factor]
    amount = added * prod(factors) // FULL ** len(factors)
    return max(terms.floor, min(terms.ceiling, amount))


def value_at(curve: TariffCurve, x: int) -> int:
    """Return a curve's value: outside its knots that of the nearest, between two on their line."""
    x0, y0 = curve.knots[0]
    if x <= x0:
        return y0
    for x1, y1 in curve.knots[1:]:
        if x < x1:
            return y0 + (y1 - y0) * (x - x0) // (x1 - x0)
        x0, y0 = x1, y1
    return y0
