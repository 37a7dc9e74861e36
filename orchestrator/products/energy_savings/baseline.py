"""Fits a site's baseline by least squares to what its meter and a station measured in the past.

Energy of a period = base x days + heating x degree days + cooling x degree days. Each period weighs
by its days, as CalTRACK 2.0 (3.4.2) weighs bills. A period is measured by the same function as the
months of the agreement (`weather.period_of`), and every number is exact.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise
from math import isqrt
from typing import NamedTuple

from device_adapters.types import Event, Rejected
from orchestrator.products.energy_savings.weather import (
    COOLING,
    ENERGY,
    HEATING,
    WeatherWays,
    measured,
    period_of,
)
from orchestrator.products.index.periods import Period
from orchestrator.products.index.sensed import DAY

LEAST_DAYS = 9 * 28  # nine months; fewer than a year's days are warned of
MOST_CV = 3_000  # basis points; the guideline's limit for savings of more than 60 months
_MILLION = 10**6
_KELVINS = 40  # the knots of a curve end where each day is so far from the balance point
_MOST_BIAS = Fraction(5, 100_000)  # our own limit for what rounding moves
_GUIDELINE = "ASHRAE Guideline 14, whole-building prescriptive path"
# CV(RMSE) by how long savings are computed with the baseline, as the CMVP course quotes them
_CV_LIMITS = ((2_000, "less than 12 months"), (2_500, "12 to 60 months"))


class FitReason(StrEnum):
    """Why no baseline follows from the records. Stable codes."""

    PERIODS_FEW = "periods_few"  # less than nine months were observed
    ENERGY_NONE = "energy_none"  # the register does not rise
    WEATHER_FLAT = "weather_flat"  # heating and cooling cannot be distinguished
    BASE_NEGATIVE = "base_negative"  # balance points that the site does not have
    FIT_POOR = "fit_poor"  # the weather does not explain what the site used


class Baseline(NamedTuple):
    """Coefficients in watt-hours, and how well they fit.

    base: of a day. heating, cooling: of a hundredth of a degree day; 0: the site does not heat, or
    cool, by electricity. periods: how many were fitted. cv: CV(RMSE) in basis points, rounded up.
    """

    base: Fraction
    heating: Fraction
    cooling: Fraction
    periods: int
    days: int
    cv: int

    def warnings(self, bias: Fraction) -> list[str]:
        """Return the limits that fit and terms (`bias_of`) do not keep."""
        sentences = [
            f"CV(RMSE) is above {limit // 100}%, the limit for savings of {horizon} ({_GUIDELINE})"
            for limit, horizon in _CV_LIMITS
            if self.cv > limit
        ]
        if abs(bias) >= _MOST_BIAS:
            sentences.append("the terms are biased by 0.005% or more: by their rounding")
        if self.days < 365:
            sentences.append(
                f"{self.days} days were observed: a baseline has all seasons of a year "
                "(CalTRACK 2.0, 2.2.1.1)"
            )
        return sentences


def periods_of(
    ways: WeatherWays, events: Iterable[Event], monthly: bool, coverage: int
) -> tuple[list[Period], list[Period]]:
    """Return (fitted, left out): the calendar months or days (UTC) that records lie in.

    Args:
        coverage: Basis points of a period that have to be observed; one with less is left out.
    """
    registers, values = measured(ways, events)
    if not registers or not values:
        raise Rejected(FitReason.PERIODS_FEW, f"no record of {ways.meter} or of {ways.station}")
    fitted, left = [], []
    for begin, end in _spans(registers[0][0] // 1000, registers[-1][0] // 1000, monthly):
        metered = slice(*(bisect_left(registers, (at, 0)) for at in (begin * 1000, end * 1000 + 1)))
        warm = slice(*(bisect_left(values, at, key=lambda value: value.at) for at in (begin, end)))
        period = period_of(ways, begin, end, registers[metered], values[warm])
        (fitted if period.coverage >= coverage and period.sources == 2 else left).append(period)
    return fitted, left


def fit(periods: Sequence[Period]) -> Baseline:
    """Return the baseline of periods; Rejected (FitReason) where they give none."""
    days = sum(map(_days, periods))
    if days < LEAST_DAYS:
        detail = f"{days} whole days were observed, and a baseline needs {LEAST_DAYS}"
        raise Rejected(FitReason.PERIODS_FEW, detail)
    total = sum(period.metrics[ENERGY] for period in periods)
    if total <= 0:
        raise Rejected(FitReason.ENERGY_NONE, "the meter's register does not rise")
    base, slopes = _fit(periods, [name for name in (HEATING, COOLING) if _varies(periods, name)])
    if base < 0:
        detail = "the site would feed energy in without weather: move the balance points"
        raise Rejected(FitReason.BASE_NEGATIVE, detail)
    baseline = Baseline(
        base,
        slopes.get(HEATING, Fraction(0)),
        slopes.get(COOLING, Fraction(0)),
        len(periods),
        days,
        cv=0,
    )
    free = len(periods) - 1 - len(slopes)
    squares = sum((period.metrics[ENERGY] - value_of(baseline, period)) ** 2 for period in periods)
    relative = Fraction(squares, free) * Fraction(len(periods), total) ** 2 * 10**8
    cv = isqrt(-(-relative.numerator // relative.denominator) - 1) + 1 if relative else 0
    if cv > MOST_CV:
        detail = (
            f"CV(RMSE) is {cv // 100}.{cv % 100:02}%, above {MOST_CV // 100}%, the widest limit "
            f"({_GUIDELINE}): the weather does not explain what the site used"
        )
        raise Rejected(FitReason.FIT_POOR, detail)
    return baseline._replace(cv=cv)


def value_of(baseline: Baseline, period: Period) -> Fraction:
    """Return the watt-hours that a baseline expects of a period."""
    return (
        baseline.base * _days(period)
        + baseline.heating * period.metrics[HEATING]
        + baseline.cooling * period.metrics[COOLING]
    )


def bias_of(baseline: Baseline, periods: Sequence[Period], days: int, price_micro: int) -> Fraction:
    """Return the normalised mean bias error of the terms, with their rounding.

    It is what the terms give for the baseline's own periods beyond what these used, as a share of
    that. Least squares has none, so rounding alone is its cause.
    """
    base = Fraction(_micro(baseline.base * days, price_micro), days)
    expected = used = Fraction(0)
    for period in periods:
        expected += base * _days(period)
        used += Fraction(period.metrics[ENERGY] * price_micro, 1000)
        for name, slope in _slopes(baseline):
            end = _far(days)
            expected += Fraction(_micro(slope * end, price_micro) * period.metrics[name], end)
    return Fraction(expected - used, used)


def terms_of(baseline: Baseline, days: int, price_micro: int) -> dict[str, str]:
    """Return the terms that a baseline decides, by name, as `agreement open` takes them.

    Args:
        days: Length of the agreement's periods.
        price_micro: Micro-euro of a kilowatt-hour.
    """
    slopes, far = _slopes(baseline), _far(days)
    highest = baseline.base * days + sum(slope * far for _, slope in slopes)
    end = 10 ** len(str(int(highest)))  # beyond it nothing is saved in any weather
    curves = [
        f"{name} rising: 0=0, {far}={_euro(_micro(slope * far, price_micro))}"
        for name, slope in slopes
    ]
    used = _euro(-_micro(Fraction(end), price_micro))
    ranges = [f"{name} 0..{far}" for name, _ in slopes]
    return {
        "metrics": "; ".join([*ranges, f"{ENERGY} 0..{10 * end}"]),
        "plus": "; ".join([*curves, f"{ENERGY} falling: 0=0, {end}={used}"]),
        "base": _euro(_micro(baseline.base * days, price_micro)),
        "period": f"{days} days",
    }


def ceiling_of(baseline: Baseline, periods: Sequence[Period], days: int, price_micro: int) -> str:
    """Return whole euro that no saving exceeds: the baseline in the worst weather of its past."""
    most = max(Fraction(value_of(baseline, period), _days(period)) for period in periods) * days
    return f"{-(-_micro(most, price_micro) // _MILLION)}.00"


def _slopes(baseline: Baseline) -> list[tuple[str, Fraction]]:
    pairs = ((HEATING, baseline.heating), (COOLING, baseline.cooling))
    return [(name, slope) for name, slope in pairs if slope]


def _fit(periods: Sequence[Period], names: Sequence[str]) -> tuple[Fraction, dict[str, Fraction]]:
    """Return base and slopes above zero: a site that uses less the colder it is does not heat."""
    base, *slopes = _least_squares(
        [(_days(period), *(period.metrics[name] for name in names)) for period in periods],
        [period.metrics[ENERGY] for period in periods],
        [Fraction(1, _days(period)) for period in periods],
    )
    if slopes and min(slopes) <= 0:
        wrong = names[slopes.index(min(slopes))]
        return _fit(periods, [name for name in names if name != wrong])
    return base, dict(zip(names, slopes, strict=True))


def _least_squares(
    rows: Sequence[Sequence[int]], wanted: Sequence[int], weights: Sequence[Fraction]
) -> list[Fraction]:
    """Return the coefficients by the normal equations, with Gaussian elimination."""
    size = len(rows[0])
    triples = list(zip(rows, wanted, weights, strict=True))
    matrix = [
        [
            *(
                sum((w * row[i] * row[j] for row, _, w in triples), Fraction(0))
                for j in range(size)
            ),
            sum((w * row[i] * y for row, y, w in triples), Fraction(0)),
        ]
        for i in range(size)
    ]
    for i in range(size):  # no pivot of a positive definite matrix is zero
        if not matrix[i][i]:
            detail = "in these periods heating follows from cooling: take records of more seasons"
            raise Rejected(FitReason.WEATHER_FLAT, detail)
        matrix[i] = [Fraction(value, matrix[i][i]) for value in matrix[i]]
        for k in range(size):
            if k != i:
                factor = matrix[k][i]
                matrix[k] = [a - factor * b for a, b in zip(matrix[k], matrix[i], strict=True)]
    return [row[-1] for row in matrix]


def _varies(periods: Sequence[Period], name: str) -> bool:
    """Return whether degree days a day differ, so that something can be learnt from them."""
    return len({Fraction(period.metrics[name], _days(period)) for period in periods}) > 1


def _spans(first: int, last: int, monthly: bool) -> Iterator[tuple[int, int]]:
    """Yield (begin, end) of the whole calendar months or days (UTC) from first to last."""
    edges = range(-(-first // DAY) * DAY, last + 1, DAY)
    yield from pairwise(
        at for at in edges if not monthly or datetime.fromtimestamp(at, UTC).day == 1
    )


def _days(period: Period) -> int:
    return (period.end - period.begin) // DAY


def _far(days: int) -> int:
    return 100 * _KELVINS * days


def _micro(watt_hours: Fraction, price_micro: int) -> int:
    return round(watt_hours * Fraction(price_micro, 1000))


def _euro(micro: int) -> str:
    whole, rest = divmod(abs(micro), _MILLION)
    return f"{'-' if micro < 0 else ''}{whole}.{rest:06}"
