"""What parties read about calls that are not made: titles and next steps of their reasons."""

from __future__ import annotations

from enum import StrEnum

from orchestrator.core.party_call import DisputeReason, PayeeMoneyReason, SkipReason

_LOOK = "Read the payment with GET /v1/payments/{payment_id}; its trace has its dispute."

PARTY_CALLS: dict[StrEnum, tuple[int, str, str]] = {
    DisputeReason.NO_CONTRACT: (
        409,
        "The contracts of this rail have no bonds for disputes",
        "Ask the operator to move the rail to the present contracts.",
    ),
    DisputeReason.NOT_DISPUTABLE: (409, "The payment cannot be disputed", _LOOK),
    DisputeReason.WINDOW_OVER: (
        409,
        "The dispute window is over",
        "Ask the payee for a correction.",
    ),
    DisputeReason.BOND_SHORT: (
        409,
        "The payer's wallet does not cover the bond",
        "Move tokens to the payer's wallet within the dispute window.",
    ),
    DisputeReason.UNREADABLE: (
        409,
        "The settlement cannot be read",
        "Try again later: another node may have it.",
    ),
    DisputeReason.NOT_DISPUTED: (409, "The payment is not under dispute", _LOOK),
    DisputeReason.NOT_EXPIRED: (
        409,
        "The dispute's deadline is not over",
        "Wait: the rail ends the dispute after its deadline by itself.",
    ),
    DisputeReason.RULING_SHORT: (
        409,
        "No ruling has enough signatures",
        "Ask the oracles that are missing to sign theirs.",
    ),
    PayeeMoneyReason.NOTHING: (
        409,
        "Nothing is due",
        "Wait for the end of a payment's dispute window.",
    ),
    PayeeMoneyReason.TOO_MUCH: (409, "That is more than there is", "Give a smaller amount."),
    SkipReason.NO_CLAIM: (
        409,
        "No payment was made for this claim",
        "Send `last_counter`, up to which records are passed over.",
    ),
    SkipReason.COUNTER_UNKNOWN: (
        422,
        "No record of the agreement has this counter",
        "Send the counter of a stored record; a payment's trace shows those of its records.",
    ),
    SkipReason.UNSIGNED: (
        422,
        "The signature is not this party's",
        "Have the party in `signers` sign `document`, exactly as it was returned.",
    ),
}
