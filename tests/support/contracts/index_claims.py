"""Random terms and facts of Index agreements: plausible ones, those at the edges, and bad ones."""

from __future__ import annotations

import random

from orchestrator.products.index.tariff import (
    MOST_FACTOR,
    MOST_MONEY,
    IndexFacts,
    IndexTerms,
    Metric,
    TariffCurve,
)

DAY = 86_400
_WORD, _MONEY = 1 << 63, 1 << 47


def random_terms(chance: random.Random) -> IndexTerms:
    """Return terms that are sound; one in four reaches for the widest numbers there are."""
    wide = chance.random() < 0.25
    metrics = tuple(_metric(chance, wide, number) for number in range(chance.randint(1, 6)))
    curves = tuple(_curve(chance, wide, metrics) for _ in range(chance.randint(0, 8)))
    ceiling = chance.choice((MOST_MONEY, chance.randint(1, 500_000_000)))
    shortest = chance.randint(1, 40 * DAY)
    return IndexTerms(
        "policy:1",
        metrics,
        curves,
        ceiling,
        shortest,
        shortest + chance.randint(0, 3 * DAY),
        base=chance.randint(-_MONEY, _MONEY - 1) if wide else chance.randint(0, 200_000_000),
        floor=chance.choice((0, 0, chance.randint(0, ceiling))),
        coverage=chance.choice((0, 9_000, chance.randint(0, 10_000))),
        sources=chance.choice((0, 0, 3)),
    )


def random_facts(chance: random.Random, terms: IndexTerms) -> IndexFacts:
    """Return facts of one period; most are priced, the others miss one thing that terms ask for."""
    begin = chance.randint(1_700_000_000, 1_800_000_000)
    length = chance.choice((terms.shortest, terms.longest, terms.shortest - 1, terms.longest + 1))
    if chance.random() < 0.9:
        length = chance.randint(terms.shortest, terms.longest)
    return IndexFacts(
        begin,
        begin + length,
        10_000 if chance.random() < 0.9 else chance.randint(0, 10_100),
        chance.choice((3, 3, 3, 3, 3, 3, 2, 65_535)),
        tuple(_value(chance, terms, number) for number in range(len(terms.metrics))),
    )


def _value(chance: random.Random, terms: IndexTerms, number: int) -> int:
    metric = terms.metrics[number]
    knots = [x for curve in terms.curves if curve.metric == number for x, _ in curve.knots]
    edges = [x + step for x in knots for step in (-1, 0, 1)] + [metric.least, metric.most]
    within = [x for x in edges if metric.least <= x <= metric.most]
    if within and chance.random() < 0.4:
        return chance.choice(within)
    if chance.random() < 0.01:
        return chance.choice((max(-_WORD, metric.least - 1), min(_WORD - 1, metric.most + 1)))
    return chance.randint(metric.least, metric.most)


def _metric(chance: random.Random, wide: bool, number: int) -> Metric:
    if wide:
        return Metric(f"wide {number}", -_WORD, _WORD - 1)
    return Metric(f"metric {number}", chance.choice((0, -1_000)), chance.randint(1, 3_000_000))


def _curve(chance: random.Random, wide: bool, metrics: tuple[Metric, ...]) -> TariffCurve:
    metric = chance.randrange(len(metrics))
    factor = chance.random() < 0.5
    most_x = _WORD - 1 if wide else metrics[metric].most
    count = chance.randint(1, 16)
    xs = sorted({chance.randint(-most_x if wide else 0, most_x) for _ in range(count)})
    least, most = (0, MOST_FACTOR) if factor else (-_MONEY, _MONEY - 1)
    if not wide:
        least, most = (0, 20_000) if factor else (-100_000_000, 100_000_000)
    ys = [chance.randint(least, most) for _ in xs]
    turn = chance.choice(("", "", "rises", "falls"))
    ys = sorted(ys, reverse=turn == "falls") if turn else ys
    return TariffCurve(
        metric, tuple(zip(xs, ys, strict=True)), factor, turn == "rises", turn == "falls"
    )
