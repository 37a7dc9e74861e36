"""Citations and names: how one record refers to others, and what a claim hears."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlmodel import Session, delete, literal, literal_column, select, union_all

from device_adapters.types import hash_in_name
from orchestrator.edges.store import add_values
from orchestrator.edges.store.evidence import COLUMNS_OF_RECORD, Record
from orchestrator.edges.store.tables import (
    CitationRow,
    EventRow,
    EvidenceRow,
    HeardRow,
    NameRow,
)

__all__ = ["CitationRow", "HeardRow", "NameRow"]

_CHUNK = 500
_BEHIND = 1 << 41  # sorts what was heard behind what events of any counter cite
_citing = EventRow.__table__.alias("citing")


# (device id, counter, event id) of an event that bears a name
Bearer = tuple[str, int, str]


class NamedRecord(NamedTuple):
    """An event that bears the `ni` name of its bytes, with these bytes.

    Attributes:
        name: The name.
        bearer: The event.
        body: Its evidence bytes.
        protocol: How to read them.
    """

    name: str
    bearer: Bearer
    body: bytes
    protocol: str


def bearers(session: Session, names: Sequence[str]) -> dict[tuple[str, str], list[Bearer]]:
    """Return the events that bear names of their protocols.

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


def named_by_hash(session: Session, names: Sequence[str]) -> list[NamedRecord]:
    """Return the events that bear these `ni` names, found by their evidence hashes."""
    hashes = {h.hex(): name for name in names if (h := hash_in_name(name)) is not None}
    named: list[NamedRecord] = []
    for start in range(0, len(hashes), _CHUNK):
        rows = session.exec(
            select(
                EventRow.evidence_hash,
                EventRow.device_id,
                EventRow.counter,
                EventRow.event_id,
                EvidenceRow.body,
                EvidenceRow.protocol,
            )
            .join(EvidenceRow, EvidenceRow.evidence_hash == EventRow.evidence_hash)
            .where(EventRow.evidence_hash.in_(list(hashes)[start : start + _CHUNK]))
        )
        named += [
            NamedRecord(hashes[evidence_hash], (device, counter, event), body, protocol)
            for evidence_hash, device, counter, event, body, protocol in rows
        ]
    return named


def in_period(
    session: Session, devices: Collection[str], first_ms: int, last_ms: int, limit: int
) -> list[Record]:
    """Return the records of devices (0x-hex ids) of a time span, both ends inclusive.

    They come by device and counter, also those that were dropped or claimed.
    """
    rows = session.exec(
        select(*COLUMNS_OF_RECORD)
        .join(EventRow, EvidenceRow.evidence_hash == EventRow.evidence_hash)
        .where(EventRow.device_id.in_(sorted(devices)))
        .where(EventRow.observed_at_ms >= first_ms, EventRow.observed_at_ms <= last_ms)
        .order_by(EventRow.device_id, EventRow.counter)
        .limit(limit)
    )
    return [Record(*row) for row in rows]


def keep_heard(session: Session, payment: str, event_ids: Sequence[str]) -> None:
    """Store what a payment's claim hears, in its order; it replaces what was stored for it."""
    session.exec(delete(HeardRow).where(HeardRow.payment_id == payment))
    add_values(
        session,
        HeardRow,
        [
            {"payment_id": payment, "position": position, "event_id": event_id}
            for position, event_id in enumerate(event_ids)
        ],
    )


def used_by(payments: Sequence[str]) -> Any:
    """Return the subquery of what payments' claims rest on next to their own events.

    Its columns are payment_id, counter and position, by which to sort, and event_id.
    """
    cited = (
        select(
            _citing.c.payment_id,
            _citing.c.counter,
            CitationRow.position,
            CitationRow.cited_event_id.label("event_id"),
        )
        .join(CitationRow, CitationRow.event_id == _citing.c.event_id)
        .where(_citing.c.payment_id.in_(payments))
    )
    heard = select(
        HeardRow.payment_id, literal(_BEHIND), HeardRow.position, HeardRow.event_id
    ).where(HeardRow.payment_id.in_(payments))
    return union_all(cited, heard).subquery("used")


def cited_by(session: Session, payments: Sequence[str]) -> dict[str, list[Record]]:
    """Return {payment id: the records that its events cite, in citation order, then those that its
    claim hears}, with an empty list for a payment that has neither."""
    cited: dict[str, list[Record]] = {payment: [] for payment in payments}
    used = used_by(payments)
    rows = session.exec(
        select(used.c.payment_id, *COLUMNS_OF_RECORD)
        .select_from(used)
        .join(EventRow, EventRow.event_id == used.c.event_id)
        .join(EvidenceRow, EvidenceRow.evidence_hash == EventRow.evidence_hash)
        .order_by(used.c.counter, used.c.position)
    )
    for payment, *columns in rows:
        cited[payment].append(Record(*columns))
    return cited


def cited_by_events(session: Session, event_ids: Sequence[bytes]) -> list[Record]:
    """Return the records that these events cite."""
    cited: list[Record] = []
    for start in range(0, len(event_ids), _CHUNK):
        chunk = ["0x" + event_id.hex() for event_id in event_ids[start : start + _CHUNK]]
        rows = session.exec(
            select(*COLUMNS_OF_RECORD)
            .select_from(_citing)
            .join(CitationRow, CitationRow.event_id == _citing.c.event_id)
            .join(EventRow, EventRow.event_id == CitationRow.cited_event_id)
            .join(EvidenceRow, EvidenceRow.evidence_hash == EventRow.evidence_hash)
            .where(_citing.c.event_id.in_(chunk))
            .order_by(_citing.c.counter, CitationRow.position)
        )
        cited += [Record(*columns) for columns in rows]
    return cited


def supporting_of(session: Session, payment: str) -> list[tuple[EventRow, bytes, str]]:
    """Return (event, evidence bytes, protocol) of what a payment's claim cites and hears.

    They come in the order of first citation, then what is heard, each once, without records of the
    payment itself.
    """
    used = used_by([payment])
    rows = session.exec(
        select(EventRow, EvidenceRow.body, EvidenceRow.protocol)
        .join(used, used.c.event_id == EventRow.event_id)
        .join(EvidenceRow, EvidenceRow.evidence_hash == EventRow.evidence_hash)
        .order_by(used.c.counter, used.c.position)
    )
    supporting: dict[str, tuple[EventRow, bytes, str]] = {}
    for event, body, protocol in rows:
        if event.payment_id != payment:
            supporting.setdefault(event.event_id, (event, body, protocol))
    return list(supporting.values())
