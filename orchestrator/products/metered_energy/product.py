"""Metered energy: signed register readings become charged kilowatt-hours, by cumulative rounding.

Registers and energy are mWh, prices token minor units per kWh, times Unix seconds: all integers.
The contract `MeteredEnergy` decides; this module says the same things beforehand, so that a bad
reading is named and dropped before it stands in a claim.
Rules: docs/ARCHITECTURE.md, "Metered energy".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from device_adapters.types import STREAM_BIT, Event, Rejected
from oracles.types import Doubt
from orchestrator.products.metered_energy.words import (
    EnergyFacts,
    EnergyTerms,
    decode_facts,
    decode_terms,
    encode_facts,
    encode_terms,
)

__all__ = [
    "CONTRACT",
    "NAME",
    "REFUSALS",
    "EnergyFacts",
    "EnergyState",
    "EnergyTerms",
    "admit",
    "advance",
    "complete",
    "decode_facts",
    "decode_terms",
    "derive",
    "encode_facts",
    "encode_terms",
    "open",
    "price",
]

NAME = "metered_energy"
CONTRACT = "MeteredEnergy"
KIND = "meter.reading"
REFUSALS = {  # as MeteredEnergy.refusalName has them
    1: "OverLimit",
    2: "FactsMalformed",
    3: "RegisterBackwards",
    4: "RegisterDiscontinuous",
    5: "EnergyAboveRegister",
    6: "EnergyIncomplete",
    7: "TimeBackwards",
    8: "FuseExceeded",
}
_OVER_LIMIT, _MALFORMED, _BACKWARDS, _DISCONTINUOUS = 1, 2, 3, 4
_ABOVE_REGISTER, _ENERGY_INCOMPLETE, _TIME_BACKWARDS, _ABOVE_FUSE = 5, 6, 7, 8
GRACE_SECONDS = 60
MWH_PER_KWH = 1_000_000

_BEGIN = "B"
_CLOSES = frozenset("ELRAP")


class EnergyState(NamedTuple):
    """What the contract remembers of an agreement."""

    register: int = 0  # where the last claim ended
    total: int = 0  # mWh charged so far
    time: int = 0  # when the last claim ended
    claimed: bool = False


class Reading(NamedTuple):
    """One reading of a record; `tx` is OCMF's transaction letter, "" where there is none."""

    tx: str
    register: int
    seconds: int


def owed(energy_total: int, price_per_kwh: int) -> int:
    """What a running total of mWh costs, rounded down in the payer's favour."""
    return energy_total * price_per_kwh // MWH_PER_KWH


def fits_fuse(energy: int, seconds: int, fuse_watts: int) -> bool:
    """Whether the fuse lets this much through: one watt-second is 10/36 of a mWh."""
    return energy * 36 <= fuse_watts * seconds * 10


# --- price, as the contract answers


def open(terms: bytes) -> EnergyState:
    return EnergyState(register=decode_terms(terms).start_register)


def price(state: EnergyState, terms: bytes, facts: bytes, limit: int) -> tuple[int, int]:
    """(amount, refusal); `limit` is what cap and escrow leave. A refused claim changes nothing."""
    wanted = decode_terms(terms)
    try:
        stated = decode_facts(facts)
    except Rejected:
        return 0, _MALFORMED
    if refusal := _refusal(state, wanted, stated):
        return 0, refusal
    total = state.total + stated.energy
    if total >> 64:
        return 0, _MALFORMED
    amount = owed(total, wanted.price_per_kwh) - owed(state.total, wanted.price_per_kwh)
    return (0, _OVER_LIMIT) if amount > limit else (amount, 0)


def advance(state: EnergyState, facts: bytes) -> EnergyState:
    stated = decode_facts(facts)
    return EnergyState(stated.to_register, state.total + stated.energy, stated.to_time, True)


def _refusal(state: EnergyState, terms: EnergyTerms, facts: EnergyFacts) -> int:
    counted = facts.to_register - facts.from_register
    if counted < 0 or facts.from_register < state.register:
        return _BACKWARDS
    # a start register of 0 says "not known": the first claim may begin anywhere
    anchored = state.claimed or terms.start_register != 0
    if terms.continuous and anchored and facts.from_register != state.register:
        return _DISCONTINUOUS
    if facts.energy > counted:
        return _ABOVE_REGISTER
    if terms.continuous and facts.energy != counted:
        return _ENERGY_INCOMPLETE
    if facts.to_time < facts.from_time or facts.from_time < state.time:
        return _TIME_BACKWARDS
    seconds = facts.to_time - facts.from_time + GRACE_SECONDS
    return 0 if fits_fuse(facts.energy, seconds, terms.fuse_watts) else _ABOVE_FUSE


# --- the oracle's part: admit, complete, derive


def admit(terms: bytes, previous: Event | None, event: Event) -> tuple[Doubt, str] | None:
    """Whether the event's readings may follow those of the last admitted event.

    Stricter than the contract, so that what is admitted here is priced there: the minute of grace
    counts once for each thing that can be claimed by itself, never once per reading.
    """
    if event.kind != KIND or not event.facts["readings"]:
        return Doubt.KIND_NOT_PRICED, f"{event.kind} without a reading of a billable register"
    wanted = decode_terms(terms)
    before = _last(previous) if previous else None
    in_session = (
        before is not None
        and previous is not None
        and previous.counter + 1 == event.counter
        and _opens(before)
    )
    for index, reading in enumerate(readings(event)):
        if index and before is not None and before.tx in _CLOSES:
            return Doubt.NOT_BILLABLE, "a record speaks of one session: nothing follows its end"
        if refusal := _follows(wanted, before, reading, in_session):
            return refusal
        if refusal := _through_fuse(wanted, before, reading, in_session, index):
            return refusal
        in_session, before = _opens(reading), reading
    return None


def complete(terms: bytes, anchor: Event | None, events: Sequence[Event]) -> int:
    """The longest leading run that ends with no session open and fits the fuse as one claim."""
    wanted = decode_terms(terms)
    done = 0
    for count, (facts, in_session) in enumerate(_totals(wanted, anchor, events), start=1):
        if in_session:
            continue
        seconds = facts.to_time - facts.from_time + GRACE_SECONDS
        if not fits_fuse(facts.energy, seconds, wanted.fuse_watts):
            break
        done = count
    return done


def derive(terms: bytes, anchor: Event | None, events: Sequence[Event]) -> bytes:
    """The ABI-encoded facts of a run that `complete` found; `events` is not empty."""
    *_, (facts, _open) = _totals(decode_terms(terms), anchor, events)
    return encode_facts(facts)


def readings(event: Event) -> list[Reading]:
    """An event's readings in the order of the record; fiscal records know no sessions."""
    fiscal = event.counter >> STREAM_BIT
    return [
        Reading("" if fiscal else entry["mark"], entry["register"], entry["at"] // 1000)
        for entry in event.facts["readings"]
    ]


def _last(event: Event) -> Reading:
    return readings(event)[-1]


def _opens(reading: Reading) -> bool:
    """Whether a session is open after this reading; records outside sessions carry no letter."""
    return bool(reading.tx) and reading.tx not in _CLOSES


def _follows(
    terms: EnergyTerms, before: Reading | None, reading: Reading, in_session: bool
) -> tuple[Doubt, str] | None:
    """The session, the register and the clock: none of them runs backwards."""
    if not 0 <= reading.register < 1 << 64 or not 0 < reading.seconds < 1 << 40:
        return Doubt.IMPLAUSIBLE_READING, "beyond what the contract can hold"
    if in_session and not reading.tx:
        return Doubt.INCOMPLETE, "a reading without transaction letter within a session"
    if not in_session and reading.tx not in ("", _BEGIN):
        return Doubt.INCOMPLETE, f"{reading.tx} without the record that began the session"
    floor = before.register if before else terms.start_register
    if reading.register < floor:
        return Doubt.REGISTER_BACKWARDS, f"{reading.register} mWh after {floor} mWh"
    if before and reading.seconds < before.seconds:
        return Doubt.TIME_BACKWARDS, f"{reading.seconds} after {before.seconds}"
    return None


def _through_fuse(
    terms: EnergyTerms, before: Reading | None, reading: Reading, in_session: bool, index: int
) -> tuple[Doubt, str] | None:
    """What the register rose by since the last reading, against what the fuse lets through."""
    if before:
        energy, seconds = reading.register - before.register, reading.seconds - before.seconds
    elif terms.continuous and terms.start_register:
        energy, seconds = reading.register - terms.start_register, 0
    else:
        return None
    # the contract grants the minute once per claim, so here it goes to the one step that begins
    # what can be claimed: the step to a record, or, where only sessions count, the one after "B"
    opening = before is not None and before.tx == _BEGIN and not terms.continuous and index <= 1
    seconds += GRACE_SECONDS if (opening if in_session else index == 0) else 0
    if fits_fuse(energy, seconds, terms.fuse_watts):
        return None
    detail = f"{energy} mWh in {seconds} s is more than {terms.fuse_watts} W can be"
    return Doubt.IMPLAUSIBLE_READING, detail


def _totals(
    terms: EnergyTerms, anchor: Event | None, events: Sequence[Event]
) -> Iterator[tuple[EnergyFacts, bool]]:
    """After each event: the facts of the run so far, and whether a session is open."""
    before = _last(anchor) if anchor else None
    start = begin = None
    energy = 0
    for event in events:
        for reading in readings(event):
            start = start or _start(terms, before, reading)
            if reading.tx == _BEGIN:
                begin = reading  # a session that was never closed is not charged
            elif reading.tx in _CLOSES and begin:
                energy, begin = energy + reading.register - begin.register, None
            elif not reading.tx and before:
                energy += reading.register - before.register
            before = reading
        assert start and before, "an event has at least one reading"
        span = before.register - start.register
        charged = span if terms.continuous else energy
        yield (
            EnergyFacts(start.register, before.register, charged, start.seconds, before.seconds),
            begin is not None,
        )


def _start(terms: EnergyTerms, before: Reading | None, first: Reading) -> Reading:
    """Where a run starts: at its anchor, or, where only sessions count, at the session's begin."""
    if first.tx and not terms.continuous:
        return first
    if before is None and terms.continuous and terms.start_register:
        return Reading("", terms.start_register, first.seconds)
    return before or first
