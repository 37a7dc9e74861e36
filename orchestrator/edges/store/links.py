"""What ties records together: names and citations, places, and forks of one device's counters."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlmodel import Session, func, literal_column, select, tuple_, update

from orchestrator.edges.store.tables import (
    CitationRow,
    ConflictRow,
    EventRow,
    EvidenceRow,
    NameRow,
    RejectionRow,
)

__all__ = ["CitationRow", "ConflictRow", "NameRow"]

# a conflict, the record that was taken with its protocol, the other record with its protocol
Unreported = tuple[ConflictRow, bytes, str, bytes, str]

_CHUNK = 500
_citing = EventRow.__table__.alias("citing")


# (device id, counter, event id) of an event that bears a name
Bearer = tuple[str, int, str]


def bearers(session: Session, names: Sequence[str]) -> dict[tuple[str, str], list[Bearer]]:
    """{(name, subject id): the events that bear it, the one that was here first foremost} of those
    of these names that are known."""
    found: dict[tuple[str, str], list[Bearer]] = {}
    for start in range(0, len(names), _CHUNK):
        rows = session.exec(
            select(
                NameRow.name,
                NameRow.subject_id,
                EventRow.device_id,
                EventRow.counter,
                NameRow.event_id,
            )
            .join(EventRow, EventRow.event_id == NameRow.event_id)
            .where(NameRow.name.in_(names[start : start + _CHUNK]))
            .order_by(literal_column("name.rowid"))
        )
        for name, subject, *bearer in rows:
            found.setdefault((name, subject), []).append(tuple(bearer))
    return found


def cited_by(session: Session, payments: Sequence[str]) -> dict[str, list[tuple[bytes, str]]]:
    """{payment: (evidence bytes, protocol) of what its events cite, in order of citation}."""
    found: dict[str, list[tuple[bytes, str]]] = {payment: [] for payment in payments}
    for payment, body, protocol in session.exec(_cited(_citing.c.payment_id.in_(payments))):
        found[payment].append((body, protocol))
    return found


def cited_by_events(session: Session, event_ids: Sequence[bytes]) -> list[tuple[bytes, str]]:
    """(evidence bytes, protocol) of what these events cite."""
    found: list[tuple[bytes, str]] = []
    for start in range(0, len(event_ids), _CHUNK):
        chunk = ["0x" + one.hex() for one in event_ids[start : start + _CHUNK]]
        rows = session.exec(_cited(_citing.c.event_id.in_(chunk)))
        found += [(body, protocol) for _, body, protocol in rows]
    return found


def _cited(condition: Any) -> Any:
    return (
        select(_citing.c.payment_id, EvidenceRow.body, EvidenceRow.protocol)
        .select_from(_citing)
        .join(CitationRow, CitationRow.event_id == _citing.c.event_id)
        .join(EventRow, EventRow.event_id == CitationRow.cited_event_id)
        .join(EvidenceRow, EvidenceRow.evidence_hash == EventRow.evidence_hash)
        .where(condition)
        .order_by(_citing.c.counter, CitationRow.position)
    )


def sighted_elsewhere(
    session: Session, here: Collection[tuple[str, str]], first_ms: int, last_ms: int
) -> list[Any]:
    """Rows (device id, event id, place, began_ms, observed_at_ms) of these devices, observed in
    this time, at other places than here.

    here: (device id, place) pairs; nothing is found for a device that stays where it is.
    """
    devices = sorted({device for device, _ in here})
    found: list[Any] = []
    for start in range(0, len(devices), _CHUNK):
        chunk = devices[start : start + _CHUNK]
        pairs = [pair for pair in here if pair[0] in set(chunk)]
        found += session.exec(
            select(
                EventRow.device_id,
                EventRow.event_id,
                EventRow.place,
                EventRow.began_ms,
                EventRow.observed_at_ms,
            )
            .where(EventRow.place.is_not(None), EventRow.device_id.in_(chunk))
            .where(EventRow.observed_at_ms >= first_ms, EventRow.observed_at_ms <= last_ms)
            .where(tuple_(EventRow.device_id, EventRow.place).not_in(pairs))
        )
    return found


def next_rejection(session: Session) -> int:
    """The number that the next rejection gets."""
    return (session.exec(select(func.max(RejectionRow.id))).one() or 0) + 1


def unreported(session: Session, limit: int) -> list[Unreported]:
    """Conflicts that nobody was told of, the oldest first."""
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


def report(session: Session, device: str, tx_hash: str) -> None:
    """All that was found against a device so far has led to its suspension."""
    session.exec(
        update(ConflictRow)
        .where(ConflictRow.device_id == device, ConflictRow.reported_tx.is_(None))
        .values(reported_tx=tx_hash)
    )


def quarantined(session: Session) -> Sequence[tuple[str, str, int, int]]:
    """(device id, reason, conflicts, when the first was found) of every device with a clone."""
    rows = session.exec(
        select(
            ConflictRow.device_id, ConflictRow.reason, func.count(), func.min(ConflictRow.found_at)
        )
        .group_by(ConflictRow.device_id, ConflictRow.reason)
        .order_by(ConflictRow.device_id, ConflictRow.reason)
    )
    return [tuple(row) for row in rows]
