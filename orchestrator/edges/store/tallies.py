"""Counts over evidence and events: what was rejected, claimed, dropped, settled."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from sqlmodel import Session, func, select

from orchestrator.edges.store.evidence import STREAM, SUPPORTING
from orchestrator.edges.store.tables import EventRow, PaymentRow, RejectionRow


def rejection_counts(session: Session) -> dict[str, int]:
    """{reason: how many} of rejections and of events dropped after they were taken."""
    counts = dict(
        session.exec(select(RejectionRow.reason, func.count()).group_by(RejectionRow.reason)).all()
    )
    dropped = select(EventRow.reason, func.count()).group_by(EventRow.reason)
    for reason, count in session.exec(dropped.where(EventRow.reason.is_not(None))):
        counts[reason] = counts.get(reason, 0) + count
    return counts


def answered(session: Session, records: Sequence[bytes], reason: str) -> int:
    """How many times these very records were rejected, or dropped after they were taken, so."""
    rejected = session.exec(
        select(func.count()).where(RejectionRow.reason == reason, RejectionRow.body.in_(records))
    ).one()
    hashes = [sha256(record).hexdigest() for record in records]
    dropped = session.exec(
        select(func.count()).where(EventRow.reason == reason, EventRow.evidence_hash.in_(hashes))
    ).one()
    return rejected + dropped


def event_counts(session: Session) -> dict[str, int]:
    """Events stored, and of these claimed, dropped by a rule, supporting others, waiting for a
    claim."""
    claimed = session.exec(select(func.count()).where(EventRow.payment_id.is_not(None))).one()
    dropped = session.exec(select(func.count()).where(EventRow.reason.is_not(None))).one()
    stored = session.exec(select(func.count()).select_from(EventRow)).one()
    supporting, waiting = (
        session.exec(
            select(func.count())
            .where(EventRow.role == role)
            .where(EventRow.payment_id.is_(None), EventRow.reason.is_(None))
        ).one()
        for role in (SUPPORTING, STREAM)
    )
    return {
        "stored": stored,
        "claimed": claimed,
        "dropped": dropped,
        "supporting": supporting,
        "waiting": waiting,
    }


def settled_events(session: Session) -> int:
    """Events in payments that a settlement in a block has applied."""
    return session.exec(
        select(func.count())
        .select_from(EventRow)
        .join(PaymentRow, PaymentRow.payment_id == EventRow.payment_id)
        .where(PaymentRow.release_at > 0)
    ).one()
