"""The price of a claim exactly as the contract `MeteredEnergy` computes it, for tests of both.

Terms of version 1 are priced as the contract of 0.3.0 and 0.4.0 does, which knows no registers.
tests/contracts compares the two on worked cases and on random claims.
"""

from __future__ import annotations

from typing import NamedTuple

from device_adapters import registers
from device_adapters.types import Rejected
from orchestrator.products.metered_energy.abi import (
    EnergyFacts,
    EnergyTerms,
    ReadingKind,
    decode_facts,
    decode_terms,
    facts_version,
)
from orchestrator.products.metered_energy.register import (
    GRACE_SECONDS,
    fits_fuse,
    price_of,
    register_rise,
)

REFUSALS = {  # as in MeteredEnergy.refusalName
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
    11: "RegisterNotAgreed",
}
_OVER_LIMIT, _MALFORMED, _BACKWARDS, _DISCONTINUOUS, _ABOVE_REGISTER = 1, 2, 3, 4, 5
_ENERGY_INCOMPLETE, _TIME_BACKWARDS, _ABOVE_FUSE, _KIND_UNEXPECTED = 6, 7, 8, 9
_NOT_AGREED = 11
_INT48, _INT80 = 1 << 47, 1 << 79


class EnergyState(NamedTuple):
    """State that the contract keeps for an agreement."""

    register: int = 0  # the last actual reading that a claim ended with
    total: int = 0  # mWh charged so far
    time: int = 0  # of that reading
    ahead: int = 0  # mWh charged beyond the register; negative: mWh not charged so far
    claimed: bool = False


class _Charge(NamedTuple):
    """A claim's charge in mWh and the `ahead` after it, or the number of a refusal."""

    refusal: int = 0
    energy: int = 0
    ahead: int = 0


def open(terms: bytes) -> EnergyState:
    """Return the state of a new agreement."""
    return EnergyState(register=decode_terms(terms).start_register)


def price(
    state: EnergyState, terms: bytes, facts: bytes, limit: int, late: bool = False
) -> tuple[int, int]:
    """Return the price of a claim of an active device.

    Args:
        limit: what cap and escrow leave, in token minor units.
        late: whether later claims have passed the claim's counters.

    Returns:
        (amount, refusal): the amount is negative for a debt of the payee; refusal 0 means priced.
        A refused claim changes nothing.
    """
    energy_terms = decode_terms(terms)
    try:
        energy_facts = decode_facts(facts)
    except Rejected:
        return 0, _MALFORMED
    if facts_version(facts) != energy_terms.version:
        return 0, _MALFORMED
    charge = _charge(energy_terms, state, energy_facts, late)
    if charge.refusal:
        return 0, charge.refusal
    total = state.total + charge.energy
    if not 0 <= total < 1 << 64 or not -_INT80 <= charge.ahead < _INT80:
        return 0, _MALFORMED
    amount = price_of(total, energy_terms.price_per_kwh) - price_of(
        state.total, energy_terms.price_per_kwh
    )
    payable = -_INT48 <= amount < _INT48 and amount <= limit
    return (amount, 0) if payable else (0, _OVER_LIMIT)


def advance(state: EnergyState, terms: bytes, facts: bytes, late: bool = False) -> EnergyState:
    """Return the state after a claim that was priced."""
    energy_facts = decode_facts(facts)
    charge = _charge(decode_terms(terms), state, energy_facts, late)
    total = state.total + charge.energy
    if energy_facts.kind == ReadingKind.LATE:
        return state._replace(total=total, ahead=charge.ahead)
    if _of_one_session(energy_facts):  # the register that runs on was not read
        return state._replace(total=total, time=energy_facts.to_time, ahead=charge.ahead)
    if energy_facts.kind == ReadingKind.ESTIMATED:
        return EnergyState(
            energy_facts.from_register, total, energy_facts.from_time, charge.ahead, True
        )
    return EnergyState(energy_facts.to_register, total, energy_facts.to_time, charge.ahead, True)


def _charge(terms: EnergyTerms, state: EnergyState, facts: EnergyFacts, late: bool) -> _Charge:
    if (facts.kind == ReadingKind.LATE) != late:
        return _Charge(_KIND_UNEXPECTED)
    if not _is_agreed(terms, facts):
        return _Charge(_NOT_AGREED)
    end = terms.rollover_at
    if end and (facts.from_register >= end or facts.to_register >= end):
        return _Charge(_MALFORMED)
    if facts.to_time < facts.from_time:
        return _Charge(_TIME_BACKWARDS)
    if _of_one_session(facts):
        return _one_session(terms, state, facts)
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
    rise = register_rise(facts.from_register, facts.to_register, terms.rollover_at)
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
        gap = register_rise(state.register, facts.from_register, terms.rollover_at)
        around = facts.from_register < state.register
        if gap < 0 or (around and not _fits(terms, gap, state.time, facts.from_time)):
            return _Charge(_BACKWARDS)
    rise = register_rise(facts.from_register, facts.to_register, terms.rollover_at)
    if facts.kind == ReadingKind.EXCHANGED:
        rise = facts.energy
    elif rise < 0:
        return _Charge(_BACKWARDS)
    after = state.ahead - gap - rise + facts.energy
    return _Charge(_energy_refusal(terms, facts, rise), facts.energy, after)


def _one_session(terms: EnergyTerms, state: EnergyState, facts: EnergyFacts) -> _Charge:
    """Charge a session of a register that begins with it: compared with no other claim's."""
    if facts.kind != ReadingKind.ACTUAL:
        return _Charge(_KIND_UNEXPECTED)
    if facts.from_time < state.time:
        return _Charge(_TIME_BACKWARDS)
    rise = facts.to_register - facts.from_register
    if rise < 0:
        return _Charge(_BACKWARDS)
    return _Charge(_energy_refusal(terms, facts, rise), facts.energy, state.ahead + facts.energy)


def _late(terms: EnergyTerms, state: EnergyState, facts: EnergyFacts) -> _Charge:
    rise = register_rise(facts.from_register, facts.to_register, terms.rollover_at)
    if rise < 0:
        return _Charge(_BACKWARDS)
    uncharged = -state.ahead if state.ahead < 0 and facts.to_time <= state.time else 0
    charged = min(facts.energy, uncharged)
    return _Charge(_energy_refusal(terms, facts, rise), charged, state.ahead + charged)


def _energy_refusal(terms: EnergyTerms, facts: EnergyFacts, rise: int) -> int:
    if facts.energy < 0:
        return _MALFORMED
    if facts.energy > rise:
        return _ABOVE_REGISTER
    fits = _fits(terms, facts.energy, facts.from_time, facts.to_time)
    return 0 if fits else _ABOVE_FUSE


def _is_agreed(terms: EnergyTerms, facts: EnergyFacts) -> bool:
    """Return whether the register counts in the direction of the terms, as they can take it."""
    if terms.version == 1:
        return True
    register = registers.of_number(facts.register)
    return register.direction is terms.direction and not (terms.continuous and register.per_session)


def _of_one_session(facts: EnergyFacts) -> bool:
    return registers.of_number(facts.register).per_session


def _anchored(terms: EnergyTerms, state: EnergyState) -> bool:
    """Return whether the last register is known; a start register of 0 means that it is not."""
    return state.claimed or terms.start_register != 0


def _fits(terms: EnergyTerms, energy: int, start: int, end: int) -> bool:
    return fits_fuse(energy, end - start + GRACE_SECONDS, terms.fuse_watts)
