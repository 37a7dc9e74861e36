"""What an Index agreement would cost, before anyone signs: amounts by metric, and refusals."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

from orchestrator.products.index.formula import amount_of
from orchestrator.products.index.pricing import REFUSALS, refusal_of
from orchestrator.products.index.tariff import (
    FULL,
    IndexFacts,
    IndexTerms,
    decode_terms,
    malformed,
)


class PreviewRow(NamedTuple):
    """A metric's value, and what a period costs there (token minor units)."""

    value: int
    amount: int


class Preview(NamedTuple):
    """What terms lead to.

    point: the metrics that are held where a table moves only one of them. amount: what a period
    costs there, 0 where it is refused. refusal: its name, "" where it is priced. tables: rows by
    metric. refused: sentences on what is never charged.
    """

    point: dict[str, int]
    amount: int
    refusal: str
    tables: dict[str, list[PreviewRow]]
    refused: list[str]


def preview(
    raw: bytes,
    metrics: Mapping[str, int],
    coverage: int = FULL,
    sources: int | None = None,
) -> Preview:
    """Return what encoded terms lead to.

    Args:
        metrics: Value by name; one that is not named is held at 0, or nearest to it.
        coverage: Basis points of the period that was observed.
        sources: None: as many as the terms ask for.

    Raises:
        Rejected: FACTS_MALFORMED where the terms are none, or have no metric of a name.
    """
    terms = decode_terms(raw)
    names = [metric.name for metric in terms.metrics]
    if unknown := [name for name in metrics if name not in names]:
        raise malformed(f"the terms have no metric {unknown[0]}. They have: {', '.join(names)}")
    nearest = {m.name: max(m.least, min(m.most, 0)) for m in terms.metrics}
    point = nearest | dict(metrics)
    values = tuple(point[name] for name in names)
    counted = terms.sources if sources is None else sources
    refusal = refusal_of(terms, IndexFacts(0, terms.shortest, coverage, counted, values))
    return Preview(
        point,
        0 if refusal else amount_of(terms, values),
        REFUSALS.get(refusal, ""),
        {name: _rows(terms, number, values) for number, name in enumerate(names)},
        list(_refused(terms)),
    )


def _rows(terms: IndexTerms, number: int, values: tuple[int, ...]) -> list[PreviewRow]:
    """Return a table over one metric: its range, the knots, and the middle between two of them."""
    metric = terms.metrics[number]
    knots = {x for curve in terms.curves if curve.metric == number for x, _ in curve.knots}
    ends = {metric.least, metric.most, values[number]}
    at = sorted(x for x in knots | ends if metric.least <= x <= metric.most)
    at = sorted({*at, *((low + high) // 2 for low, high in pairwise(at))})
    return [
        PreviewRow(x, amount_of(terms, (*values[:number], x, *values[number + 1 :]))) for x in at
    ]


def _refused(terms: IndexTerms) -> list[str]:
    lengths = " to ".join(dict.fromkeys(str(at) for at in (terms.shortest, terms.longest)))
    sentences = [f"a period that is not {lengths} seconds long: PeriodUnexpected"]
    sentences += [
        f"{metric.name} below {metric.least} or above {metric.most}: MetricOutside"
        for metric in terms.metrics
    ]
    if terms.coverage:
        share = f"{terms.coverage // 100}.{terms.coverage % 100:02}%"
        sentences.append(f"less than {share} of the period observed: CoverageShort")
    if terms.sources:
        sentences.append(f"fewer than {terms.sources} sources: SourcesShort")
    return sentences
