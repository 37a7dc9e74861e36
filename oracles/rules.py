"""Rules for one device's stream: which events are admitted, dropped (and why) or missing.

Pure, and the only place for these rules: the rail builds its claims with them, and each oracle
derives the same claims again. So nothing here depends on the order in which records arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from types import MappingProxyType

from device_adapters.types import STREAM_BIT, Event, Rejected

from .citations import cited_events
from .holes import NO_SIBLINGS, Hole, Siblings, follows, gaps, shared, subtract
from .merkle import evidence_root
from .routing import Route
from .types import Agreement, Claim, ClaimReason, ProductRules

NOTHING_CITED: Mapping[str, Event] = MappingProxyType({})
# reasons by which an event is stored and keeps its counter, but is never claimed
KEPT = (ClaimReason.NOT_BILLABLE,)
_MOST_NUMBER = (1 << 36) - 1  # of a counter within its stream: what the rail keeps of it
EVERYTHING = ((0, (1 << 40) - 1),)  # as `lost`: wait for no missing counter


@dataclass(frozen=True, slots=True)
class EventVerdict:
    """Result for one event: admitted so far if `reason` is None.

    hearer: the agreement that takes it as supporting, since its route's own agreement refused it.
    """

    event: Event
    reason: ClaimReason | None = None
    detail: str = ""
    hearer: Agreement | None = None


@dataclass(frozen=True, slots=True)
class Runs:
    """The state of a stream after its last claim.

    run: the next events to claim (may be empty). waiting: admitted events that cannot be claimed
    yet, such as an open session. dropped: events that can never be claimed, each with its reason.
    holes: counters missing below the highest stored one, except those declared lost.
    """

    run: tuple[Event, ...] = ()
    waiting: tuple[Event, ...] = ()
    dropped: tuple[EventVerdict, ...] = ()
    holes: tuple[Hole, ...] = ()


def content_id(event: Event) -> bytes:
    """Return the SHA-256 of the signed bytes.

    Two valid signatures over one content are one event: each ECDSA signature has a second valid
    form, so signatures do not distinguish events.
    """
    return sha256(event.signed.content).digest()


def repeats(stored: Mapping[bytes, bytes], new: Iterable[Event]) -> list[EventVerdict]:
    """Find repeated events: DUPLICATE (same content) or COUNTER_REPLAYED (other content).

    Args:
        stored: event_id -> content_id of the events stored before.
        new: genuine events; repetitions among them count too.

    Returns:
        One verdict per new event, in order.
    """
    seen = dict(stored)
    return [_repeated(seen, event) for event in new]


def screen(
    stored: Mapping[bytes, bytes],
    new: Iterable[tuple[Event, Route]],
    claimed_to: Mapping[bytes, int],
    rules: Mapping[str, ProductRules],
    further: Callable[[Event, Route], EventVerdict | None] = lambda event, route: None,
) -> list[EventVerdict]:
    """Judge new genuine events by what needs no other event of the stream (`runs` does the rest).

    An event that is not accepted leaves its counter free: it may come again and be accepted then.

    Args:
        stored: event_id -> content_id of the events stored before.
        new: genuine events with their routes, in order of arrival.
        claimed_to: agreement -> last counter in a claim.
        rules: product -> its rules.
        further: the caller's own check of an event that has passed all others.

    Returns:
        One verdict per new event, in order.
    """
    seen = dict(stored)
    verdicts = []
    for event, route in new:
        verdict = _repeated(seen, event)
        if verdict.reason is None:
            verdict = _routed(route, event, claimed_to, rules)
            if route.hearer is not None and verdict.reason not in (None, *KEPT):
                verdict = EventVerdict(event, hearer=route.hearer)
            verdict = (None if verdict.reason else further(event, route)) or verdict
            if verdict.reason not in (None, *KEPT):
                del seen[event.event_id]
        verdicts.append(verdict)
    return verdicts


def runs(
    agreement: Agreement,
    rules: ProductRules,
    last_claimed: int,
    anchor: Event | None,
    events: Iterable[Event],
    lost: Iterable[tuple[int, int]] = (),
    siblings: Siblings = NO_SIBLINGS,
) -> Runs:
    """Find the next run to claim, and what prevents later ones.

    The result stays the same if dropped events are left out and their counters are in `lost`.

    Args:
        last_claimed: last counter of the last claim (agreement.first_counter without a claim).
        anchor: the event with that counter (None without a claim).
        events: genuine events of the device, one per counter, in any order. Events at or below
            `last_claimed`, of the other stream or about another subject are ignored.
        lost: inclusive ranges of counters not to wait for: declared lost, or dropped before. A
            product that is not GAPLESS waits for none: they may be about another subject.
        siblings: what the gateways of the events used for other meters; no record is missing there.
    """
    own_events = _stream_of(agreement, events, last_claimed)
    siblings, holes = shared(siblings, own_events), []
    if rules.GAPLESS:
        holes = subtract(gaps(last_claimed, own_events, siblings), sorted(lost))
    end = holes[0].first if holes else 1 << 40
    before_hole = [event for event in own_events if event.counter < end]
    run, dropped = _walk(agreement, rules, anchor, before_hole, siblings)
    decided = {verdict.event.counter for verdict in dropped} | {event.counter for event in run}
    waiting = tuple(event for event in own_events if event.counter not in decided)
    return Runs(tuple(run), waiting, tuple(dropped), tuple(holes))


def reopened(agreement: Agreement, rules: ProductRules) -> Agreement:
    """Return the agreement for the first run behind counters that payer and payee passed over.

    The run has no anchor: nothing that was passed over counts, and no record of it is needed.
    """
    reopen = getattr(rules, "reopened", None)
    return replace(agreement, terms=reopen(agreement.terms)) if reopen else agreement


def late_run(
    agreement: Agreement,
    rules: ProductRules,
    events: Iterable[Event],
    claimed: Iterable[tuple[int, int]],
    cited: Mapping[str, Event] = NOTHING_CITED,
    siblings: Siblings = NO_SIBLINGS,
) -> Runs:
    """Find the next run of events at or below the last claimed counter (only for LATE products).

    A late run has no anchor. A GAPLESS product takes only runs without a gap.

    Args:
        claimed: inclusive counter ranges of all claims so far, and of counters that the contract
            takes no more; a late run touches none of them.
        cited: id -> genuine event, for the ids that the events cite.
        siblings: as for `runs`.
    """
    ranges = list(claimed)
    top = max((last for _, last in ranges), default=agreement.first_counter)
    own_events = _stream_of(agreement, events, agreement.first_counter)
    late = [event for event in own_events if event.counter <= top]
    free = [e for e in late if not any(low <= e.counter <= high for low, high in ranges)]
    dropped = [
        EventVerdict(event, ClaimReason.TOO_LATE, "a claim covers this counter, or it is too old")
        for event in late
        if event not in free
    ]
    run, more = _walk(agreement, rules, None, free, shared(siblings, own_events))
    dropped += more
    if refusal := _late_refusal(agreement, rules, run, cited):
        dropped += [EventVerdict(event, *refusal) for event in run]
        run = []
    decided = {verdict.event.counter for verdict in dropped} | {event.counter for event in run}
    waiting = tuple(event for event in free if event.counter not in decided)
    return Runs(tuple(run), waiting, tuple(dropped))


def derive_claim(
    agreement: Agreement,
    rules: ProductRules,
    sequence: int,
    anchor: Event | None,
    run: Sequence[Event],
    cited: Mapping[str, Event] = NOTHING_CITED,
    late: bool = False,
    before: bytes | None = None,
) -> Claim:
    """Derive the claim of a run.

    Its evidence root covers the run in counter order, then the events that it cites
    (citations.cited_events).

    Args:
        sequence: the agreement's last sequence plus one.
        anchor: the last event claimed before the run; None for a first or late run.
        run: at least one event.
        cited: id -> genuine event, for every id that the run cites.
        before: facts that the claim goes on from; only a product with `rows_before` gets them.

    Raises:
        Rejected: the product refuses to derive facts from this run.
    """
    evidence = [*run, *cited_events(run, cited)]
    rows = {"before": before} if hasattr(rules, "rows_before") else {}
    return Claim(
        agreement=agreement.agreement,
        sequence=sequence,
        first_counter=run[0].counter,
        last_counter=run[-1].counter,
        evidence=evidence_root([event.evidence_hash for event in evidence]),
        facts=rules.derive(agreement.terms, anchor, run, cited, late, **rows),
    )


def stated_before(rules: ProductRules, facts: bytes) -> bytes | None:
    """Return what a claim with these facts says that it goes on from.

    None for a product whose claims go on from none before. Who has the claim alone derives it again
    with this: what it says may be false, and then the contract refuses the claim.

    Raises:
        Rejected: these are no facts of the product.
    """
    rows_before = getattr(rules, "rows_before", None)
    return rows_before(facts) if rows_before else None


def _late_refusal(
    agreement: Agreement, rules: ProductRules, run: Sequence[Event], cited: Mapping[str, Event]
) -> tuple[ClaimReason, str] | None:
    """Return why the product refuses a late run, for example since a register has covered it."""
    try:
        if run:
            rules.derive(agreement.terms, None, run, cited, True)
    except Rejected as refusal:
        return ClaimReason(refusal.reason), refusal.detail
    return None


def _stream_of(agreement: Agreement, events: Iterable[Event], above: int) -> list[Event]:
    """Return the agreement's own events above a counter, in counter order."""
    stream, subject = _stream(agreement.first_counter), agreement.subject
    return sorted(
        (
            e
            for e in events
            if e.counter > above and _stream(e.counter) == stream and e.subject_id == subject
        ),
        key=lambda event: event.counter,
    )


def _repeated(seen: dict[bytes, bytes], event: Event) -> EventVerdict:
    content = content_id(event)
    first_content = seen.setdefault(event.event_id, content)
    if first_content is content:  # it was added just now
        return EventVerdict(event)
    if first_content == content:
        return EventVerdict(
            event, ClaimReason.DUPLICATE, f"counter {event.counter} is stored already"
        )
    detail = f"counter {event.counter} is stored already with other content"
    return EventVerdict(event, ClaimReason.COUNTER_REPLAYED, detail)


def _routed(
    route: Route, event: Event, claimed_to: Mapping[bytes, int], rules: Mapping[str, ProductRules]
) -> EventVerdict:
    agreement = route.agreement
    if agreement is None or agreement.product not in rules:
        return EventVerdict(event, ClaimReason.NO_AGREEMENT, "no agreement covers it")
    if not route.stream:
        return _ended(agreement, event) or EventVerdict(event)
    late = rules[agreement.product].LATE
    passed = -1 if late else claimed_to.get(agreement.agreement, -1)
    return _alone(agreement, event, passed)


def _alone(agreement: Agreement, event: Event, last_claimed: int = -1) -> EventVerdict:
    """Judge one event of the agreement's own device by itself, without other events."""
    if _stream(event.counter) != _stream(agreement.first_counter):
        return EventVerdict(
            event, ClaimReason.STREAM_NOT_AGREED, "the agreement covers the other stream"
        )
    if event.counter & ~(1 << STREAM_BIT) > _MOST_NUMBER:
        detail = f"counters of an agreement end at {_MOST_NUMBER}"
        return EventVerdict(event, ClaimReason.COUNTER_TOO_LARGE, detail)
    if event.counter <= agreement.first_counter:
        detail = f"the agreement begins after counter {agreement.first_counter}"
        return EventVerdict(event, ClaimReason.BEFORE_AGREEMENT, detail)
    if event.counter <= last_claimed:
        return EventVerdict(
            event, ClaimReason.TOO_LATE, f"claims have passed counter {last_claimed}"
        )
    if _first_moment(event) < agreement.start * 1000:
        detail = f"observed before the agreement's start at {agreement.start}"
        return EventVerdict(event, ClaimReason.BEFORE_AGREEMENT, detail)
    if ended := _ended(agreement, event):
        return ended
    payee = event.facts.get("payee") if agreement.never_paid else None
    if payee and payee.lower() in agreement.never_paid:
        detail = f"{payee} is a contract of the rail, which could never withdraw"
        return EventVerdict(event, ClaimReason.PAYEE_INVALID, detail)
    if event.not_billable:
        return EventVerdict(event, ClaimReason.NOT_BILLABLE, ", ".join(event.not_billable))
    return EventVerdict(event)


def _ended(agreement: Agreement, event: Event) -> EventVerdict | None:
    if event.observed_at_ms <= agreement.expires_at * 1000:
        return None
    detail = f"observed after the agreement's end at {agreement.expires_at}"
    return EventVerdict(event, ClaimReason.AGREEMENT_NOT_LIVE, detail)


def _first_moment(event: Event) -> int:
    """Return the time of the first reading of a record (Unix milliseconds), or the record's own.

    A report begins where its period does. A sensor's readings bear their times as text for people;
    its record's own time counts.
    """
    times = [reading.get("at") for reading in event.facts.get("readings", ())]
    begin = event.facts.get("from")
    begins = [begin * 1000] if isinstance(begin, int) else []
    return min([event.observed_at_ms, *begins, *(at for at in times if isinstance(at, int))])


def _stream(counter: int) -> int:
    return counter >> STREAM_BIT


def _walk(
    agreement: Agreement,
    rules: ProductRules,
    anchor: Event | None,
    events: Sequence[Event],
    siblings: Siblings,
) -> tuple[list[Event], list[EventVerdict]]:
    """Return the first complete run, and the events dropped before it.

    A segment is a sequence of admitted events; for a GAPLESS product no record is missing in it. A
    segment that ends incomplete can never be completed: all of it is dropped, and it does not
    influence how later events are judged.
    """
    segment, dropped = [], []
    for event in events:
        if rules.GAPLESS and segment and not follows(segment[-1].counter, event, siblings):
            if length := rules.complete(agreement.terms, anchor, segment):
                return segment[:length], dropped
            detail = (
                f"its end is missing: what follows counter {segment[-1].counter} is not here or "
                f"was refused, and the next record is {event.counter}"
            )
            dropped += [EventVerdict(e, ClaimReason.INCOMPLETE, detail) for e in segment]
            segment = []
        verdict = _admitted(agreement, rules, anchor, segment, event)
        (dropped if verdict.reason else segment).append(verdict if verdict.reason else event)
    length = rules.complete(agreement.terms, anchor, segment) if segment else 0
    return segment[:length], dropped


def _admitted(
    agreement: Agreement,
    rules: ProductRules,
    anchor: Event | None,
    segment: Sequence[Event],
    event: Event,
) -> EventVerdict:
    verdict = _alone(agreement, event)
    if verdict.reason:
        return verdict
    previous = segment[-1] if segment else anchor
    refusal = rules.admit(agreement.terms, previous, event, segment)
    return EventVerdict(event, *refusal) if refusal else verdict
