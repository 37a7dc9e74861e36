"""Listings in pages: each row that was there when a walk began comes exactly once."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session, func, or_, select

from orchestrator.edges.store.tables import Agreement, Device, Event, Payment, Rejection

__all__ = ["agreements", "devices", "event_ids", "event_with_device", "payments", "rejections"]


def payments(
    session: Session,
    stage: str | None,
    agreement: str | None,
    after: tuple[int, str] | None,
    limit: int,
) -> Sequence[Payment]:
    """Oldest first. after: (created_at, payment id) of the last row of the page before."""
    query = select(Payment).order_by(Payment.created_at, Payment.payment_id).limit(limit)
    if stage:
        query = query.where(Payment.stage == stage)
    if agreement:
        query = query.where(Payment.agreement_id == agreement)
    if after:
        at, last = after
        later = (Payment.created_at == at) & (Payment.payment_id > last)
        query = query.where(or_(Payment.created_at > at, later))
    return session.exec(query).all()


def rejections(
    session: Session,
    reason: str | None,
    device: str | None,
    scope: str | None,
    before: int | None,
    limit: int,
) -> Sequence[Rejection]:
    """Newest first. scope: how device names must begin, None: any. before: the last row's id."""
    query = select(Rejection).order_by(Rejection.id.desc()).limit(limit)
    if reason:
        query = query.where(Rejection.reason == reason)
    if device:
        query = query.where(Rejection.device == device)
    if scope is not None:
        # not LIKE, which does not tell upper from lower case
        query = query.where(func.substr(Rejection.device, 1, len(scope)) == scope)
    if before is not None:
        query = query.where(Rejection.id < before)
    return session.exec(query).all()


def rejection(session: Session, number: int) -> Rejection | None:
    return session.get(Rejection, number)


def agreements(session: Session, after: str, limit: int) -> Sequence[Agreement]:
    """By id, those behind `after`."""
    return session.exec(
        select(Agreement)
        .where(Agreement.agreement_id > after)
        .order_by(Agreement.agreement_id)
        .limit(limit)
    ).all()


def devices(session: Session, after: str, limit: int) -> Sequence[Device]:
    """By name, those behind `after`."""
    return session.exec(
        select(Device).where(Device.name > after).order_by(Device.name).limit(limit)
    ).all()


def event_with_device(session: Session, event_id: str) -> tuple[Event, str] | None:
    """An event and its device's name: the registry's, or the one its agreement gives."""
    row = session.exec(
        select(Event, func.coalesce(Device.name, Agreement.device, ""))
        .join(Device, Device.device_id == Event.device_id, isouter=True)
        .join(Agreement, Agreement.agreement_id == Event.agreement_id, isouter=True)
        .where(Event.event_id == event_id)
    ).first()
    return (row[0], row[1]) if row else None


def event_ids(session: Session, payment: str) -> list[str]:
    """The ids of a payment's events, by counter."""
    return list(
        session.exec(
            select(Event.event_id).where(Event.payment_id == payment).order_by(Event.counter)
        )
    )
