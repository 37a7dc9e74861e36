"""From records to claims: what is admitted, when a run is complete, and what it says.

Stricter than the contract, so that what is admitted here is priced there: the minute of grace
counts once for each thing that can be claimed by itself, never once per reading.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from device_adapters.types import Event, Rejected
from oracles.types import ClaimReason
from orchestrator.products.metered_energy.abi import (
    EnergyFacts,
    EnergyTerms,
    ReadingKind,
    decode_terms,
    encode_facts,
)
from orchestrator.products.metered_energy.readings import (
    BEGIN,
    CLOSES,
    MeterReading,
    Refusal,
    last_actual,
    readings,
    shape,
    stands_alone,
)
from orchestrator.products.metered_energy.register import GRACE_SECONDS, counted, fits_fuse

KIND = "meter.reading"


class MeterRun(NamedTuple):
    """A run so far: its facts, how much the register rose by, whether a session is open."""

    facts: EnergyFacts
    rise: int
    in_session: bool


def admit(terms: bytes, previous: Event | None, event: Event) -> Refusal | None:
    """Whether the event's readings may follow those of the last admitted event."""
    if event.kind != KIND or not event.facts["readings"]:
        return ClaimReason.KIND_NOT_PRICED, f"{event.kind} without a reading of a billable register"
    wanted, items = decode_terms(terms), readings(event)
    earlier = readings(previous) if previous else []
    if refusal := shape(wanted, earlier, items):
        return refusal
    before = last_actual(earlier) if earlier else None
    in_session = (
        before is not None
        and previous is not None
        and previous.counter + 1 == event.counter
        and before.opens
    )
    for index, reading in enumerate(items):
        if index and before is not None and before.tx in CLOSES:
            return (
                ClaimReason.NOT_BILLABLE,
                "a record speaks of one session: nothing follows its end",
            )
        if refusal := _follows(wanted, before, reading, in_session):
            return refusal
        if refusal := _through_fuse(wanted, before, reading, in_session, index):
            return refusal
        in_session, before = reading.opens, reading
    return None


def complete(terms: bytes, anchor: Event | None, events: Sequence[Event]) -> int:
    """The longest leading run that ends with no session open and fits the fuse as one claim.

    A record that ends in an estimate or a new meter is a run of its own: the contract remembers
    the last actual reading that a claim ended with, and counts from there.
    """
    wanted = decode_terms(terms)
    done = 0
    for count, run in enumerate(_runs(wanted, anchor, events), start=1):
        alone = stands_alone(events[count - 1])
        if (alone and count > 1) or not (run.in_session or _fits(wanted, run)):
            break
        if not run.in_session:
            done = count
        if alone:
            break
    return done


def derive(
    terms: bytes,
    anchor: Event | None,
    events: Sequence[Event],
    cited: Mapping[str, Event],
    late: bool = False,
) -> bytes:
    """The ABI-encoded facts of a run that `complete` found; `events` is not empty.

    Rejected (TOO_LATE) for a late run that is not of sessions: the register has covered it.
    """
    wanted = decode_terms(terms)
    *_, run = _runs(wanted, anchor, events)
    if not late:
        return encode_facts(run.facts)
    if wanted.continuous or not all(one.tx for event in events for one in readings(event)):
        raise Rejected(
            ClaimReason.TOO_LATE, "claims have passed it, and the register has covered it"
        )
    return encode_facts(run.facts._replace(kind=ReadingKind.LATE))


def _follows(
    terms: EnergyTerms, before: MeterReading | None, reading: MeterReading, in_session: bool
) -> Refusal | None:
    """The session, the register and the clock: none of them runs backwards."""
    end = terms.rollover_at or 1 << 64
    if not 0 <= reading.register < end or not 0 < reading.seconds < 1 << 40:
        return ClaimReason.IMPLAUSIBLE_READING, "beyond what the register or the contract can hold"
    if in_session and not reading.tx:
        return ClaimReason.INCOMPLETE, "a reading without transaction letter within a session"
    if not in_session and reading.tx not in ("", BEGIN):
        return ClaimReason.INCOMPLETE, f"{reading.tx} without the record that began the session"
    floor = before.register if before else terms.start_register
    if not reading.exchanged and counted(floor, reading.register, terms.rollover_at) < 0:
        return ClaimReason.REGISTER_BACKWARDS, f"{reading.register} mWh after {floor} mWh"
    if before and reading.seconds < before.seconds:
        return ClaimReason.TIME_BACKWARDS, f"{reading.seconds} after {before.seconds}"
    return None


def _through_fuse(
    terms: EnergyTerms,
    before: MeterReading | None,
    reading: MeterReading,
    in_session: bool,
    index: int,
) -> Refusal | None:
    """What the register rose by since the last reading, against what the fuse lets through."""
    if reading.exchanged:
        return None
    if before:
        floor, seconds = before.register, reading.seconds - before.seconds
    elif terms.continuous and terms.start_register:
        floor, seconds = terms.start_register, 0
    else:
        return None
    energy = counted(floor, reading.register, terms.rollover_at)
    # the contract grants the minute once per claim, so here it goes to the one step that begins
    # what can be claimed: the step to a record, or, where only sessions count, the one after "B"
    opening = before is not None and before.tx == BEGIN and not terms.continuous and index <= 1
    granted = opening if in_session else index == 0 or reading.estimated
    if fits_fuse(energy, seconds + GRACE_SECONDS * granted, terms.fuse_watts):
        return None
    if reading.register < floor:
        detail = f"{reading.register} mWh after {floor} mWh, too far to be a rollover"
        return ClaimReason.REGISTER_BACKWARDS, detail
    detail = f"{energy} mWh in {seconds} s is more than {terms.fuse_watts} W can be"
    return ClaimReason.IMPLAUSIBLE_READING, detail


def _fits(terms: EnergyTerms, run: MeterRun) -> bool:
    """Whether the contract, which sees only where a run begins and ends, takes it as one claim."""
    facts, used = run.facts, run.rise if terms.continuous else run.facts.energy
    between = counted(facts.from_register, facts.to_register, terms.rollover_at)
    if facts.kind != ReadingKind.EXCHANGED and (
        used > between or (terms.continuous and used != between)
    ):
        return False  # the register went round more than once
    seconds = facts.to_time - facts.from_time + GRACE_SECONDS
    return fits_fuse(used, seconds, terms.fuse_watts)


def _runs(terms: EnergyTerms, anchor: Event | None, events: Sequence[Event]) -> Iterator[MeterRun]:
    """After each event: the run so far."""
    earlier = readings(anchor) if anchor else []
    before = last_actual(earlier) if earlier else None
    ahead = _step(terms, before, earlier[-1]) if before else 0
    start = begin = None
    rise = 0
    for event in events:
        for reading in readings(event):
            if start is None:
                start = _start(terms, before, reading)
                before = start if terms.continuous else before
                rise = ahead if reading.exchanged else 0  # no last reading: the estimate stands
            if reading.tx == BEGIN:
                begin = reading  # a session that was never closed is not charged
            if terms.continuous or not reading.tx:
                rise += _step(terms, before, reading) if before else 0
            elif reading.tx in CLOSES and begin:
                rise += _step(terms, begin, reading)
            if reading.tx in CLOSES:
                begin = None
            before = reading
        assert start and before, "an event has at least one reading"
        facts = EnergyFacts(
            start.register,
            before.register,
            rise - ahead,
            start.seconds,
            before.seconds,
            _kind(before),
        )
        yield MeterRun(facts, rise, begin is not None)


def _step(terms: EnergyTerms, before: MeterReading, reading: MeterReading) -> int:
    if reading.exchanged:
        return 0
    return counted(before.register, reading.register, terms.rollover_at)


def _kind(last: MeterReading) -> ReadingKind:
    if last.exchanged:
        return ReadingKind.EXCHANGED
    return ReadingKind.ESTIMATED if last.estimated else ReadingKind.ACTUAL


def _start(terms: EnergyTerms, before: MeterReading | None, first: MeterReading) -> MeterReading:
    """Where a run starts: at its anchor, or, where only sessions count, at the session's begin."""
    if first.tx and not terms.continuous:
        return first
    if before is None and terms.start_register and (terms.continuous or first.exchanged):
        return MeterReading("", terms.start_register, first.seconds)
    return before or first
