"""One period, as records state it; the terms choose which of its metrics they price."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from orchestrator.products.index.tariff import IndexFacts, IndexTerms, ReportSeal

_MOST_SOURCES = (1 << 16) - 1


class Period(NamedTuple):
    """Unix seconds, basis points that were observed, how many stand behind it, values by name."""

    begin: int
    end: int
    coverage: int
    sources: int
    metrics: Mapping[str, int]


def facts_of(terms: IndexTerms, period: Period, seal: ReportSeal | None = None) -> IndexFacts:
    """Return the facts of a period: the metrics that the terms price, in their order."""
    return IndexFacts(
        period.begin,
        period.end,
        period.coverage,
        min(period.sources, _MOST_SOURCES),
        tuple(period.metrics[metric.name] for metric in terms.metrics),
        seal,
    )
