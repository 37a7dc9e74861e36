"""The price of a claim exactly as the contract `MeteredFleet` computes it, for tests of both."""

from __future__ import annotations

from typing import NamedTuple

from device_adapters.types import Rejected
from orchestrator.products.metered_fleet.abi import (
    MOST_AGE,
    MOST_COUNTER,
    MOST_REGISTER,
    FleetFacts,
    FleetKind,
    FleetRow,
    FleetStep,
    FleetTerms,
    decode_facts,
    decode_terms,
    minutes_between,
)

REFUSALS = {  # as in MeteredFleet.refusalName
    1: "OverLimit",
    2: "FactsMalformed",
    3: "KindUnexpected",
    4: "PeriodUnexpected",
    5: "TimeAhead",
    6: "RowsUnknown",
    7: "CounterStands",
    8: "ReadingOutside",
    9: "FuseExceeded",
    10: "RowOverflow",
    11: "DeviceNotActive",
}
_NUMBER = {name: number for number, name in REFUSALS.items()}
_FOR_EVER = (1 << 40) - 1
_WH_PER_KWH = 1_000


class FleetState(NamedTuple):
    """How far an agreement is charged.

    start: claims that end before it are refused, until one is priced. time: of the rows.
    remainder: thousandths of a minor unit that are not charged yet. passed_over: the next claim
    charges nothing.
    """

    start: int
    time: int
    rows: tuple[FleetRow, ...]
    remainder: int = 0
    passed_over: bool = False


def open(terms: bytes, start: int = 0) -> FleetState:
    """Return the state of a new agreement.

    Args:
        start: claims that end before it are refused (Unix seconds).
    """
    agreed = decode_terms(terms)
    return FleetState(start, agreed.started, agreed.rows)


def price(
    state: FleetState,
    terms: bytes,
    facts: bytes,
    limit: int,
    late: bool = False,
    until: int = _FOR_EVER,
) -> tuple[int, int]:
    """Return the price of a claim of an active device.

    Args:
        limit: what cap and escrow leave, in token minor units.
        late: always False, since the product takes no late claims.
        until: facts after it are refused (Unix seconds).

    Returns:
        (amount, refusal): refusal 0 means priced. A refused claim changes nothing.
    """
    agreed = decode_terms(terms)
    try:
        claim = decode_facts(facts)
    except Rejected:
        return 0, _NUMBER["FactsMalformed"]
    refusal = _refusal(state, agreed, claim, until)
    if refusal:
        return 0, _NUMBER[refusal]
    amount = _exact(state, agreed, claim) // _WH_PER_KWH
    return (amount, 0) if amount <= limit else (0, _NUMBER["OverLimit"])


def advance(state: FleetState, terms: bytes, facts: bytes, late: bool = False) -> FleetState:
    """Return the state after a claim that was priced."""
    claim = decode_facts(facts)
    remainder = _exact(state, decode_terms(terms), claim) % _WH_PER_KWH
    return FleetState(0, claim.to_time, claim.rows_after, remainder)


def refund(state: FleetState, amount: int) -> FleetState:
    """Return the state after a dispute refunded an amount: no claim ever gives anything back."""
    return state


def skip(state: FleetState) -> FleetState:
    """Return the state after a claim and its counters were passed over."""
    return state._replace(passed_over=True)


def step_refusal(fuse_watts: int, elapsed: int, row: FleetRow, step: FleetStep) -> str:
    """Return why a member's step may not follow its row, or "".

    Args:
        fuse_watts: what its fuse lets through.
        elapsed: minutes from the rows' time to the claim's end.
    """
    minutes = elapsed + row.age - step.age  # from reading to reading
    if not step.counters:
        if step.energy:
            return "CounterStands"
        return "" if step.age == min(elapsed + row.age, MOST_AGE) else "ReadingOutside"
    if step.age > elapsed:
        return "ReadingOutside"
    if step.energy * 60 > fuse_watts * (minutes + 1):  # meters stamp whole minutes
        return "FuseExceeded"
    fits = row.counter + step.counters < MOST_COUNTER and row.register + step.energy < MOST_REGISTER
    return "" if fits else "RowOverflow"


def _refusal(state: FleetState, terms: FleetTerms, claim: FleetFacts, until: int) -> str:
    if len(claim.rows) != len(terms.members):
        return "FactsMalformed"
    if (claim.kind == FleetKind.READ) != state.passed_over:
        return "KindUnexpected"
    if claim.from_time != state.time or claim.to_time < max(state.start, state.time + terms.period):
        return "PeriodUnexpected"
    if claim.to_time > until:
        return "TimeAhead"
    if claim.rows != state.rows:
        return "RowsUnknown"
    elapsed = minutes_between(claim.from_time, claim.to_time)
    flaws = {
        step_refusal(terms.fuse_watts, elapsed, row, step)
        for row, step in zip(claim.rows, claim.steps, strict=True)
    }
    return min(flaws - {""}, key=lambda name: _NUMBER[name], default="")


def _exact(state: FleetState, terms: FleetTerms, claim: FleetFacts) -> int:
    """Return what is due in thousandths of a minor unit."""
    energy = 0 if state.passed_over else claim.energy
    return state.remainder + energy * terms.price_per_kwh
