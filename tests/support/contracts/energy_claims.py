"""Random terms and claims of metered energy: most are plausible, many of those a little wrong."""

from __future__ import annotations

import random

from device_adapters import registers
from device_adapters.types import Rejected
from orchestrator.products.metered_energy import product as energy
from orchestrator.products.metered_energy.product import (
    BandStep,
    DatedPrice,
    EnergyFacts,
    EnergyTerms,
    ReadingKind,
    TariffBand,
)
from tests.support.contracts.energy_contract import LIMIT, mirrored

# by whether the terms charge export
_CODES = {False: ("1.8.0", "01-00:98.08.00*00", "01-01:B1.08.00*FF"), True: ("2.8.0", "C1.8.0")}
_SESSION_CODES = {False: ("B2.8.0", "B3.8.0"), True: ("C2.8.0", "C3.8.0")}
_IMPORT = registers.parse("1.8.0").number
_MOST = 2**48 - 1


def random_terms(chance: random.Random, seed: int, since: int) -> EnergyTerms:
    """Return random terms: one of four has dated prices, one of four tariff bands."""
    wanted = EnergyTerms(
        chance.choice((0, 1, 300_000, 2**32 - 1 if seed == 7 else 10**7)),
        chance.choice((1, 3_600, 22_000, 2**32 - 1)),
        chance.random() < 0.5,
        chance.choice((0, 5_000_000)),
        chance.choice((0, 0, 10_000_000)),
        seed % 4 == 3,
        chance.randrange(3),
    )
    later = tuple(
        DatedPrice(since + 10**6 + 3_000 * n, chance.choice((0, 7, 400_000))) for n in range(1, 4)
    )
    if seed % 4 == 1:
        wanted = wanted._replace(later_prices=later)
    if seed % 4 == 2:
        other = TariffBand(chance.choice((2, 9)), 0, (DatedPrice(0, 123_456), *later[:2]))
        wanted = wanted._replace(continuous=True, band=1, more_bands=(other,))
    return wanted


def random_claims(chance, wanted: EnergyTerms, terms: bytes, since: int, until: int) -> list[tuple]:
    """Sixty claims: most go on from where the last one ended, many of them a little wrong."""
    claims: list[tuple] = []
    state = energy.open(terms, since)
    for _ in range(60):
        late = chance.random() < 0.2
        facts = _plausible(chance, wanted, state, since, late)
        if chance.random() < 0.4:
            facts = _wrong(chance, facts)
        limit = chance.choice((LIMIT, LIMIT, LIMIT, _MOST, 1_000))
        try:
            raw = energy.encode_facts(facts)
        except Rejected:
            raw = bytes(chance.choice((0, 39, 41, 192, 224)))
        claims.append((raw, limit, late if chance.random() < 0.95 else not late))
        state = mirrored(terms, claims, since, until).states[-1]
    return claims


def _plausible(chance, wanted: EnergyTerms, state, since: int, late: bool) -> EnergyFacts:
    since += 10**6  # so that a little wrong is not before the device's time
    seconds = chance.choice((0, 60, 3_600))
    kind = chance.choice(
        (ReadingKind.ACTUAL, ReadingKind.ACTUAL, ReadingKind.ESTIMATED, ReadingKind.EXCHANGED)
    )
    first, *more = (
        _plausible_band(chance, band_terms, band, since, late, kind, seconds)
        for band_terms, band in zip(wanted.by_band(), state.bands, strict=True)
    )
    steps = tuple(
        BandStep(facts.register, facts.from_register, facts.to_register, facts.energy)
        for facts in more
    )
    return first._replace(more_bands=steps)


def _plausible_band(
    chance, wanted: EnergyTerms, state, since: int, late: bool, kind: ReadingKind, seconds: int
) -> EnergyFacts:
    end = wanted.rollover_at or 2**62
    gap = 0 if wanted.continuous or late else chance.choice((0, 0, 700_000))
    start = (state.register + gap) % end
    begin = max(state.time, since) + (0 if wanted.continuous else gap // 1_000)
    rise = chance.choice((0, 1, 333, 250_000, 1_000_000))
    to, charged = (start + rise) % end, rise
    if late:
        kind, begin = ReadingKind.LATE, max(since, state.time - seconds)
        start, to = 0, rise
    elif kind is ReadingKind.EXCHANGED:
        to = chance.randrange(1_000)
    if wanted.continuous:
        charged -= state.ahead
    code = chance.choice(_CODES[wanted.export])
    if not wanted.continuous and chance.random() < 0.3:
        code = chance.choice(_SESSION_CODES[wanted.export])
        start = chance.choice((0, 0, start))
        to, kind = (start + rise) % end, ReadingKind.LATE if late else kind
    number = registers.parse(code).number | wanted.band << 8
    return EnergyFacts(start, to, charged, begin, begin + seconds, kind, number)


def _wrong(chance, facts: EnergyFacts) -> EnergyFacts:
    name = chance.choice(facts._fields[:8])
    value = getattr(facts, name)
    if name == "kind":
        return facts._replace(kind=chance.choice((0, 1, 2, 3, 4, 255)))
    if name == "register":
        return facts._replace(register=value ^ 1 << chance.randrange(48))
    if name == "more_bands":
        return facts._replace(more_bands=(*value, BandStep(_IMPORT | 255 << 8, 0, 0, 0)))
    change = chance.choice((-1, 1, -100_000, 100_000, 2**31, 2**63))
    return facts._replace(**{name: value + change})
