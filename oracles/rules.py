"""Bookkeeping of one device's stream: what is admitted, what is dropped and why, what is missing.

Pure, and the one place for these rules: the rail builds its proposals with them, each oracle
derives the same proposals again. So nothing here depends on the order in which records arrived.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeVar

from device_adapters.types import STREAM_BIT, Event

from .merkle import evidence_root
from .types import Agreement, Claim, Doubt, Terms

_Key = TypeVar("_Key", int, bytes)
EVERYTHING = ((0, (1 << 40) - 1),)  # as `lost`: never wait for any missing counter


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules say of one event: `doubt` None means admitted so far."""

    event: Event
    doubt: Doubt | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Hole:
    """Missing counters, both inclusive."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Runs:
    """The state of a stream after its last claim.

    run: the next claimable events (may be empty). waiting: admitted events that cannot be claimed
    yet, such as an open session. dropped: events that never will be, each with its reason.
    holes: what is missing below the highest known counter, without what was declared lost.
    """

    run: tuple[Event, ...] = ()
    waiting: tuple[Event, ...] = ()
    dropped: tuple[Verdict, ...] = ()
    holes: tuple[Hole, ...] = ()


def content_id(event: Event) -> bytes:
    """SHA-256 of the signed bytes. Two valid signatures over one content are one event: ECDSA
    signatures have twins, so a signature never tells two events apart."""
    return sha256(event.signed.content).digest()


def repeats(known: Mapping[bytes, bytes], new: Iterable[Event]) -> list[Verdict]:
    """Which of the new genuine events were taken before: DUPLICATE, or COUNTER_REPLAYED.

    known: event_id -> content_id of what was taken before; what stands twice in `new` counts too.
    """
    seen = dict(known)
    return [_repeated(seen, event.event_id, event) for event in new]


def screen(
    agreement: Agreement | None,
    known: Mapping[int, bytes],
    new: Iterable[Event],
    last_claimed: int = -1,
) -> list[Verdict]:
    """What can be said of one device's new genuine events at once, in order.

    known: counter -> content_id of the device's events that were taken before. last_claimed: the
    last counter that stands in a claim. What depends on an event's neighbours is said by `runs`.
    """
    seen = dict(known)
    verdicts = []
    for event in new:
        verdict = _repeated(seen, event.counter, event)
        verdicts.append(verdict if verdict.doubt else _alone(agreement, event, last_claimed))
    return verdicts


def runs(
    agreement: Agreement,
    terms: Terms,
    last_claimed: int,
    anchor: Event | None,
    events: Iterable[Event],
    lost: Iterable[tuple[int, int]] = (),
) -> Runs:
    """The next claimable run of counters without a gap, and everything that stands in its way.

    last_claimed: last counter of the last claim (agreement.first_counter where there is none).
    anchor: the event of that counter (None where there is no claim yet).
    events: the genuine events of the device, one per counter, in any order; those at or below
    `last_claimed` and those of the other stream are passed over.
    lost: inclusive ranges of counters not to wait for: declared lost, or dropped before.

    The answer is the same with dropped events left out and their counters in `lost`.
    """
    stream = _stream(agreement.first_counter)
    mine = sorted(
        (e for e in events if e.counter > last_claimed and _stream(e.counter) == stream),
        key=lambda event: event.counter,
    )
    holes = _without(_gaps(last_claimed, mine), sorted(lost))
    end = holes[0].first if holes else 1 << 40
    reach = [event for event in mine if event.counter < end]
    run, dropped = _walk(agreement, terms, anchor, reach)
    over = {verdict.event.counter for verdict in dropped} | {event.counter for event in run}
    waiting = tuple(event for event in mine if event.counter not in over)
    return Runs(tuple(run), waiting, tuple(dropped), tuple(holes))


def derive_claim(
    agreement: Agreement,
    terms: Terms,
    sequence: int,
    anchor: Event | None,
    run: Sequence[Event],
) -> Claim:
    """The claim that a run stands for; the run is not empty and its counters have no gap."""
    return Claim(
        agreement=agreement.agreement,
        sequence=sequence,
        first_counter=run[0].counter,
        last_counter=run[-1].counter,
        evidence=evidence_root([event.evidence_hash for event in run]),
        facts=terms.derive(agreement.terms, anchor, run),
    )


def _repeated(seen: dict[_Key, bytes], key: _Key, event: Event) -> Verdict:
    content = content_id(event)
    before = seen.get(key)
    if before is None:
        seen[key] = content
        return Verdict(event)
    if before == content:
        return Verdict(event, Doubt.DUPLICATE, f"counter {event.counter} was taken before")
    detail = f"counter {event.counter} was taken before with other content"
    return Verdict(event, Doubt.COUNTER_REPLAYED, detail)


def _alone(agreement: Agreement | None, event: Event, last_claimed: int = -1) -> Verdict:
    """What the agreement says of one event, without its neighbours."""
    if agreement is None:
        return Verdict(event, Doubt.NO_AGREEMENT, "no agreement charges for this device")
    if _stream(event.counter) != _stream(agreement.first_counter):
        return Verdict(event, Doubt.STREAM_NOT_AGREED, "the agreement is about the other stream")
    if event.counter <= agreement.first_counter:
        detail = f"the agreement begins after counter {agreement.first_counter}"
        return Verdict(event, Doubt.BEFORE_AGREEMENT, detail)
    if event.counter <= last_claimed:
        return Verdict(event, Doubt.TOO_LATE, f"claims have passed counter {last_claimed}")
    if event.observed_at_ms > agreement.expires_at * 1000:
        detail = f"observed after the agreement's end at {agreement.expires_at}"
        return Verdict(event, Doubt.AGREEMENT_NOT_LIVE, detail)
    if event.not_billable:
        return Verdict(event, Doubt.NOT_BILLABLE, ", ".join(event.not_billable))
    return Verdict(event)


def _stream(counter: int) -> int:
    return counter >> STREAM_BIT


def _gaps(last_claimed: int, events: Sequence[Event]) -> list[Hole]:
    gaps, expected = [], last_claimed + 1
    for event in events:
        if event.counter > expected:
            gaps.append(Hole(expected, event.counter - 1))
        expected = event.counter + 1
    return gaps


def _without(gaps: Iterable[Hole], lost: Sequence[tuple[int, int]]) -> list[Hole]:
    """The parts of the gaps that no range of `lost` (sorted) covers."""
    holes = []
    for gap in gaps:
        first = gap.first
        for low, high in lost:
            if high < first or low > gap.last:
                continue
            if low > first:
                holes.append(Hole(first, low - 1))
            first = max(first, high + 1)
        if first <= gap.last:
            holes.append(Hole(first, gap.last))
    return holes


def _walk(
    agreement: Agreement, terms: Terms, anchor: Event | None, events: Sequence[Event]
) -> tuple[list[Event], list[Verdict]]:
    """The first run that is complete, and what was dropped on the way to it.

    A segment is a row of admitted events whose counters have no gap. One that ends before it is
    complete never will be: it is dropped whole, and leaves no trace in what is judged after it.
    """
    segment, dropped = [], []
    for event in events:
        if segment and event.counter != segment[-1].counter + 1:
            if length := terms.complete(agreement.terms, anchor, segment):
                return segment[:length], dropped
            dropped += [Verdict(e, Doubt.INCOMPLETE, "its end is missing") for e in segment]
            segment = []
        verdict = _admitted(agreement, terms, segment[-1] if segment else anchor, event)
        (dropped if verdict.doubt else segment).append(verdict if verdict.doubt else event)
    length = terms.complete(agreement.terms, anchor, segment) if segment else 0
    return segment[:length], dropped


def _admitted(agreement: Agreement, terms: Terms, previous: Event | None, event: Event) -> Verdict:
    verdict = _alone(agreement, event)
    if verdict.doubt:
        return verdict
    refusal = terms.admit(agreement.terms, previous, event)
    return Verdict(event, *refusal) if refusal else verdict
