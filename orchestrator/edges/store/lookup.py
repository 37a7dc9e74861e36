"""Finds what an id names, for every kind of id, from the whole id or its beginning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlmodel import Session, func, select

from device_adapters.types import hash_in_name
from orchestrator.core.references import normalise
from orchestrator.edges.store.tables import (
    AgreementRow,
    CitationRow,
    DeviceRow,
    EventRow,
    FundingRow,
    HeardRow,
    NameRow,
    PaymentRow,
    PayoutRow,
)

__all__ = [
    "MIN_PREFIX",
    "FoundId",
    "count_by_stage",
    "found_by",
    "newest_payments",
    "payments_of",
]

MIN_PREFIX = 6
_BEYOND = "\x7f"  # sorts after every character of an id

# kind: (column that holds the id, column whose value names what was found)
_HEX = (
    ("event", EventRow.event_id, EventRow.event_id),
    ("payment", PaymentRow.payment_id, PaymentRow.payment_id),
    ("agreement", AgreementRow.agreement_id, AgreementRow.agreement_id),
    ("device", DeviceRow.device_id, DeviceRow.device_id),
    ("device", AgreementRow.device_id, AgreementRow.device_id),
    ("settlement", PaymentRow.settlement_tx, PaymentRow.settlement_tx),
    ("batch", PaymentRow.batch_digest, PaymentRow.batch_digest),
    ("payout", PayoutRow.payout_id, PayoutRow.payout_id),
    ("release", PayoutRow.tx_hash, PayoutRow.tx_hash),
    ("credit", FundingRow.credit_id, FundingRow.credit_id),
)
_NAMES = (
    ("device", DeviceRow.name, DeviceRow.device_id),
    ("device", AgreementRow.device, AgreementRow.device_id),
    ("event", NameRow.name, NameRow.event_id),
)
_REFERENCES = (
    ("payout", PayoutRow.end_to_end_id, PayoutRow.payout_id),
    ("agreement", AgreementRow.reference, AgreementRow.agreement_id),
)


class FoundId(NamedTuple):
    """What an id names.

    Attributes:
        kind: event, evidence, payment, agreement, device, settlement, batch, payout, release or
            credit.
        id: The full id.
    """

    kind: str
    id: str


def found_by(session: Session, text: str, limit: int = 10) -> list[FoundId]:
    """Return what a text names; several results only if several ids begin with it.

    A beginning needs at least six characters; a whole id always wins over ids that begin with it.
    """
    text = text.strip()
    plain = text.lower().removeprefix("0x")
    if (evidence_hash := hash_in_name(text)) is not None:
        plain = evidence_hash.hex()
    exact: dict[FoundId, None] = {}
    close: dict[FoundId, None] = {}
    wanted = [(kind, column, name, "0x" + plain, plain) for kind, column, name in _HEX]
    wanted.append(("evidence", EventRow.evidence_hash, EventRow.evidence_hash, plain, plain))
    wanted += [(kind, column, name, text, text) for kind, column, name in _NAMES]
    printed = normalise(text)
    wanted += [(kind, column, name, printed, printed) for kind, column, name in _REFERENCES]
    for kind, column, name, start, counted in wanted:
        for value, identity in _beginning(session, column, name, start, counted, limit):
            (exact if value == start else close)[FoundId(kind, identity)] = None
    return list(exact or close)[:limit]


def _beginning(
    session: Session, column: Any, name: Any, start: str, counted: str, limit: int
) -> Sequence[tuple[str, str]]:
    query = select(column, name).distinct().limit(limit)
    if len(counted) < MIN_PREFIX:
        return session.exec(query.where(column == start)).all()
    return session.exec(query.where(column >= start, column < start + _BEYOND)).all()


def _about(found_id: FoundId) -> Any:
    """Return the condition that picks a finding's payments."""
    of_agreement = {
        "device": AgreementRow.device_id == found_id.id,
        "credit": AgreementRow.agreement_id.in_(
            select(FundingRow.agreement_id).where(FundingRow.credit_id == found_id.id)
        ),
    }
    if found_id.kind in of_agreement:
        chosen = select(AgreementRow.agreement_id).where(of_agreement[found_id.kind])
        return PaymentRow.agreement_id.in_(chosen)
    if found_id.kind in ("event", "evidence"):
        column = EventRow.event_id if found_id.kind == "event" else EventRow.evidence_hash
        own = select(EventRow.payment_id).where(column == found_id.id)
        hearing = (
            select(HeardRow.payment_id)
            .join(EventRow, EventRow.event_id == HeardRow.event_id)
            .where(column == found_id.id)
        )
        return PaymentRow.payment_id.in_(own.union(_citing(column == found_id.id), hearing))
    if found_id.kind == "release":
        chosen = select(PayoutRow.payout_id).where(PayoutRow.tx_hash == found_id.id)
        return PaymentRow.payout_id.in_(chosen)
    column = {
        "payment": PaymentRow.payment_id,
        "agreement": PaymentRow.agreement_id,
        "settlement": PaymentRow.settlement_tx,
        "batch": PaymentRow.batch_digest,
        "payout": PaymentRow.payout_id,
    }[found_id.kind]
    return column == found_id.id


def _citing(condition: Any) -> Any:
    """Return the payments of the events that cite an event."""
    citing = EventRow.__table__.alias("citing")
    return (
        select(citing.c.payment_id)
        .join(CitationRow, CitationRow.event_id == citing.c.event_id)
        .join(EventRow, EventRow.event_id == CitationRow.cited_event_id)
        .where(condition)
    )


def payments_of(
    session: Session, found_id: FoundId, limit: int
) -> list[tuple[PaymentRow, AgreementRow]]:
    """Return the newest payments that an id leads to, with their agreements."""
    rows = session.exec(
        select(PaymentRow, AgreementRow)
        .join(AgreementRow, AgreementRow.agreement_id == PaymentRow.agreement_id)
        .where(_about(found_id))
        .order_by(PaymentRow.created_at.desc(), PaymentRow.agreement_id, PaymentRow.sequence.desc())
        .limit(limit)
    )
    return [(row[0], row[1]) for row in rows]


def count_by_stage(session: Session, found_id: FoundId | None = None) -> dict[str, tuple[int, int]]:
    """Return {stage: (payments, micro-euro)} of all payments, or of those that an id leads to."""
    query = select(PaymentRow.stage, func.count(), func.sum(PaymentRow.amount_micro))
    if found_id is not None:
        query = query.where(_about(found_id))
    rows = session.exec(query.group_by(PaymentRow.stage).order_by(PaymentRow.stage))
    return {stage: (count, total or 0) for stage, count, total in rows}


def newest_payments(
    session: Session, stage: str | None, limit: int
) -> list[tuple[PaymentRow, AgreementRow]]:
    """Return payments with their agreements, newest first."""
    query = (
        select(PaymentRow, AgreementRow)
        .join(AgreementRow, AgreementRow.agreement_id == PaymentRow.agreement_id)
        .order_by(PaymentRow.created_at.desc(), PaymentRow.payment_id)
        .limit(limit)
    )
    rows = session.exec(query.where(PaymentRow.stage == stage) if stage else query)
    return [(row[0], row[1]) for row in rows]
