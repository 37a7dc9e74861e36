"""From the reports of an asset to a repair: a reading before, an order, a reading under load after.

All three are reports of the asset's own device, which belongs to its owner and not to the
contractor. `order` is a metric that its controller sets when the owner orders the work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from device_adapters.types import Event
from oracles.types import ClaimReason
from orchestrator.products.index import reports
from orchestrator.products.index.periods import Period, facts_of
from orchestrator.products.index.tariff import (
    IndexTerms,
    decode_terms,
    encode_facts,
    malformed,
)

VELOCITY, HOURS = "velocity", "hours"
METRICS = (VELOCITY, HOURS)  # RMS afterwards in um/s (ISO 20816); hours from the order on
WAYS = (
    ("alarm", "the velocity before the order from which on it is a repair, in um/s"),
    ("load", "the least load of the reading afterwards, in basis points of the rated one"),
)
ORDER, LOAD = "order", "load"
_HOUR = 3_600


class RepairWays(NamedTuple):
    """Micrometres a second, basis points."""

    alarm: int
    load: int


def ways_of(terms: IndexTerms) -> RepairWays:
    """Return the product's own terms; Rejected (FACTS_MALFORMED) names what is wrong."""
    words = dict(terms.ways)
    for name, text in WAYS:
        if not words.get(name, "").isdecimal() or len(words[name]) > 9:
            raise malformed(f"{name} is {words.get(name, '')!r:.40}, not a whole number: {text}")
    return RepairWays(int(words["alarm"]), int(words["load"]))


def admit(
    terms: bytes, previous: Event | None, event: Event, earlier: Sequence[Event] = ()
) -> tuple[ClaimReason, str] | None:
    """Return why a report says nothing of a repair, or None."""
    agreed = decode_terms(terms)
    if refusal := reports.not_a_report(agreed, event):
        return refusal
    metrics = event.facts["metrics"]
    if ORDER not in metrics and not {VELOCITY, LOAD} <= set(metrics):
        detail = f"the report has neither {ORDER}, nor {VELOCITY} and {LOAD}"
        return ClaimReason.METRIC_MISSING, detail
    if previous is not None and event.observed_at_ms <= previous.observed_at_ms:
        return ClaimReason.TIME_BACKWARDS, "it is not later than the report before it"
    return None


def complete(terms: bytes, anchor: Event | None, events: Sequence[Event]) -> int:
    """Return how many events make a repair: up to the reading under load after the order."""
    agreed = decode_terms(terms)
    for count in range(1, len(events) + 1):
        repair = _repair(ways_of(agreed), events[:count])
        if repair and reports.priced(agreed, _period(agreed, repair)):
            return count
    return 0


def derive(
    terms: bytes,
    anchor: Event | None,
    events: Sequence[Event],
    cited: Mapping[str, Event],
    late: bool = False,
) -> bytes:
    """Return the facts of a repair."""
    agreed = decode_terms(terms)
    repair = _repair(ways_of(agreed), events)
    assert repair, "a run ends with the reading after an order"
    return encode_facts(facts_of(agreed, _period(agreed, repair)))


def _repair(ways: RepairWays, events: Sequence[Event]) -> tuple[Event, Event, Event] | None:
    """Return the reading before, the order, and the last event if it is the reading after it."""
    before = order = None
    for event in events[:-1]:
        metrics = event.facts["metrics"]
        if metrics.get(ORDER, 0) > 0 and before:
            order = order or event
        elif order is None and metrics.get(VELOCITY, 0) >= ways.alarm:
            before = event
    after = events[-1].facts["metrics"]
    if before is None or order is None or after.get(LOAD, 0) < ways.load or VELOCITY not in after:
        return None
    return before, order, events[-1]


def _period(terms: IndexTerms, repair: tuple[Event, Event, Event]) -> Period:
    before, order, after = repair
    begin, end = before.observed_at_ms // 1000, after.observed_at_ms // 1000
    ordered = order.observed_at_ms // 1000
    report = after.facts
    metrics = {VELOCITY: report["metrics"][VELOCITY], HOURS: -((ordered - end) // _HOUR)}
    return Period(begin, end, report["coverage"], report["sources"], metrics)
