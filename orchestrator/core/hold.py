"""Holds: a person stops one payment before its settlement, and two officers decide about it.

An officer signs the hold as approvals are signed, with a step of its own, so that it never passes
for a proposal. What two officers decide is an approval of the kind `payment.hold` about this very
hold: the payment goes on, or it ends and is never settled.
"""

from __future__ import annotations

from enum import StrEnum

from device_adapters.types import Rejected
from orchestrator.core.approval import Approval
from orchestrator.core.payment import HOLDABLE, STOPPING, Stage

KIND = "payment.hold"  # signed, so it never changes
HOLD = "hold"  # the step that the officer who holds signs
HELD_AND_REJECTED = "held_and_rejected"  # reason of a payment that two officers rejected
MAX_REASON = 200  # characters


class HoldDecision(StrEnum):
    """What two officers decide about a held payment."""

    CONTINUE = "continue"  # it goes on where it was
    REJECT = "reject"  # the rail never settles it


class HoldReason(StrEnum):
    """Why a hold, or a decision about one, is refused. Stable codes."""

    REASON_MALFORMED = "hold_reason_malformed"
    NOT_A_PARTY = "not_a_party_of_the_payment"
    ALREADY_HELD = "already_held"
    SETTLEMENT_SENT = "settlement_already_sent"
    ALREADY_SETTLED = "already_settled"
    ALREADY_ENDED = "already_ended"
    CLAIM_CHANGED = "claim_changed"
    NOT_HELD = "not_held"


_NEXT = (
    "Next: dispute it within its dispute window (`proofrail payment dispute`), or do not approve "
    "its payout where that is above the limit"
)


def checked_reason(text: str) -> str:
    """Return the reason of a hold or of a decision: 1 to 200 printable characters.

    Raises:
        Rejected: hold_reason_malformed.
    """
    if not (0 < len(text) <= MAX_REASON and text.isprintable() and text.strip()):
        raise Rejected(
            HoldReason.REASON_MALFORMED,
            f"a reason has 1 to {MAX_REASON} printable characters; nothing was changed. Next: give "
            "another one",
        )
    return text


def require_holdable(payment_id: str, stage: Stage, is_being_sent: bool) -> None:
    """Accept a payment that can still be stopped.

    Args:
        payment_id: The payment, 0x-hex.
        stage: Its stage.
        is_being_sent: Whether its settlement is signed: then it may be in a block soon.

    Raises:
        Rejected: already_held, already_ended, already_settled or settlement_already_sent.
    """
    subject = f"payment {payment_id}"
    if stage is Stage.HELD:
        raise Rejected(
            HoldReason.ALREADY_HELD,
            f"{subject} is held already; two officers decide (`proofrail payment decide`)",
        )
    if stage in (*STOPPING, Stage.SKIPPED):
        raise Rejected(
            HoldReason.ALREADY_ENDED, f"{subject} is {stage}: nothing of it will be settled"
        )
    if stage not in HOLDABLE:
        raise Rejected(
            HoldReason.ALREADY_SETTLED,
            f"{subject} is {stage}: the chain settled it, and nothing was changed. {_NEXT}",
        )
    if is_being_sent:
        raise Rejected(
            HoldReason.SETTLEMENT_SENT,
            f"the settlement of {subject} is signed, and nothing was changed. {_NEXT}",
        )


def hold_document(payment_id: str, claim_hash: str, reason: str, at: int) -> Approval:
    """Return what an officer signs to hold a payment, with the step HOLD.

    Args:
        payment_id: The payment, 0x-hex.
        claim_hash: Its claim, 0x-hex; "" while none is derived.
        reason: Why it is held.
        at: Unix seconds.
    """
    return Approval(KIND, payment_id, {"claim": claim_hash, "reason": reason}, at)


def decision_document(
    payment_id: str,
    claim_hash: str,
    held_at: int,
    decision: HoldDecision,
    reason: str,
    now: int,
) -> Approval:
    """Return the approval that ends a hold.

    It covers the hold by its time, so that no later hold of the same payment ends with it.

    Args:
        payment_id: The payment, 0x-hex.
        claim_hash: Its claim, 0x-hex; "" while none is derived.
        held_at: When the hold began, Unix seconds.
        decision: What becomes of the payment.
        reason: Why.
        now: Unix seconds.
    """
    detail = {
        "claim": claim_hash,
        "held_at": held_at,
        "decision": str(decision),
        "reason": reason,
    }
    return Approval(KIND, payment_id, detail, now)
