"""Records what a final block says about an agreement: its opening, its closing, a skipped claim."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oracles.types import SkippedClaim
from orchestrator.core.identity import payment_id
from orchestrator.core.payment import Fact, Stage
from orchestrator.edges.store import Session, agreements, evidence, payments


def note_opening(session: Session, args: Mapping[str, Any], at: int) -> None:
    """Record that an agreement was opened; args: of its AgreementOpened log; at: Unix seconds."""
    agreements.record_fact(session, args["agreement"], agreements.Fact.OPENED, at)
    row = agreements.get(session, args["agreement"])
    if row is not None:  # contracts of earlier releases name neither: facts may be of any time
        row.begins_at, row.grace_s = args.get("start", 0), args.get("grace", 0)
        row.ends_at = row.expiry + row.grace_s


def note_closing(session: Session, args: Mapping[str, Any]) -> None:
    """Record that an agreement was closed; args: of its AgreementClosed log."""
    row = agreements.get(session, args["agreement"])
    if row is not None:  # it stays live until its grace is over; its expiry stays as signed
        row.closes_at = args["expiry"]
        row.ends_at = row.closes_at + row.grace_s


def skip(session: Session, skipped: SkippedClaim, block_hash: str, now: int) -> None:
    """Record a skip of a final block.

    The payment holds the counters that were passed over, and no others: a record above them can be
    claimed again. A claim that nobody has started here gets a payment, so that the sequences of the
    store are those of the chain.

    Args:
        session: A write session.
        skipped: What the chain says; an agreement that was not signed through this rail is ignored.
        block_hash: The block that says it.
        now: Unix seconds.
    """
    agreement = agreements.get(session, "0x" + skipped.agreement.hex())
    if agreement is None:
        return
    identity = "0x" + payment_id(skipped.agreement, skipped.sequence).hex()
    first, last = passed_over(session, agreement.agreement_id, skipped)
    row = next(iter(payments.by_ids(session, [identity])), None)
    if row is None:
        row = payments.PaymentRow(
            payment_id=identity,
            agreement_id=agreement.agreement_id,
            sequence=skipped.sequence,
            stage=Stage.RECEIVED,
            next_step=None,
            first_counter=first,
            last_counter=last,
            payee=agreement.payee,
            created_at=now,
        )
        session.add(row)
    evidence.unclaim(session, identity)
    row.first_counter, row.last_counter, row.batch_digest = first, last, None
    session.flush()
    agreement.sequence = max(agreement.sequence, skipped.sequence)
    reach = agreements.reach(session, agreement.agreement_id, skipped.sequence + 1)
    agreement.last_counter = max(last, reach or 0)
    evidence.claim_events(session, agreement.agreement_id, first, last, identity)
    detail = f"payer and payee passed over it, up to counter {skipped.last_counter}"
    fact = payments.NewFact(identity, Fact.SKIPPED, block_hash, detail, {"reason": "skipped"})
    payments.record_facts(session, [fact], now)


def passed_over(session: Session, agreement: str, skipped: SkippedClaim) -> tuple[int, int]:
    """Return the counters that a skip passes over, both inclusive.

    Those above the claims before it. A skip that passes over none has the last one of these claims.
    """
    before = agreements.reach(session, agreement, skipped.sequence)
    last = skipped.last_counter
    return (last if before is None else min(before + 1, last)), last
