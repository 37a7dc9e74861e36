"""What parties read about calls that are not made: titles and next steps of their reasons."""

from __future__ import annotations

from enum import StrEnum

from orchestrator.core.party_call import (
    ChallengeReason,
    DisputeReason,
    PayeeMoneyReason,
    SkipReason,
)

_LOOK = "Read the payment with GET /v1/payments/{payment_id}; its trace has its dispute."

PARTY_CALLS: dict[StrEnum, tuple[int, str, str]] = {
    DisputeReason.NO_CONTRACT: (
        409,
        "The payment is on a rail whose disputes have no deadline",
        "Its payee concedes, its payer retracts, or the oracles rule.",
    ),
    DisputeReason.NOT_DISPUTABLE: (409, "The payment cannot be disputed", _LOOK),
    DisputeReason.WINDOW_OVER: (
        409,
        "The dispute window is over",
        "Ask the payee for a correction.",
    ),
    DisputeReason.BOND_SHORT: (
        409,
        "The wallet does not cover the bond",
        "Move tokens to the wallet that sends, within the dispute window; or pay by bank without a "
        "reference and ask the operator to allocate it to the wallet.",
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
    ChallengeReason.NO_CONTRACT: (
        409,
        "The contracts of this payment take no challenges",
        "Dispute the payment.",
    ),
    ChallengeReason.NOT_SETTLED: (409, "No money moved that could be refunded", _LOOK),
    ChallengeReason.NOT_PROVEN: (
        409,
        "No fault of its records can be proved on chain",
        "Dispute the payment: then the oracles rule.",
    ),
    ChallengeReason.ALREADY_CHALLENGED: (
        409,
        "A fault of it is proved already, and who attested it is barred",
        _LOOK,
    ),
    ChallengeReason.RECORDS_INCOMPLETE: (
        409,
        "The stored records are not those of the claim",
        "Get the audit bundle of who settled it, and challenge by command.",
    ),
    ChallengeReason.RECORD_UNKNOWN: (
        422,
        "The payment has no record at this position",
        "Send the position of a record; the payment's trace shows its records in order.",
    ),
    ChallengeReason.RECORD_NEEDED: (
        422,
        "The payment has too many records to look at all of them",
        "Send `record`, the position of the bad one; the payment's trace shows them in order.",
    ),
    ChallengeReason.OTHER_CHAIN: (
        409,
        "The bundle is of another chain or rail",
        "Use a home of that rail.",
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
