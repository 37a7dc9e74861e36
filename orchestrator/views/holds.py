"""Builds the JSON view of the holds of a payment, with what comes next."""

from __future__ import annotations

from typing import Any

from orchestrator.core.hold import HoldDecision
from orchestrator.core.payment import Stage
from orchestrator.edges.store import Session, agreements, approvals, holds, payments


def hold_views(
    session: Session, row: payments.PaymentRow, agreement: agreements.AgreementRow
) -> list[dict[str, Any]]:
    """Return the JSON view of a payment's holds, oldest first."""
    officers = approvals.officer_names(session)
    return [
        {
            **hold_view(session, hold, officers),
            "stage_before": hold.stage,
            "claim": hold.claim_hash or None,
            "decided_at": hold.decided_at,
            "decision": hold.decision,
            "approval": hold.approval_id,
            "next": next_step(hold, row, agreement),
        }
        for hold in holds.of_payment(session, row.payment_id)
    ]


def hold_view(session: Session, hold: holds.HoldRow, officers: dict[str, str]) -> dict[str, Any]:
    """Return who holds a payment since when, and why.

    Args:
        session: A session of the store.
        hold: The hold.
        officers: {address: name}.
    """
    party = None if hold.signature else agreements.party(session, hold.held_by)
    return {
        "held_at": hold.held_at,
        "held_by": {
            "address": hold.held_by,
            "name": party.name if party else officers.get(hold.held_by),
            "officer": bool(hold.signature),
        },
        "reason": hold.reason,
    }


def next_step(
    hold: holds.HoldRow, row: payments.PaymentRow, agreement: agreements.AgreementRow
) -> str | None:
    """Return what people do next about a hold, as a sentence; None for nothing."""
    if hold.decided_at is None and row.stage == Stage.HELD:
        return (
            "two officers decide: `proofrail payment decide "
            f"{row.payment_id[:14]} --continue` or `--reject`"
        )
    if hold.decided_at is None:
        return None
    if hold.decision == HoldDecision.REJECT and row.stage == Stage.REJECTED:
        return (
            "payer and payee pass over its claim: `proofrail agreement skip "
            f"{agreement.agreement_id[:12]}`; then the agreement goes on behind its records"
        )
    return None
