"""Terms and facts of metered energy as the contract `MeteredEnergy` encodes them.

Version 3 has dated prices, tariff bands and the time of the start register; it is written as packed
numbers (contracts/products/energy/EnergyBytes.sol). Version 2 names the register. Version 1
(releases 0.3.0 and 0.4.0) has one word less in the facts and two less in the terms: it charges
consumption only, of records that the device itself signed. The length and the first byte say which
version bytes are. A contract takes one version only, so the facts of an agreement are written in
the version of its terms.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from device_adapters.registers import Direction
from device_adapters.types import Assurance, Rejected
from oracles.types import ClaimReason
from orchestrator.products.struct_codec import StructCodec

MOST_BANDS, MOST_PRICES = 4, 8


class ReadingKind(IntEnum):
    """Kind of a claim's last reading, with the numbers of `MeteredEnergy.ReadingKind`."""

    ACTUAL = 0
    ESTIMATED = 1  # a substitute value: charged ahead of the meter, corrected by the next actual
    EXCHANGED = 2  # to_register is where the new meter begins
    LATE = 3  # sessions that later claims had already passed


class DatedPrice(NamedTuple):
    """A price in token minor units per kWh, from a time on (Unix seconds)."""

    since: int
    price_per_kwh: int


class TariffBand(NamedTuple):
    """One tariff register more than the first: its number, its start, its prices in order.

    number: group E of the register's OBIS code. The first price holds from 0 on.
    """

    number: int
    start_register: int
    prices: tuple[DatedPrice, ...]


class EnergyTerms(NamedTuple):
    """Terms of an agreement: token minor units, watts and mWh.

    start_register 0: not known. rollover_at 0: the register never rolls over. export: energy fed
    into the grid is charged, not energy taken from it. assurance: `Assurance.number`, the least
    that is taken. version: 1 to 3, of the encoding. The rest is of version 3 only. started_at: when
    the start registers were read, 0: not known. later_prices: those that follow price_per_kwh.
    band: which tariff register these prices are for; 0: the total. more_bands: the other ones.
    """

    price_per_kwh: int
    fuse_watts: int
    continuous: bool = False
    start_register: int = 0
    rollover_at: int = 0
    export: bool = False
    assurance: int = 0
    version: int = 3
    started_at: int = 0
    later_prices: tuple[DatedPrice, ...] = ()
    band: int = 0
    more_bands: tuple[TariffBand, ...] = ()

    @property
    def direction(self) -> Direction:
        """Return which way the energy flows that is charged."""
        return Direction.EXPORT if self.export else Direction.IMPORT

    @property
    def least_assurance(self) -> Assurance:
        """Return the least assurance of a record that is taken."""
        return tuple(Assurance)[self.assurance]

    @property
    def prices(self) -> tuple[DatedPrice, ...]:
        """Return the prices of the first band in order of time."""
        return (DatedPrice(0, self.price_per_kwh), *self.later_prices)

    def by_band(self) -> tuple[EnergyTerms, ...]:
        """Return terms of one band each, in order of the bands."""
        first = self._replace(more_bands=())
        return (
            first,
            *(
                first._replace(
                    price_per_kwh=band.prices[0].price_per_kwh,
                    later_prices=band.prices[1:],
                    start_register=band.start_register,
                    band=band.number,
                )
                for band in self.more_bands
            ),
        )

    def price_date(self, seconds: int) -> int:
        """Return the newest date of a price, of any band, up to a time; 0: the first prices."""
        lists = [self.later_prices, *(band.prices for band in self.more_bands)]
        dates = (price.since for prices in lists for price in prices)
        return max((date for date in dates if date <= seconds), default=0)

    def price_at(self, seconds: int) -> int:
        """Return the price of the first band that holds at a time."""
        return max(price for price in self.prices if price.since <= max(seconds, 0)).price_per_kwh


class BandStep(NamedTuple):
    """What the register of one more band showed: its `Register.number`, and mWh."""

    register: int
    from_register: int
    to_register: int
    energy: int


class EnergyFacts(NamedTuple):
    """Facts of a claim: registers and energy in mWh, times in Unix seconds.

    energy: what is new to the charge; negative where an estimate was too high.
    register: `Register.number` of the register that was read; version 1 names none (0).
    more_bands: the steps of the other bands of the terms. version: 1 to 3, of the encoding.
    """

    from_register: int
    to_register: int
    energy: int
    from_time: int
    to_time: int
    kind: int = ReadingKind.ACTUAL
    register: int = 0
    more_bands: tuple[BandStep, ...] = ()
    version: int = 3

    @property
    def steps(self) -> tuple[BandStep, ...]:
        """Return the steps of all bands."""
        first = BandStep(self.register, self.from_register, self.to_register, self.energy)
        return (first, *self.more_bands)


_TERMS_1 = {
    "price_per_kwh": "uint64",
    "fuse_watts": "uint32",
    "continuous": "bool",
    "start_register": "uint64",
    "rollover_at": "uint64",
}
_FACTS_1 = {
    "from_register": "uint64",
    "to_register": "uint64",
    "energy": "int64",
    "from_time": "uint40",
    "to_time": "uint40",
    "kind": "uint8",
}
_TERMS = {
    1: StructCodec(_TERMS_1),
    2: StructCodec(_TERMS_1 | {"export": "bool", "assurance": "uint8"}),
}
_FACTS = {1: StructCodec(_FACTS_1), 2: StructCodec(_FACTS_1 | {"register": "uint48"})}
_LAST_KIND = max(ReadingKind)
# version 3, as EnergyBytes.sol describes it
_VERSION_3 = 3
_TERMS_HEAD = struct.Struct(">BBBBIQIBB")
_START, _PRICE = struct.Struct(">Q"), struct.Struct(">BII")
_FACTS_HEAD = struct.Struct(">BBII")
_STEP = struct.Struct(">HIQQq")  # a register's 48 bits in two parts


def encode_terms(terms: EnergyTerms) -> bytes:
    """Return the ABI encoding of terms in their version.

    Raises:
        Rejected: FACTS_MALFORMED where they are not valid, or their version cannot say them.
    """
    if terms.version == _VERSION_3:
        raw = _pack_terms(terms)
    else:
        older = EnergyTerms(*terms[: 5 if terms.version == 1 else 7], version=terms.version)
        if older != terms:
            detail = f"terms of version {terms.version} cannot say all of these terms"
            raise Rejected(ClaimReason.FACTS_MALFORMED, detail)
        raw = _TERMS[terms.version].encode(terms[: 5 if terms.version == 1 else 7])
    decode_terms(raw)
    return raw


@lru_cache(maxsize=4096)
def decode_terms(raw: bytes) -> EnergyTerms:
    """Return the terms of any version.

    Raises:
        Rejected: FACTS_MALFORMED where the contract would not accept them.
    """
    version = _version(raw, 32 * len(_TERMS_1), 32 * (len(_TERMS_1) + 2))
    if version == _VERSION_3:
        terms = _unpack_terms(raw)
    else:
        terms = EnergyTerms(*_TERMS[version].decode(raw), version=version)
    if flaw := _terms_flaw(terms):
        raise Rejected(ClaimReason.FACTS_MALFORMED, flaw, raw)
    return terms


def shared_terms(raw: bytes) -> int:
    """Return what the contract answers to `open`: the word in EnergyTerms.sol."""
    terms = decode_terms(raw)
    bands = terms.by_band()
    prices = sum(len(band.prices) for band in bands)
    has_one_price = prices == 1
    fields = (
        (terms.rollover_at, 192),
        (terms.fuse_watts, 160),
        (terms.price_per_kwh if has_one_price else 0, 128),
        (terms.band if has_one_price else 0, 120),
        (len(bands), 112),
        (prices, 104),
        (terms.assurance, 96),
        (int(terms.continuous), 88),
        (int(terms.export), 80),
    )
    return sum(value << shift for value, shift in fields)


def encode_facts(facts: EnergyFacts) -> bytes:
    """Return the encoding of facts in their version.

    Raises:
        Rejected: FACTS_MALFORMED where a value does not fit.
    """
    if facts.version != _VERSION_3:
        return _FACTS[facts.version].encode(facts[: 6 if facts.version == 1 else 7])
    try:
        head = _FACTS_HEAD.pack(_VERSION_3, facts.kind, facts.from_time, facts.to_time)
        steps = (
            _STEP.pack(number >> 32, number & 0xFFFF_FFFF, start, end, energy)
            for number, start, end, energy in facts.steps
        )
        return head + b"".join(steps)
    except struct.error as error:
        detail = f"{facts} does not fit: {error}"
        raise Rejected(ClaimReason.FACTS_MALFORMED, detail) from None


def decode_facts(raw: bytes) -> EnergyFacts:
    """Return the facts of a claim of any version.

    Raises:
        Rejected: FACTS_MALFORMED where the bytes are not facts.
    """
    version = facts_version(raw)
    if version == _VERSION_3:
        facts = _unpack_facts(raw)
    else:
        facts = EnergyFacts(*_FACTS[version].decode(raw))._replace(version=version)
    if facts.kind > _LAST_KIND:
        raise Rejected(ClaimReason.FACTS_MALFORMED, f"no kind of reading is {facts.kind}", raw)
    return facts


def facts_version(raw: bytes) -> int:
    """Return the version of encoded facts; 3 for bytes that are none."""
    return _version(raw, 32 * len(_FACTS_1), 32 * (len(_FACTS_1) + 1))


def _version(raw: bytes, *lengths: int) -> int:
    """Return the version of bytes: the older ones have lengths that version 3 never has."""
    return lengths.index(len(raw)) + 1 if len(raw) in lengths else _VERSION_3


def _terms_flaw(terms: EnergyTerms) -> str:
    """Return what is wrong with the terms as a phrase, or "" if nothing is."""
    bands = terms.by_band()
    numbers = [band.band for band in bands]
    dates = [[price.since for price in band.prices] for band in bands]
    end = terms.rollover_at
    flaws = (
        (not terms.fuse_watts, "the terms have no fuse rating"),
        (
            end and any(band.start_register >= end for band in bands),
            "the start register is not below the rollover",
        ),
        (terms.assurance >= len(Assurance), f"no assurance is {terms.assurance}"),
        (len(bands) > MOST_BANDS, f"more than {MOST_BANDS} tariff bands"),
        (sum(map(len, dates)) > MOST_PRICES, f"more than {MOST_PRICES} prices"),
        (numbers != sorted(set(numbers)), "the tariff bands are not in order"),
        (0 in numbers and len(numbers) > 1, "band 0 is the total: it has no other bands with it"),
        (any(numbers) and not terms.continuous, "tariff bands need continuous terms"),
        (any(d != sorted(set(d)) or d[0] for d in dates), "the prices are not in order of time"),
    )
    return next((flaw for wrong, flaw in flaws if wrong), "")


def _pack_terms(terms: EnergyTerms) -> bytes:
    bands = terms.by_band()
    prices = [(band.band, *price) for band in bands for price in band.prices]
    try:
        return b"".join(
            (
                _TERMS_HEAD.pack(
                    _VERSION_3,
                    terms.continuous,
                    terms.export,
                    terms.assurance,
                    terms.fuse_watts,
                    terms.rollover_at,
                    terms.started_at,
                    len(bands),
                    len(prices),
                ),
                *(_START.pack(band.start_register) for band in bands),
                *(_PRICE.pack(*price) for price in prices),
            )
        )
    except struct.error as error:
        detail = f"{terms} does not fit: {error}"
        raise Rejected(ClaimReason.FACTS_MALFORMED, detail) from None


def _unpack_terms(raw: bytes) -> EnergyTerms:
    head, lists = raw[: _TERMS_HEAD.size], raw[_TERMS_HEAD.size :]
    if len(head) < _TERMS_HEAD.size or head[0] != _VERSION_3 or max(head[1:3]) > 1:
        raise Rejected(ClaimReason.FACTS_MALFORMED, "no terms of version 3", raw)
    _, continuous, export, assurance, fuse, rollover, started, count, prices = _TERMS_HEAD.unpack(
        head
    )
    starts = count * _START.size
    if not 0 < count <= prices or len(lists) != starts + prices * _PRICE.size:
        detail = f"{len(raw)} bytes for {count} bands and {prices} prices"
        raise Rejected(ClaimReason.FACTS_MALFORMED, detail, raw)
    by_band: dict[int, list[DatedPrice]] = {}
    rows = list(_PRICE.iter_unpack(lists[starts:]))
    for number, *price in rows:
        by_band.setdefault(number, []).append(DatedPrice(*price))
    if len(by_band) != count or [row[0] for row in rows] != sorted(row[0] for row in rows):
        raise Rejected(ClaimReason.FACTS_MALFORMED, "prices and tariff bands do not match", raw)
    bands = [
        TariffBand(number, start, tuple(by_band[number]))
        for number, (start,) in zip(by_band, _START.iter_unpack(lists[:starts]), strict=True)
    ]
    first, *more = bands
    if first.prices[0].since:
        detail = "the prices are not in order of time"
        raise Rejected(ClaimReason.FACTS_MALFORMED, detail, raw)
    return EnergyTerms(
        first.prices[0].price_per_kwh,
        fuse,
        bool(continuous),
        first.start_register,
        rollover,
        bool(export),
        assurance,
        _VERSION_3,
        started,
        first.prices[1:],
        first.number,
        tuple(more),
    )


def _unpack_facts(raw: bytes) -> EnergyFacts:
    head, steps = raw[: _FACTS_HEAD.size], raw[_FACTS_HEAD.size :]
    if not steps or len(steps) % _STEP.size or head[0] != _VERSION_3:
        raise Rejected(ClaimReason.FACTS_MALFORMED, f"{len(raw)} bytes are no facts", raw)
    _, kind, start, end = _FACTS_HEAD.unpack(head)
    (number, *first), *more = (
        (high << 32 | low, *values) for high, low, *values in _STEP.iter_unpack(steps)
    )
    return EnergyFacts(*first, start, end, kind, number, tuple(BandStep(*row) for row in more))
