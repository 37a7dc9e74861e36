"""Four-eyes approvals: one officer proposes, another approves, and a step executes.

Officers are those of the chain's OfficerRegistry: a row in the store seats nobody. Signatures are
verified when they are given and again when the approval is executed, each time against the officers
that the chain has then; so a row that was changed in the store moves nothing.
"""

from __future__ import annotations

from device_adapters.types import Rejected
from oracles.attest import sign
from orchestrator.core.approval import (
    APPROVE,
    PROPOSE,
    WITHDRAW,
    Approval,
    ApprovalReason,
    Office,
    check_both,
)
from orchestrator.edges.store import Session, Store, approvals
from orchestrator.errors import Halt

_LIST = "`proofrail approval list` shows all"


def propose(store: Store, office: Office, approval: Approval, key: bytes) -> str:
    """Sign and store a proposal; return its id.

    Raises:
        Rejected: The key is no officer's, or an approval of this kind about the same subject is
            open. One that expired, was withdrawn, or was approved with other details is not.
    """
    signature = sign(approval.digest(PROPOSE, office.chain_id), key)
    return propose_signed(store, office, approval, "0x" + signature.hex())


def propose_signed(store: Store, office: Office, approval: Approval, signature: str) -> str:
    """Store a proposal like `propose`, for a signature made elsewhere (0x-hex, 65 bytes)."""
    approval_id = approval.approval_id
    proposer = approval.signer(PROPOSE, office.chain_id, signature, office.officers)
    with store.write() as session:
        about = approvals.about(session, approval.kind, approval.subject)
        blocking = [
            row
            for row in about
            if row.approval_id != approval_id and _blocks(office, row, approval)
        ]
        if blocking:
            raise Rejected(
                ApprovalReason.APPROVAL_OPEN,
                f"approval {blocking[0].approval_id} about {approval.subject} is open. "
                "Next: approve it, or withdraw it (`proofrail approval withdraw`)",
            )
        approvals.add(session, approval, proposer, signature)
    return approval_id


def _blocks(office: Office, row: approvals.ApprovalRow, approval: Approval) -> bool:
    """Return whether an earlier approval about the same subject can still be executed."""
    if is_over(office, row):
        return False
    if row.approved_at is None:
        return row.proposer in office.officers
    return row.detail == approval.detail_text and counts(office, row)


def is_over(office: Office, row: approvals.ApprovalRow) -> bool:
    """Return whether nothing will come of an approval any more."""
    is_ended = row.executed_at is not None or row.withdrawn_at is not None
    return is_ended or office.has_expired(row.proposed_at)


def counts(office: Office, row: approvals.ApprovalRow) -> bool:
    """Return whether both signers are officers now."""
    return {row.proposer, row.approver} <= office.officers


def approve(store: Store, office: Office, approval_id: str, key: bytes) -> Approval:
    """Sign a proposal as the second officer; raises Rejected as `approve_signed` does."""
    signature = sign(_find(store, approval_id).digest(APPROVE, office.chain_id), key)
    return approve_signed(store, office, approval_id, "0x" + signature.hex())


def approve_signed(store: Store, office: Office, approval_id: str, signature: str) -> Approval:
    """Approve a proposal with a signature made elsewhere (0x-hex, 65 bytes).

    Raises:
        Rejected: The signer is no officer, has proposed it, it is approved already, it was
            withdrawn or has expired, or its proposer is no officer any more.
    """
    with store.write() as session:
        row = approvals.get(session, approval_id)
        if row is None:
            raise _unknown(approval_id)
        approval = approvals.content_of(row)
        if row.approved_at is not None:
            raise Rejected(ApprovalReason.APPROVAL_APPROVED, f"{row.approver} approved it before")
        _require_open(office, row)
        signatures = row.proposer_signature, signature
        _, approver = check_both(approval, office.chain_id, *signatures, office.officers)
        approvals.mark_approved(session, approval_id, approver, signature, office.now)
    return approval


def withdraw(store: Store, office: Office, approval_id: str, key: bytes) -> Approval:
    """Sign the end of an approval as any officer; raises Rejected as `withdraw_signed` does."""
    signature = sign(_find(store, approval_id).digest(WITHDRAW, office.chain_id), key)
    return withdraw_signed(store, office, approval_id, "0x" + signature.hex())


def withdraw_signed(store: Store, office: Office, approval_id: str, signature: str) -> Approval:
    """End an approval that is not executed, with a signature made elsewhere (0x-hex, 65 bytes).

    One officer is enough, since it moves nothing.

    Raises:
        Rejected: The signer is no officer, or the approval is executed, withdrawn or expired.
    """
    with store.write() as session:
        row = approvals.get(session, approval_id)
        if row is None:
            raise _unknown(approval_id)
        approval = approvals.content_of(row)
        _require_open(office, row)
        officer = approval.signer(WITHDRAW, office.chain_id, signature, office.officers)
        approvals.mark_withdrawn(session, approval_id, officer, signature, office.now)
    return approval


def _require_open(office: Office, row: approvals.ApprovalRow) -> None:
    if row.executed_at is not None:
        raise Rejected(ApprovalReason.APPROVAL_EXECUTED, "it was executed; nothing was changed")
    if row.withdrawn_at is not None:
        raise Rejected(ApprovalReason.APPROVAL_WITHDRAWN, f"{row.withdrawn_by} withdrew it")
    if office.has_expired(row.proposed_at):
        raise Rejected(
            ApprovalReason.APPROVAL_EXPIRED, "it has expired. Next: propose the same again"
        )


def ready(session: Session, office: Office, kind: str) -> list[tuple[str, Approval]]:
    """Return (id, approval) of a kind, approved and not executed yet.

    An approval counts only while both signers are officers, and until it expires.

    Raises:
        Halt: A stored signature does not hold: the store was changed by hand.
    """
    signed = []
    for row in approvals.approved(session, kind):
        if takes_effect(session, office, row):
            signed.append((row.approval_id, approvals.content_of(row)))
    return signed


def takes_effect(session: Session, office: Office, row: approvals.ApprovalRow) -> bool:
    """Return whether an approval took effect, or does so now.

    Raises:
        Halt: A stored signature does not hold.
    """
    if row.executed_at is not None:
        verify(session, office.chain_id, row)
        return True
    _signed_by_both(office.chain_id, row)
    return not is_over(office, row) and counts(office, row)


def verify(session: Session, chain_id: int, row: approvals.ApprovalRow) -> tuple[str, str]:
    """Return (proposer, approver) of an approval; both were officers at some time.

    Raises:
        Halt: One of its signatures does not hold.
    """
    _signed_by_both(chain_id, row)
    former = approvals.former_officers(session, row.approved_at or row.proposed_at)
    strangers = {row.proposer, row.approver} - former
    if strangers:
        raise _broken(row, f"{strangers.pop()} never was an officer", ApprovalReason.NOT_AN_OFFICER)
    return row.proposer, row.approver or ""


def _signed_by_both(chain_id: int, row: approvals.ApprovalRow) -> Approval:
    """Return a stored approval whose two signatures are those of the stored signers."""
    approval = approvals.content_of(row)
    signers = frozenset({row.proposer, row.approver or ""})
    try:
        if approval.approval_id != row.approval_id:
            raise Rejected(ApprovalReason.DETAIL_CHANGED, "its content has another id")
        both = row.proposer_signature, row.approver_signature or ""
        if check_both(approval, chain_id, *both, signers) != (row.proposer, row.approver):
            raise Rejected(ApprovalReason.DETAIL_CHANGED, "its signers are stored the wrong way")
    except Rejected as refusal:
        raise _broken(row, refusal.detail, refusal.reason) from refusal
    return approval


def _broken(row: approvals.ApprovalRow, detail: str, reason: str) -> Halt:
    return Halt(
        f"approval {row.approval_id} does not hold: {detail} ({reason}). It "
        "was not executed. Next: compare the store with the newest backup."
    )


def _find(store: Store, approval_id: str) -> Approval:
    with store.read() as session:
        row = approvals.get(session, approval_id)
    if row is None:
        raise _unknown(approval_id)
    return approvals.content_of(row)


def _unknown(approval_id: str) -> Rejected:
    return Rejected(ApprovalReason.APPROVAL_UNKNOWN, f"no approval {approval_id}; {_LIST}")
