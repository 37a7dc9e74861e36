"""A batch as `PaymentRail.settle` takes it: claims as packed bytes, and what they have in common.

contracts/libraries/ClaimBytes.sol defines the bytes, IPaymentRail.Group the rest. Rails of 0.5.0
and before take a list of structs and no groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from oracles.types import Claim
from orchestrator.errors import Halt

CLAIM_BYTES = 82  # bytes of a claim before its facts
_FIELDS = ("agreement", "sequence", "firstCounter", "lastCounter", "evidence", "facts")


class Group(NamedTuple):
    """What agreements of a product may have in common, as IPaymentRail.Group has it.

    cap: minor units a period. window: seconds. shared: what the product's `open` answered.
    """

    payee: str
    cap: int
    period_days: int
    window: int
    required_domain: int
    shared: int


def batch_argument(
    product: str, claims: Sequence[Claim], groups: Sequence[Group]
) -> tuple[Any, ...]:
    """Return the `Batch` of a call.

    Args:
        claims: in ascending order of agreements.
        groups: of each claim; equal ones are named once.
    """
    named = sorted(set(groups))
    packed = b"".join(
        pack_claim(claim, named.index(group)) for claim, group in zip(claims, groups, strict=True)
    )
    return product, [tuple(group) for group in named], packed


def pack_claim(claim: Claim, group: int) -> bytes:
    """Return the bytes of one claim; group: the number of its group in the call."""
    return b"".join(
        (
            claim.agreement,
            claim.evidence,
            group.to_bytes(2),
            claim.sequence.to_bytes(4),
            claim.first_counter.to_bytes(5),
            claim.last_counter.to_bytes(5),
            len(claim.facts).to_bytes(2),
            claim.facts,
        )
    )


def unpack_claims(raw: bytes) -> list[Claim]:
    """Return the claims of a batch's bytes.

    Raises:
        Halt: the bytes are cut off; no settlement takes them.
    """
    claims, at = [], 0
    while at < len(raw):
        head = raw[at : at + CLAIM_BYTES]
        facts = at + CLAIM_BYTES
        at = facts + int.from_bytes(head[80:])
        if len(raw) < at:
            raise Halt(f"the claims of a batch are cut off: {len(raw)} bytes, not {at} or more")
        claims.append(
            Claim(
                agreement=head[:32],
                sequence=int.from_bytes(head[66:70]),
                first_counter=int.from_bytes(head[70:75]),
                last_counter=int.from_bytes(head[75:80]),
                evidence=head[32:64],
                facts=raw[facts:at],
            )
        )
    return claims


def claim_fields(claim: Claim) -> tuple[Any, ...]:
    """Return a claim as the contracts' struct `Claim`."""
    return (
        claim.agreement,
        claim.sequence,
        claim.first_counter,
        claim.last_counter,
        claim.evidence,
        claim.facts,
    )


def called_claims(arguments: Mapping[str, Any]) -> list[Claim]:
    """Return the claims in the decoded arguments of `settle`, of this release or of one before."""
    claims = arguments["batch"]["claims"]
    if isinstance(claims, bytes):
        return unpack_claims(claims)
    return [Claim(*(claim[name] for name in _FIELDS)) for claim in claims]
