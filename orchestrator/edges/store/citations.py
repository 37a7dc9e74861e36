"""Citations and names: how one record refers to others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlmodel import Session, literal_column, select

from orchestrator.edges.store.evidence import COLUMNS_OF_RECORD, Record
from orchestrator.edges.store.tables import (
    CitationRow,
    EventRow,
    EvidenceRow,
    NameRow,
)

__all__ = ["CitationRow", "NameRow"]

_CHUNK = 500
_citing = EventRow.__table__.alias("citing")


# (device id, counter, event id) of an event that bears a name
Bearer = tuple[str, int, str]


def bearers(session: Session, names: Sequence[str]) -> dict[tuple[str, str], list[Bearer]]:
    """Return the events that bear names.

    Returns:
        {(name, subject id): its events, the earliest stored first}, without names that no event
        bears.
    """
    by_name: dict[tuple[str, str], list[Bearer]] = {}
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
            by_name.setdefault((name, subject), []).append(tuple(bearer))
    return by_name


def cited_by(session: Session, payments: Sequence[str]) -> dict[str, list[Record]]:
    """Return {payment id: the records that its events cite, in citation order}, with an empty list
    for a payment that cites nothing."""
    cited: dict[str, list[Record]] = {payment: [] for payment in payments}
    for payment, *columns in session.exec(_cited(_citing.c.payment_id.in_(payments))):
        cited[payment].append(Record(*columns))
    return cited


def cited_by_events(session: Session, event_ids: Sequence[bytes]) -> list[Record]:
    """Return the records that these events cite."""
    cited: list[Record] = []
    for start in range(0, len(event_ids), _CHUNK):
        chunk = ["0x" + event_id.hex() for event_id in event_ids[start : start + _CHUNK]]
        rows = session.exec(_cited(_citing.c.event_id.in_(chunk)))
        cited += [Record(*columns) for _, *columns in rows]
    return cited


def _cited(condition: Any) -> Any:
    return (
        select(_citing.c.payment_id, *COLUMNS_OF_RECORD)
        .select_from(_citing)
        .join(CitationRow, CitationRow.event_id == _citing.c.event_id)
        .join(EventRow, EventRow.event_id == CitationRow.cited_event_id)
        .join(EvidenceRow, EvidenceRow.evidence_hash == EventRow.evidence_hash)
        .where(condition)
        .order_by(_citing.c.counter, CitationRow.position)
    )


def supporting_of(session: Session, payment: str) -> list[tuple[EventRow, bytes, str]]:
    """Return (event, evidence bytes, protocol) of the records that a payment's records cite.

    They come in the order of first citation, each once, without records of the payment itself.
    """
    citing = EventRow.__table__.alias("citing")
    rows = session.exec(
        select(EventRow, EvidenceRow.body, EvidenceRow.protocol)
        .join(CitationRow, CitationRow.cited_event_id == EventRow.event_id)
        .join(citing, citing.c.event_id == CitationRow.event_id)
        .join(EvidenceRow, EvidenceRow.evidence_hash == EventRow.evidence_hash)
        .where(citing.c.payment_id == payment)
        .order_by(citing.c.counter, CitationRow.position)
    )
    supporting: dict[str, tuple[EventRow, bytes, str]] = {}
    for event, body, protocol in rows:
        if event.payment_id != payment:
            supporting.setdefault(event.event_id, (event, body, protocol))
    return list(supporting.values())
