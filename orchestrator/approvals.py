"""The desk where approvals are proposed and approved; what is executed is checked again.

Signatures are looked at when they are given and again when the approval is executed, so a row
that was changed in the store moves nothing.
"""

from __future__ import annotations

from device_adapters.types import Rejected
from oracles.attest import checksummed, sign
from orchestrator.core.approval import APPROVE, PROPOSE, Approval, ApprovalReason, check_both
from orchestrator.edges.store import Session, Store, approvals
from orchestrator.errors import Halt

ADD_OFFICER, REMOVE_OFFICER = "add_officer", "remove_officer"
_FOUNDERS = 2  # the first officers, whom nobody could approve


def propose(store: Store, chain_id: int, approval: Approval, key: bytes) -> str:
    """Signs and stores a proposal; returns its id. Rejected where the key is no officer's, or
    where an open approval of the kind speaks of the same subject. One that was approved, but says
    what is not so any more, is in nobody's way."""
    return propose_signed(
        store, chain_id, approval, "0x" + sign(approval.digest(PROPOSE, chain_id), key).hex()
    )


def propose_signed(store: Store, chain_id: int, approval: Approval, signature: str) -> str:
    """`propose` for a signature made elsewhere (0x-hex, 65 bytes)."""
    identity = approval.approval_id
    with store.write() as session:
        proposer = approval.signer(PROPOSE, chain_id, signature, approvals.officers(session))
        earlier = [
            row
            for row in approvals.about(session, approval.kind, approval.subject)
            if row.executed_at is None
            and row.approval_id != identity
            and (row.approved_at is None or row.detail == approval.detail_text)
        ]
        if earlier:
            raise Rejected(
                ApprovalReason.APPROVAL_OPEN,
                f"approval {earlier[0].approval_id} about {approval.subject} is open: approve it, "
                "or leave it; `proofrail approval list` shows it",
            )
        approvals.add(session, approval, proposer, signature)
    return identity


def approve(store: Store, chain_id: int, approval_id: str, key: bytes, now: int) -> Approval:
    """Signs a proposal as the second officer; Rejected as `approve_signed` does."""
    approval = _find(store, approval_id)
    signature = "0x" + sign(approval.digest(APPROVE, chain_id), key).hex()
    return approve_signed(store, chain_id, approval_id, signature, now)


def approve_signed(
    store: Store, chain_id: int, approval_id: str, signature: str, now: int
) -> Approval:
    """Rejected where the signer is no officer, proposed it too, or it is approved already."""
    with store.write() as session:
        row = approvals.get(session, approval_id)
        if row is None:
            raise _unknown(approval_id)
        approval = approvals.said(row)
        if row.approved_at is not None:
            raise Rejected(ApprovalReason.APPROVAL_APPROVED, f"{row.approver} approved it before")
        known = approvals.officers(session)
        _, approver = check_both(approval, chain_id, row.proposer_signature, signature, known)
        approvals.mark_approved(session, approval_id, approver, signature, now)
        _seat(session, approval, now)
    return approval


def ready(session: Session, chain_id: int, kind: str) -> list[tuple[str, Approval]]:
    """(id, approval) of a kind, approved and not executed; raises Halt where a stored signature
    does not hold: then the store was changed by hand."""
    found = []
    for row in approvals.approved(session, kind):
        verify(session, chain_id, row)
        found.append((row.approval_id, approvals.said(row)))
    return found


def verify(session: Session, chain_id: int, row: approvals.ApprovalRow) -> tuple[str, str]:
    """(proposer, approver) of an approved approval, who were officers at its approval."""
    approval = approvals.said(row)
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
            "was not executed. Compare the store with the newest copy you have."
        ) from refusal


def found_officer(store: Store, address: str, name: str, now: int) -> bool:
    """Seats one of the first two officers; False where there are two: then officers decide."""
    with store.write() as session:
        known = approvals.all_officers(session)
        if any(row.address == address for row in known):
            return True
        if len(known) >= _FOUNDERS:
            return False
        approvals.add_officer(session, address, name, now)
    return True


def _seat(session: Session, approval: Approval, now: int) -> None:
    """Officers come and go by approval, at once; everything else waits for its step."""
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
    return approvals.said(row)


def _unknown(approval_id: str) -> Rejected:
    return Rejected(
        ApprovalReason.APPROVAL_UNKNOWN,
        f"no approval {approval_id}; `proofrail approval list` shows all",
    )
