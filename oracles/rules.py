"""Bookkeeping of one device's stream: what is admitted, what is dropped and why, what is missing.

Pure, and the one place for these rules: the rail builds its proposals with them, each oracle
derives the same proposals again. So nothing here depends on the order in which records arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType

from device_adapters.types import STREAM_BIT, Event, Rejected

from .citations import cited_events
from .holes import Hole, gaps, without
from .merkle import evidence_root
from .routing import Route
from .types import Agreement, Claim, ClaimReason, ProductRules

NOTHING_CITED: Mapping[str, Event] = MappingProxyType({})
# doubts about a genuine event of an agreement: it holds its counter, but is never claimed
KEPT = (ClaimReason.NOT_BILLABLE,)
EVERYTHING = ((0, (1 << 40) - 1),)  # as `lost`: never wait for any missing counter


@dataclass(frozen=True, slots=True)
class EventVerdict:
    """What the rules say of one event: `doubt` None means admitted so far."""

    event: Event
    reason: ClaimReason | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Runs:
    """The state of a stream after its last claim.

    run: the next claimable events (may be empty). waiting: admitted events that cannot be claimed
    yet, such as an open session. dropped: events that never will be, each with its reason.
    holes: what is missing below the highest known counter, without what was declared lost.
    """

    run: tuple[Event, ...] = ()
    waiting: tuple[Event, ...] = ()
    dropped: tuple[EventVerdict, ...] = ()
    holes: tuple[Hole, ...] = ()


def content_id(event: Event) -> bytes:
    """SHA-256 of the signed bytes. Two valid signatures over one content are one event: ECDSA
    signatures have twins, so a signature never tells two events apart."""
    return sha256(event.signed.content).digest()


def repeats(known: Mapping[bytes, bytes], new: Iterable[Event]) -> list[EventVerdict]:
    """Which of the new genuine events were taken before: DUPLICATE, or COUNTER_REPLAYED.

    known: event_id -> content_id of what was taken before; what stands twice in `new` counts too.
    """
    seen = dict(known)
    return [_repeated(seen, event) for event in new]


def screen(
    known: Mapping[bytes, bytes],
    new: Iterable[tuple[Event, Route]],
    claimed_to: Mapping[bytes, int],
    terms: Mapping[str, ProductRules],
    further: Callable[[Event, Route], EventVerdict | None] = lambda event, route: None,
) -> list[EventVerdict]:
    """What can be said of new genuine events at once, in order.

    known: event_id -> content_id of what was taken before. claimed_to: agreement -> the last
    counter that stands in a claim. terms: product -> its rules. further: what else the caller asks
    of an event that nothing speaks against. What depends on an event's neighbours `runs` says.

    An event that is not taken leaves its counter free: it may come again, and then be welcome.
    """
    seen = dict(known)
    verdicts = []
    for event, route in new:
        verdict = _repeated(seen, event)
        if verdict.reason is None:
            verdict = _routed(route, event, claimed_to, terms)
            verdict = (None if verdict.reason else further(event, route)) or verdict
            if verdict.reason not in (None, *KEPT):
                del seen[event.event_id]
        verdicts.append(verdict)
    return verdicts


def runs(
    agreement: Agreement,
    terms: ProductRules,
    last_claimed: int,
    anchor: Event | None,
    events: Iterable[Event],
    lost: Iterable[tuple[int, int]] = (),
) -> Runs:
    """The next claimable run, and everything that stands in its way.

    last_claimed: last counter of the last claim (agreement.first_counter where there is none).
    anchor: the event of that counter (None where there is no claim yet).
    events: the genuine events of the device, one per counter, in any order; those at or below
    `last_claimed`, of the other stream or about another subject are passed over.
    lost: inclusive ranges of counters not to wait for: declared lost, or dropped before. Where the
    product is not GAPLESS nothing is waited for: what is missing may be about another subject.

    The answer is the same with dropped events left out and their counters in `lost`.
    """
    mine = _stream_of(agreement, events, last_claimed)
    holes = without(gaps(last_claimed, mine), sorted(lost)) if terms.GAPLESS else []
    end = holes[0].first if holes else 1 << 40
    reach = [event for event in mine if event.counter < end]
    run, dropped = _walk(agreement, terms, anchor, reach)
    over = {verdict.event.counter for verdict in dropped} | {event.counter for event in run}
    waiting = tuple(event for event in mine if event.counter not in over)
    return Runs(tuple(run), waiting, tuple(dropped), tuple(holes))


def late_run(
    agreement: Agreement,
    terms: ProductRules,
    events: Iterable[Event],
    claimed: Iterable[tuple[int, int]],
    cited: Mapping[str, Event] = NOTHING_CITED,
) -> Runs:
    """The next claimable run of events that claims have passed (only where the product is LATE).

    claimed: the inclusive ranges of counters of all claims so far, which a late run never touches.
    It has no anchor: each row of counters stands by itself, without a gap where GAPLESS.
    """
    ranges = list(claimed)
    top = max((last for _, last in ranges), default=agreement.first_counter)
    mine = _stream_of(agreement, events, agreement.first_counter)
    late = [event for event in mine if event.counter <= top]
    free = [e for e in late if not any(low <= e.counter <= high for low, high in ranges)]
    dropped = [
        EventVerdict(event, ClaimReason.TOO_LATE, "a claim stands over this counter")
        for event in late
        if event not in free
    ]
    run, more = _walk(agreement, terms, None, free)
    dropped += more
    if refusal := _declined(agreement, terms, run, cited):
        dropped += [EventVerdict(event, *refusal) for event in run]
        run = []
    over = {verdict.event.counter for verdict in dropped} | {event.counter for event in run}
    waiting = tuple(event for event in free if event.counter not in over)
    return Runs(tuple(run), waiting, tuple(dropped))


def derive_claim(
    agreement: Agreement,
    terms: ProductRules,
    sequence: int,
    anchor: Event | None,
    run: Sequence[Event],
    cited: Mapping[str, Event] = NOTHING_CITED,
    late: bool = False,
) -> Claim:
    """The claim that a run stands for; the run is not empty, and all that it cites is in `cited`.

    Its evidence: the run's in counter order, then that of what it cites (citations.cited_events).
    """
    behind = [*run, *cited_events(run, cited)]
    return Claim(
        agreement=agreement.agreement,
        sequence=sequence,
        first_counter=run[0].counter,
        last_counter=run[-1].counter,
        evidence=evidence_root([event.evidence_hash for event in behind]),
        facts=terms.derive(agreement.terms, anchor, run, cited, late),
    )


def _declined(
    agreement: Agreement, terms: ProductRules, run: Sequence[Event], cited: Mapping[str, Event]
) -> tuple[ClaimReason, str] | None:
    """Whether the product will not have this late run, such as one that a register has covered."""
    try:
        if run:
            terms.derive(agreement.terms, None, run, cited, True)
    except Rejected as refusal:
        return ClaimReason(refusal.reason), refusal.detail
    return None


def _stream_of(agreement: Agreement, events: Iterable[Event], above: int) -> list[Event]:
    """The agreement's own events above a counter, in their order."""
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
    before = seen.setdefault(event.event_id, content)
    if before is content:
        return EventVerdict(event)
    if before == content:
        return EventVerdict(
            event, ClaimReason.DUPLICATE, f"counter {event.counter} was taken before"
        )
    detail = f"counter {event.counter} was taken before with other content"
    return EventVerdict(event, ClaimReason.COUNTER_REPLAYED, detail)


def _routed(
    route: Route, event: Event, claimed_to: Mapping[bytes, int], terms: Mapping[str, ProductRules]
) -> EventVerdict:
    agreement = route.agreement
    if agreement is None or agreement.product not in terms:
        return EventVerdict(event, ClaimReason.NO_AGREEMENT, "no agreement is about it")
    if not route.stream:
        return _ended(agreement, event) or EventVerdict(event)
    late = terms[agreement.product].LATE
    passed = -1 if late else claimed_to.get(agreement.agreement, -1)
    return _alone(agreement, event, passed)


def _alone(agreement: Agreement, event: Event, last_claimed: int = -1) -> EventVerdict:
    """What the agreement says of one event of its own device, without its neighbours."""
    if _stream(event.counter) != _stream(agreement.first_counter):
        return EventVerdict(
            event, ClaimReason.STREAM_NOT_AGREED, "the agreement is about the other stream"
        )
    if event.counter <= agreement.first_counter:
        detail = f"the agreement begins after counter {agreement.first_counter}"
        return EventVerdict(event, ClaimReason.BEFORE_AGREEMENT, detail)
    if event.counter <= last_claimed:
        return EventVerdict(
            event, ClaimReason.TOO_LATE, f"claims have passed counter {last_claimed}"
        )
    if ended := _ended(agreement, event):
        return ended
    if event.not_billable:
        return EventVerdict(event, ClaimReason.NOT_BILLABLE, ", ".join(event.not_billable))
    return EventVerdict(event)


def _ended(agreement: Agreement, event: Event) -> EventVerdict | None:
    if event.observed_at_ms <= agreement.expires_at * 1000:
        return None
    detail = f"observed after the agreement's end at {agreement.expires_at}"
    return EventVerdict(event, ClaimReason.AGREEMENT_NOT_LIVE, detail)


def _stream(counter: int) -> int:
    return counter >> STREAM_BIT


def _walk(
    agreement: Agreement, terms: ProductRules, anchor: Event | None, events: Sequence[Event]
) -> tuple[list[Event], list[EventVerdict]]:
    """The first run that is complete, and what was dropped on the way to it.

    A segment is a row of admitted events, without a gap in their counters where GAPLESS. One that
    ends before it is complete never will be: it is dropped whole, and leaves no trace in what is
    judged after it.
    """
    segment, dropped = [], []
    for event in events:
        if terms.GAPLESS and segment and event.counter != segment[-1].counter + 1:
            if length := terms.complete(agreement.terms, anchor, segment):
                return segment[:length], dropped
            dropped += [
                EventVerdict(e, ClaimReason.INCOMPLETE, "its end is missing") for e in segment
            ]
            segment = []
        verdict = _admitted(agreement, terms, segment[-1] if segment else anchor, event)
        (dropped if verdict.reason else segment).append(verdict if verdict.reason else event)
    length = terms.complete(agreement.terms, anchor, segment) if segment else 0
    return segment[:length], dropped


def _admitted(
    agreement: Agreement, terms: ProductRules, previous: Event | None, event: Event
) -> EventVerdict:
    verdict = _alone(agreement, event)
    if verdict.reason:
        return verdict
    refusal = terms.admit(agreement.terms, previous, event)
    return EventVerdict(event, *refusal) if refusal else verdict
