"""The price of a claim, word for word as the contract `MeteredEnergy` answers; for tests of both.

tests/contracts holds the two against each other on worked cases and on random claims.
"""

from __future__ import annotations

from typing import NamedTuple

from device_adapters.types import Rejected
from orchestrator.products.metered_energy.abi import (
    EnergyFacts,
    EnergyTerms,
    ReadingKind,
    decode_facts,
    decode_terms,
)
from orchestrator.products.metered_energy.register import GRACE_SECONDS, counted, fits_fuse, owed

REFUSALS = {  # as MeteredEnergy.refusalName has them
    1: "OverLimit",
    2: "FactsMalformed",
    3: "RegisterBackwards",
    4: "RegisterDiscontinuous",
    5: "EnergyAboveRegister",
    6: "EnergyIncomplete",
    7: "TimeBackwards",
    8: "FuseExceeded",
    9: "KindUnexpected",
    10: "DeviceNotActive",
}
_OVER_LIMIT, _MALFORMED, _BACKWARDS, _DISCONTINUOUS, _ABOVE_REGISTER = 1, 2, 3, 4, 5
_ENERGY_INCOMPLETE, _TIME_BACKWARDS, _ABOVE_FUSE, _KIND_UNEXPECTED = 6, 7, 8, 9
_INT48, _INT80 = 1 << 47, 1 << 79


class EnergyState(NamedTuple):
    """What the contract remembers of an agreement."""

    register: int = 0  # the last actual reading that a claim ended with
    total: int = 0  # mWh charged so far
    time: int = 0  # of that reading
    ahead: int = 0  # mWh charged beyond the register, or below zero: passed uncharged
    claimed: bool = False


class _Charge(NamedTuple):
    """What a claim charges in mWh, and what is charged ahead after it; or a refusal."""

    refusal: int = 0
    energy: int = 0
    ahead: int = 0


def open(terms: bytes) -> EnergyState:
    return EnergyState(register=decode_terms(terms).start_register)


def price(
    state: EnergyState, terms: bytes, facts: bytes, limit: int, late: bool = False
) -> tuple[int, int]:
    """(amount, refusal) of an active device's claim; `limit` is what cap and escrow leave.

    The amount is below zero for a credit. A refused claim changes nothing.
    """
    wanted = decode_terms(terms)
    try:
        stated = decode_facts(facts)
    except Rejected:
        return 0, _MALFORMED
    charge = _judge(wanted, state, stated, late)
    if charge.refusal:
        return 0, charge.refusal
    total = state.total + charge.energy
    if not 0 <= total < 1 << 64 or not -_INT80 <= charge.ahead < _INT80:
        return 0, _MALFORMED
    amount = owed(total, wanted.price_per_kwh) - owed(state.total, wanted.price_per_kwh)
    held = -_INT48 <= amount < _INT48 and amount <= limit
    return (amount, 0) if held else (0, _OVER_LIMIT)


def advance(state: EnergyState, terms: bytes, facts: bytes, late: bool = False) -> EnergyState:
    """The state after a claim that was priced."""
    stated = decode_facts(facts)
    charge = _judge(decode_terms(terms), state, stated, late)
    total = state.total + charge.energy
    if stated.kind == ReadingKind.LATE:
        return state._replace(total=total, ahead=charge.ahead)
    if stated.kind == ReadingKind.ESTIMATED:
        return EnergyState(stated.from_register, total, stated.from_time, charge.ahead, True)
    return EnergyState(stated.to_register, total, stated.to_time, charge.ahead, True)


def _judge(terms: EnergyTerms, state: EnergyState, facts: EnergyFacts, late: bool) -> _Charge:
    if (facts.kind == ReadingKind.LATE) != late:
        return _Charge(_KIND_UNEXPECTED)
    end = terms.rollover_at
    if end and (facts.from_register >= end or facts.to_register >= end):
        return _Charge(_MALFORMED)
    if facts.to_time < facts.from_time:
        return _Charge(_TIME_BACKWARDS)
    if late:
        return _late(terms, state, facts)
    if terms.continuous:
        return _continuous(terms, state, facts)
    if facts.kind == ReadingKind.ESTIMATED:
        return _Charge(_KIND_UNEXPECTED)
    return _sessions(terms, state, facts)


def _continuous(terms: EnergyTerms, state: EnergyState, facts: EnergyFacts) -> _Charge:
    if _anchored(terms, state) and facts.from_register != state.register:
        below = facts.from_register < state.register
        return _Charge(_BACKWARDS if below else _DISCONTINUOUS)
    rise = counted(facts.from_register, facts.to_register, terms.rollover_at)
    if facts.kind == ReadingKind.EXCHANGED:
        rise = facts.energy + state.ahead
    if rise < 0:
        return _Charge(_BACKWARDS)
    if facts.energy > rise - state.ahead:
        return _Charge(_ABOVE_REGISTER)
    if facts.energy < rise - state.ahead:
        return _Charge(_ENERGY_INCOMPLETE)
    if facts.from_time < state.time:
        return _Charge(_TIME_BACKWARDS)
    if not _fits(terms, rise, facts.from_time, facts.to_time):
        return _Charge(_ABOVE_FUSE)
    return _Charge(0, facts.energy, rise if facts.kind == ReadingKind.ESTIMATED else 0)


def _sessions(terms: EnergyTerms, state: EnergyState, facts: EnergyFacts) -> _Charge:
    if facts.from_time < state.time:
        return _Charge(_TIME_BACKWARDS)
    gap = 0
    if _anchored(terms, state):
        gap = counted(state.register, facts.from_register, terms.rollover_at)
        around = facts.from_register < state.register
        if gap < 0 or (around and not _fits(terms, gap, state.time, facts.from_time)):
            return _Charge(_BACKWARDS)
    rise = counted(facts.from_register, facts.to_register, terms.rollover_at)
    if facts.kind == ReadingKind.EXCHANGED:
        rise = facts.energy
    elif rise < 0:
        return _Charge(_BACKWARDS)
    after = state.ahead - gap - rise + facts.energy
    return _Charge(_unfair(terms, facts, rise), facts.energy, after)


def _late(terms: EnergyTerms, state: EnergyState, facts: EnergyFacts) -> _Charge:
    rise = counted(facts.from_register, facts.to_register, terms.rollover_at)
    if rise < 0:
        return _Charge(_BACKWARDS)
    room = -state.ahead if state.ahead < 0 and facts.to_time <= state.time else 0
    charged = min(facts.energy, room)
    return _Charge(_unfair(terms, facts, rise), charged, state.ahead + charged)


def _unfair(terms: EnergyTerms, facts: EnergyFacts, rise: int) -> int:
    if facts.energy < 0:
        return _MALFORMED
    if facts.energy > rise:
        return _ABOVE_REGISTER
    fits = _fits(terms, facts.energy, facts.from_time, facts.to_time)
    return 0 if fits else _ABOVE_FUSE


def _anchored(terms: EnergyTerms, state: EnergyState) -> bool:
    """A start register of 0 says "not known": the first claim may begin anywhere."""
    return state.claimed or terms.start_register != 0


def _fits(terms: EnergyTerms, energy: int, start: int, end: int) -> bool:
    return fits_fuse(energy, end - start + GRACE_SECONDS, terms.fuse_watts)
