"""Listings in pages: each row that was there when a walk began comes exactly once."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session, func, or_, select

from orchestrator.edges.store.tables import (
    AgreementRow,
    DeviceRow,
    EventRow,
    PaymentRow,
    RejectionRow,
)

__all__ = ["agreements", "devices", "event_ids", "event_with_device", "payments", "rejections"]


def payments(
    session: Session,
    stage: str | None,
    agreement: str | None,
    after: tuple[int, str] | None,
    limit: int,
) -> Sequence[PaymentRow]:
    """Oldest first. after: (created_at, payment id) of the last row of the page before."""
    query = select(PaymentRow).order_by(PaymentRow.created_at, PaymentRow.payment_id).limit(limit)
    if stage:
        query = query.where(PaymentRow.stage == stage)
    if agreement:
        query = query.where(PaymentRow.agreement_id == agreement)
    if after:
        at, last = after
        later = (PaymentRow.created_at == at) & (PaymentRow.payment_id > last)
        query = query.where(or_(PaymentRow.created_at > at, later))
    return session.exec(query).all()


def rejections(
    session: Session,
    reason: str | None,
    device: str | None,
    scope: str | None,
    before: int | None,
    limit: int,
) -> Sequence[RejectionRow]:
    """Newest first. scope: how device names must begin, None: any. before: the last row's id."""
    query = select(RejectionRow).order_by(RejectionRow.id.desc()).limit(limit)
    if reason:
        query = query.where(RejectionRow.reason == reason)
    if device:
        query = query.where(RejectionRow.device == device)
    if scope is not None:
        # not LIKE, which does not tell upper from lower case
        query = query.where(func.substr(RejectionRow.device, 1, len(scope)) == scope)
    if before is not None:
        query = query.where(RejectionRow.id < before)
    return session.exec(query).all()


def rejection(session: Session, number: int) -> RejectionRow | None:
    return session.get(RejectionRow, number)


def agreements(session: Session, after: str, limit: int) -> Sequence[AgreementRow]:
    """By id, those behind `after`."""
    return session.exec(
        select(AgreementRow)
        .where(AgreementRow.agreement_id > after)
        .order_by(AgreementRow.agreement_id)
        .limit(limit)
    ).all()


def devices(session: Session, after: str, limit: int) -> Sequence[DeviceRow]:
    """By name, those behind `after`."""
    return session.exec(
        select(DeviceRow).where(DeviceRow.name > after).order_by(DeviceRow.name).limit(limit)
    ).all()


def event_with_device(session: Session, event_id: str) -> tuple[EventRow, str] | None:
    """An event and its device's name: the registry's, or the one its agreement gives."""
    row = session.exec(
        select(EventRow, func.coalesce(DeviceRow.name, AgreementRow.device, ""))
        .join(DeviceRow, DeviceRow.device_id == EventRow.device_id, isouter=True)
        .join(AgreementRow, AgreementRow.agreement_id == EventRow.agreement_id, isouter=True)
        .where(EventRow.event_id == event_id)
    ).first()
    return (row[0], row[1]) if row else None


def event_ids(session: Session, payment: str) -> list[str]:
    """The ids of a payment's events, by counter."""
    return list(
        session.exec(
            select(EventRow.event_id)
            .where(EventRow.payment_id == payment)
            .order_by(EventRow.counter)
        )
    )
