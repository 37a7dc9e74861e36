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
    has_error,
    judge,
    last_actual,
    opened_by,
    readings,
    register_refusal,
    shape_refusal,
    stands_alone,
    usable_readings,
)
from orchestrator.products.metered_energy.register import GRACE_SECONDS, fits_fuse, register_rise

KIND = "meter.reading"


class MeterRun(NamedTuple):
    """A run so far: its facts, the rise of the register (mWh), and what ends it.

    in_session: a session is open. closed: a session of a register that begins with each ended, and
    so does the claim.
    """

    facts: EnergyFacts
    rise: int
    in_session: bool
    closed: bool


def admit(
    terms: bytes, previous: Event | None, event: Event, earlier: Sequence[Event] = ()
) -> Refusal | None:
    """Return why the event's readings may not follow the last admitted event's, or None.

    Args:
        previous: the event before it without a gap, or the last one that was claimed.
        earlier: the events from the last gap or claim to `previous`; they may hold the records of
            an open session. Left out: `previous`, if its counter is the one before.
    """
    energy_terms = decode_terms(terms)
    if event.kind != KIND or not event.facts["readings"]:
        return ClaimReason.KIND_NOT_PRICED, f"{event.kind} without a reading of a billable register"
    if refusal := _assurance_refusal(energy_terms, event):
        return refusal
    items = readings(event, energy_terms)
    if not items:
        return register_refusal(event, energy_terms)
    if previous and not earlier and previous.counter + 1 == event.counter:
        earlier = (previous,)
    session = opened_by(earlier, energy_terms)
    before_items = _comparable(energy_terms, previous, session) if previous else []
    before, in_session = last_actual(before_items) if before_items else None, bool(session)
    if items[0].tx == BEGIN:
        session = []  # the one before it was never closed
    return (
        shape_refusal(energy_terms, before_items, items)
        or _register_refusal(energy_terms, before, items)
        or _marks_refusal(items, in_session)
        or _session_refusal(energy_terms, session, event)
        or _range_refusal(energy_terms, items)
        or _values_refusal(
            energy_terms, before, usable_readings(event, energy_terms, session), in_session
        )
    )


def complete(terms: bytes, anchor: Event | None, events: Sequence[Event]) -> int:
    """Return the length of the longest leading run that can be one claim; 0: none yet.

    The run ends with no session open and fits the fuse. A record that ends in an estimate or a new
    meter is a run of its own: the contract remembers the last actual reading that a claim ended
    with, and counts from there. So is a session of a register that begins with it.
    """
    energy_terms = decode_terms(terms)
    done = 0
    for count, run in enumerate(_runs(energy_terms, anchor, events), start=1):
        alone = stands_alone(readings(events[count - 1], energy_terms))
        if (alone and count > 1) or not (run.in_session or _fits(energy_terms, run)):
            break
        if not run.in_session:
            done = count
        if alone or run.closed:
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
        Rejected: TOO_LATE for a late run without sessions, because later claims already cover it;
            ASSURANCE_TOO_LOW.
    """
    energy_terms = decode_terms(terms)
    for event in events:  # also the auditor asks, who has no `admit` before it
        if refusal := _assurance_refusal(energy_terms, event):
            raise Rejected(*refusal)
    *_, run = _runs(energy_terms, anchor, events)
    facts = run.facts._replace(kind=ReadingKind.LATE) if late else run.facts
    if late:
        items = [item for event in events for item in readings(event, energy_terms)]
        if energy_terms.continuous or not all(item.tx for item in items):
            raise Rejected(
                ClaimReason.TOO_LATE, "later claims already cover what the register showed here"
            )
        if any(item.per_session for item in items):
            detail = "its register begins with each session: nothing bounds what comes late"
            raise Rejected(ClaimReason.TOO_LATE, detail)
    return encode_facts(facts if energy_terms.version > 1 else facts._replace(register=0))


def _assurance_refusal(terms: EnergyTerms, event: Event) -> Refusal | None:
    """Return why less than the terms take stands for a record, or None."""
    if event.assurance.is_at_least(terms.least_assurance):
        return None
    return (
        ClaimReason.ASSURANCE_TOO_LOW,
        f"a {event.assurance} stands for it, and the terms take at least a {terms.least_assurance}",
    )


def _comparable(
    terms: EnergyTerms, previous: Event, session: Sequence[Event]
) -> Sequence[MeterReading]:
    """Return the readings that the next record's are compared with."""
    for count in range(len(session), 0, -1):
        if items := usable_readings(session[count - 1], terms, session[: count - 1]):
            return items
    return usable_readings(previous, terms) or readings(previous, terms)


def _register_refusal(
    terms: EnergyTerms, before: MeterReading | None, items: Sequence[MeterReading]
) -> Refusal | None:
    """Return how a record goes on with another register than the one it has to be compared with."""
    if before is None or before.code is None or before.per_session:
        return None
    for reading in items:
        if reading.exchanged:
            return None
        if reading.code and reading.code != before.code:
            detail = f"{reading.code.text} after {before.code.text}, and no exchange of the meter"
            return ClaimReason.REGISTER_MISMATCH, detail
    return None


def _marks_refusal(items: Sequence[MeterReading], in_session: bool) -> Refusal | None:
    """Return how the transaction letters break the order of a session, or None."""
    before = None
    for reading in items:
        if before and before.tx in CLOSES:
            return (
                ClaimReason.NOT_BILLABLE,
                "a record covers one session: no reading may follow its end",
            )
        if in_session and not reading.tx:
            detail = "a reading without transaction letter within a session"
            return ClaimReason.INCOMPLETE, detail
        if not in_session and reading.tx not in ("", BEGIN):
            detail = f"{reading.tx} without the record that began the session"
            return ClaimReason.INCOMPLETE, detail
        in_session, before = reading.opens, reading
    return None


def _session_refusal(terms: EnergyTerms, session: Sequence[Event], event: Event) -> Refusal | None:
    """Return why what the record is part of is no session that is billed, or None.

    Of a session that is still open, only what no later record can lift. Continuous terms charge
    the register and not the session: there a record is refused that no energy can be read from.
    """
    if terms.continuous:
        verdict = judge([event.facts], terms) if has_error(event.facts) else None
        return (ClaimReason.NOT_BILLABLE, verdict.cut) if verdict and verdict.cut else None
    items = readings(event, terms)
    if not items[0].tx:
        return None
    known = session[-1:] if items[-1].opens else session
    reasons = judge([item.facts for item in (*known, event)], terms).broken
    if not reasons:
        return None
    code, text = reasons[0]
    if code in tuple(ClaimReason):
        return ClaimReason(code), text
    return ClaimReason.NOT_BILLABLE, f"{code}: {text}"


def _range_refusal(terms: EnergyTerms, items: Sequence[MeterReading]) -> Refusal | None:
    end = terms.rollover_at or 1 << 64
    for reading in items:
        if not 0 <= reading.register < end or not 0 < reading.seconds < 1 << 40:
            return (
                ClaimReason.IMPLAUSIBLE_READING,
                f"{reading.register} mWh at {reading.seconds} s after 1970 is more than the "
                "register or the contract can hold",
            )
    return None


def _values_refusal(
    terms: EnergyTerms,
    before: MeterReading | None,
    items: Sequence[MeterReading],
    in_session: bool,
) -> Refusal | None:
    """Return how register or clock break their order, or the rise is more than the fuse allows."""
    for index, reading in enumerate(items):
        if refusal := _order_refusal(terms, before, reading):
            return refusal
        if refusal := _fuse_refusal(terms, before, reading, in_session, index):
            return refusal
        in_session, before = reading.opens, reading
    return None


def _order_refusal(
    terms: EnergyTerms, before: MeterReading | None, reading: MeterReading
) -> Refusal | None:
    """Return how register or clock run backwards, or None."""
    floor = before.register if before else terms.start_register
    begins = reading.exchanged or (reading.per_session and reading.tx == BEGIN)
    if not begins and _rise(terms, floor, reading) < 0:
        return ClaimReason.REGISTER_BACKWARDS, f"{reading.register} mWh after {floor} mWh"
    if before and reading.seconds < before.seconds:
        return (
            ClaimReason.TIME_BACKWARDS,
            f"{reading.seconds} s after {before.seconds} s since 1970",
        )
    return None


def _fuse_refusal(
    terms: EnergyTerms,
    before: MeterReading | None,
    reading: MeterReading,
    in_session: bool,
    index: int,
) -> Refusal | None:
    """Return why the rise since the last reading is more than the fuse allows, or None."""
    if reading.exchanged or (reading.per_session and reading.tx == BEGIN):
        return None
    if before:
        floor, seconds = before.register, reading.seconds - before.seconds
    elif terms.continuous and terms.start_register:
        floor, seconds = terms.start_register, 0
    else:
        return None
    energy = _rise(terms, floor, reading)
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
    between = facts.to_register - facts.from_register
    if not run.closed:
        between = register_rise(facts.from_register, facts.to_register, terms.rollover_at)
    if facts.kind != ReadingKind.EXCHANGED and (
        used > between or (terms.continuous and used != between)
    ):
        return False  # the register rolled over more than once
    seconds = facts.to_time - facts.from_time + GRACE_SECONDS
    return fits_fuse(used, seconds, terms.fuse_watts)


def _runs(terms: EnergyTerms, anchor: Event | None, events: Sequence[Event]) -> Iterator[MeterRun]:
    """Yield the run so far after each event."""
    earlier = _comparable(terms, anchor, ()) if anchor else []
    before = last_actual(earlier) if earlier else None
    ahead = _step(terms, before, earlier[-1]) if before else 0
    start = begin = None
    session: list[Event] = []
    rise = 0
    for event in events:
        items, closed = readings(event, terms), False
        if items[0].tx == BEGIN:
            session = []
        for reading in usable_readings(event, terms, session):
            if start is None:
                start = _start(terms, before, reading)
                before = start if terms.continuous else before
                rise = ahead if reading.exchanged else 0  # no last reading: the estimate stands
            if reading.tx == BEGIN:
                begin = reading  # a session that was never closed is not charged
                if reading.per_session or (start.code and reading.code != start.code):
                    start = reading
            if terms.continuous or not reading.tx:
                rise += _step(terms, before, reading) if before else 0
            before = reading
        session.append(event)
        if items[-1].tx in CLOSES:
            if begin and before and not terms.continuous:
                rise += _step(terms, begin, before)
            closed, begin, session = items[0].per_session, None, []
        assert start and before, "an event has at least one reading"
        facts = EnergyFacts(
            start.register,
            before.register,
            rise - ahead,
            start.seconds,
            before.seconds,
            _kind(before),
            (start.code or before.code or items[-1].code).number,
        )
        yield MeterRun(facts, rise, begin is not None, closed)


def _step(terms: EnergyTerms, before: MeterReading, reading: MeterReading) -> int:
    return 0 if reading.exchanged else _rise(terms, before.register, reading)


def _rise(terms: EnergyTerms, floor: int, reading: MeterReading) -> int:
    """Return the rise to a reading; a register that begins with each session never rolls over."""
    return register_rise(floor, reading.register, 0 if reading.per_session else terms.rollover_at)


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
