"""Terms and facts of metered energy as the contract `MeteredEnergy` encodes them.

Version 2 names the register. Version 1 (releases 0.3.0 and 0.4.0) has one word less in the facts
and two less in the terms: it charges consumption only, of records that the device itself signed.
The length says which version bytes are. A contract takes one version only, so the facts of an
agreement are written in the version of its terms.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from device_adapters.registers import Direction
from device_adapters.types import Assurance, Rejected
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

    start_register 0: not known. rollover_at 0: the register never rolls over. export: energy fed
    into the grid is charged, not energy taken from it. assurance: `Assurance.number`, the least
    that is taken. version: 1 or 2, of the encoding.
    """

    price_per_kwh: int
    fuse_watts: int
    continuous: bool = False
    start_register: int = 0
    rollover_at: int = 0
    export: bool = False
    assurance: int = 0
    version: int = 2

    @property
    def direction(self) -> Direction:
        """Return which way the energy flows that is charged."""
        return Direction.EXPORT if self.export else Direction.IMPORT

    @property
    def least_assurance(self) -> Assurance:
        """Return the least assurance of a record that is taken."""
        return tuple(Assurance)[self.assurance]


class EnergyFacts(NamedTuple):
    """Facts of a claim: registers and energy in mWh, times in Unix seconds.

    energy: what is new to the charge; negative where an estimate was too high.
    register: `Register.number` of the register that was read; 0: version 1, which names none.
    """

    from_register: int
    to_register: int
    energy: int
    from_time: int
    to_time: int
    kind: int = ReadingKind.ACTUAL
    register: int = 0


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
_TERMS_1_BYTES, _FACTS_1_BYTES = 32 * len(_TERMS_1), 32 * len(_FACTS_1)
_LAST_KIND = max(ReadingKind)


def encode_terms(terms: EnergyTerms) -> bytes:
    """Return the ABI encoding of terms in their version.

    Raises:
        Rejected: FACTS_MALFORMED where they are not valid, or version 1 cannot say them.
    """
    if terms.version == 1 and (terms.export or terms.assurance):
        detail = "terms of version 1 charge consumption only, of records that the device signed"
        raise Rejected(ClaimReason.FACTS_MALFORMED, detail)
    raw = _TERMS[terms.version].encode(terms[: 5 if terms.version == 1 else 7])
    decode_terms(raw)
    return raw


@lru_cache(maxsize=4096)
def decode_terms(raw: bytes) -> EnergyTerms:
    """Return the terms of either version.

    Raises:
        Rejected: FACTS_MALFORMED where the contract would not accept them.
    """
    version = 1 if len(raw) == _TERMS_1_BYTES else 2
    terms = EnergyTerms(*_TERMS[version].decode(raw))._replace(version=version)
    if not terms.fuse_watts:
        raise Rejected(ClaimReason.FACTS_MALFORMED, "the terms have no fuse rating", raw)
    if terms.rollover_at and terms.start_register >= terms.rollover_at:
        detail = "the start register is not below the rollover"
        raise Rejected(ClaimReason.FACTS_MALFORMED, detail, raw)
    if terms.assurance >= len(Assurance):
        raise Rejected(ClaimReason.FACTS_MALFORMED, f"no assurance is {terms.assurance}", raw)
    return terms


def older_terms(raw: bytes) -> bytes | None:
    """Return the same terms in version 1, for a contract that was deployed by 0.4.0 or earlier.

    Returns:
        None if version 1 cannot say them, or they have this version already.
    """
    terms = decode_terms(raw)
    if terms.version == 1 or terms.export or terms.assurance:
        return None
    return encode_terms(terms._replace(version=1))


def encode_facts(facts: EnergyFacts) -> bytes:
    """Return the ABI encoding of facts: version 2 where they name a register, else version 1.

    Raises:
        Rejected: FACTS_MALFORMED where a value does not fit.
    """
    return _FACTS[2].encode(facts) if facts.register else _FACTS[1].encode(facts[:-1])


def decode_facts(raw: bytes) -> EnergyFacts:
    """Return the facts of a claim of either version.

    Raises:
        Rejected: FACTS_MALFORMED where the bytes are not facts.
    """
    facts = EnergyFacts(*_FACTS[facts_version(raw)].decode(raw))
    if facts.kind > _LAST_KIND:
        raise Rejected(ClaimReason.FACTS_MALFORMED, f"no kind of reading is {facts.kind}", raw)
    return facts


def facts_version(raw: bytes) -> int:
    """Return the version of encoded facts; 2 for bytes that are none."""
    return 1 if len(raw) == _FACTS_1_BYTES else 2
