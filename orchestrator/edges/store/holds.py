"""Holds of payments: who stopped which one, why, and what two officers decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, func, select

from device_adapters.types import Rejected
from orchestrator.core.hold import (
    HELD_AND_REJECTED,
    HoldDecision,
    HoldReason,
    checked_reason,
    require_holdable,
)
from orchestrator.core.payment import Fact, Stage
from orchestrator.edges.store import payments, sends
from orchestrator.edges.store.tables import AgreementRow, HoldRow, PaymentRow
from orchestrator.errors import Retry

__all__ = ["HoldRow", "PaymentHolder"]


@dataclass(frozen=True, slots=True)
class PaymentHolder:
    """Who holds a payment.

    Attributes:
        address: Of an officer, or of the payment's payer or payee.
        key_name: Of the API key that a party used; "": an officer signed.
        signature: The officer's, 0x-hex; "" for a party.
        claim_hash: The claim that the officer signed; None for a party, who signs nothing.
    """

    address: str
    key_name: str = ""
    signature: str = ""
    claim_hash: str | None = None


def require_free(session: Session, row: PaymentRow) -> None:
    """Accept a payment that can be held now.

    Raises:
        Rejected: already_held, already_ended, already_settled or settlement_already_sent.
    """
    stage, digest = Stage(row.stage), row.batch_digest
    is_being_sent = stage is Stage.ATTESTED and (
        row.next_step is None
        or (digest is not None and sends.open_send(session, "settle", digest) is not None)
    )
    require_holdable(row.payment_id, stage, is_being_sent)


def place(
    session: Session, row: PaymentRow, holder: PaymentHolder, reason: str, now: int
) -> HoldRow:
    """Hold a payment, in the caller's write transaction.

    Signatures over its batch are over all of the batch's claims, so the others are attested again
    without it, and its own batch is never sent.

    Args:
        session: A write session.
        row: The payment, read in this session.
        holder: Who holds it, and with what right: the caller has checked that.
        reason: Why, 1 to 200 printable characters.
        now: Unix seconds.

    Raises:
        Rejected: with a HoldReason; nothing was changed.
        Retry: It was held before in this very second.
    """
    checked_reason(reason)
    require_free(session, row)
    if holder.claim_hash not in (None, row.claim_hash):
        raise Rejected(
            HoldReason.CLAIM_CHANGED,
            f"the claim of payment {row.payment_id} was derived meanwhile; nothing was changed. "
            "Next: give the same command again",
        )
    before, others = Stage(row.stage), []
    if before is Stage.ATTESTED and row.batch_digest:
        key, why = f"{row.batch_digest}:held:{now}", "another payment of its batch is held"
        others = [
            payments.NewFact(other.payment_id, Fact.STALE, key, why)
            for other, _ in payments.of_batch(session, row.batch_digest)
            if other.stage == Stage.ATTESTED and other.payment_id != row.payment_id
        ]
    earlier = of_payment(session, row.payment_id)
    if earlier and earlier[-1].held_at >= now:  # a hold is named by its time
        raise Retry(f"payment {row.payment_id} was held in this second before: try again")
    hold = HoldRow(
        payment_id=row.payment_id,
        held_at=now,
        held_by=holder.address,
        key_name=holder.key_name,
        signature=holder.signature,
        reason=reason,
        stage=before,
        claim_hash=row.claim_hash,
    )
    session.add(hold)
    fact = payments.NewFact(
        row.payment_id,
        Fact.HELD,
        str(now),
        f"{holder.address}: {reason}",
        {"reason": f"held: {reason}", "batch_digest": None},
    )
    payments.record_facts(session, [fact, *others], now)
    return hold


def end(
    session: Session, hold: HoldRow, decision: HoldDecision, approval_id: str, why: str, now: int
) -> None:
    """Carry out what two officers decided about a held payment, in a write transaction.

    Args:
        session: A write session.
        hold: The payment's open hold, read in this session.
        decision: What they decided.
        approval_id: The approval, 0x-hex.
        why: Their reason.
        now: Unix seconds.
    """
    hold.decided_at, hold.decision, hold.approval_id = now, str(decision), approval_id
    session.add(hold)
    if decision is HoldDecision.REJECT:
        sets = {"reason": HELD_AND_REJECTED}
        facts = [payments.NewFact(hold.payment_id, Fact.REJECTED, approval_id, why, sets)]
    else:
        facts = [
            payments.NewFact(hold.payment_id, Fact.CONTINUED, approval_id, why, {"reason": None})
        ]
        if hold.claim_hash:
            stays = f"its claim stays {hold.claim_hash}"
            facts.append(payments.NewFact(hold.payment_id, Fact.DERIVED, approval_id, stays))
    payments.record_facts(session, facts, now)


def hold_again(session: Session, orphaned: Sequence[payments.NewFact], now: int) -> None:
    """Put payments back under what was decided before the chain settled them all the same.

    A stranger may settle a held payment with signatures of before; where that block left the chain,
    the hold, or its rejection, stands again.

    Args:
        session: A write session.
        orphaned: The facts, recorded just before, that settlements left the chain.
        now: Unix seconds.
    """
    facts = []
    keys = {fact.payment_id: f"orphaned:{fact.key}" for fact in orphaned}
    for payment in sorted(payments.still_at(session, keys, Stage.ATTESTED)):
        key = keys[payment]
        hold = next(iter(reversed(of_payment(session, payment))), None)
        if hold is None or hold.decision == HoldDecision.CONTINUE:
            continue
        sets = {"reason": f"held: {hold.reason}", "batch_digest": None}
        facts.append(payments.NewFact(payment, Fact.HELD, key, hold.reason, sets))
        if hold.decision == HoldDecision.REJECT:
            facts.append(
                payments.NewFact(
                    payment, Fact.REJECTED, key, hold.reason, {"reason": HELD_AND_REJECTED}
                )
            )
    payments.record_facts(session, facts, now)


def of_payment(session: Session, payment: str) -> Sequence[HoldRow]:
    """Return the holds of a payment, oldest first."""
    return session.exec(
        select(HoldRow).where(HoldRow.payment_id == payment).order_by(col(HoldRow.id))
    ).all()


def open_hold(session: Session, payment: str) -> HoldRow | None:
    """Return the hold of a payment about which nobody has decided yet."""
    return session.exec(
        select(HoldRow).where(HoldRow.payment_id == payment, col(HoldRow.decided_at).is_(None))
    ).first()


def standing(session: Session) -> list[tuple[HoldRow, PaymentRow, AgreementRow]]:
    """Return the held payments with their holds and agreements, the oldest hold first."""
    rows = session.exec(
        select(HoldRow, PaymentRow, AgreementRow)
        .join(PaymentRow, PaymentRow.payment_id == HoldRow.payment_id)
        .join(AgreementRow, AgreementRow.agreement_id == PaymentRow.agreement_id)
        .where(PaymentRow.stage == Stage.HELD, col(HoldRow.decided_at).is_(None))
        .order_by(col(HoldRow.held_at), col(HoldRow.id))
    )
    return [(row[0], row[1], row[2]) for row in rows]


def count_and_oldest(session: Session) -> tuple[int, int]:
    """Return how many payments are held, and when the oldest hold began (Unix seconds; 0: none)."""
    count, oldest = session.exec(
        select(func.count(), func.min(HoldRow.held_at))
        .join(PaymentRow, PaymentRow.payment_id == HoldRow.payment_id)
        .where(PaymentRow.stage == Stage.HELD, col(HoldRow.decided_at).is_(None))
    ).one()
    return count, oldest or 0
