"""From records to claims: which readings are admitted, when a run is complete, and its facts.

Stricter than the contract, so that the contract prices what is admitted here: the minute of grace
counts once for each run that can be claimed by itself, never once per reading.
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
    shape_refusal,
    stands_alone,
)
from orchestrator.products.metered_energy.register import GRACE_SECONDS, fits_fuse, register_rise

KIND = "meter.reading"


class MeterRun(NamedTuple):
    """A run so far: its facts, the rise of the register (mWh), whether a session is open."""

    facts: EnergyFacts
    rise: int
    in_session: bool


def admit(terms: bytes, previous: Event | None, event: Event) -> Refusal | None:
    """Return why the event's readings may not follow the last admitted event's, or None."""
    if event.kind != KIND or not event.facts["readings"]:
        return ClaimReason.KIND_NOT_PRICED, f"{event.kind} without a reading of a billable register"
    energy_terms, items = decode_terms(terms), readings(event)
    earlier = readings(previous) if previous else []
    if refusal := shape_refusal(energy_terms, earlier, items):
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
                "a record covers one session: no reading may follow its end",
            )
        if refusal := _order_refusal(energy_terms, before, reading, in_session):
            return refusal
        if refusal := _fuse_refusal(energy_terms, before, reading, in_session, index):
            return refusal
        in_session, before = reading.opens, reading
    return None


def complete(terms: bytes, anchor: Event | None, events: Sequence[Event]) -> int:
    """Return the length of the longest leading run that can be one claim; 0: none yet.

    The run ends with no session open and fits the fuse. A record that ends in an estimate or a new
    meter is a run of its own: the contract remembers the last actual reading that a claim ended
    with, and counts from there.
    """
    energy_terms = decode_terms(terms)
    done = 0
    for count, run in enumerate(_runs(energy_terms, anchor, events), start=1):
        alone = stands_alone(events[count - 1])
        if (alone and count > 1) or not (run.in_session or _fits(energy_terms, run)):
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
    """Return the ABI-encoded facts of a run that `complete` returned; `events` is not empty.

    Raises:
        Rejected: TOO_LATE for a late run without sessions, because later claims already cover it.
    """
    energy_terms = decode_terms(terms)
    *_, run = _runs(energy_terms, anchor, events)
    if not late:
        return encode_facts(run.facts)
    if energy_terms.continuous or not all(
        reading.tx for event in events for reading in readings(event)
    ):
        raise Rejected(
            ClaimReason.TOO_LATE, "later claims already cover what the register showed here"
        )
    return encode_facts(run.facts._replace(kind=ReadingKind.LATE))


def _order_refusal(
    terms: EnergyTerms, before: MeterReading | None, reading: MeterReading, in_session: bool
) -> Refusal | None:
    """Return how session, register or clock break their order, or None."""
    end = terms.rollover_at or 1 << 64
    if not 0 <= reading.register < end or not 0 < reading.seconds < 1 << 40:
        return ClaimReason.IMPLAUSIBLE_READING, "more than the register or the contract can hold"
    if in_session and not reading.tx:
        return ClaimReason.INCOMPLETE, "a reading without transaction letter within a session"
    if not in_session and reading.tx not in ("", BEGIN):
        return ClaimReason.INCOMPLETE, f"{reading.tx} without the record that began the session"
    floor = before.register if before else terms.start_register
    if not reading.exchanged and register_rise(floor, reading.register, terms.rollover_at) < 0:
        return ClaimReason.REGISTER_BACKWARDS, f"{reading.register} mWh after {floor} mWh"
    if before and reading.seconds < before.seconds:
        return ClaimReason.TIME_BACKWARDS, f"{reading.seconds} after {before.seconds}"
    return None


def _fuse_refusal(
    terms: EnergyTerms,
    before: MeterReading | None,
    reading: MeterReading,
    in_session: bool,
    index: int,
) -> Refusal | None:
    """Return why the rise since the last reading is more than the fuse allows, or None."""
    if reading.exchanged:
        return None
    if before:
        floor, seconds = before.register, reading.seconds - before.seconds
    elif terms.continuous and terms.start_register:
        floor, seconds = terms.start_register, 0
    else:
        return None
    energy = register_rise(floor, reading.register, terms.rollover_at)
    # the contract grants the minute once per claim, so it is granted here only to the step that
    # begins a possible claim: the step to a record, or, where only sessions count, the step after B
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
    """Return whether the contract, which sees only both ends of a run, takes it as one claim."""
    facts, used = run.facts, run.rise if terms.continuous else run.facts.energy
    between = register_rise(facts.from_register, facts.to_register, terms.rollover_at)
    if facts.kind != ReadingKind.EXCHANGED and (
        used > between or (terms.continuous and used != between)
    ):
        return False  # the register rolled over more than once
    seconds = facts.to_time - facts.from_time + GRACE_SECONDS
    return fits_fuse(used, seconds, terms.fuse_watts)


def _runs(terms: EnergyTerms, anchor: Event | None, events: Sequence[Event]) -> Iterator[MeterRun]:
    """Yield the run so far after each event."""
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
    return register_rise(before.register, reading.register, terms.rollover_at)


def _kind(last: MeterReading) -> ReadingKind:
    if last.exchanged:
        return ReadingKind.EXCHANGED
    return ReadingKind.ESTIMATED if last.estimated else ReadingKind.ACTUAL


def _start(terms: EnergyTerms, before: MeterReading | None, first: MeterReading) -> MeterReading:
    """Return the start of a run: its anchor or, where only sessions count, the session's begin."""
    if first.tx and not terms.continuous:
        return first
    if before is None and terms.start_register and (terms.continuous or first.exchanged):
        return MeterReading("", terms.start_register, first.seconds)
    return before or first
