"""Approvals: what two people must sign, its EIP-712 digest, and the check of the signatures.

Four eyes: one officer proposes, another one approves. Each signs the whole content, and the step is
part of what is signed, so that a proposal never passes for an approval.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sha3

from device_adapters.types import Rejected
from oracles.attest import recover

PROPOSE, APPROVE, WITHDRAW = "propose", "approve", "withdraw"

_FIELDS = [
    ("step", "string"),
    ("kind", "string"),
    ("subject", "string"),
    ("detail", "string"),
    ("proposedAt", "uint64"),
]
_DOMAIN_FIELDS = [("name", "string"), ("version", "string"), ("chainId", "uint256")]
# version 1 of the signed document says "decision"; signatures of 0.3.0 must go on to hold
_NAME, _VERSION, _TYPE = "proofrail-decision", "1", "Decision"


class ApprovalReason(StrEnum):
    """Why an approval does not count. Stable codes."""

    NOT_AN_OFFICER = "not_an_officer"
    SAME_OFFICER = "same_officer"
    APPROVAL_UNKNOWN = "approval_unknown"
    APPROVAL_APPROVED = "approval_approved"
    APPROVAL_OPEN = "approval_open"
    APPROVAL_EXECUTED = "approval_executed"
    APPROVAL_EXPIRED = "approval_expired"
    APPROVAL_WITHDRAWN = "approval_withdrawn"
    DETAIL_CHANGED = "detail_changed"


@dataclass(frozen=True, slots=True)
class Office:
    """Who may sign approvals now, and how long a proposal stands.

    Attributes:
        chain_id: The chain's id, for which approvals are signed.
        officers: Checksummed addresses of the officers that the chain has now.
        now: Unix seconds.
        expiry_s: A proposal that is not executed this long after it was made has expired.
    """

    chain_id: int
    officers: frozenset[str]
    now: int
    expiry_s: int

    def expires_at(self, proposed_at: int) -> int:
        """Return when a proposal of that time expires: Unix seconds."""
        return proposed_at + self.expiry_s

    def has_expired(self, proposed_at: int) -> bool:
        """Return whether a proposal of that time, which is part of what is signed, has expired."""
        return self.now >= self.expires_at(proposed_at)


@dataclass(frozen=True, slots=True)
class Approval:
    """The content that two officers sign.

    Attributes:
        kind: The action.
        subject: The id of the record that it acts on.
        detail: Everything that the action depends on (text, integers, and lists of them), so that
            no other action can use its signatures.
        proposed_at: Unix seconds.
    """

    kind: str
    subject: str
    detail: Mapping[str, Any]
    proposed_at: int

    @property
    def detail_text(self) -> str:
        """Return the detail as canonical JSON: sorted keys, no blanks, ASCII."""
        return json.dumps(self.detail, sort_keys=True, separators=(",", ":"))

    @property
    def approval_id(self) -> str:
        """Return the id, 0x-hex, 32 bytes: the digest of the proposal for chain id 0."""
        return "0x" + self.digest(PROPOSE, 0).hex()

    def digest(self, step: str, chain_id: int) -> bytes:
        """Return what the officer of a step (PROPOSE, APPROVE, WITHDRAW) signs: EIP-712 digest."""
        struct = _struct(
            _TYPE,
            _FIELDS,
            [
                _text(step),
                _text(self.kind),
                _text(self.subject),
                _text(self.detail_text),
                self.proposed_at.to_bytes(32, "big"),
            ],
        )
        domain = _struct(
            "EIP712Domain",
            _DOMAIN_FIELDS,
            [
                _text(_NAME),
                _text(_VERSION),
                chain_id.to_bytes(32, "big"),
            ],
        )
        return sha3.keccak_256(b"\x19\x01" + domain + struct).digest()

    def typed_data(self, step: str, chain_id: int) -> dict[str, Any]:
        """Return the EIP-712 document that a wallet shows and signs."""
        return {
            "types": {
                "EIP712Domain": [{"name": n, "type": t} for n, t in _DOMAIN_FIELDS],
                _TYPE: [{"name": n, "type": t} for n, t in _FIELDS],
            },
            "primaryType": _TYPE,
            "domain": {"name": _NAME, "version": _VERSION, "chainId": chain_id},
            "message": {
                "step": step,
                "kind": self.kind,
                "subject": self.subject,
                "detail": self.detail_text,
                "proposedAt": self.proposed_at,
            },
        }

    def signer(self, step: str, chain_id: int, signature: str, officers: Collection[str]) -> str:
        """Return the officer (checksummed address) who signed a step.

        Raises:
            Rejected: No officer did.
        """
        address = recover(self.digest(step, chain_id), bytes.fromhex(signature.removeprefix("0x")))
        if address not in officers:
            raise Rejected(ApprovalReason.NOT_AN_OFFICER, f"{address} signed, and is no officer")
        return address


def check_both(
    approval: Approval,
    chain_id: int,
    proposer_signature: str,
    approver_signature: str,
    officers: Collection[str],
) -> tuple[str, str]:
    """Return (proposer, approver).

    Raises:
        Rejected: One of them has not signed it, is no officer, or they are the same person.
    """
    proposer = approval.signer(PROPOSE, chain_id, proposer_signature, officers)
    approver = approval.signer(APPROVE, chain_id, approver_signature, officers)
    if proposer == approver:
        raise Rejected(
            ApprovalReason.SAME_OFFICER, f"{proposer} proposed it: another officer must approve"
        )
    return proposer, approver


def _struct(name: str, fields: list[tuple[str, str]], words: list[bytes]) -> bytes:
    encoded = f"{name}({','.join(f'{kind} {field}' for field, kind in fields)})"
    return sha3.keccak_256(_text(encoded) + b"".join(words)).digest()


def _text(text: str) -> bytes:
    return sha3.keccak_256(text.encode()).digest()
