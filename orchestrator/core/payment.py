"""The life of a payment: one table, `advance(payment, fact) -> (payment, next step)`, replayable.

    received -> verified -> attested -> settled -> posted -> paid_out -> reconciled

A fact that was seen before changes nothing, so replay is free. A fact that can never meet a stage
is our own bug and raises `Halt`; whatever strangers do ends in a side stage with a reason.
A credit (an amount below zero) goes from posted to reconciled when its payee has paid it back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from orchestrator.errors import Halt


class Stage(StrEnum):
    """Where a payment stands; every value is documented in docs/GLOSSARY.md."""

    RECEIVED = "received"
    VERIFIED = "verified"
    ATTESTED = "attested"
    SETTLED = "settled"
    POSTED = "posted"
    PAID_OUT = "paid_out"
    RECONCILED = "reconciled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    REFUSED = "refused"
    WAITING_FOR_FUNDS = "waiting_for_funds"
    DISPUTED = "disputed"
    REFUNDED = "refunded"


class NextStep(StrEnum):
    """What the worker does next for a payment, in batches."""

    VERIFY = "verify"  # re-derive the claim from stored evidence
    ATTEST = "attest"  # ask the oracles
    SETTLE = "settle"  # put it into a settlement
    RELEASE = "release"  # release after the dispute window


class Fact(StrEnum):
    """What can become known of a payment."""

    DERIVED = "derived"  # the claim was derived from verified events
    UNDERIVABLE = "underivable"  # the rules refuse the run
    ATTESTED = "attested"  # a quorum signed
    DOUBTED = "doubted"  # the oracles refuse for good
    STALE = "stale"  # its signatures are missing, or are a quorum no longer
    SETTLED = "settled"  # applied by a settlement in a block
    SHORT = "short"  # the contract refused: escrow or cap leaves too little now
    FUNDED = "funded"  # escrow or cap changed: worth another try
    REFUSED = "refused"  # the contract refused by another name
    ORPHANED = "orphaned"  # the block is no longer part of the chain
    FINAL = "final"  # the block is N deep: its ledger entry is posted with this fact
    OWED = "owed"  # the same of an amount below zero: its payee owes it, and no payout follows
    SET_OFF = "set_off"  # credits and charges of its payee cancelled: nothing of it is left to pay
    LAPSED = "lapsed"  # the mandate ended before settlement
    DISPUTED = "disputed"  # frozen by the payer within the window
    REFUNDED = "refunded"  # dispute ended in the payer's favour
    UPHELD = "upheld"  # dispute ended in the payee's favour
    REDEEMED = "redeemed"  # a payout that holds it was ordered, on a final block
    BOOKED = "booked"  # the bank's statement shows that payout


@dataclass(frozen=True, slots=True)
class Payment:
    """The part of a payment that its life depends on."""

    payment_id: str
    stage: Stage = Stage.RECEIVED
    next_step: NextStep | None = NextStep.VERIFY


# (stage, fact) -> (next stage, next step). A fact not listed for a stage is either already known
# there (see _KNOWN) or impossible.
_MOVES: dict[tuple[Stage, Fact], tuple[Stage, NextStep | None]] = {
    (Stage.RECEIVED, Fact.DERIVED): (Stage.VERIFIED, NextStep.ATTEST),
    (Stage.RECEIVED, Fact.UNDERIVABLE): (Stage.REJECTED, None),
    (Stage.RECEIVED, Fact.LAPSED): (Stage.EXPIRED, None),
    (Stage.VERIFIED, Fact.ATTESTED): (Stage.ATTESTED, NextStep.SETTLE),
    (Stage.VERIFIED, Fact.DOUBTED): (Stage.REJECTED, None),
    (Stage.VERIFIED, Fact.LAPSED): (Stage.EXPIRED, None),
    # settle() is open to any caller: a stranger may be faster than our own sender
    (Stage.VERIFIED, Fact.SETTLED): (Stage.SETTLED, None),
    (Stage.ATTESTED, Fact.SETTLED): (Stage.SETTLED, None),
    (Stage.ATTESTED, Fact.STALE): (Stage.VERIFIED, NextStep.ATTEST),
    (Stage.ATTESTED, Fact.SHORT): (Stage.WAITING_FOR_FUNDS, None),
    (Stage.ATTESTED, Fact.REFUSED): (Stage.REFUSED, None),
    (Stage.ATTESTED, Fact.LAPSED): (Stage.EXPIRED, None),
    # into a new batch: its old batch was settled without it
    (Stage.WAITING_FOR_FUNDS, Fact.FUNDED): (Stage.VERIFIED, NextStep.ATTEST),
    (Stage.WAITING_FOR_FUNDS, Fact.SETTLED): (Stage.SETTLED, None),
    # whatever we thought of it: a signed batch can be handed in again, and the chain decides
    (Stage.RECEIVED, Fact.SETTLED): (Stage.SETTLED, None),
    (Stage.REJECTED, Fact.SETTLED): (Stage.SETTLED, None),
    (Stage.EXPIRED, Fact.SETTLED): (Stage.SETTLED, None),
    (Stage.REFUSED, Fact.SETTLED): (Stage.SETTLED, None),
    (Stage.WAITING_FOR_FUNDS, Fact.REFUSED): (Stage.REFUSED, None),
    (Stage.WAITING_FOR_FUNDS, Fact.LAPSED): (Stage.EXPIRED, None),
    # a refusal stands in a block too: it can be orphaned, and is then tried again
    (Stage.WAITING_FOR_FUNDS, Fact.ORPHANED): (Stage.ATTESTED, NextStep.SETTLE),
    (Stage.REFUSED, Fact.ORPHANED): (Stage.ATTESTED, NextStep.SETTLE),
    (Stage.SETTLED, Fact.ORPHANED): (Stage.ATTESTED, NextStep.SETTLE),
    (Stage.SETTLED, Fact.FINAL): (Stage.POSTED, NextStep.RELEASE),
    (Stage.SETTLED, Fact.OWED): (Stage.POSTED, None),
    (Stage.POSTED, Fact.SET_OFF): (Stage.RECONCILED, None),
    (Stage.SETTLED, Fact.DISPUTED): (Stage.DISPUTED, None),
    (Stage.POSTED, Fact.DISPUTED): (Stage.DISPUTED, None),
    (Stage.POSTED, Fact.REDEEMED): (Stage.PAID_OUT, None),
    (Stage.DISPUTED, Fact.REFUNDED): (Stage.REFUNDED, None),
    (Stage.DISPUTED, Fact.UPHELD): (Stage.POSTED, NextStep.RELEASE),
    (Stage.DISPUTED, Fact.ORPHANED): (Stage.ATTESTED, NextStep.SETTLE),
    (Stage.PAID_OUT, Fact.BOOKED): (Stage.RECONCILED, None),
}

_MAIN = (
    Stage.RECEIVED,
    Stage.VERIFIED,
    Stage.ATTESTED,
    Stage.SETTLED,
    Stage.POSTED,
    Stage.PAID_OUT,
    Stage.RECONCILED,
)
_ENDED = (Stage.REJECTED, Stage.EXPIRED, Stage.REFUSED, Stage.REFUNDED)
# ends that leave the agreement's sequence on chain unused: nothing later of it could settle
STOPPING = (Stage.REJECTED, Stage.REFUSED, Stage.EXPIRED)
_BEYOND_CLAIM = (*_MAIN[1:], *_ENDED, Stage.WAITING_FOR_FUNDS, Stage.DISPUTED)
_BEYOND_CHAIN = (*_MAIN[3:], Stage.DISPUTED, Stage.REFUNDED)
# anyone may hand in an old batch again: a claim that waits for a new batch is then refused in the
# old one, which says nothing new of it
_NOT_IN_A_BATCH = (Stage.RECEIVED, Stage.VERIFIED, Stage.REJECTED)

# Stages at which a fact is already known or comes too late: it changes nothing.
_KNOWN: dict[Fact, tuple[Stage, ...]] = {
    Fact.DERIVED: _BEYOND_CLAIM,
    Fact.UNDERIVABLE: (Stage.REJECTED, Stage.EXPIRED),
    Fact.ATTESTED: (*_MAIN[2:], *_ENDED, Stage.WAITING_FOR_FUNDS, Stage.DISPUTED),
    Fact.DOUBTED: (*_MAIN[2:], *_ENDED, Stage.WAITING_FOR_FUNDS, Stage.DISPUTED),
    Fact.STALE: (),
    Fact.SETTLED: _BEYOND_CHAIN,
    Fact.SHORT: (
        *_NOT_IN_A_BATCH,
        Stage.WAITING_FOR_FUNDS,
        *_BEYOND_CHAIN,
        Stage.EXPIRED,
        Stage.REFUSED,
    ),
    Fact.FUNDED: (*_MAIN, *_ENDED, Stage.DISPUTED),
    Fact.REFUSED: (*_NOT_IN_A_BATCH, Stage.REFUSED, *_BEYOND_CHAIN, Stage.EXPIRED),
    # an orphaned block is noticed for all its payments; those tried again already stay as they are
    Fact.ORPHANED: (*_NOT_IN_A_BATCH, Stage.ATTESTED, Stage.EXPIRED),
    Fact.FINAL: (*_MAIN[4:], Stage.DISPUTED, Stage.REFUNDED),
    Fact.OWED: (Stage.POSTED, Stage.RECONCILED),
    Fact.SET_OFF: (Stage.RECONCILED,),
    Fact.LAPSED: (*_MAIN[3:], *_ENDED, Stage.DISPUTED),
    Fact.DISPUTED: (Stage.DISPUTED, Stage.REFUNDED, Stage.PAID_OUT, Stage.RECONCILED),
    Fact.REFUNDED: (Stage.REFUNDED,),
    Fact.UPHELD: (*_MAIN[4:],),
    Fact.REDEEMED: (Stage.PAID_OUT, Stage.RECONCILED),
    Fact.BOOKED: (Stage.RECONCILED,),
}


def advance(payment: Payment, fact: Fact) -> tuple[Payment, NextStep | None]:
    """The payment after the fact, and the next step that is now due (None: nothing new).

    Raises Halt where the pair cannot happen unless one of our own rules is broken; the payment
    itself is unchanged then and can be inspected.
    """
    move = _MOVES.get((payment.stage, fact))
    if move is not None:
        stage, next_step = move
        return replace(payment, stage=stage, next_step=next_step), next_step
    if payment.stage in _KNOWN[fact]:
        return payment, None
    raise Halt(
        f"payment {payment.payment_id}: the fact '{fact}' cannot meet the stage '{payment.stage}'. "
        "Nothing was changed; run `proofrail trace` on it and compare it with the chain."
    )


def verdict(stage: Stage, fact: Fact) -> str:
    """'moves', 'known' or 'impossible': the whole table, for tests and documentation."""
    if (stage, fact) in _MOVES:
        return "moves"
    return "known" if stage in _KNOWN[fact] else "impossible"
