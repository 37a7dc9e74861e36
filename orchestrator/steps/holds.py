"""Held payments: carries out what two officers decided about each, once.

An approval is about one hold of one payment, and covers its claim: it ends no other hold. One
about a payment that is no longer held does nothing and stays open until it expires.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from orchestrator.approvals import ready
from orchestrator.core.approval import Approval, Office
from orchestrator.core.hold import KIND, HoldDecision, decision_document
from orchestrator.core.payment import Stage
from orchestrator.edges.store import Session, Store, approvals, holds, payments
from orchestrator.errors import Halt


class HoldsContext(Protocol):
    """What deciding about held payments needs of the rail."""

    store: Store
    office: Callable[[], Office]
    now: Callable[[], int]  # Unix seconds
    log: Any


def decide_holds(context: HoldsContext) -> int:
    """End the holds about which two officers decided; return how many.

    Raises:
        Halt: A stored signature does not hold, or a claim differs from what was signed.
    """
    with context.store.read() as session:
        if not approvals.approved(session, KIND):
            return 0
    office, now, done = context.office(), context.now(), []
    with context.store.write() as session:
        for approval_id, approval in ready(session, office, KIND):
            hold = holds.open_hold(session, approval.subject)
            still = payments.still_at(session, [approval.subject], Stage.HELD)
            if hold is None or not still or approval.detail.get("held_at") != hold.held_at:
                continue
            decision = _decided(session, approval_id, approval, hold)
            holds.end(session, hold, decision, approval_id, approval.detail["reason"], now)
            approvals.mark_executed(session, approval_id, now)
            done.append(approval.subject)
    if done:
        context.log.info("holds ended", payments=done)
    return len(done)


def _decided(
    session: Session, approval_id: str, approval: Approval, hold: holds.HoldRow
) -> HoldDecision:
    """Return the decision of an approval, which covers the payment as it is stored."""
    [row] = payments.by_ids(session, [hold.payment_id])
    decision = HoldDecision(approval.detail["decision"])
    same = decision_document(
        row.payment_id,
        row.claim_hash,
        hold.held_at,
        decision,
        approval.detail["reason"],
        approval.proposed_at,
    )
    if same.approval_id != approval_id or hold.claim_hash != row.claim_hash:
        raise Halt(
            f"Payment {row.payment_id} is not what approval {approval_id} covers: its claim was "
            "changed since. It stays held. Next: compare the store with the newest backup."
        )
    return decision
