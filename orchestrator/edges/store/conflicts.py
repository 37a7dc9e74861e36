"""Conflicts: two different records of one device that claim the same counter or time."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session, func, select, update

from orchestrator.edges.store.tables import (
    ConflictRow,
    EventRow,
    EvidenceRow,
    RejectionRow,
)

__all__ = ["ConflictRow"]

# a conflict, the record that was taken with its protocol, the other record with its protocol
Unreported = tuple[ConflictRow, bytes, str, bytes, str]


def unreported(session: Session, limit: int) -> list[Unreported]:
    """Return conflicts that no suspension covers yet, the oldest first."""
    rows = session.exec(
        select(
            ConflictRow,
            EvidenceRow.body,
            EvidenceRow.protocol,
            RejectionRow.body,
            RejectionRow.protocol,
        )
        .join(EventRow, EventRow.event_id == ConflictRow.event_id)
        .join(EvidenceRow, EvidenceRow.evidence_hash == EventRow.evidence_hash)
        .join(RejectionRow, RejectionRow.id == ConflictRow.rejection_id)
        .where(ConflictRow.reported_tx.is_(None))
        .order_by(ConflictRow.found_at, ConflictRow.rejection_id)
        .limit(limit)
    )
    return [tuple(row) for row in rows]


def mark_reported(session: Session, device: str, tx_hash: str) -> None:
    """Record that all conflicts of a device so far have led to its suspension."""
    session.exec(
        update(ConflictRow)
        .where(ConflictRow.device_id == device, ConflictRow.reported_tx.is_(None))
        .values(reported_tx=tx_hash)
    )


def quarantined(session: Session) -> Sequence[tuple[str, str, int, int]]:
    """Return (device id, reason, conflicts, Unix seconds of the first) of every cloned device."""
    rows = session.exec(
        select(
            ConflictRow.device_id, ConflictRow.reason, func.count(), func.min(ConflictRow.found_at)
        )
        .group_by(ConflictRow.device_id, ConflictRow.reason)
        .order_by(ConflictRow.device_id, ConflictRow.reason)
    )
    return [tuple(row) for row in rows]
