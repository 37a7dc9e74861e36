"""The terms and facts of metered energy as ABI words: as many as agreed, each within its type."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from device_adapters.types import Rejected
from oracles.types import ClaimReason


class ReadingKind(IntEnum):
    """What a claim's last reading is, as `MeteredEnergy.ReadingKind` numbers it."""

    ACTUAL = 0
    ESTIMATED = 1  # a substitute value: charged ahead of the meter, corrected by the next actual
    EXCHANGED = 2  # to_register is where the new meter begins
    LATE = 3  # a stretch that claims had passed by


class EnergyTerms(NamedTuple):
    """abi.encode(uint64 pricePerKwh, uint32 fuseWatts, bool continuous, uint64 startRegister,
    uint64 rolloverAt): token minor units, watts, mWh; a rollover of 0: the register has none."""

    price_per_kwh: int
    fuse_watts: int
    continuous: bool = False
    start_register: int = 0
    rollover_at: int = 0


class EnergyFacts(NamedTuple):
    """abi.encode(uint64 fromRegister, uint64 toRegister, int64 energy, uint40 fromTime,
    uint40 toTime, uint8 kind): registers and energy in mWh, times in Unix seconds. The energy
    is what is new to the charge: below zero where an estimate was too high."""

    from_register: int
    to_register: int
    energy: int
    from_time: int
    to_time: int
    kind: int = ReadingKind.ACTUAL


_TERMS_BITS = (64, 32, 1, 64, 64)
_FACTS_BITS = (64, 64, 64, 40, 40, 8)
_ENERGY = 2  # the one signed word


def encode_terms(terms: EnergyTerms) -> bytes:
    raw = _pack(terms, _TERMS_BITS)
    decode_terms(raw)
    return raw


@lru_cache(maxsize=4096)
def decode_terms(raw: bytes) -> EnergyTerms:
    price, fuse, continuous, start, rollover = _unpack(raw, _TERMS_BITS)
    if not fuse:
        raise Rejected(ClaimReason.FACTS_MALFORMED, "terms without a fuse rating", raw)
    if rollover and start >= rollover:
        raise Rejected(ClaimReason.FACTS_MALFORMED, "a start register beyond the rollover", raw)
    return EnergyTerms(price, fuse, bool(continuous), start, rollover)


def encode_facts(facts: EnergyFacts) -> bytes:
    words = list(facts)
    if not -(1 << 63) <= facts.energy < 1 << 63:
        raise Rejected(ClaimReason.FACTS_MALFORMED, f"{facts.energy} mWh is beyond 64 bits")
    words[_ENERGY] = 0
    raw = _pack(words, _FACTS_BITS)
    energy = facts.energy.to_bytes(32, "big", signed=True)
    return raw[: 32 * _ENERGY] + energy + raw[32 * (_ENERGY + 1) :]


def decode_facts(raw: bytes) -> EnergyFacts:
    at = 32 * _ENERGY
    energy = int.from_bytes(raw[at : at + 32], "big", signed=True)
    values = list(_unpack(raw[:at] + bytes(32) + raw[at + 32 :], _FACTS_BITS))
    if not -(1 << 63) <= energy < 1 << 63 or values[-1] not in tuple(ReadingKind):
        raise Rejected(ClaimReason.FACTS_MALFORMED, "no energy of 64 bits, or no kind", raw)
    values[_ENERGY] = energy
    return EnergyFacts(*values)


def _pack(values: Sequence[int], bits: Sequence[int]) -> bytes:
    if any(not 0 <= value < 1 << width for value, width in zip(values, bits, strict=True)):
        raise Rejected(
            ClaimReason.FACTS_MALFORMED, f"{tuple(values)} does not fit {tuple(bits)} bits"
        )
    return b"".join(int(value).to_bytes(32, "big") for value in values)


def _unpack(raw: bytes, bits: Sequence[int]) -> tuple[int, ...]:
    """ABI words, exactly as many as wanted, each within its type."""
    if len(raw) != 32 * len(bits):
        raise Rejected(ClaimReason.FACTS_MALFORMED, f"{len(raw)} bytes, not {32 * len(bits)}", raw)
    values = tuple(int.from_bytes(raw[i : i + 32], "big") for i in range(0, len(raw), 32))
    if any(value >> width for value, width in zip(values, bits, strict=True)):
        raise Rejected(
            ClaimReason.FACTS_MALFORMED, f"{values} does not fit {tuple(bits)} bits", raw
        )
    return values
