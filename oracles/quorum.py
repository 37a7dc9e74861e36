"""Counts signatures and trust domains, and finds oracles that signed two different claims.

Pure. The OracleCommittee contract counts again by the same rule: the result here predicts its
answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .attest import claim_hash
from .types import Attestation, Batch


def quorum(members: int) -> int:
    """Return how many of n members must sign: n - f, where f = (n - 1) // 3 may be dishonest.

    Any two quorums then share an honest member. OracleCommittee.quorum has the same formula.

    Raises:
        ValueError: there is no member.
    """
    if members < 1:
        raise ValueError("a committee has at least one member")
    return members - (members - 1) // 3


@dataclass(frozen=True, slots=True)
class Reached:
    """A quorum: attestations that satisfy all conditions, in ascending signer order."""

    attestations: tuple[Attestation, ...]

    @property
    def signatures(self) -> tuple[bytes, ...]:
        """Return the signatures as PaymentRail.settle takes them."""
        return tuple(attestation.signature for attestation in self.attestations)


@dataclass(frozen=True, slots=True)
class Missing:
    """No quorum yet: how many signatures and domains are missing, and which required domains."""

    signatures: int
    domains: int
    required_domains: tuple[int, ...]


def reached(
    attestations: Iterable[Attestation],
    members: Mapping[str, int],
    need: int,
    min_domains: int,
    required_domains: Collection[int] = (),
    last: Collection[str] = (),
    spare: bool = False,
) -> Reached | Missing:
    """Decide whether one batch has its quorum.

    Args:
        attestations: signatures over one digest; `oracle` is the address recovered from each.
        members: checksummed address -> trust domain of the members that may sign now. Signatures
            of others are ignored, and so is a second signature of one member.
        need: how many signatures are needed.
        min_domains: from how many trust domains they must come.
        required_domains: domains that the batch's agreements require (0 requires none).
        last: members that are chosen only where others are not enough.
        spare: whether to keep every valid attestation instead of the fewest. The contract skips
            those that do not count, so as many may lose their seat as are left over.
    """
    valid = {a.oracle: a for a in attestations if a.oracle in members}
    required = set(required_domains) - {0}
    present = {members[oracle] for oracle in valid}
    missing = Missing(
        signatures=max(need - len(valid), 0),
        domains=max(min_domains - len(present), 0),
        required_domains=tuple(sorted(required - present)),
    )
    if missing != Missing(0, 0, ()):
        return missing
    ordered = sorted(valid, key=lambda oracle: (oracle in last, _number(oracle)))
    chosen = set(ordered) if spare else _fewest(ordered, members, need, min_domains, required)
    return Reached(tuple(valid[oracle] for oracle in sorted(chosen, key=_number)))


@dataclass(frozen=True, slots=True)
class Attested:
    """An oracle's signature together with the batch that it covers."""

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
    """Find oracles that signed different claims for one sequence.

    Args:
        records: signatures that the caller has verified: each recovers to its
            `attestation.oracle`.

    Returns:
        At most one per (oracle, agreement, sequence): the first two that differ, in order given.
    """
    first_claims: dict[tuple[str, bytes, int], tuple[bytes, Attested]] = {}
    proofs: dict[tuple[str, bytes, int], Equivocation] = {}
    for record in records:
        for claim in record.batch.claims:
            key = (record.attestation.oracle, claim.agreement, claim.sequence)
            claim_id = claim_hash(claim)
            first_id, first = first_claims.setdefault(key, (claim_id, record))
            if first_id != claim_id:
                proofs.setdefault(key, Equivocation(*key, first, record))
    return list(proofs.values())


def _fewest(
    ordered: Sequence[str],
    members: Mapping[str, int],
    need: int,
    min_domains: int,
    required: set[int],
) -> set[str]:
    """Choose required domains first, then new domains, then any: the first in order each time."""
    chosen: set[str] = set()
    domains: set[int] = set()

    def choose(oracle: str) -> None:
        chosen.add(oracle)
        domains.add(members[oracle])

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
