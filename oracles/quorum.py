"""Counts signatures and trust domains, and finds oracles that attested two different things.

Pure. The committee on chain counts again by the same rule; this says beforehand what it will say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from .attest import claim_hash
from .types import Attestation, Batch


def quorum(members: int) -> int:
    """How many of `members` must sign: all but f, for n >= 3f+1; 2f+1 where n is just 3f+1.

    Any two quorums then share an honest member. OracleCommittee.quorum has the same formula.
    """
    if members < 1:
        raise ValueError("a committee has at least one member")
    return members - (members - 1) // 3


@dataclass(frozen=True, slots=True)
class Reached:
    """Enough: the fewest attestations that satisfy all conditions, in ascending signer order."""

    attestations: tuple[Attestation, ...]

    @property
    def signatures(self) -> tuple[bytes, ...]:
        return tuple(attestation.signature for attestation in self.attestations)


@dataclass(frozen=True, slots=True)
class Missing:
    """Not enough yet: how many more signatures and domains, and which domains by name."""

    signatures: int
    domains: int
    required_domains: tuple[int, ...]


def reached(
    attestations: Iterable[Attestation],
    members: Mapping[str, int],
    need: int,
    min_domains: int,
    required_domains: Collection[int] = (),
) -> Reached | Missing:
    """Whether one batch has its quorum.

    attestations: of one and the same digest, each `oracle` being the address recovered from its
    signature. members: checksummed address -> trust domain of those who may sign now; anybody else
    is passed over, and so is a second signature of one member. required_domains: what the
    agreements of the batch ask for (0 asks for nothing).
    """
    able = {a.oracle: a for a in attestations if a.oracle in members}
    required = set(required_domains) - {0}
    present = {members[oracle] for oracle in able}
    missing = Missing(
        signatures=max(need - len(able), 0),
        domains=max(min_domains - len(present), 0),
        required_domains=tuple(sorted(required - present)),
    )
    if missing != Missing(0, 0, ()):
        return missing
    chosen = _fewest(able, members, need, min_domains, required)
    return Reached(tuple(able[oracle] for oracle in sorted(chosen, key=_number)))


@dataclass(frozen=True, slots=True)
class Attested:
    """An oracle's signature together with the batch it is over: what evidence is made of."""

    batch: Batch
    attestation: Attestation


@dataclass(frozen=True, slots=True)
class Equivocation:
    """Proof that one oracle attested two different claims for one sequence of an agreement."""

    oracle: str
    agreement: bytes
    sequence: int
    first: Attested
    second: Attested


def equivocations(records: Iterable[Attested]) -> list[Equivocation]:
    """At most one per (oracle, agreement, sequence): the first two that differ, in order given.

    The signatures must have been recovered to `attestation.oracle` by the caller.
    """
    seen: dict[tuple[str, bytes, int], tuple[bytes, Attested]] = {}
    found: dict[tuple[str, bytes, int], Equivocation] = {}
    for record in records:
        for claim in record.batch.claims:
            key = (record.attestation.oracle, claim.agreement, claim.sequence)
            hashed = claim_hash(claim)
            before, first = seen.setdefault(key, (hashed, record))
            if before != hashed:
                found.setdefault(key, Equivocation(*key, first, record))
    return list(found.values())


def _fewest(
    able: Mapping[str, Attestation],
    members: Mapping[str, int],
    need: int,
    min_domains: int,
    required: set[int],
) -> set[str]:
    """Required domains first, then new domains, then anybody: always the lowest address."""
    chosen: set[str] = set()
    domains: set[int] = set()

    def choose(oracle: str) -> None:
        chosen.add(oracle)
        domains.add(members[oracle])

    ordered = sorted(able, key=_number)
    for oracle in ordered:
        if members[oracle] in required - domains:
            choose(oracle)
    for oracle in ordered:
        if len(domains) < min_domains and members[oracle] not in domains:
            choose(oracle)
    for oracle in ordered:
        if len(chosen) < need and oracle not in chosen:
            choose(oracle)
    return chosen


def _number(address: str) -> int:
    return int(address, 16)
