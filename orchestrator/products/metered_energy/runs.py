"""Runs of records that may become a claim: what they charge, and whether they can be one claim.

All bands of the terms go together. A run counts at one price, so it ends where another one begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from device_adapters.types import Event
from orchestrator.products.metered_energy.abi import EnergyFacts, EnergyTerms, ReadingKind
from orchestrator.products.metered_energy.readings import (
    BEGIN,
    CLOSES,
    MeterReading,
    comparable,
    last_actual,
    readings,
    usable_readings,
)
from orchestrator.products.metered_energy.register import GRACE_SECONDS, fits_fuse, register_rise


class MeterRun(NamedTuple):
    """A run so far: its facts, the rise of the register (mWh), and what ends it.

    in_session: a session is open. closed: a session of a register that begins with each ended, and
    so does the claim.
    """

    facts: EnergyFacts
    rise: int
    in_session: bool
    closed: bool


def all_fit(bands: Sequence[EnergyTerms], runs: Sequence[MeterRun]) -> bool:
    """Return whether the contract takes the runs of all bands as one claim."""
    facts, flow = runs[0].facts, sum(run.rise for run in runs)
    together = len(runs) == 1 or fits_fuse(
        flow, facts.to_time - facts.from_time + GRACE_SECONDS, bands[0].fuse_watts
    )
    return together and all(_fits(band, run) for band, run in zip(bands, runs, strict=True))


def is_repriced(terms: EnergyTerms, run: MeterRun, items: Sequence[MeterReading]) -> bool:
    """Return whether what a record adds to a run begins when another price holds than for the run.

    A session begins with its own record, everything else with the reading before it.
    """
    session = items[0].tx == BEGIN and not terms.continuous
    begins = items[0].seconds if session else run.facts.to_time
    return terms.price_date(begins) != terms.price_date(run.facts.from_time)


def runs_by_band(
    bands: Sequence[EnergyTerms], anchor: Event | None, events: Sequence[Event]
) -> Iterator[tuple[MeterRun, ...]]:
    """Yield the runs so far of all bands after each event."""
    return zip(*(_runs(band, anchor, events) for band in bands), strict=True)


def _runs(terms: EnergyTerms, anchor: Event | None, events: Sequence[Event]) -> Iterator[MeterRun]:
    """Yield the run so far after each event."""
    earlier = comparable(terms, anchor, ()) if anchor else []
    before = last_actual(earlier) if earlier else None
    ahead = _step(terms, before, earlier[-1]) if before else 0
    start = begin = None
    session: list[Event] = []
    rise, done = 0, False  # whether the run has something to charge that it could end with
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
                other = start.code and reading.code != start.code
                repriced = not done and terms.price_date(start.seconds) != terms.price_date(
                    reading.seconds
                )
                if reading.per_session or other or (repriced and not terms.continuous):
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
        done = done or begin is None


def _step(terms: EnergyTerms, before: MeterReading, reading: MeterReading) -> int:
    return 0 if reading.exchanged else rise_to(terms, before.register, reading)


def rise_to(terms: EnergyTerms, floor: int, reading: MeterReading) -> int:
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
        return MeterReading("", terms.start_register, terms.started_at or first.seconds)
    return before or first


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
