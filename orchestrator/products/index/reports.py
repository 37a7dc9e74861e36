"""From reports to claims: one report is one period, and one claim.

A report that the terms do not price is dropped by name before it is part of a claim.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from device_adapters.types import Event
from oracles.types import ClaimReason
from orchestrator.products.index.periods import Period, facts_of
from orchestrator.products.index.pricing import NUMBERS, refusal_of
from orchestrator.products.index.seal import is_sealed_by, seal_of
from orchestrator.products.index.tariff import IndexFacts, IndexTerms, decode_terms, encode_facts

KIND = "report"
_MOST_SECONDS = (1 << 32) - 1
_REASONS = {
    NUMBERS["PeriodUnexpected"]: (ClaimReason.PERIOD_UNEXPECTED, "the period has another length"),
    NUMBERS["MetricOutside"]: (ClaimReason.METRIC_OUTSIDE, "a metric is outside its range"),
    NUMBERS["CoverageShort"]: (ClaimReason.COVERAGE_SHORT, "too little of it was observed"),
    NUMBERS["SourcesShort"]: (ClaimReason.SOURCES_SHORT, "too few sources"),
}


def admit(
    terms: bytes, previous: Event | None, event: Event, earlier: Sequence[Event] = ()
) -> tuple[ClaimReason, str] | None:
    """Return why a report is not priced, or None. previous: the last one that was."""
    agreed = decode_terms(terms)
    if refusal := not_a_report(agreed, event):
        return refusal
    for metric in agreed.metrics:
        if metric.name not in event.facts["metrics"]:
            return ClaimReason.METRIC_MISSING, f"the report has no {metric.name}"
    facts = report_facts(agreed, event)
    if refusal := refusal_of(agreed, facts):
        return _REASONS[refusal]
    if agreed.signer and not (facts.seal and is_sealed_by(agreed, facts, event)):
        detail = "it is not written as the contract reads it: see the page of the product index"
        return ClaimReason.SEAL_NOT_CANONICAL, detail
    return _out_of_order(previous, event) if previous else None


def admit_period(
    terms: IndexTerms, previous: Event | None, event: Event
) -> tuple[ClaimReason, str] | None:
    """Return why a report is no period, or None; its metrics are those of other devices."""
    if refusal := not_a_report(terms, event):
        return refusal
    if not terms.shortest <= event.facts["to"] - event.facts["from"] <= terms.longest:
        return _REASONS[NUMBERS["PeriodUnexpected"]]
    return _out_of_order(previous, event) if previous else None


def not_a_report(terms: IndexTerms, event: Event) -> tuple[ClaimReason, str] | None:
    """Return why a record is no report that the terms take, or None."""
    if event.kind != KIND:
        return ClaimReason.KIND_NOT_PRICED, f"{event.kind} is not a report"
    if not event.assurance.is_at_least(terms.least_assurance):
        detail = f"{event.assurance} stands for it, and the terms ask for {terms.least_assurance}"
        return ClaimReason.ASSURANCE_TOO_LOW, detail
    if event.facts["to"] > _MOST_SECONDS:
        return ClaimReason.PERIOD_UNEXPECTED, "it ends after the year 2106"
    return None


def priced(terms: IndexTerms, period: Period) -> bool:
    """Return whether the contract takes a period by itself."""
    return not refusal_of(terms, facts_of(terms, period))


def complete(terms: bytes, anchor: Event | None, events: Sequence[Event]) -> int:
    """Return how many events make a claim: one."""
    return min(len(events), 1)


def derive(
    terms: bytes,
    anchor: Event | None,
    events: Sequence[Event],
    cited: Mapping[str, Event],
    late: bool = False,
) -> bytes:
    """Return the facts of a report."""
    return encode_facts(report_facts(decode_terms(terms), events[-1]))


def report_facts(terms: IndexTerms, event: Event) -> IndexFacts:
    """Return the facts of a report, with its seal where the contract checks it."""
    return facts_of(terms, period_of(event), seal_of(event) if terms.signer else None)


def period_of(event: Event) -> Period:
    """Return what a report states."""
    stated = (event.facts[name] for name in ("from", "to", "coverage", "sources", "metrics"))
    return Period(*stated)


def _out_of_order(previous: Event, event: Event) -> tuple[ClaimReason, str] | None:
    """Check that a report follows the one before, or states its period again."""
    before, report = previous.facts, event.facts
    if report["ordinal"] == before["ordinal"]:
        same = (report["from"], report["to"]) == (before["from"], before["to"])
        detail = f"period {report['ordinal']} has other times than before"
        return None if same else (ClaimReason.PERIOD_UNEXPECTED, detail)
    if report["ordinal"] < before["ordinal"]:
        return ClaimReason.TOO_LATE, f"period {before['ordinal']} was stated before it"
    if report["from"] < before["to"]:
        return ClaimReason.PERIOD_UNEXPECTED, "it overlaps the period before"
    return None
