"""The desk where decisions are proposed and approved; what is executed is checked again.

Signatures are looked at when they are given and again when the decision is executed, so a row
that was changed in the store moves nothing.
"""

from __future__ import annotations

from device_adapters.types import Rejected
from oracles.attest import checksummed, sign
from orchestrator.core.approval import APPROVE, PROPOSE, Decision, DecisionReason, check_both
from orchestrator.edges.store import Session, Store, approvals
from orchestrator.errors import Halt

ADD_OFFICER, REMOVE_OFFICER = "add_officer", "remove_officer"
_FOUNDERS = 2  # the first officers, whom nobody could approve


def propose(store: Store, chain_id: int, decision: Decision, key: bytes) -> str:
    """Signs and stores a proposal; returns its id. Rejected where the key is no officer's, or
    where an open decision of the kind speaks of the same subject. One that was approved, but says
    what is not so any more, is in nobody's way."""
    return propose_signed(
        store, chain_id, decision, "0x" + sign(decision.digest(PROPOSE, chain_id), key).hex()
    )


def propose_signed(store: Store, chain_id: int, decision: Decision, signature: str) -> str:
    """`propose` for a signature made elsewhere (0x-hex, 65 bytes)."""
    identity = decision.decision_id
    with store.write() as session:
        proposer = decision.signer(PROPOSE, chain_id, signature, approvals.officers(session))
        earlier = [
            row
            for row in approvals.about(session, decision.kind, decision.subject)
            if row.executed_at is None
            and row.decision_id != identity
            and (row.approved_at is None or row.detail == decision.detail_text)
        ]
        if earlier:
            raise Rejected(
                DecisionReason.DECISION_OPEN,
                f"decision {earlier[0].decision_id} about {decision.subject} is open: approve it, "
                "or leave it; `proofrail decision list` shows it",
            )
        approvals.add(session, decision, proposer, signature)
    return identity


def approve(store: Store, chain_id: int, decision_id: str, key: bytes, now: int) -> Decision:
    """Signs a proposal as the second officer; Rejected as `approve_signed` does."""
    decision = _find(store, decision_id)
    signature = "0x" + sign(decision.digest(APPROVE, chain_id), key).hex()
    return approve_signed(store, chain_id, decision_id, signature, now)


def approve_signed(
    store: Store, chain_id: int, decision_id: str, signature: str, now: int
) -> Decision:
    """Rejected where the signer is no officer, proposed it too, or it is approved already."""
    with store.write() as session:
        row = approvals.get(session, decision_id)
        if row is None:
            raise _unknown(decision_id)
        decision = approvals.said(row)
        if row.approved_at is not None:
            raise Rejected(DecisionReason.DECISION_APPROVED, f"{row.approver} approved it before")
        known = approvals.officers(session)
        _, approver = check_both(decision, chain_id, row.proposal, signature, known)
        approvals.mark_approved(session, decision_id, approver, signature, now)
        _seat(session, decision, now)
    return decision


def ready(session: Session, chain_id: int, kind: str) -> list[tuple[str, Decision]]:
    """(id, decision) of a kind, approved and not executed; raises Halt where a stored signature
    does not hold: then the store was changed by hand."""
    found = []
    for row in approvals.approved(session, kind):
        verify(session, chain_id, row)
        found.append((row.decision_id, approvals.said(row)))
    return found


def verify(session: Session, chain_id: int, row: approvals.Decision) -> tuple[str, str]:
    """(proposer, approver) of an approved decision, who were officers at its approval."""
    decision = approvals.said(row)
    try:
        if decision.decision_id != row.decision_id:
            raise Rejected(DecisionReason.DETAIL_CHANGED, "its content has another id")
        officers = approvals.officers(session, row.approved_at)
        return check_both(decision, chain_id, row.proposal, row.approval or "", officers)
    except Rejected as refusal:
        raise Halt(
            f"decision {row.decision_id} does not hold: {refusal.detail} ({refusal.reason}). It "
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


def _seat(session: Session, decision: Decision, now: int) -> None:
    """Officers come and go by decision, at once; everything else waits for its step."""
    if decision.kind == ADD_OFFICER:
        address = checksummed(bytes.fromhex(decision.subject[2:]))
        approvals.add_officer(session, address, str(decision.detail["name"]), now)
    elif decision.kind == REMOVE_OFFICER:
        address = checksummed(bytes.fromhex(decision.subject[2:]))
        approvals.remove_officer(session, address, now)
    else:
        return
    approvals.mark_executed(session, decision.decision_id, now)


def _find(store: Store, decision_id: str) -> Decision:
    with store.read() as session:
        row = approvals.get(session, decision_id)
    if row is None:
        raise _unknown(decision_id)
    return approvals.said(row)


def _unknown(decision_id: str) -> Rejected:
    return Rejected(
        DecisionReason.DECISION_UNKNOWN,
        f"no decision {decision_id}; `proofrail decision list` shows all",
    )
