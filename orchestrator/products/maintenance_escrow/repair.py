"""From the reports of an asset to a repair: a reading before, an order, a reading under load after.

All three are reports of the asset's own device, which belongs to its owner and not to the
contractor. `order` is a metric that its controller sets when the owner orders the work.

Where the terms have the metric `done`, the order is a claim of its own: it costs nothing, and its
final payment sends the work order. The reading afterwards is the second claim.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from device_adapters.types import Event
from oracles.types import ClaimReason
from orchestrator.core.effect import Effect, EffectKind, FinalPayment
from orchestrator.products.index import reports
from orchestrator.products.index.periods import Period, facts_of
from orchestrator.products.index.tariff import (
    FULL,
    IndexTerms,
    TariffCurve,
    decode_facts,
    decode_terms,
    encode_facts,
    malformed,
)

VELOCITY, HOURS, DONE = "velocity", "hours", "done"
METRICS = (VELOCITY, HOURS, DONE)  # RMS in um/s (ISO 20816); hours from the order on; 0 or 1
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
    if _orders(terms):
        number = [metric.name for metric in terms.metrics].index(DONE)
        free = TariffCurve(number, ((0, 0), (1, FULL)), factor=True)
        curves = [curve for curve in terms.curves if curve.metric == number]
        plain = [curve._replace(rises=False) for curve in curves] == [free]
        if not plain or terms.floor or terms.shortest > 1:
            detail = 'times has "done: 0=0%, 1=100%", a period begins with 1 second, without floor'
            raise malformed(f"an order costs nothing: {detail}")
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
    """Return how many events make an order, or a repair up to the reading under load after it."""
    agreed = decode_terms(terms)
    for count in range(1, len(events) + 1):
        period = _period(agreed, anchor, events[:count])
        if period and reports.priced(agreed, period):
            return count
    return 0


def derive(
    terms: bytes,
    anchor: Event | None,
    events: Sequence[Event],
    cited: Mapping[str, Event],
    late: bool = False,
) -> bytes:
    """Return the facts of an order or of a repair."""
    agreed = decode_terms(terms)
    period = _period(agreed, anchor, events)
    assert period, "a run ends with an order, or with the reading after one"
    return encode_facts(facts_of(agreed, period))


def effects(terms: bytes, facts: bytes, payment: FinalPayment) -> tuple[Effect, ...]:
    """Return the work order for a claim that is an order."""
    agreed, stated = decode_terms(terms), decode_facts(facts)
    metrics = {m.name: value for m, value in zip(agreed.metrics, stated.metrics, strict=True)}
    if metrics.get(DONE, 1):
        return ()
    content = {"asset": payment.device, "about": agreed.about, "ordered_at": stated.end}
    return (Effect("repair", EffectKind.WORK_ORDER, content),)


def _period(terms: IndexTerms, anchor: Event | None, events: Sequence[Event]) -> Period | None:
    """Return the period of the order, or of the repair, that ends with the last event; or None."""
    ways, last = ways_of(terms), events[-1]
    if _orders(terms) and anchor is not None and _is_order(anchor):
        usable = _is_under_load(ways, last) and not _is_order(last)
        return _stated(anchor, anchor, last, done=1) if usable else None
    before = order = None
    for event in events[:-1]:
        if _is_order(event) and before:
            order = order or event
        elif order is None and event.facts["metrics"].get(VELOCITY, 0) >= ways.alarm:
            before = event
    if before is None:
        return None
    if _orders(terms):
        return _stated(before, last, last, done=0) if _is_order(last) else None
    return _stated(before, order, last, done=1) if order and _is_under_load(ways, last) else None


def _stated(begin: Event, order: Event, last: Event, done: int) -> Period:
    times = [event.observed_at_ms // 1000 for event in (begin, order, last)]
    hours = -((times[1] - times[2]) // _HOUR)
    report, reading = last.facts, last if done else begin
    metrics = {VELOCITY: reading.facts["metrics"][VELOCITY], HOURS: hours, DONE: done}
    return Period(times[0], times[2], report["coverage"], report["sources"], metrics)


def _orders(terms: IndexTerms) -> bool:
    """Return whether an order is a claim of its own."""
    return DONE in [metric.name for metric in terms.metrics]


def _is_order(event: Event) -> bool:
    return event.facts["metrics"].get(ORDER, 0) > 0


def _is_under_load(ways: RepairWays, event: Event) -> bool:
    metrics = event.facts["metrics"]
    return VELOCITY in metrics and metrics.get(LOAD, 0) >= ways.load
