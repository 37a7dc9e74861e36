"""Finds what an id names, whatever kind of id it is, by the whole of it or by its beginning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlmodel import Session, func, select

from orchestrator.core.references import normalise
from orchestrator.edges.store.tables import (
    Agreement,
    Citation,
    Device,
    Event,
    Funding,
    Name,
    Payment,
    Payout,
    Rejection,
)

__all__ = [
    "MIN_PREFIX",
    "Found",
    "count_by_stage",
    "found_by",
    "newest_payments",
    "payments_of",
    "rejections_among",
]

MIN_PREFIX = 6
_BEYOND = "\x7f"  # sorts after every character of an id

# kind: (column that holds the id, column whose value names what was found)
_HEX = (
    ("event", Event.event_id, Event.event_id),
    ("payment", Payment.payment_id, Payment.payment_id),
    ("agreement", Agreement.agreement_id, Agreement.agreement_id),
    ("device", Device.device_id, Device.device_id),
    ("device", Agreement.device_id, Agreement.device_id),
    ("settlement", Payment.settlement_tx, Payment.settlement_tx),
    ("batch", Payment.batch_digest, Payment.batch_digest),
    ("payout", Payout.payout_id, Payout.payout_id),
    ("release", Payout.tx_hash, Payout.tx_hash),
    ("credit", Funding.credit_id, Funding.credit_id),
)
_NAMES = (
    ("device", Device.name, Device.device_id),
    ("device", Agreement.device, Agreement.device_id),
    ("event", Name.name, Name.event_id),
)
_REFERENCES = (
    ("payout", Payout.end_to_end_id, Payout.payout_id),
    ("agreement", Agreement.reference, Agreement.agreement_id),
)


class Found(NamedTuple):
    """kind: event, evidence, payment, agreement, device, settlement, batch, payout, release or
    credit. id: its full id."""

    kind: str
    id: str


def found_by(session: Session, text: str, limit: int = 10) -> list[Found]:
    """What `text` names; several only if it is a beginning that several ids share.

    Beginnings count from six characters on; a whole id always wins over those that begin with it.
    """
    text = text.strip()
    plain = text.lower().removeprefix("0x")
    exact: dict[Found, None] = {}
    close: dict[Found, None] = {}
    wanted = [(kind, column, name, "0x" + plain, plain) for kind, column, name in _HEX]
    wanted.append(("evidence", Event.evidence_hash, Event.evidence_hash, plain, plain))
    wanted += [(kind, column, name, text, text) for kind, column, name in _NAMES]
    printed = normalise(text)
    wanted += [(kind, column, name, printed, printed) for kind, column, name in _REFERENCES]
    for kind, column, name, start, counted in wanted:
        for value, identity in _beginning(session, column, name, start, counted, limit):
            (exact if value == start else close)[Found(kind, identity)] = None
    return list(exact or close)[:limit]


def _beginning(
    session: Session, column: Any, name: Any, start: str, counted: str, limit: int
) -> Sequence[tuple[str, str]]:
    query = select(column, name).distinct().limit(limit)
    if len(counted) < MIN_PREFIX:
        return session.exec(query.where(column == start)).all()
    return session.exec(query.where(column >= start, column < start + _BEYOND)).all()


def _about(found: Found) -> Any:
    """The condition that picks a finding's payments."""
    of_agreement = {
        "device": Agreement.device_id == found.id,
        "credit": Agreement.agreement_id.in_(
            select(Funding.agreement_id).where(Funding.credit_id == found.id)
        ),
    }
    if found.kind in of_agreement:
        chosen = select(Agreement.agreement_id).where(of_agreement[found.kind])
        return Payment.agreement_id.in_(chosen)
    if found.kind in ("event", "evidence"):
        column = Event.event_id if found.kind == "event" else Event.evidence_hash
        own = select(Event.payment_id).where(column == found.id)
        return Payment.payment_id.in_(own.union(_citing(column == found.id)))
    if found.kind == "release":
        chosen = select(Payout.payout_id).where(Payout.tx_hash == found.id)
        return Payment.payout_id.in_(chosen)
    column = {
        "payment": Payment.payment_id,
        "agreement": Payment.agreement_id,
        "settlement": Payment.settlement_tx,
        "batch": Payment.batch_digest,
        "payout": Payment.payout_id,
    }[found.kind]
    return column == found.id


def _citing(condition: Any) -> Any:
    """The payments of the events that cite an event."""
    citing = Event.__table__.alias("citing")
    return (
        select(citing.c.payment_id)
        .join(Citation, Citation.event_id == citing.c.event_id)
        .join(Event, Event.event_id == Citation.cited_event_id)
        .where(condition)
    )


def payments_of(session: Session, found: Found, limit: int) -> list[tuple[Payment, Agreement]]:
    """The newest payments that a finding leads to, with their agreements."""
    rows = session.exec(
        select(Payment, Agreement)
        .join(Agreement, Agreement.agreement_id == Payment.agreement_id)
        .where(_about(found))
        .order_by(Payment.created_at.desc(), Payment.agreement_id, Payment.sequence.desc())
        .limit(limit)
    )
    return [(row[0], row[1]) for row in rows]


def count_by_stage(session: Session, found: Found | None = None) -> dict[str, tuple[int, int]]:
    """{stage: (payments, micro-euro)} of all payments, or of those that a finding leads to."""
    query = select(Payment.stage, func.count(), func.sum(Payment.amount_micro))
    if found is not None:
        query = query.where(_about(found))
    rows = session.exec(query.group_by(Payment.stage).order_by(Payment.stage))
    return {stage: (count, total or 0) for stage, count, total in rows}


def rejections_among(session: Session, after: int, limit: int) -> Sequence[Rejection]:
    """Kept rejections by number, for whoever looks for one by the hash of its bytes."""
    return session.exec(
        select(Rejection).where(Rejection.id > after).order_by(Rejection.id).limit(limit)
    ).all()


def newest_payments(
    session: Session, stage: str | None, limit: int
) -> list[tuple[Payment, Agreement]]:
    """Payments with their agreements, newest first."""
    query = (
        select(Payment, Agreement)
        .join(Agreement, Agreement.agreement_id == Payment.agreement_id)
        .order_by(Payment.created_at.desc(), Payment.payment_id)
        .limit(limit)
    )
    rows = session.exec(query.where(Payment.stage == stage) if stage else query)
    return [(row[0], row[1]) for row in rows]
