"""What a settlement did with each claim: the packed bytes of its log, and the leaves of its tree.

Rules: IPaymentRail's `Settled` and `Outcome`. An amount below zero is a debt of the payee: no token
moves when it settles, and its leaf has no release time. Amounts are micro-euro, times Unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eth_abi import encode

from oracles.attest import claim_hash
from oracles.merkle import keccak
from oracles.types import Claim
from orchestrator.core.identity import payment_id

OUTCOME_BYTES = 7  # int48 amount (two's complement), uint8 refusal
NOBODY = "0x" + "00" * 20  # a refused claim's leaf has no payee
_LEAF = ("bytes32", "bytes32", "address", "int48", "uint8", "uint32")


@dataclass(frozen=True, slots=True)
class ClaimOutcome:
    """One claim's: the amount (below zero: a credit) and the refusal (0: none)."""

    amount_micro: int
    refusal: int


def unpack(packed: bytes) -> list[ClaimOutcome]:
    """The outcomes of a `Settled` log, claim by claim."""
    chunks = [packed[at : at + OUTCOME_BYTES] for at in range(0, len(packed), OUTCOME_BYTES)]
    return [ClaimOutcome(int.from_bytes(c[:6], "big", signed=True), c[6]) for c in chunks]


def pack(outcome: ClaimOutcome) -> bytes:
    """The seven bytes of one outcome; OverflowError where a number does not fit."""
    return outcome.amount_micro.to_bytes(6, "big", signed=True) + bytes([outcome.refusal])


def release_time(outcome: ClaimOutcome, settled_at: int, window_s: int) -> int:
    """When its money may go; 0 where there is none to go: a refusal, or a credit."""
    return 0 if outcome.refusal or outcome.amount_micro < 0 else settled_at + window_s


def outcome_leaf(
    payment: bytes, claim: bytes, payee: str, outcome: ClaimOutcome, release_at: int
) -> bytes:
    """The settlement tree's leaf: keccak256(keccak256(abi.encode(Outcome))).

    payment, claim: the payment's id and the claim's EIP-712 hash, 32 bytes each.
    """
    values = [payment, claim, payee, outcome.amount_micro, outcome.refusal, release_at]
    return keccak(keccak(encode(_LEAF, values)))


def leaf_of(
    payment: bytes,
    claim: bytes,
    outcome: ClaimOutcome,
    party: tuple[str, int] | None,
    settled_at: int,
) -> bytes:
    """The leaf of a claim as the rail made it. party: (payee, window in seconds) of one that was
    applied; of a refused one nothing is asked."""
    if outcome.refusal or party is None:
        return outcome_leaf(payment, claim, NOBODY, ClaimOutcome(0, outcome.refusal), 0)
    payee, window_s = party
    at = release_time(outcome, settled_at, window_s)
    return outcome_leaf(payment, claim, payee.lower(), outcome, at)


def leaves_of(
    claims: Sequence[Claim],
    outcomes: Sequence[ClaimOutcome],
    parties: Mapping[bytes, tuple[str, int]],
    settled_at: int,
) -> list[bytes]:
    """All leaves of a settlement, in its order. parties: agreement -> (payee, window in seconds);
    a batch holds each agreement once."""
    return [
        leaf_of(
            payment_id(claim.agreement, claim.sequence),
            claim_hash(claim),
            outcome,
            parties.get(claim.agreement),
            settled_at,
        )
        for claim, outcome in zip(claims, outcomes, strict=True)
    ]
