"""What parties read about holds that are refused: titles and next steps of their reasons."""

from __future__ import annotations

from enum import StrEnum

from orchestrator.core.hold import HoldReason

_LOOK = "Read the payment with GET /v1/payments/{payment_id}."
_DISPUTE = "Dispute it: POST /v1/payments/{payment_id}/calls/dispute, within its dispute window."

HOLDS: dict[StrEnum, tuple[int, str, str]] = {
    HoldReason.REASON_MALFORMED: (
        422,
        "The reason is empty, too long, or not printable",
        "Give 1 to 200 printable characters.",
    ),
    HoldReason.NOT_A_PARTY: (
        403,
        "The key does not stand for the payment's payer or payee",
        "Ask the operator for a key of that party (`proofrail api-key add --party`).",
    ),
    HoldReason.ALREADY_HELD: (
        409,
        "The payment is held already",
        "Nothing to do: two officers decide about it.",
    ),
    HoldReason.SETTLEMENT_SENT: (409, "The settlement of the payment is signed", _DISPUTE),
    HoldReason.ALREADY_SETTLED: (409, "The payment is settled", _DISPUTE),
    HoldReason.ALREADY_ENDED: (409, "The payment has ended unpaid", _LOOK),
    HoldReason.CLAIM_CHANGED: (
        409,
        "The claim of the payment was derived meanwhile",
        "Give the same command again.",
    ),
    HoldReason.NOT_HELD: (409, "The payment is not held", _LOOK),
}
