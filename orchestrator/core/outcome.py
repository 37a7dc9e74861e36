"""What a settlement did with each claim: the packed bytes of its log, and the leaves of its tree.

The rules are those of IPaymentRail's `Settled` and `Outcome`. An amount below zero is a debt of the
payee: no token moves when it settles, and its leaf has no release time. Amounts are micro-euro,
times are Unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from eth_abi import encode

from oracles.attest import claim_hash
from oracles.merkle import keccak
from oracles.types import Claim
from orchestrator.core.identity import payment_id

OUTCOME_BYTES = 7  # int48 amount (two's complement), uint8 refusal
NOBODY = "0x" + "00" * 20  # a refused claim's leaf has no payee
_LEAF = ("bytes32", "bytes32", "address", "int48", "uint8", "uint32")
PRODUCT_REFUSALS = 100  # 100 + n is the product's own refusal n

# IPaymentRail.Refusal in its order: the name of each refusal, and what it says to people
REFUSALS: Mapping[str, str] = MappingProxyType(
    {
        "none": "applied",
        "unknown_agreement": "the rail knows no such agreement",
        "wrong_product": "the agreement is of another product than the batch",
        "not_live": "the agreement has ended",
        "expired": "the agreement ended, and its grace for claims is over",
        "sequence_unexpected": "another claim of the agreement is next",
        "counters_replayed": "its records are in a claim that was settled before",
        "counters_malformed": "its last counter is below its first one",
        "domain_missing": "no signer is of the trust domain that the agreement requires",
        "cap_exceeded": "the cap of the period leaves too little; it is tried again",
        "escrow_short": "the escrow holds too little; it is tried again when money comes in",
        "unsorted": "the batch was not in ascending order of agreements",
    }
)
_REFUSAL_NAMES = tuple(REFUSALS)


@dataclass(frozen=True, slots=True)
class ClaimOutcome:
    """What a settlement did with one claim.

    Attributes:
        amount_micro: Micro-euro; below zero: a debt of the payee.
        refusal: The product's reason code; 0 for none.
    """

    amount_micro: int
    refusal: int


def unpack(packed: bytes) -> list[ClaimOutcome]:
    """Return the outcomes of a `Settled` log, claim by claim."""
    chunks = [packed[at : at + OUTCOME_BYTES] for at in range(0, len(packed), OUTCOME_BYTES)]
    return [
        ClaimOutcome(int.from_bytes(chunk[:6], "big", signed=True), chunk[6]) for chunk in chunks
    ]


def refusal_name(refusal: int) -> str:
    """Return the name of a refusal code: the rail's own, or `product_n` for the product's n."""
    if refusal < len(_REFUSAL_NAMES):
        return _REFUSAL_NAMES[refusal]
    return f"product_{refusal - PRODUCT_REFUSALS}"


def pack(outcome: ClaimOutcome) -> bytes:
    """Return the seven bytes of one outcome.

    Raises:
        OverflowError: A number does not fit.
    """
    return outcome.amount_micro.to_bytes(6, "big", signed=True) + bytes([outcome.refusal])


class Window(NamedTuple):
    """An agreement's dispute window.

    mandate_version: rails of version 1 release at its very end; later ones at a multiple of a
    quarter of it, so that settlements of some hours share a release (RailSettlement.sol).
    """

    seconds: int
    mandate_version: int = 2


def release_time(outcome: ClaimOutcome, settled_at: int, window: Window) -> int:
    """Return when the money may be released; 0 if there is none: a refusal, or a debt."""
    if outcome.refusal or outcome.amount_micro < 0:
        return 0
    end = settled_at + window.seconds
    quarter = 1 if window.mandate_version == 1 else max(window.seconds // 4, 1)
    return -(-end // quarter) * quarter


def outcome_leaf(
    payment: bytes, claim: bytes, payee: str, outcome: ClaimOutcome, release_at: int
) -> bytes:
    """Return the leaf of the settlement's tree: keccak256(keccak256(abi.encode(Outcome))).

    Args:
        payment: The payment's id, 32 bytes.
        claim: The claim's EIP-712 hash, 32 bytes.
        payee: Its address, in lower case.
        outcome: What the contract did with the claim.
        release_at: Unix seconds, 0 for none.
    """
    values = [payment, claim, payee, outcome.amount_micro, outcome.refusal, release_at]
    return keccak(keccak(encode(_LEAF, values)))


def leaf_of(
    payment: bytes,
    claim: bytes,
    outcome: ClaimOutcome,
    party: tuple[str, Window] | None,
    settled_at: int,
) -> bytes:
    """Return the leaf of a claim as the rail made it.

    Args:
        payment: The payment's id, 32 bytes.
        claim: The claim's EIP-712 hash, 32 bytes.
        outcome: What the contract did with the claim.
        party: (payee, window) of an applied claim; not used for a refused one.
        settled_at: The time in the log, in Unix seconds.
    """
    if outcome.refusal or party is None:
        return outcome_leaf(payment, claim, NOBODY, ClaimOutcome(0, outcome.refusal), 0)
    payee, window = party
    at = release_time(outcome, settled_at, window)
    return outcome_leaf(payment, claim, payee.lower(), outcome, at)


def leaves_of(
    claims: Sequence[Claim],
    outcomes: Sequence[ClaimOutcome],
    parties: Mapping[bytes, tuple[str, Window]],
    settled_at: int,
) -> list[bytes]:
    """Return all leaves of a settlement, in its order.

    Args:
        claims: The claims of the batch, each of another agreement.
        outcomes: What the contract did with each.
        parties: Agreement -> (payee, window).
        settled_at: The time in the log, in Unix seconds.
    """
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
