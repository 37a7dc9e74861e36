"""Basis risk: what terms would have paid in past seasons, against what was lost in them.

Amounts are micro-euro. A season's measurements come from signed records of the stations, or from a
table of what each of them measured in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from device_adapters.types import Event
from orchestrator.products.index.formula import amount_of
from orchestrator.products.index.periods import Period, facts_of
from orchestrator.products.index.pricing import REFUSALS, refusal_of
from orchestrator.products.index.tariff import FULL, IndexTerms
from orchestrator.products.parametric_cover.stations import MEASURED, median, season_of, ways_of


class SeasonAnswer(StrEnum):
    """How a season's payout compares with its loss."""

    PAID = "paid"  # a loss, and a payout
    MISSED = "missed"  # a loss, and no payout
    PAID_WRONGLY = "paid wrongly"  # no loss, and a payout
    QUIET = "quiet"  # neither


class PastSeason(NamedTuple):
    """A season: Unix seconds, what was lost in it, and what each station measured.

    measured: value of the whole season by station; None: it follows from signed records.
    """

    name: str
    begin: int
    end: int
    loss_micro: int
    measured: Mapping[str, Decimal] | None = None


class SeasonResult(NamedTuple):
    """What the terms make of a past season; refusal: why they pay nothing, or ""."""

    name: str
    measured: int
    sources: int
    refusal: str
    payout_micro: int
    loss_micro: int

    @property
    def answer(self) -> SeasonAnswer:
        """Return whether the payout followed the loss."""
        if self.loss_micro:
            return SeasonAnswer.PAID if self.payout_micro else SeasonAnswer.MISSED
        return SeasonAnswer.PAID_WRONGLY if self.payout_micro else SeasonAnswer.QUIET


class BasisRisk(NamedTuple):
    """Counts and sums over seasons.

    short_micro: losses that were not paid, season by season. over_micro: payouts beyond losses.
    """

    seasons: int
    losses: int
    missed: int
    paid_wrongly: int
    payout_micro: int
    loss_micro: int
    short_micro: int
    over_micro: int


def results_of(
    terms: IndexTerms, seasons: Iterable[PastSeason], events: Sequence[Event]
) -> list[SeasonResult]:
    """Return what the terms would have paid in each season."""
    return [_result(terms, season, events) for season in seasons]


def basis_risk(results: Sequence[SeasonResult]) -> BasisRisk:
    """Return how often and by how much the payouts differ from the losses."""
    answers = [result.answer for result in results]
    gaps = [result.loss_micro - result.payout_micro for result in results]
    return BasisRisk(
        len(results),
        sum(result.loss_micro > 0 for result in results),
        answers.count(SeasonAnswer.MISSED),
        answers.count(SeasonAnswer.PAID_WRONGLY),
        sum(result.payout_micro for result in results),
        sum(result.loss_micro for result in results),
        sum(max(gap, 0) for gap in gaps),
        sum(max(-gap, 0) for gap in gaps),
    )


def _result(terms: IndexTerms, season: PastSeason, events: Sequence[Event]) -> SeasonResult:
    period = (
        _listed(terms, season) if season.measured is not None else _signed(terms, season, events)
    )
    facts = facts_of(terms, period)
    refusal = refusal_of(terms, facts)
    return SeasonResult(
        season.name,
        period.metrics[MEASURED],
        period.sources,
        REFUSALS.get(refusal, ""),
        0 if refusal else amount_of(terms, facts.metrics),
        season.loss_micro,
    )


def _signed(terms: IndexTerms, season: PastSeason, events: Sequence[Event]) -> Period:
    first, last = season.begin * 1000, season.end * 1000
    within = [event for event in events if first <= event.observed_at_ms < last]
    return season_of(terms, season.begin, season.end, within)


def _listed(terms: IndexTerms, season: PastSeason) -> Period:
    ways, measured = ways_of(terms), season.measured or {}
    totals = [int(measured[name] // ways.step) for name in ways.stations if name in measured]
    metrics = {MEASURED: median(totals)}
    return Period(season.begin, season.end, FULL, len(totals), metrics)
