"""From records to claims: which readings are admitted, when a run is complete, and its facts.

Stricter than the contract, so that the contract prices what is admitted here: the minute of grace
counts once for each run that can be claimed by itself, never once per reading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from device_adapters.types import Event, Rejected
from oracles.types import ClaimReason
from orchestrator.products.metered_energy.abi import (
    BandStep,
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
    bands_refusal,
    comparable,
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
from orchestrator.products.metered_energy.register import GRACE_SECONDS, fits_fuse
from orchestrator.products.metered_energy.runs import all_fit, is_repriced, rise_to, runs_by_band

KIND = "meter.reading"


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
    if refusal := _assurance_refusal(energy_terms, event) or bands_refusal(energy_terms, event):
        return refusal
    if previous and not earlier and previous.counter + 1 == event.counter:
        earlier = (previous,)
    refusals = (_refusal(band, previous, event, earlier) for band in energy_terms.by_band())
    return next(filter(None, refusals), None) or _together_refusal(energy_terms, previous, event)


def _refusal(
    energy_terms: EnergyTerms, previous: Event | None, event: Event, earlier: Sequence[Event]
) -> Refusal | None:
    """Return why the readings of one band may not follow those before, or None."""
    items = readings(event, energy_terms)
    if not items:
        return register_refusal(event, energy_terms)
    session = opened_by(earlier, energy_terms)
    before_items = comparable(energy_terms, previous, session) if previous else []
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

    The run ends with no session open, fits the fuse and counts at one price: that of its begin, to
    the end of the first record (or session) that reaches over the date of another. A record that
    ends in an estimate or a new meter is a run of its own: the contract remembers the last actual
    reading that a claim ended with, and counts from there. So is a session of a register that
    begins with it.
    """
    energy_terms = decode_terms(terms)
    bands = energy_terms.by_band()
    done, before = 0, None
    for count, runs in enumerate(runs_by_band(bands, anchor, events), start=1):
        run = runs[0]
        items = readings(events[count - 1], bands[0])
        alone = stands_alone(items)
        if before and not before.in_session and is_repriced(energy_terms, before, items):
            break
        before = run
        if (alone and count > 1) or not (run.in_session or all_fit(bands, runs)):
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
    *_, runs = runs_by_band(energy_terms.by_band(), anchor, events)
    facts = runs[0].facts._replace(
        more_bands=tuple(
            BandStep(more.register, more.from_register, more.to_register, more.energy)
            for more in (run.facts for run in runs[1:])
        ),
        version=energy_terms.version,
    )
    if late:
        facts = facts._replace(kind=ReadingKind.LATE)
        items = [item for event in events for item in readings(event, energy_terms)]
        if energy_terms.continuous or not all(item.tx for item in items):
            raise Rejected(
                ClaimReason.TOO_LATE, "later claims already cover what the register showed here"
            )
        if any(item.per_session for item in items):
            detail = "its register begins with each session: nothing bounds what comes late"
            raise Rejected(ClaimReason.TOO_LATE, detail)
    return encode_facts(facts)


def _assurance_refusal(terms: EnergyTerms, event: Event) -> Refusal | None:
    """Return why less than the terms take stands for a record, or None."""
    if event.assurance.is_at_least(terms.least_assurance):
        return None
    return (
        ClaimReason.ASSURANCE_TOO_LOW,
        f"a {event.assurance} stands for it, and the terms take at least a {terms.least_assurance}",
    )


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
    end, times = terms.rollover_at or 1 << 64, 1 << (32 if terms.version > 2 else 40)
    for reading in items:
        if not 0 <= reading.register < end or not 0 < reading.seconds < times:
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
    if not begins and rise_to(terms, floor, reading) < 0:
        return ClaimReason.REGISTER_BACKWARDS, f"{reading.register} mWh after {floor} mWh"
    earliest = before.seconds if before else terms.started_at
    if reading.seconds < earliest:
        return (
            ClaimReason.TIME_BACKWARDS,
            f"{reading.seconds} s after {earliest} s since 1970",
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
        floor = terms.start_register
        seconds = reading.seconds - terms.started_at if terms.started_at else 0
    else:
        return None
    energy = rise_to(terms, floor, reading)
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


def _together_refusal(terms: EnergyTerms, previous: Event | None, event: Event) -> Refusal | None:
    """Return why all bands together are more than the fuse allows, or None.

    A record outside sessions can always be a claim of its own, with the minute of grace.
    """
    bands = terms.by_band()
    if len(bands) == 1:
        return None
    (runs,) = runs_by_band(bands, previous, [event])
    if all_fit(bands, runs):
        return None
    energy = sum(run.rise for run in runs)
    seconds = runs[0].facts.to_time - runs[0].facts.from_time
    detail = f"{energy} mWh of all bands in {seconds} s is more than {terms.fuse_watts} W can be"
    return ClaimReason.IMPLAUSIBLE_READING, detail
