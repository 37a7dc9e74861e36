"""From signed states to a period's uptime: which records make a period, and what they say.

Periods follow each other from `first` on. A period is complete with the first record at or after
its end, which also opens the next one. What an outage of the broker or the rail held back arrives
before that record, since a machine sends in order, and counts with the machine's own times. Silence
of the machine itself, longer than `heartbeat` allows, counts as down; a time whose records are
missing was not observed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from device_adapters.protocols.machine import CASH, IN_SERVICE
from device_adapters.types import Event
from oracles.types import ClaimReason
from orchestrator.core.effect import Effect, EffectKind, FinalPayment
from orchestrator.products.index.periods import Period, facts_of
from orchestrator.products.index.pricing import refusal_of
from orchestrator.products.index.tariff import (
    FULL,
    IndexFacts,
    IndexTerms,
    decode_facts,
    decode_terms,
    encode_facts,
    malformed,
)

KIND = "sensor.reading"
UPTIME, CASHLESS, SHORTAGES = "uptime", "cashless", "shortages"
METRICS = (UPTIME, CASHLESS, SHORTAGES)  # basis points of the period; minutes; how often cash fell
WAYS = (
    ("first", "when the first period begins, such as 2027-01-01T00:00Z"),
    ("heartbeat", "the longest time between two records of a machine that serves, in seconds"),
    ("low", "banknotes below which the machine counts as without cash; 0: it has none to count"),
    ("maintenance", 'planned each week in UTC, such as "Sun 02:00-04:00"; none: no such time'),
    ("replenish", "banknotes below which cash is ordered; left out or 0: never"),
)
NEVER = "0"
_DAY, _WEEK = 86_400, 7 * 86_400
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WINDOW = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([0-2]\d):([0-5]\d)-([0-2]\d):([0-5]\d)")
_MONDAY = 4 * _DAY  # 1970-01-05 was one


class Ways(NamedTuple):
    """How states become a period: Unix seconds, seconds, windows in seconds of a week.

    low: Banknotes below which it counts as without cash. replenish: those below which cash is
    ordered.
    """

    first: int
    heartbeat: int
    low: int
    maintenance: tuple[tuple[int, int], ...]
    replenish: int = 0


class _Span(NamedTuple):
    """A time in which nothing changed: seconds, whether it served, whether it had cash."""

    begin: int
    end: int
    up: bool
    cash: bool
    seen: bool


def ways_of(terms: IndexTerms) -> Ways:
    """Return the product's own terms; Rejected (FACTS_MALFORMED) names what is wrong."""
    words = {"replenish": NEVER} | dict(terms.ways)
    if missing := [name for name, _ in WAYS if name not in words]:
        raise malformed(f"{missing[0]} is missing: {dict(WAYS)[missing[0]]}")
    try:
        first = datetime.fromisoformat(words["first"])
        heartbeat, low, order = (int(words[name]) for name in ("heartbeat", "low", "replenish"))
    except ValueError as error:
        raise malformed(f"first, heartbeat, low or replenish: {error}") from None
    counted = SHORTAGES in [metric.name for metric in terms.metrics]
    if order < 0 or counted != bool(order):
        raise malformed(f"replenish is above 0 where the metrics have {SHORTAGES}, and only there")
    if first.tzinfo is None or heartbeat <= 0 or low < 0 or terms.shortest != terms.longest:
        raise malformed("first has a zone, heartbeat is more than 0, a period has one length")
    windows = [part.strip() for part in words["maintenance"].split(",")]
    named = () if windows == ["none"] else tuple(map(_window, windows))
    return Ways(int(first.timestamp()), heartbeat, low, named, order)


def admit(
    terms: bytes, previous: Event | None, event: Event, earlier: Sequence[Event] = ()
) -> tuple[ClaimReason, str] | None:
    """Return why a record says nothing of the machine's service, or None."""
    agreed = decode_terms(terms)
    ways = ways_of(agreed)
    if event.kind != KIND or _value(event, IN_SERVICE) is None:
        return ClaimReason.KIND_NOT_PRICED, "the record says nothing of whether the machine serves"
    if not event.assurance.is_at_least(agreed.least_assurance):
        detail = f"{event.assurance} stands for it, and the terms ask for {agreed.least_assurance}"
        return ClaimReason.ASSURANCE_TOO_LOW, detail
    if _at(event) < ways.first:
        return ClaimReason.PERIOD_UNEXPECTED, "it is from before the first period"
    if previous is not None and event.observed_at_ms < previous.observed_at_ms:
        return ClaimReason.TIME_BACKWARDS, "the machine's clock went back"
    return None


def complete(terms: bytes, anchor: Event | None, events: Sequence[Event]) -> int:
    """Return how many events end with a period that is priced.

    A period that the terms do not price, since too little of it was observed, is passed over.
    """
    agreed = decode_terms(terms)
    periods = _periods(agreed, anchor, events) if events else ()
    return next((count for count, facts in periods if not refusal_of(agreed, facts)), 0)


def derive(
    terms: bytes,
    anchor: Event | None,
    events: Sequence[Event],
    cited: Mapping[str, Event],
    late: bool = False,
) -> bytes:
    """Return the facts of the last period: how much of it the machine served, or had no cash."""
    (*_, (count, facts)) = _periods(decode_terms(terms), anchor, events)
    assert count == len(events), "a run ends behind a period"
    return encode_facts(facts)


def effects(terms: bytes, facts: bytes, payment: FinalPayment) -> tuple[Effect, ...]:
    """Return the order of cash for a period in which it fell below `replenish`."""
    agreed, stated = decode_terms(terms), decode_facts(facts)
    pairs = zip(agreed.metrics, stated.metrics, strict=True)
    fell = next((value for metric, value in pairs if metric.name == SHORTAGES), 0)
    if fell <= 0:
        return ()
    content = {
        "order": f"po:{payment.payment_id}",  # what the delivery's records and terms name
        "machine": payment.device,
        "about": agreed.about,
        "below_banknotes": ways_of(agreed).replenish,
        "period_end": stated.end,
    }
    return (Effect("replenish", EffectKind.CASH_ORDER, content),)


def _periods(
    terms: IndexTerms, anchor: Event | None, events: Sequence[Event]
) -> Iterator[tuple[int, IndexFacts]]:
    """Yield (count, facts) for each period that the first `count` events are beyond."""
    ways = ways_of(terms)
    begin, end = _period(ways, terms.shortest, anchor, events)
    within, had_cash = ([anchor], _stocked(ways, anchor)) if anchor else ([], True)
    fell = 0
    for count, event in enumerate(events, 1):
        within.append(event)
        stocked = _stocked(ways, event)
        fell, had_cash = fell + (had_cash and not stocked), stocked
        if _at(event) >= end:
            yield count, _facts(terms, ways, within, begin, end, fell)
            begin, end = _period(ways, terms.shortest, event, events)
            within = [event]


def _facts(
    terms: IndexTerms, ways: Ways, events: Sequence[Event], begin: int, end: int, fell: int
) -> IndexFacts:
    spans = list(_planned(ways, _spans(ways, events, begin, end)))
    served, up, cashless, seen = (
        sum(span.end - span.begin for span in spans if counts(span))
        for counts in (
            lambda span: True,
            lambda span: span.up,
            lambda span: span.up and not span.cash,
            lambda span: span.seen,
        )
    )
    uptime = up * FULL // served if served else FULL
    metrics = {UPTIME: uptime, CASHLESS: cashless // 60, SHORTAGES: fell}
    coverage = seen * FULL // served if served else FULL
    return facts_of(terms, Period(begin, end, coverage, 1, metrics))


def _spans(ways: Ways, events: Sequence[Event], begin: int, end: int) -> Iterator[_Span]:
    """Yield the period in parts: what each record says holds until the next, or falls silent.

    Before its first record a period is as that record says, for as long as a heartbeat allows. What
    is from before it says nothing of it but how it begins.
    Between two records with counters in between that never came, nothing was seen.
    """
    first = events[0]
    quiet = min(max(_at(first) - ways.heartbeat, begin), end)
    if quiet > begin:
        yield _Span(begin, quiet, up=False, cash=True, seen=True)
    if min(_at(first), end) > quiet:
        yield _Span(quiet, min(_at(first), end), *_states(ways, first), seen=True)
    for event, after in pairwise(events):
        start, stop = max(_at(event), begin), min(_at(after), end)
        alive = min(max(_at(event) + ways.heartbeat, start), stop)
        seen = after.counter == event.counter + 1
        if alive > start:
            yield _Span(start, alive, *_states(ways, event), seen)
        if stop > alive:
            yield _Span(alive, stop, up=False, cash=True, seen=seen)


def _planned(ways: Ways, spans: Iterator[_Span]) -> Iterator[_Span]:
    """Yield the parts of spans that no maintenance was planned for."""
    for span in spans:
        parts = [(span.begin, span.end)]
        for low, high in ways.maintenance:
            parts = [left for part in parts for left in _outside(part, low, high)]
        for begin, end in parts:
            yield span._replace(begin=begin, end=end)


def _outside(part: tuple[int, int], low: int, high: int) -> Iterator[tuple[int, int]]:
    """Yield what of a time lies outside a window of each week."""
    at, end = part
    week = (at - _MONDAY) // _WEEK * _WEEK + _MONDAY
    while at < end:
        if at < week + low:
            yield at, min(end, week + low)
        at = max(at, week + high)
        week += _WEEK


def _period(
    ways: Ways, length: int, anchor: Event | None, events: Sequence[Event]
) -> tuple[int, int]:
    """Return begin and end of the period that a run begins with: the one in which its anchor lies.

    Without an anchor it is the first period, or a later one that no record is from before.
    """
    at = _at(anchor or events[0]) - ways.first
    number = at // length
    if anchor is None and number:
        number = -(-at // length)
    return ways.first + number * length, ways.first + (number + 1) * length


def _states(ways: Ways, event: Event) -> tuple[bool, bool]:
    """Return whether the machine serves, and whether it has cash."""
    cash = _value(event, CASH)
    return _value(event, IN_SERVICE) == 1, cash is None or cash >= ways.low


def _stocked(ways: Ways, event: Event) -> bool:
    """Return whether the machine has so much cash that none is ordered."""
    cash = _value(event, CASH)
    return cash is None or cash >= ways.replenish


def _value(event: Event, register: str) -> int | None:
    readings = event.facts.get("readings", ())
    values = [reading["value"] for reading in readings if reading.get("register") == register]
    return int(values[0]) if len(values) == 1 and values[0].isdecimal() else None


def _at(event: Event) -> int:
    return event.observed_at_ms // 1000


def _window(text: str) -> tuple[int, int]:
    match = _WINDOW.fullmatch(text)
    if match is None:
        raise malformed(f"maintenance has {text!r}, not a time such as Sun 02:00-04:00")
    day, *clock = match.groups()
    start = _DAYS.index(day) * _DAY
    low, high = (start + int(h) * 3_600 + int(m) * 60 for h, m in (clock[:2], clock[2:]))
    if not low < high <= start + _DAY:
        raise malformed(f"maintenance has {text!r}, which ends before it begins")
    return low, high
