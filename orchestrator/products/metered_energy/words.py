"""The terms and facts of metered energy as ABI words: as many as agreed, each within its type."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from device_adapters.types import Rejected
from oracles.types import Doubt


class EnergyTerms(NamedTuple):
    """abi.encode(uint64 pricePerKwh, uint32 fuseWatts, bool continuous, uint64 startRegister)."""

    price_per_kwh: int
    fuse_watts: int
    continuous: bool = False
    start_register: int = 0


class EnergyFacts(NamedTuple):
    """Registers and energy in mWh (uint64 each), times in Unix seconds (uint40): five ABI words."""

    from_register: int
    to_register: int
    energy: int
    from_time: int
    to_time: int


_TERMS_BITS = (64, 32, 1, 64)
_FACTS_BITS = (64, 64, 64, 40, 40)


def encode_terms(terms: EnergyTerms) -> bytes:
    return _pack(terms, _TERMS_BITS)


@lru_cache(maxsize=4096)
def decode_terms(raw: bytes) -> EnergyTerms:
    price, fuse, continuous, start = _unpack(raw, _TERMS_BITS)
    if not fuse:
        raise Rejected(Doubt.FACTS_MALFORMED, "terms without a fuse rating", raw)
    return EnergyTerms(price, fuse, bool(continuous), start)


def encode_facts(facts: EnergyFacts) -> bytes:
    return _pack(facts, _FACTS_BITS)


def decode_facts(raw: bytes) -> EnergyFacts:
    return EnergyFacts(*_unpack(raw, _FACTS_BITS))


def _pack(values: Sequence[int], bits: Sequence[int]) -> bytes:
    if any(not 0 <= value < 1 << width for value, width in zip(values, bits, strict=True)):
        raise Rejected(Doubt.FACTS_MALFORMED, f"{tuple(values)} does not fit {tuple(bits)} bits")
    return b"".join(int(value).to_bytes(32, "big") for value in values)


def _unpack(raw: bytes, bits: Sequence[int]) -> tuple[int, ...]:
    """ABI words, exactly as many as wanted, each within its type."""
    if len(raw) != 32 * len(bits):
        raise Rejected(Doubt.FACTS_MALFORMED, f"{len(raw)} bytes, not {32 * len(bits)}", raw)
    values = tuple(int.from_bytes(raw[i : i + 32], "big") for i in range(0, len(raw), 32))
    if any(value >> width for value, width in zip(values, bits, strict=True)):
        raise Rejected(Doubt.FACTS_MALFORMED, f"{values} does not fit {tuple(bits)} bits", raw)
    return values
