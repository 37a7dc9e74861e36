"""Terms and facts of metered energy as the contract `MeteredEnergy` encodes them."""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from device_adapters.types import Rejected
from oracles.types import ClaimReason
from orchestrator.products.struct_codec import StructCodec


class ReadingKind(IntEnum):
    """Kind of a claim's last reading, with the numbers of `MeteredEnergy.ReadingKind`."""

    ACTUAL = 0
    ESTIMATED = 1  # a substitute value: charged ahead of the meter, corrected by the next actual
    EXCHANGED = 2  # to_register is where the new meter begins
    LATE = 3  # sessions that later claims had already passed


class EnergyTerms(NamedTuple):
    """Terms of an agreement: token minor units, watts and mWh.

    start_register 0: not known. rollover_at 0: the register never rolls over.
    """

    price_per_kwh: int
    fuse_watts: int
    continuous: bool = False
    start_register: int = 0
    rollover_at: int = 0


class EnergyFacts(NamedTuple):
    """Facts of a claim: registers and energy in mWh, times in Unix seconds.

    energy: what is new to the charge; negative where an estimate was too high.
    """

    from_register: int
    to_register: int
    energy: int
    from_time: int
    to_time: int
    kind: int = ReadingKind.ACTUAL


_TERMS = StructCodec(
    {
        "price_per_kwh": "uint64",
        "fuse_watts": "uint32",
        "continuous": "bool",
        "start_register": "uint64",
        "rollover_at": "uint64",
    }
)
_FACTS = StructCodec(
    {
        "from_register": "uint64",
        "to_register": "uint64",
        "energy": "int64",
        "from_time": "uint40",
        "to_time": "uint40",
        "kind": "uint8",
    }
)
_LAST_KIND = max(ReadingKind)


def encode_terms(terms: EnergyTerms) -> bytes:
    """Return the ABI encoding of terms; Rejected (FACTS_MALFORMED) where they are not valid."""
    raw = _TERMS.encode(terms)
    decode_terms(raw)
    return raw


@lru_cache(maxsize=4096)
def decode_terms(raw: bytes) -> EnergyTerms:
    """Return the terms; Rejected (FACTS_MALFORMED) where the contract would not accept them."""
    terms = EnergyTerms(*_TERMS.decode(raw))
    if not terms.fuse_watts:
        raise Rejected(ClaimReason.FACTS_MALFORMED, "the terms have no fuse rating", raw)
    if terms.rollover_at and terms.start_register >= terms.rollover_at:
        detail = "the start register is not below the rollover"
        raise Rejected(ClaimReason.FACTS_MALFORMED, detail, raw)
    return terms


def encode_facts(facts: EnergyFacts) -> bytes:
    """Return the ABI encoding of facts; Rejected (FACTS_MALFORMED) where a value does not fit."""
    return _FACTS.encode(facts)


def decode_facts(raw: bytes) -> EnergyFacts:
    """Return the facts of a claim; Rejected (FACTS_MALFORMED) where the bytes are not facts."""
    facts = EnergyFacts(*_FACTS.decode(raw))
    if facts.kind > _LAST_KIND:
        raise Rejected(ClaimReason.FACTS_MALFORMED, f"no kind of reading is {facts.kind}", raw)
    return facts
