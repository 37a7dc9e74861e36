"""Four-eyes approvals: one officer proposes, another approves, and a step executes.

Signatures are verified when they are given and again when the approval is executed, so a row that
was changed in the store moves nothing.
"""

from __future__ import annotations

from device_adapters.types import Rejected
from oracles.attest import checksummed, sign
from orchestrator.core.approval import APPROVE, PROPOSE, Approval, ApprovalReason, check_both
from orchestrator.edges.store import Session, Store, approvals
from orchestrator.errors import Halt

ADD_OFFICER, REMOVE_OFFICER = "add_officer", "remove_officer"
_FOUNDERS = 2  # the first officers: nobody can approve them yet


def propose(store: Store, chain_id: int, approval: Approval, key: bytes) -> str:
    """Sign and store a proposal; return its id.

    Raises:
        Rejected: The key is no officer's, or an approval of this kind about the same subject is
            open. One that was approved with other details does not count.
    """
    return propose_signed(
        store, chain_id, approval, "0x" + sign(approval.digest(PROPOSE, chain_id), key).hex()
    )


def propose_signed(store: Store, chain_id: int, approval: Approval, signature: str) -> str:
    """Store a proposal like `propose`, for a signature made elsewhere (0x-hex, 65 bytes)."""
    approval_id = approval.approval_id
    with store.write() as session:
        proposer = approval.signer(PROPOSE, chain_id, signature, approvals.officers(session))
        earlier = [
            row
            for row in approvals.about(session, approval.kind, approval.subject)
            if row.executed_at is None
            and row.approval_id != approval_id
            and (row.approved_at is None or row.detail == approval.detail_text)
        ]
        if earlier:
            raise Rejected(
                ApprovalReason.APPROVAL_OPEN,
                f"approval {earlier[0].approval_id} about {approval.subject} is open. "
                "Next: approve it; `proofrail approval list` shows it",
            )
        approvals.add(session, approval, proposer, signature)
    return approval_id


def approve(store: Store, chain_id: int, approval_id: str, key: bytes, now: int) -> Approval:
    """Sign a proposal as the second officer; raises Rejected as `approve_signed` does."""
    approval = _find(store, approval_id)
    signature = "0x" + sign(approval.digest(APPROVE, chain_id), key).hex()
    return approve_signed(store, chain_id, approval_id, signature, now)


def approve_signed(
    store: Store, chain_id: int, approval_id: str, signature: str, now: int
) -> Approval:
    """Approve a proposal with a signature made elsewhere (0x-hex, 65 bytes).

    Raises:
        Rejected: The signer is no officer, has proposed it, or it is approved already.
    """
    with store.write() as session:
        row = approvals.get(session, approval_id)
        if row is None:
            raise _unknown(approval_id)
        approval = approvals.content_of(row)
        if row.approved_at is not None:
            raise Rejected(ApprovalReason.APPROVAL_APPROVED, f"{row.approver} approved it before")
        officers = approvals.officers(session)
        _, approver = check_both(approval, chain_id, row.proposer_signature, signature, officers)
        approvals.mark_approved(session, approval_id, approver, signature, now)
        _change_officers(session, approval, now)
    return approval


def ready(session: Session, chain_id: int, kind: str) -> list[tuple[str, Approval]]:
    """Return (id, approval) of a kind, approved and not executed yet.

    Raises:
        Halt: A stored signature does not hold: the store was changed by hand.
    """
    signed = []
    for row in approvals.approved(session, kind):
        verify(session, chain_id, row)
        signed.append((row.approval_id, approvals.content_of(row)))
    return signed


def verify(session: Session, chain_id: int, row: approvals.ApprovalRow) -> tuple[str, str]:
    """Return (proposer, approver) of an approval; both were officers when it was approved.

    Raises:
        Halt: One of its signatures does not hold.
    """
    approval = approvals.content_of(row)
    try:
        if approval.approval_id != row.approval_id:
            raise Rejected(ApprovalReason.DETAIL_CHANGED, "its content has another id")
        officers = approvals.officers(session, row.approved_at)
        return check_both(
            approval, chain_id, row.proposer_signature, row.approver_signature or "", officers
        )
    except Rejected as refusal:
        raise Halt(
            f"approval {row.approval_id} does not hold: {refusal.detail} ({refusal.reason}). It "
            "was not executed. Next: compare the store with the newest backup."
        ) from refusal


def found_officer(store: Store, address: str, name: str, now: int) -> bool:
    """Add one of the first two officers; return False if there are two: then officers decide."""
    with store.write() as session:
        officers = approvals.all_officers(session)
        if any(row.address == address for row in officers):
            return True
        if len(officers) >= _FOUNDERS:
            return False
        approvals.add_officer(session, address, name, now)
    return True


def _change_officers(session: Session, approval: Approval, now: int) -> None:
    """Add or remove an officer at once; every other kind is executed by its step."""
    if approval.kind == ADD_OFFICER:
        address = checksummed(bytes.fromhex(approval.subject[2:]))
        approvals.add_officer(session, address, str(approval.detail["name"]), now)
    elif approval.kind == REMOVE_OFFICER:
        address = checksummed(bytes.fromhex(approval.subject[2:]))
        approvals.remove_officer(session, address, now)
    else:
        return
    approvals.mark_executed(session, approval.approval_id, now)


def _find(store: Store, approval_id: str) -> Approval:
    with store.read() as session:
        row = approvals.get(session, approval_id)
    if row is None:
        raise _unknown(approval_id)
    return approvals.content_of(row)


def _unknown(approval_id: str) -> Rejected:
    return Rejected(
        ApprovalReason.APPROVAL_UNKNOWN,
        f"no approval {approval_id}; `proofrail approval list` shows all",
    )
