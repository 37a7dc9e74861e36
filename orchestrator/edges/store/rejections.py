"""Rejections: records and files that were refused, whole, each with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import sha256

from sqlmodel import Session, func, select

from device_adapters.types import device_id
from orchestrator.edges.store.tables import (
    EventRow,
    RejectionRow,
)

__all__ = ["RejectionRow"]


def next_number(session: Session) -> int:
    """Return the number that the next rejection gets."""
    return (session.exec(select(func.max(RejectionRow.id))).one() or 0) + 1


def newest(
    session: Session, reason: str | None, device: str | None, limit: int
) -> Sequence[RejectionRow]:
    """Return rejections, the newest first."""
    query = select(RejectionRow).order_by(RejectionRow.id.desc()).limit(limit)
    if reason:
        query = query.where(RejectionRow.reason == reason)
    if device:
        query = query.where(RejectionRow.device == device)
    return session.exec(query).all()


def page(
    session: Session,
    reason: str | None,
    device: str | None,
    scope: str | None,
    before: int | None,
    limit: int,
) -> Sequence[RejectionRow]:
    """Return a page of rejections, newest first.

    Args:
        scope: How device names must begin; None for any.
        before: The id of the last row of the page before.
    """
    query = select(RejectionRow).order_by(RejectionRow.id.desc()).limit(limit)
    if reason:
        query = query.where(RejectionRow.reason == reason)
    if device:
        query = query.where(RejectionRow.device == device)
    if scope is not None:
        # not LIKE, which ignores upper and lower case
        query = query.where(func.substr(RejectionRow.device, 1, len(scope)) == scope)
    if before is not None:
        query = query.where(RejectionRow.id < before)
    return session.exec(query).all()


def get(session: Session, number: int) -> RejectionRow | None:
    """Return a rejection by its number."""
    return session.get(RejectionRow, number)


def count_by_reason(
    session: Session, reason: str | None = None, device: str | None = None
) -> dict[str, int]:
    """Return {reason: how many} of rejections and of events dropped after they were taken.

    Args:
        reason: Only this reason.
        device: Only input sent as this device.
    """
    refused = select(RejectionRow.reason, func.count()).group_by(RejectionRow.reason)
    dropped = select(EventRow.reason, func.count()).group_by(EventRow.reason)
    dropped = dropped.where(EventRow.reason.is_not(None))
    if reason:
        refused = refused.where(RejectionRow.reason == reason)
        dropped = dropped.where(EventRow.reason == reason)
    if device:
        refused = refused.where(RejectionRow.device == device)
        dropped = dropped.where(EventRow.device_id == "0x" + device_id(device).hex())
    counts = Counter(dict(session.exec(refused).all()))
    counts.update(dict(session.exec(dropped).all()))
    return dict(counts)


def count_answers(session: Session, records: Sequence[bytes], reason: str) -> int:
    """Count how often these records were rejected for a reason, or dropped for it later."""
    rejected = session.exec(
        select(func.count()).where(RejectionRow.reason == reason, RejectionRow.body.in_(records))
    ).one()
    hashes = [sha256(record).hexdigest() for record in records]
    dropped = session.exec(
        select(func.count()).where(EventRow.reason == reason, EventRow.evidence_hash.in_(hashes))
    ).one()
    return rejected + dropped


def after(session: Session, number: int, limit: int) -> Sequence[RejectionRow]:
    """Return rejections that follow a number, at most `limit`, for a search by the hash of their
    bytes."""
    return session.exec(
        select(RejectionRow).where(RejectionRow.id > number).order_by(RejectionRow.id).limit(limit)
    ).all()
