"""Runs of claims of agreements with one price: most are daily ones, some are a little wrong.

A daily claim goes on from the last one, in register, time and counters, so that the contract may
price it by the short way.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from device_adapters import registers
from device_adapters.types import Rejected
from orchestrator.products.metered_energy import gaps as counter_gaps
from orchestrator.products.metered_energy import product as energy
from orchestrator.products.metered_energy.pricing import BandState
from orchestrator.products.metered_energy.product import (
    BandStep,
    EnergyFacts,
    EnergyState,
    EnergyTerms,
    ReadingKind,
)
from tests.support.contracts.energy_contract import FOR_EVER, LIMIT, kept_bands

_BEGIN = 10**6  # seconds after the opening: a little wrong is not before the device's time
_EDGE = 2**48  # of a register that a note holds
_NUMBERS = {export: registers.parse(f"{1 + export}.8.0").number for export in (False, True)}
_PER_SESSION = registers.parse("B2.8.0").number


class RunStep(NamedTuple):
    """One claim of a run, or none where claims were passed over; what the mirror says of it.

    counters: (claimedTo, firstCounter, lastCounter). daily: written without a mistake on purpose.
    """

    facts: bytes | None
    limit: int
    late: bool
    until: int
    counters: tuple[int, int, int]
    daily: bool
    answer: tuple[int, int]
    bands: tuple[BandState, ...]
    gaps: tuple[tuple[int, int], ...]


def one_price(chance: random.Random, since: int) -> EnergyTerms:
    """Return random terms with one price and one band."""
    start = chance.choice((0, 0, 5_000_001, 9_999_998, _EDGE - 2_000_000, _EDGE + 5))
    rollover = chance.choice((0, 0, 10_000_000, 10_000_001)) if start < 10_000_000 else 0
    continuous = chance.random() < 0.7
    return EnergyTerms(
        chance.choice((0, 1, 7, 300_000, 333_333, 2**32 - 1)),
        chance.choice((3_600, 22_000, 2**32 - 1)),
        continuous,
        start,
        rollover,
        chance.random() < 0.3,
        chance.randrange(3),
        started_at=chance.choice((0, since - 3_600)),
        band=chance.choice((0, 0, 1, 255)) if continuous else 0,
    )


def random_run(chance: random.Random, wanted: EnergyTerms, since: int, count: int) -> list[RunStep]:
    """Return a run of `count` steps, priced by the Python mirror."""
    terms, claimed_to, gaps = energy.encode_terms(wanted), 0, []
    state = energy.open(terms, since)
    steps: list[RunStep] = []
    for _ in range(count):
        if chance.random() < 0.02:
            state = energy.skip(state)
            skipped = None, 0, False, 0, (0, 0, 0), False, (0, 0)
            steps.append(RunStep(*skipped, kept_bands(state), tuple(gaps)))
            continue
        facts, late, daily = _next(chance, wanted, state, since)
        first = claimed_to + 1 + (0 if chance.random() < 0.9 else chance.randrange(1, 4))
        if late:
            first = gaps[-1][0] if gaps else 1
        limit = chance.choice((LIMIT, LIMIT, LIMIT, LIMIT, LIMIT, 10**6, 2**48 - 1, 0))
        until = facts_end(facts, chance.choice((None, None, None, None, 0, 0, -1)))
        amount, refusal = energy.price(state, terms, facts, limit, late, until, bool(gaps))
        counters = claimed_to, first, first
        if not refusal:
            state = energy.advance(state, terms, facts, late)
            if late:
                gaps = counter_gaps.without(gaps, first, first)
            else:
                gaps, claimed_to = counter_gaps.passed(gaps, claimed_to, first), first
        row = facts, limit, late, until, counters, daily and first == counters[0] + 1
        steps.append(RunStep(*row, (amount, refusal), kept_bands(state), tuple(gaps)))
    return steps


def facts_end(facts: bytes, ahead: int | None) -> int:
    """Return a bound of times: none, or so many seconds after the facts end."""
    return FOR_EVER if ahead is None else max(int.from_bytes(facts[6:10], "big") + ahead, 0)


def _next(
    chance: random.Random, wanted: EnergyTerms, state: EnergyState, since: int
) -> tuple[bytes, bool, bool]:
    """Return the facts of a claim, whether it is late, and whether it is a daily one."""
    (band,) = state.bands
    special = chance.choices(
        ("daily", "mistake", "gap", "late", *ReadingKind, "session", "bytes"),
        (80, 12, 1, 1, 1, 2, 1, 1, 1, 1),
    )[0]
    end = wanted.rollover_at or 2**63
    begin, seconds = max(band.time, since + _BEGIN), chance.choice((0, 60, 900, 3_600))
    rise = chance.choice((0, 1, 3, 333, 59_999, 120_000, 250_001))
    passed = chance.choice((1, 700_000)) if special == "gap" else 0
    start = (band.register + passed) % end
    to, charged, kind = (start + rise) % end, rise, ReadingKind.ACTUAL
    if special in tuple(ReadingKind):
        kind = ReadingKind(special)
    if special == "late" or kind is ReadingKind.LATE:
        kind, begin, start, to = ReadingKind.LATE, max(since, band.time - seconds), 0, rise
    elif kind is ReadingKind.EXCHANGED:
        to = chance.randrange(1_000)
    if wanted.continuous and kind is not ReadingKind.LATE:
        charged -= band.ahead
    number = _NUMBERS[wanted.export] | wanted.band << 8
    if special == "session":
        number, start, to = _PER_SESSION, 0, rise
    facts = EnergyFacts(start, to, charged, begin, begin + seconds, kind, number)
    if special == "mistake":
        facts = _mistaken(chance, facts)
    late = kind is ReadingKind.LATE and chance.random() < 0.9
    try:
        raw = energy.encode_facts(facts)
    except Rejected:
        special, raw = "mistake", bytes(chance.choice((0, 39, 41)))
    if special == "bytes":
        raw = raw[:39] if chance.random() < 0.5 else bytes([2]) + raw[1:]
    return raw, late or (special == "bytes" and chance.random() < 0.1), special == "daily"


def _mistaken(chance: random.Random, facts: EnergyFacts) -> EnergyFacts:
    """Return facts with one mistake, or with two that hide each other."""
    name = chance.choice((*facts._fields[:5], "fuse", "register", "register", "more_bands"))
    if name == "fuse":
        much = chance.choice((10**9, _EDGE, 2**62))
        return facts._replace(to_register=facts.to_register + much, energy=facts.energy + much)
    if name == "register":
        return facts._replace(register=facts.register ^ 1 << chance.randrange(48))
    if name == "more_bands":
        return facts._replace(more_bands=(BandStep(facts.register, 0, 0, 0),))
    change = chance.choice((-1, 1, -100_000, 100_000, 2**31, 2**48, 2**63))
    return facts._replace(**{name: getattr(facts, name) + change})


def answers_met(runs: Sequence[Sequence[RunStep]]) -> set[int]:
    """Return the refusals of the runs' claims; 0 is a price."""
    return {step.answer[1] for run in runs for step in run if step.facts is not None}
