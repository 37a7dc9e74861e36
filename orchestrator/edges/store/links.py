"""What ties records together: names and citations, places, and forks of one device's counters."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlmodel import Session, func, literal_column, select, tuple_, update

from orchestrator.edges.store.tables import Citation, Conflict, Event, Evidence, Name, Rejection

__all__ = ["Citation", "Conflict", "Name"]

# a conflict, the record that was taken with its protocol, the other record with its protocol
Unreported = tuple[Conflict, bytes, str, bytes, str]

_CHUNK = 500
_citing = Event.__table__.alias("citing")


# (device id, counter, event id) of an event that bears a name
Bearer = tuple[str, int, str]


def bearers(session: Session, names: Sequence[str]) -> dict[tuple[str, str], list[Bearer]]:
    """{(name, subject id): the events that bear it, the one that was here first foremost} of those
    of these names that are known."""
    found: dict[tuple[str, str], list[Bearer]] = {}
    for start in range(0, len(names), _CHUNK):
        rows = session.exec(
            select(Name.name, Name.subject_id, Event.device_id, Event.counter, Name.event_id)
            .join(Event, Event.event_id == Name.event_id)
            .where(Name.name.in_(names[start : start + _CHUNK]))
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
        select(_citing.c.payment_id, Evidence.body, Evidence.protocol)
        .select_from(_citing)
        .join(Citation, Citation.event_id == _citing.c.event_id)
        .join(Event, Event.event_id == Citation.cited_event_id)
        .join(Evidence, Evidence.evidence_hash == Event.evidence_hash)
        .where(condition)
        .order_by(_citing.c.counter, Citation.position)
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
                Event.device_id, Event.event_id, Event.place, Event.began_ms, Event.observed_at_ms
            )
            .where(Event.place.is_not(None), Event.device_id.in_(chunk))
            .where(Event.observed_at_ms >= first_ms, Event.observed_at_ms <= last_ms)
            .where(tuple_(Event.device_id, Event.place).not_in(pairs))
        )
    return found


def next_rejection(session: Session) -> int:
    """The number that the next rejection gets."""
    return (session.exec(select(func.max(Rejection.id))).one() or 0) + 1


def unreported(session: Session, limit: int) -> list[Unreported]:
    """Conflicts that nobody was told of, the oldest first."""
    rows = session.exec(
        select(Conflict, Evidence.body, Evidence.protocol, Rejection.body, Rejection.protocol)
        .join(Event, Event.event_id == Conflict.event_id)
        .join(Evidence, Evidence.evidence_hash == Event.evidence_hash)
        .join(Rejection, Rejection.id == Conflict.rejection_id)
        .where(Conflict.reported_tx.is_(None))
        .order_by(Conflict.found_at, Conflict.rejection_id)
        .limit(limit)
    )
    return [tuple(row) for row in rows]


def report(session: Session, device: str, tx_hash: str) -> None:
    """All that was found against a device so far has led to its suspension."""
    session.exec(
        update(Conflict)
        .where(Conflict.device_id == device, Conflict.reported_tx.is_(None))
        .values(reported_tx=tx_hash)
    )


def quarantined(session: Session) -> Sequence[tuple[str, str, int, int]]:
    """(device id, reason, conflicts, when the first was found) of every device with a clone."""
    rows = session.exec(
        select(Conflict.device_id, Conflict.reason, func.count(), func.min(Conflict.found_at))
        .group_by(Conflict.device_id, Conflict.reason)
        .order_by(Conflict.device_id, Conflict.reason)
    )
    return [tuple(row) for row in rows]
