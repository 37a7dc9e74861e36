"""Evidence, events and rejections: what devices sent, whole, and what became of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlmodel import Session, func, select, update

from orchestrator.edges.store import tables
from orchestrator.edges.store.tables import Event, Evidence, Hole, Rejection

__all__ = ["Event", "Evidence", "Hole", "Rejection"]

_CHUNK = 500  # SQLite's default limit of bound variables is far above


def known_contents(
    session: Session, event_ids: Sequence[str]
) -> dict[str, dict[int, bytes]]:
    """{device_id: {counter: content hash}} of those of these events that were taken already."""
    known: dict[str, dict[int, bytes]] = defaultdict(dict)
    for start in range(0, len(event_ids), _CHUNK):
        rows = session.exec(
            select(Event.device_id, Event.counter, Event.content_hash)
            .where(Event.event_id.in_(event_ids[start : start + _CHUNK]))
        )  # fmt: skip
        for device, counter, content in rows:
            known[device][counter] = bytes.fromhex(content)
    return known


def unclaimed(session: Session, agreement: str, limit: int) -> list[tuple[bytes, str]]:
    """(evidence bytes, protocol) of an agreement's events in no payment, by counter."""
    rows = session.exec(
        select(Evidence.body, Evidence.protocol)
        .join(Event, Evidence.evidence_hash == Event.evidence_hash)
        .where(Event.agreement_id == agreement)
        .where(Event.payment_id == None, Event.reason == None)  # noqa: E711
        .order_by(Event.counter)
        .limit(limit)
    )
    return [(body, protocol) for body, protocol in rows]


def records_of(session: Session, payment: str) -> list[tuple[bytes, str]]:
    """(evidence bytes, protocol) of a payment's events, by counter."""
    rows = session.exec(
        select(Evidence.body, Evidence.protocol)
        .join(Event, Evidence.evidence_hash == Event.evidence_hash)
        .where(Event.payment_id == payment)
        .order_by(Event.counter)
    )
    return [(body, protocol) for body, protocol in rows]


def agreements_with_unclaimed(session: Session) -> list[str]:
    """Agreements with unclaimed events, by id."""
    return list(session.exec(
        select(Event.agreement_id)
        .where(Event.payment_id == None, Event.reason == None)  # noqa: E711
        .group_by(Event.agreement_id)
    ))  # fmt: skip


def waiting_since(session: Session, agreement: str, above: int) -> int | None:
    """When the first of the unclaimed events above a counter arrived (Unix seconds)."""
    return session.exec(
        select(func.min(Event.received_at))
        .where(Event.agreement_id == agreement, Event.counter > above)
        .where(Event.payment_id == None, Event.reason == None)  # noqa: E711
    ).one()


def dropped_counters(session: Session, agreement: str, above: int) -> list[int]:
    """Counters above `above` that are present but will never be claimed."""
    return list(
        session.exec(
            select(Event.counter)
            .where(Event.agreement_id == agreement, Event.counter > above)
            .where(Event.reason != None)  # noqa: E711
        )
    )


def at_counter(session: Session, agreement: str, counter: int) -> tuple[bytes, str] | None:
    """(evidence bytes, protocol) of the event with this counter."""
    row = session.exec(
        select(Evidence.body, Evidence.protocol)
        .join(Event, Evidence.evidence_hash == Event.evidence_hash)
        .where(Event.agreement_id == agreement, Event.counter == counter)
    ).first()
    return (row[0], row[1]) if row else None


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


def claim_events(
    session: Session, agreement: str, first: int, last: int, payment: str
) -> None:
    """Puts the unclaimed events of a run of counters into a payment."""
    session.exec(
        update(Event)
        .where(Event.agreement_id == agreement)
        .where(Event.counter >= first, Event.counter <= last)
        .where(Event.payment_id == None)  # noqa: E711
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
