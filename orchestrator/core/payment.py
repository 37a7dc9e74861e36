"""The state machine of a payment.

    received -> verified -> attested -> settled -> posted -> paid_out -> booked -> reconciled

A fact that was seen before changes nothing, so facts can be replayed. A fact that cannot occur at a
stage is our own bug and raises `Halt`; what other parties do ends in a side stage with a reason.
A payment below zero is a debt of its payee: it goes from posted to reconciled once it is paid back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from orchestrator.core.machine import Machine, Verdict


class Stage(StrEnum):
    """Where a payment stands; every value is documented in docs/GLOSSARY.md."""

    RECEIVED = "received"  # its events are chosen; the claim is not derived yet
    VERIFIED = "verified"  # the claim is derived from stored evidence
    ATTESTED = "attested"  # a quorum of oracles signed its batch
    SETTLED = "settled"  # a settlement in a block applied it
    POSTED = "posted"  # that block is final, and the ledger has its entry
    PAID_OUT = "paid_out"  # a payout that holds it was redeemed on a final block
    BOOKED = "booked"  # the bank reported that payout as booked, on no statement yet
    RECONCILED = "reconciled"  # an end-of-day statement shows it, or nothing was left to pay
    REJECTED = "rejected"  # the rules, the oracles or two officers refuse it
    EXPIRED = "expired"  # its mandate ended before settlement
    REFUSED = "refused"  # the contract refuses it
    WAITING_FOR_FUNDS = "waiting_for_funds"  # escrow or cap leaves too little; it is tried again
    DISPUTED = "disputed"  # frozen until the dispute ends
    REFUNDED = "refunded"  # the dispute ended in the payer's favour
    SKIPPED = "skipped"  # payer and payee passed over its claim: it counts as settled, for nothing
    HELD = "held"  # stopped before its settlement, until two officers decide


class NextStep(StrEnum):
    """What the worker does next for a payment, in batches."""

    VERIFY = "verify"  # re-derive the claim from stored evidence
    ATTEST = "attest"  # ask the oracles
    SETTLE = "settle"  # put it into a settlement
    RELEASE = "release"  # release after the dispute window


class Fact(StrEnum):
    """What can become known about a payment."""

    DERIVED = "derived"  # the claim was derived from verified events
    UNDERIVABLE = "underivable"  # the rules refuse the run
    ATTESTED = "attested"  # a quorum signed
    DOUBTED = "doubted"  # the oracles refuse for good
    STALE = "stale"  # its signatures are missing, or no longer a quorum
    SETTLED = "settled"  # applied by a settlement in a block
    SHORT = "short"  # the contract refused: escrow or cap leaves too little now
    FUNDED = "funded"  # escrow or cap changed: worth another try
    REFUSED = "refused"  # the contract refused for another reason
    ORPHANED = "orphaned"  # the block is no longer part of the chain
    FINAL = "final"  # the block is N deep: its ledger entry is posted with this fact
    OWED = "owed"  # final, and below zero: its payee owes it, and no payout follows
    SET_OFF = "set_off"  # debts and payments of its payee cancel out: nothing is left to pay
    LAPSED = "lapsed"  # the mandate ended before settlement
    DISPUTED = "disputed"  # frozen by the payer or the warden within the dispute window
    REFUNDED = "refunded"  # dispute ended in the payer's favour
    UPHELD = "upheld"  # dispute ended in the payee's favour
    REDEEMED = "redeemed"  # a payout that holds it was ordered, on a final block
    BOOKED = "booked"  # the bank reports that payout as booked, in any kind of file
    SKIPPED = "skipped"  # payer and payee passed over it together, on a final block
    REINSTATED = "reinstated"  # a ruling took the compromise back for which it was refused
    ON_STATEMENT = "on_statement"  # an end-of-day statement (camt.053, MT940) shows that booking
    HELD = "held"  # an officer, its payer or its payee stopped it
    CONTINUED = "continued"  # two officers let a held payment go on
    REJECTED = "rejected"  # two officers rejected a held payment


@dataclass(frozen=True, slots=True)
class Payment:
    """The part of a payment that decides about its moves."""

    payment_id: str
    stage: Stage = Stage.RECEIVED
    next_step: NextStep | None = NextStep.VERIFY


_MOVES: dict[tuple[Stage, Fact], Stage] = {
    (Stage.RECEIVED, Fact.DERIVED): Stage.VERIFIED,
    (Stage.RECEIVED, Fact.UNDERIVABLE): Stage.REJECTED,
    (Stage.RECEIVED, Fact.LAPSED): Stage.EXPIRED,
    (Stage.VERIFIED, Fact.ATTESTED): Stage.ATTESTED,
    (Stage.VERIFIED, Fact.DOUBTED): Stage.REJECTED,
    (Stage.VERIFIED, Fact.LAPSED): Stage.EXPIRED,
    # settle() is open to any caller: a stranger may be faster than our own sender
    (Stage.VERIFIED, Fact.SETTLED): Stage.SETTLED,
    (Stage.ATTESTED, Fact.SETTLED): Stage.SETTLED,
    (Stage.ATTESTED, Fact.STALE): Stage.VERIFIED,
    (Stage.ATTESTED, Fact.SHORT): Stage.WAITING_FOR_FUNDS,
    (Stage.ATTESTED, Fact.REFUSED): Stage.REFUSED,
    (Stage.ATTESTED, Fact.LAPSED): Stage.EXPIRED,
    # into a new batch: its old batch was settled without it
    (Stage.WAITING_FOR_FUNDS, Fact.FUNDED): Stage.VERIFIED,
    (Stage.WAITING_FOR_FUNDS, Fact.SETTLED): Stage.SETTLED,
    # a signed batch can be submitted again, and the chain decides, not our own verdict
    (Stage.RECEIVED, Fact.SETTLED): Stage.SETTLED,
    (Stage.REJECTED, Fact.SETTLED): Stage.SETTLED,
    (Stage.EXPIRED, Fact.SETTLED): Stage.SETTLED,
    (Stage.REFUSED, Fact.SETTLED): Stage.SETTLED,
    (Stage.WAITING_FOR_FUNDS, Fact.REFUSED): Stage.REFUSED,
    (Stage.WAITING_FOR_FUNDS, Fact.LAPSED): Stage.EXPIRED,
    # a refusal stands in a block too: it can be orphaned, and is then tried again
    (Stage.WAITING_FOR_FUNDS, Fact.ORPHANED): Stage.ATTESTED,
    (Stage.REFUSED, Fact.ORPHANED): Stage.ATTESTED,
    (Stage.SETTLED, Fact.ORPHANED): Stage.ATTESTED,
    (Stage.SETTLED, Fact.FINAL): Stage.POSTED,
    (Stage.SETTLED, Fact.OWED): Stage.POSTED,
    (Stage.POSTED, Fact.SET_OFF): Stage.RECONCILED,
    (Stage.SETTLED, Fact.DISPUTED): Stage.DISPUTED,
    (Stage.POSTED, Fact.DISPUTED): Stage.DISPUTED,
    (Stage.POSTED, Fact.REDEEMED): Stage.PAID_OUT,
    (Stage.DISPUTED, Fact.REFUNDED): Stage.REFUNDED,
    (Stage.DISPUTED, Fact.UPHELD): Stage.POSTED,
    (Stage.DISPUTED, Fact.ORPHANED): Stage.ATTESTED,
    (Stage.PAID_OUT, Fact.BOOKED): Stage.BOOKED,
    (Stage.BOOKED, Fact.ON_STATEMENT): Stage.RECONCILED,
    # its device's key is not stolen after all: the claim is derived and signed again
    (Stage.REJECTED, Fact.REINSTATED): Stage.RECEIVED,
    (Stage.REFUSED, Fact.REINSTATED): Stage.VERIFIED,
    # the sequence on chain is used up, wherever the payment stands before its settlement
    (Stage.RECEIVED, Fact.SKIPPED): Stage.SKIPPED,
    (Stage.VERIFIED, Fact.SKIPPED): Stage.SKIPPED,
    (Stage.ATTESTED, Fact.SKIPPED): Stage.SKIPPED,
    (Stage.WAITING_FOR_FUNDS, Fact.SKIPPED): Stage.SKIPPED,
    (Stage.REJECTED, Fact.SKIPPED): Stage.SKIPPED,
    (Stage.REFUSED, Fact.SKIPPED): Stage.SKIPPED,
    (Stage.EXPIRED, Fact.SKIPPED): Stage.SKIPPED,
    (Stage.HELD, Fact.SKIPPED): Stage.SKIPPED,
    # a person stops it before its settlement is signed (core/hold.py)
    (Stage.RECEIVED, Fact.HELD): Stage.HELD,
    (Stage.VERIFIED, Fact.HELD): Stage.HELD,
    (Stage.ATTESTED, Fact.HELD): Stage.HELD,
    (Stage.WAITING_FOR_FUNDS, Fact.HELD): Stage.HELD,
    # a claim that was derived before stays: then "derived" follows at once
    (Stage.HELD, Fact.CONTINUED): Stage.RECEIVED,
    (Stage.HELD, Fact.REJECTED): Stage.REJECTED,
    # signatures of before the hold count on chain: who has them may settle
    (Stage.HELD, Fact.SETTLED): Stage.SETTLED,
}

_MAIN = (
    Stage.RECEIVED,
    Stage.VERIFIED,
    Stage.ATTESTED,
    Stage.SETTLED,
    Stage.POSTED,
    Stage.PAID_OUT,
    Stage.BOOKED,
    Stage.RECONCILED,
)
# where a person may stop a payment: nothing of it is on chain
HOLDABLE = (Stage.RECEIVED, Stage.VERIFIED, Stage.ATTESTED, Stage.WAITING_FOR_FUNDS)
_ENDED = (Stage.REJECTED, Stage.EXPIRED, Stage.REFUSED, Stage.REFUNDED, Stage.SKIPPED)
# ends that leave the agreement's sequence on chain unused: nothing later of it could settle
STOPPING = (Stage.REJECTED, Stage.REFUSED, Stage.EXPIRED)
MOVED = "rail_moved"  # reason of a payment that ended since no former rail will settle it
_AT_BANK = _MAIN[5:]
_BEYOND_CLAIM = (*_MAIN[1:], *_ENDED, Stage.WAITING_FOR_FUNDS, Stage.DISPUTED, Stage.HELD)
# what the chain has applied, no matter what became of the money since
APPLIED = (*_MAIN[3:], Stage.DISPUTED, Stage.REFUNDED)
# anyone may submit an old batch again: a claim that waits for a new batch is then refused in the
# old one, which is no news
_NOT_IN_A_BATCH = (Stage.RECEIVED, Stage.VERIFIED, Stage.REJECTED, Stage.HELD)

# Stages at which a fact is already known or comes too late: it changes nothing.
_KNOWN: dict[Fact, tuple[Stage, ...]] = {
    Fact.DERIVED: _BEYOND_CLAIM,
    Fact.UNDERIVABLE: (Stage.REJECTED, Stage.EXPIRED, Stage.SKIPPED, Stage.HELD),
    Fact.ATTESTED: (*_MAIN[2:], *_ENDED, Stage.WAITING_FOR_FUNDS, Stage.DISPUTED, Stage.HELD),
    Fact.DOUBTED: (*_MAIN[2:], *_ENDED, Stage.WAITING_FOR_FUNDS, Stage.DISPUTED, Stage.HELD),
    # a refusal in an old batch, which anyone may submit again
    Fact.STALE: (
        *_NOT_IN_A_BATCH,
        Stage.WAITING_FOR_FUNDS,
        *APPLIED,
        *(Stage.EXPIRED, Stage.REFUSED, Stage.SKIPPED),
    ),
    Fact.SETTLED: APPLIED,
    Fact.SHORT: (
        *_NOT_IN_A_BATCH,
        Stage.WAITING_FOR_FUNDS,
        *APPLIED,
        Stage.EXPIRED,
        Stage.REFUSED,
        Stage.SKIPPED,
    ),
    Fact.FUNDED: (*_MAIN, *_ENDED, Stage.DISPUTED, Stage.HELD),
    Fact.REFUSED: (
        *(*_NOT_IN_A_BATCH, Stage.REFUSED, *APPLIED),
        *(Stage.EXPIRED, Stage.SKIPPED),
    ),
    # an orphaned block is noticed for all its payments; those tried again already stay as they are
    Fact.ORPHANED: (*_NOT_IN_A_BATCH, Stage.ATTESTED, Stage.EXPIRED, Stage.SKIPPED),
    Fact.FINAL: (*_MAIN[4:], Stage.DISPUTED, Stage.REFUNDED),
    Fact.OWED: (Stage.POSTED, Stage.RECONCILED),
    Fact.SET_OFF: (Stage.RECONCILED,),
    Fact.LAPSED: (*_MAIN[3:], *_ENDED, Stage.DISPUTED, Stage.HELD),
    Fact.DISPUTED: (Stage.DISPUTED, Stage.REFUNDED, *_AT_BANK),
    Fact.REFUNDED: (Stage.REFUNDED,),
    Fact.UPHELD: (*_MAIN[4:],),
    Fact.REDEEMED: _AT_BANK,
    Fact.BOOKED: (Stage.BOOKED, Stage.RECONCILED),
    # a part of the payout is on a statement, and the rest is not booked yet
    Fact.ON_STATEMENT: (Stage.PAID_OUT, Stage.RECONCILED),
    Fact.SKIPPED: (Stage.SKIPPED,),
    Fact.REINSTATED: (
        *(*_MAIN, Stage.WAITING_FOR_FUNDS, Stage.DISPUTED, *_ENDED[1:2], *_ENDED[3:]),
        Stage.HELD,
    ),
    Fact.HELD: (Stage.HELD, Stage.REJECTED),
    Fact.REJECTED: (Stage.REJECTED,),
}


MACHINE = Machine(
    "payment",
    _MOVES,
    _KNOWN,
    "run `proofrail trace` on it and compare it with the chain.",
)

# What the worker does next at a stage; nothing where a stage is missing.
_NEXT_STEPS: dict[Stage, NextStep] = {
    Stage.RECEIVED: NextStep.VERIFY,
    Stage.VERIFIED: NextStep.ATTEST,
    Stage.ATTESTED: NextStep.SETTLE,
    Stage.POSTED: NextStep.RELEASE,
}


def advance(payment: Payment, fact: Fact) -> tuple[Payment, NextStep | None]:
    """Return the payment after a fact, and the next step that is now due.

    Returns:
        The payment, and its next step; None where the fact brings no new step.

    Raises:
        Halt: The fact cannot occur at this stage unless one of our own rules is broken.
    """
    stage = MACHINE.advance(payment.payment_id, payment.stage, fact)
    if verdict(payment.stage, fact) == "known":
        return payment, None
    # nothing is paid out for a debt of the payee
    next_step = None if fact is Fact.OWED else _NEXT_STEPS.get(stage)
    return replace(payment, stage=stage, next_step=next_step), next_step


def verdict(stage: Stage, fact: Fact) -> Verdict:
    """Return what a fact does at a stage: "moves", "known" or "impossible"."""
    return MACHINE.verdict(stage, fact)
