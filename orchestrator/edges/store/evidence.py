"""Evidence, events and rejections: what devices sent, whole, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlmodel import Session, and_, func, select, update

from orchestrator.edges.store import tables
from orchestrator.edges.store.tables import Event, Evidence, Hole, Rejection

__all__ = ["Event", "Evidence", "Hole", "Rejection"]

STREAM, SUPPORTING = "stream", "supporting"  # an event's role
Record = tuple[bytes, str]  # evidence bytes, protocol
_CHUNK = 500  # SQLite's default limit of bound variables is far above


def known_contents(session: Session, event_ids: Sequence[bytes]) -> dict[bytes, bytes]:
    """{event id: content hash} of those of these events that were taken already."""
    known: dict[bytes, bytes] = {}
    for start in range(0, len(event_ids), _CHUNK):
        chunk = ["0x" + one.hex() for one in event_ids[start : start + _CHUNK]]
        rows = session.exec(
            select(Event.event_id, Event.content_hash).where(Event.event_id.in_(chunk))
        )
        known.update((bytes.fromhex(one[2:]), bytes.fromhex(content)) for one, content in rows)
    return known


def unclaimed(session: Session, agreement: str, above: int, limit: int) -> list[Record]:
    """An agreement's own events above a counter that are in no payment, by counter."""
    return _records(session, _open(agreement), Event.counter > above, limit=limit)


def late(session: Session, agreement: str, upto: int, limit: int) -> list[Record]:
    """An agreement's own events up to a counter that are in no payment, by counter."""
    return _records(session, _open(agreement), Event.counter <= upto, limit=limit)


def late_since(session: Session, agreement: str, upto: int) -> int | None:
    """When the newest of the late events arrived (Unix seconds); None where there are none."""
    return session.exec(
        select(func.max(Event.received_at)).where(_open(agreement), Event.counter <= upto)
    ).one()


def records_of(session: Session, payment: str) -> list[Record]:
    """The records of a payment's events, by counter."""
    return _records(session, Event.payment_id == payment)


def agreements_with_unclaimed(session: Session) -> list[str]:
    """Agreements with unclaimed events of their own devices, by id."""
    return list(
        session.exec(
            select(Event.agreement_id)
            .where(Event.payment_id.is_(None), Event.reason.is_(None))
            .where(Event.role == STREAM)
            .group_by(Event.agreement_id)
        )
    )


def _open(agreement: str) -> Any:
    """The condition of an agreement's own events that a claim may still hold."""
    return and_(
        Event.agreement_id == agreement,
        Event.role == STREAM,
        Event.payment_id.is_(None),
        Event.reason.is_(None),
    )


def _records(session: Session, *conditions: Any, limit: int | None = None) -> list[Record]:
    rows = session.exec(
        select(Evidence.body, Evidence.protocol)
        .join(Event, Evidence.evidence_hash == Event.evidence_hash)
        .where(*conditions)
        .order_by(Event.counter)
        .limit(limit)
    )
    return [(body, protocol) for body, protocol in rows]


def waiting_since(session: Session, agreement: str, above: int) -> int | None:
    """When the first of the unclaimed events above a counter arrived (Unix seconds)."""
    return session.exec(
        select(func.min(Event.received_at)).where(_open(agreement), Event.counter > above)
    ).one()


def dropped_counters(session: Session, agreement: str, above: int) -> list[int]:
    """Counters above `above` that are present but will never be claimed."""
    return list(
        session.exec(
            select(Event.counter)
            .where(Event.agreement_id == agreement, Event.counter > above)
            .where(Event.role == STREAM, Event.reason.is_not(None))
        )
    )


def at_counter(session: Session, agreement: str, counter: int) -> Record | None:
    """The record of the agreement's own event with this counter."""
    found = _records(
        session, Event.agreement_id == agreement, Event.counter == counter, Event.role == STREAM
    )
    return found[0] if found else None


def of_payments(
    session: Session, payments: Sequence[str]
) -> dict[str, list[tuple[Event, bytes, str]]]:
    """{payment id: [(event, evidence bytes, protocol)] by counter}."""
    rows = session.exec(
        select(Event, Evidence.body, Evidence.protocol)
        .join(Evidence, Evidence.evidence_hash == Event.evidence_hash)
        .where(Event.payment_id.in_(payments))
        .order_by(Event.counter)
    )
    found: dict[str, list[tuple[Event, bytes, str]]] = {payment: [] for payment in payments}
    for event, body, protocol in rows:
        found[event.payment_id].append((event, body, protocol))
    return found


def claim_events(session: Session, agreement: str, first: int, last: int, payment: str) -> None:
    """Puts the unclaimed events of a run of counters into a payment."""
    session.exec(
        update(Event)
        .where(Event.agreement_id == agreement)
        .where(Event.counter >= first, Event.counter <= last, Event.role == STREAM)
        .where(Event.payment_id.is_(None), Event.reason.is_(None))
        .values(payment_id=payment)
    )


def drop(session: Session, event_id: str, reason: str) -> None:
    """An event that no claim will ever hold."""
    session.exec(update(Event).where(Event.event_id == event_id).values(reason=reason))


def holes_of(session: Session, agreement: str) -> list[tuple[int, int]]:
    """Declared holes, both ends inclusive."""
    rows = session.exec(select(Hole).where(Hole.agreement_id == agreement))
    return [(hole.first_counter, hole.last_counter) for hole in rows]


def rejections(
    session: Session, reason: str | None, device: str | None, limit: int
) -> Sequence[Rejection]:
    """The newest rejections first."""
    query = select(Rejection).order_by(Rejection.id.desc()).limit(limit)
    if reason:
        query = query.where(Rejection.reason == reason)
    if device:
        query = query.where(Rejection.device == device)
    return session.exec(query).all()


def event(session: Session, event_id: str) -> tables.Event | None:
    return session.get(Event, event_id)


def stored(session: Session, evidence_hash: str) -> bool:
    """Whether these very bytes were taken as evidence."""
    return session.get(Evidence, evidence_hash) is not None


def all_holes(session: Session) -> Sequence[Hole]:
    return session.exec(select(Hole).order_by(Hole.declared_at)).all()


def event_of_evidence(session: Session, evidence_hash: str) -> tables.Event | None:
    return session.exec(select(Event).where(Event.evidence_hash == evidence_hash)).first()


def evidence_of(session: Session, evidence_hash: str) -> Evidence | None:
    return session.get(Evidence, evidence_hash)
