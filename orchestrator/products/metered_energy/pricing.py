"""The price of a claim exactly as the contract `MeteredEnergy` computes it, for tests of both.

Terms of version 1 and 2 are priced as the contracts of their time do. tests/contracts compares
the two on worked cases and on random claims.
"""

from __future__ import annotations

from typing import NamedTuple

from device_adapters import registers
from device_adapters.types import Rejected
from orchestrator.products.metered_energy.abi import (
    BandStep,
    EnergyFacts,
    EnergyTerms,
    ReadingKind,
    decode_facts,
    decode_terms,
    facts_version,
)
from orchestrator.products.metered_energy.register import (
    GRACE_SECONDS,
    MWH_PER_KWH,
    band_of,
    fits_fuse,
    register_rise,
    total_of,
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
    12: "TimeAhead",
    13: "LateCountersUnknown",
}
_OVER_LIMIT, _MALFORMED, _BACKWARDS, _DISCONTINUOUS, _ABOVE_REGISTER = 1, 2, 3, 4, 5
_ENERGY_INCOMPLETE, _TIME_BACKWARDS, _ABOVE_FUSE, _KIND_UNEXPECTED = 6, 7, 8, 9
_NOT_AGREED, _TIME_AHEAD, _COUNTERS_UNKNOWN = 11, 12, 13
_INT48 = 1 << 47
_AHEAD = {1: 1 << 79, 2: 1 << 79, 3: 1 << 63}  # by version: the bits that the contract keeps
_FOR_EVER = (1 << 40) - 1


class BandState(NamedTuple):
    """State that the contract keeps for a band of an agreement."""

    register: int = 0  # the last actual reading that a claim ended with
    total: int = 0  # mWh charged so far; the contract of version 3 does not keep it
    time: int = 0  # of that reading
    ahead: int = 0  # mWh charged beyond the register; negative: mWh not charged so far
    claimed: bool = False
    remainder: int = 0  # millionths of a minor unit that are not charged yet


class EnergyState(NamedTuple):
    """State that the contract keeps for an agreement: its start, its bands, what was refunded."""

    start: int
    bands: tuple[BandState, ...]
    refunded: int = 0


class _Charge(NamedTuple):
    """What a claim does to a band (mWh), or the number of a refusal."""

    refusal: int = 0
    energy: int = 0
    flow: int = 0  # what had to pass the fuse
    ahead: int = 0


class _Judged(NamedTuple):
    """A claim's price before what was refunded, and the bands after it."""

    refusal: int = 0
    amount: int = 0
    bands: tuple[BandState, ...] = ()


def open(terms: bytes, start: int = 0) -> EnergyState:
    """Return the state of a new agreement.

    Args:
        start: facts before it are refused (Unix seconds).
    """
    energy_terms = decode_terms(terms)
    began = energy_terms.started_at or start
    several = energy_terms.later_prices or energy_terms.more_bands
    one_price = energy_terms.version > 2 and not several
    bands = (
        BandState(
            band.start_register,
            time=began,
            claimed=band.start_register != 0,
            remainder=band.start_register * band.price_per_kwh % MWH_PER_KWH if one_price else 0,
        )
        for band in energy_terms.by_band()
    )
    return EnergyState(start, tuple(bands))


def price(
    state: EnergyState,
    terms: bytes,
    facts: bytes,
    limit: int,
    late: bool = False,
    until: int = _FOR_EVER,
    open_gap: bool = True,
) -> tuple[int, int]:
    """Return the price of a claim of an active device.

    Args:
        limit: what cap and escrow leave, in token minor units.
        late: whether later claims have passed the claim's counters.
        until: facts after it are refused (Unix seconds).
        open_gap: whether the counters of a late claim lie in a gap that is open (gaps.py).

    Returns:
        (amount, refusal): the amount is negative for a debt of the payee; refusal 0 means priced.
        A refused claim changes nothing.
    """
    judged = _judged(state, terms, facts, limit, late, until, open_gap)
    if judged.refusal:
        return 0, judged.refusal
    return min(judged.amount + state.refunded, 0) if judged.amount < 0 else judged.amount, 0


def advance(state: EnergyState, terms: bytes, facts: bytes, late: bool = False) -> EnergyState:
    """Return the state after a claim that was priced."""
    judged = _judged(state, terms, facts, _INT48, late, _FOR_EVER, True)
    refunded = state.refunded
    outstanding = any(band.ahead > 0 for band in state.bands)
    if decode_facts(facts).kind == ReadingKind.ESTIMATED and not outstanding:
        refunded = 0  # what was refunded before the estimates began can never be corrected
    return state._replace(bands=judged.bands, refunded=max(refunded + min(judged.amount, 0), 0))


def refund(state: EnergyState, amount: int) -> EnergyState:
    """Return the state after a dispute refunded an amount (token minor units)."""
    return state._replace(refunded=state.refunded + amount)


def skip(state: EnergyState) -> EnergyState:
    """Return the state after a claim and its counters were passed over.

    The next claim may begin at any register; what an estimate charged ahead stands.
    """
    return state._replace(
        bands=tuple(b._replace(claimed=False, ahead=min(b.ahead, 0)) for b in state.bands)
    )


def _judged(
    state: EnergyState,
    raw_terms: bytes,
    raw_facts: bytes,
    limit: int,
    late: bool,
    until: int,
    open_gap: bool,
) -> _Judged:
    terms = decode_terms(raw_terms)
    try:
        facts = decode_facts(raw_facts)
    except Rejected:
        return _Judged(_MALFORMED)
    if facts_version(raw_facts) != terms.version or len(facts.steps) != len(state.bands):
        return _Judged(_MALFORMED)
    if (facts.kind == ReadingKind.LATE) != late:
        return _Judged(_KIND_UNEXPECTED)
    if late and not open_gap:
        return _Judged(_COUNTERS_UNKNOWN)
    if terms.version > 2 and (refusal := _times_refusal(terms, state, facts, until)):
        return _Judged(refusal)
    amount, flow, bands = 0, 0, []
    for band_terms, band, step in zip(terms.by_band(), state.bands, facts.steps, strict=True):
        charge = _charge(band_terms, band, _of_step(facts, step), late)
        if charge.refusal:
            return _Judged(charge.refusal)
        price = band_terms.price_at(facts.from_time)
        exact = _remainder(terms, band, step, facts, price) + charge.energy * price
        total = band.total + charge.energy
        most = _AHEAD[terms.version]
        kept = terms.version > 2 or 0 <= total < 1 << 64
        if not kept or not -most <= charge.ahead < most:
            return _Judged(_MALFORMED)
        amount += exact // MWH_PER_KWH
        flow += charge.flow
        bands.append(_after(band, step, facts, total, charge.ahead, exact % MWH_PER_KWH))
    if not _fits(terms, flow, facts.from_time, facts.to_time):
        return _Judged(_ABOVE_FUSE)
    payable = -_INT48 <= amount < _INT48 and amount <= limit
    return _Judged(0, amount, tuple(bands)) if payable else _Judged(_OVER_LIMIT)


def _remainder(
    terms: EnergyTerms, band: BandState, step: BandStep, facts: EnergyFacts, price: int
) -> int:
    """Return what is not charged yet, millionths; at a band's first reading, its register's."""
    per_session = registers.of_number(step.register).per_session
    if terms.version < 3 or band.claimed or per_session or facts.kind == ReadingKind.LATE:
        return band.remainder
    return step.from_register * price % MWH_PER_KWH


def _times_refusal(terms: EnergyTerms, state: EnergyState, facts: EnergyFacts, until: int) -> int:
    since_register_was_read = (
        terms.continuous and facts.from_time == terms.started_at and facts.to_time >= state.start
    )
    began = facts.from_time >= state.start or since_register_was_read
    if facts.to_time < facts.from_time or not began:
        return _TIME_BACKWARDS
    return _TIME_AHEAD if facts.to_time > until else 0


def _of_step(facts: EnergyFacts, step: BandStep) -> EnergyFacts:
    """Return the facts about one band."""
    return facts._replace(
        register=step.register,
        from_register=step.from_register,
        to_register=step.to_register,
        energy=step.energy,
        more_bands=(),
    )


def _after(
    band: BandState, step: BandStep, facts: EnergyFacts, total: int, ahead: int, remainder: int
) -> BandState:
    after = band._replace(total=total, ahead=ahead, remainder=remainder)
    if facts.kind == ReadingKind.LATE:
        return after
    estimated = facts.kind == ReadingKind.ESTIMATED
    after = after._replace(time=facts.from_time if estimated else facts.to_time)
    if registers.of_number(step.register).per_session:  # the register that runs on was not read
        return after
    register = step.from_register if estimated else step.to_register
    return after._replace(register=register, claimed=True)


def _charge(terms: EnergyTerms, state: BandState, facts: EnergyFacts, late: bool) -> _Charge:
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


def _continuous(terms: EnergyTerms, state: BandState, facts: EnergyFacts) -> _Charge:
    if state.claimed and facts.from_register != state.register:
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
    if terms.version > 2 and state.ahead and facts.from_time != state.time:
        return _Charge(_DISCONTINUOUS)  # a correction counts at the price of its estimates
    return _Charge(0, facts.energy, rise, rise if facts.kind == ReadingKind.ESTIMATED else 0)


def _sessions(terms: EnergyTerms, state: BandState, facts: EnergyFacts) -> _Charge:
    if facts.from_time < state.time:
        return _Charge(_TIME_BACKWARDS)
    gap = 0
    if state.claimed:
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
    return _Charge(_energy_refusal(facts, rise), facts.energy, facts.energy, after)


def _one_session(terms: EnergyTerms, state: BandState, facts: EnergyFacts) -> _Charge:
    """Charge a session of a register that begins with it: compared with no other claim's."""
    if facts.kind != ReadingKind.ACTUAL:
        return _Charge(_KIND_UNEXPECTED)
    if facts.from_time < state.time:
        return _Charge(_TIME_BACKWARDS)
    rise = facts.to_register - facts.from_register
    if rise < 0:
        return _Charge(_BACKWARDS)
    return _Charge(
        _energy_refusal(facts, rise), facts.energy, facts.energy, state.ahead + facts.energy
    )


def _late(terms: EnergyTerms, state: BandState, facts: EnergyFacts) -> _Charge:
    rise = register_rise(facts.from_register, facts.to_register, terms.rollover_at)
    if rise < 0:
        return _Charge(_BACKWARDS)
    uncharged = -state.ahead if state.ahead < 0 and facts.to_time <= state.time else 0
    charged = min(facts.energy, uncharged)
    return _Charge(_energy_refusal(facts, rise), charged, facts.energy, state.ahead + charged)


def _energy_refusal(facts: EnergyFacts, rise: int) -> int:
    if facts.energy < 0:
        return _MALFORMED
    return _ABOVE_REGISTER if facts.energy > rise else 0


def _is_agreed(terms: EnergyTerms, facts: EnergyFacts) -> bool:
    """Return whether the register counts in the direction of the terms, as they can take it."""
    if terms.version == 1:
        return True
    register = registers.of_number(facts.register)
    if band_of(register) != terms.band:
        return False
    total = total_of(register)
    return total.direction is terms.direction and not (terms.continuous and total.per_session)


def _of_one_session(facts: EnergyFacts) -> bool:
    return registers.of_number(facts.register).per_session


def _fits(terms: EnergyTerms, energy: int, start: int, end: int) -> bool:
    return fits_fuse(energy, end - start + GRACE_SECONDS, terms.fuse_watts)
