"""Evidence and events: the exact records that devices sent, and what became of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlmodel import Session, and_, delete, func, select, tuple_, update

from orchestrator.edges.store import tables
from orchestrator.edges.store.tables import (
    AgreementRow,
    DeviceRow,
    EventRow,
    EvidenceRow,
    HeardRow,
    HoleRow,
)

__all__ = ["EventRow", "EvidenceRow", "HoleRow"]

STREAM, SUPPORTING = "stream", "supporting"  # an event's role
_CHUNK = 500  # SQLite's default limit of bound variables is far above


class Record(NamedTuple):
    """The bytes of an event, and what was found when they were verified.

    Attributes:
        body: Evidence bytes.
        protocol: How to read them.
        assurance: A device_adapters.types.Assurance.
        gateway: The gateway that signed for the device; "" for the device itself.
    """

    body: bytes
    protocol: str
    assurance: str
    gateway: str


COLUMNS_OF_RECORD = (
    EvidenceRow.body,
    EvidenceRow.protocol,
    EventRow.assurance,
    EventRow.gateway,
)


def known_contents(session: Session, event_ids: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return {event id: content hash} of those of these events that are stored already."""
    contents: dict[bytes, bytes] = {}
    for start in range(0, len(event_ids), _CHUNK):
        chunk = ["0x" + event_id.hex() for event_id in event_ids[start : start + _CHUNK]]
        rows = session.exec(
            select(EventRow.event_id, EventRow.content_hash).where(EventRow.event_id.in_(chunk))
        )
        contents.update(
            (bytes.fromhex(event_id[2:]), bytes.fromhex(content)) for event_id, content in rows
        )
    return contents


def unclaimed(session: Session, agreement: str, above: int, limit: int) -> list[Record]:
    """Return an agreement's own events above a counter that are in no payment, by counter."""
    return _records(session, _open(agreement), EventRow.counter > above, limit=limit)


def late(session: Session, agreement: str, upto: int, limit: int) -> list[Record]:
    """Return an agreement's own events up to a counter that are in no payment, by counter."""
    return _records(session, _open(agreement), EventRow.counter <= upto, limit=limit)


def late_since(session: Session, agreement: str, upto: int) -> int | None:
    """Return when the newest late event arrived (Unix seconds); None if there is none."""
    return session.exec(
        select(func.max(EventRow.received_at)).where(_open(agreement), EventRow.counter <= upto)
    ).one()


def records_of(session: Session, payment: str) -> list[Record]:
    """Return the records of a payment's events, by counter."""
    return _records(session, EventRow.payment_id == payment)


def agreements_with_unclaimed(session: Session) -> list[str]:
    """Return agreements with unclaimed events of their own devices, by id."""
    return list(
        session.exec(
            select(EventRow.agreement_id)
            .where(EventRow.payment_id.is_(None), EventRow.reason.is_(None))
            .where(EventRow.role == STREAM)
            .group_by(EventRow.agreement_id)
        )
    )


def _open(agreement: str) -> Any:
    """Return the condition of an agreement's own events that a claim may still hold."""
    return and_(
        EventRow.agreement_id == agreement,
        EventRow.role == STREAM,
        EventRow.payment_id.is_(None),
        EventRow.reason.is_(None),
    )


def _records(session: Session, *conditions: Any, limit: int | None = None) -> list[Record]:
    rows = session.exec(
        select(*COLUMNS_OF_RECORD)
        .join(EventRow, EvidenceRow.evidence_hash == EventRow.evidence_hash)
        .where(*conditions)
        .order_by(EventRow.counter)
        .limit(limit)
    )
    return [Record(*row) for row in rows]


def counters_behind(session: Session, gateway: str, *others: Any) -> list[int]:
    """Return the counters that a gateway used for other devices, ascending.

    Args:
        session: A session of the store.
        gateway: Its name.
        others: Id of the device to leave out (0x-hex), protocol, first and last counter.
    """
    return list(
        session.exec(
            select(EventRow.counter)
            .join(EvidenceRow, EvidenceRow.evidence_hash == EventRow.evidence_hash)
            .where(_behind(gateway, *others))
            .distinct()
            .order_by(EventRow.counter)
        )
    )


def records_behind(session: Session, gateway: str, *others: Any) -> list[Record]:
    """Return the records of `counters_behind`."""
    return _records(session, _behind(gateway, *others))


def _behind(gateway: str, device: str, protocol: str, first: int, last: int) -> Any:
    return and_(
        EventRow.gateway == gateway,
        EventRow.gateway != "",  # so that the partial index serves
        EventRow.device_id != device,
        EventRow.counter >= first,
        EventRow.counter <= last,
        EvidenceRow.protocol == protocol,
    )


def waiting_since(session: Session, agreement: str, above: int) -> int | None:
    """Return when the first of the unclaimed events above a counter arrived (Unix seconds)."""
    return session.exec(
        select(func.min(EventRow.received_at)).where(_open(agreement), EventRow.counter > above)
    ).one()


def dropped_counters(session: Session, agreement: str, above: int) -> list[int]:
    """Return counters above `above` that are present but will never be claimed."""
    return list(
        session.exec(
            select(EventRow.counter)
            .where(EventRow.agreement_id == agreement, EventRow.counter > above)
            .where(EventRow.role == STREAM, EventRow.reason.is_not(None))
        )
    )


def at_counter(session: Session, agreement: str, counter: int) -> Record | None:
    """Return the record of the agreement's own event with this counter."""
    records = _records(
        session,
        EventRow.agreement_id == agreement,
        EventRow.counter == counter,
        EventRow.role == STREAM,
    )
    return records[0] if records else None


def of_payments(
    session: Session, payments: Sequence[str]
) -> dict[str, list[tuple[EventRow, bytes, str]]]:
    """Return {payment id: [(event, evidence bytes, protocol)] by counter}."""
    rows = session.exec(
        select(EventRow, EvidenceRow.body, EvidenceRow.protocol)
        .join(EvidenceRow, EvidenceRow.evidence_hash == EventRow.evidence_hash)
        .where(EventRow.payment_id.in_(payments))
        .order_by(EventRow.counter)
    )
    by_payment: dict[str, list[tuple[EventRow, bytes, str]]] = {payment: [] for payment in payments}
    for event, body, protocol in rows:
        by_payment[event.payment_id].append((event, body, protocol))
    return by_payment


def claim_events(session: Session, agreement: str, first: int, last: int, payment: str) -> None:
    """Put the unclaimed events of a run of counters into a payment."""
    session.exec(
        update(EventRow)
        .where(EventRow.agreement_id == agreement)
        .where(EventRow.counter >= first, EventRow.counter <= last, EventRow.role == STREAM)
        .where(EventRow.payment_id.is_(None), EventRow.reason.is_(None))
        .values(payment_id=payment)
    )


def unclaim(session: Session, payment: str) -> None:
    """Take all events out of a payment, also those that its claim heard."""
    session.exec(update(EventRow).where(EventRow.payment_id == payment).values(payment_id=None))
    session.exec(delete(HeardRow).where(HeardRow.payment_id == payment))


def drop(session: Session, event_id: str, reason: str) -> None:
    """Record that no claim will ever hold an event."""
    session.exec(update(EventRow).where(EventRow.event_id == event_id).values(reason=reason))


def holes_of(session: Session, agreement: str) -> list[tuple[int, int]]:
    """Return declared holes, both ends inclusive."""
    rows = session.exec(select(HoleRow).where(HoleRow.agreement_id == agreement))
    return [(hole.first_counter, hole.last_counter) for hole in rows]


def event(session: Session, event_id: str) -> tables.EventRow | None:
    """Return an event by its id (0x-hex)."""
    return session.get(EventRow, event_id)


def stored(session: Session, evidence_hash: str) -> bool:
    """Return whether exactly these bytes are stored as evidence."""
    return session.get(EvidenceRow, evidence_hash) is not None


def all_holes(session: Session) -> Sequence[HoleRow]:
    """Return all declared holes, the oldest declaration first."""
    return session.exec(select(HoleRow).order_by(HoleRow.declared_at)).all()


def event_of_evidence(session: Session, evidence_hash: str) -> tables.EventRow | None:
    """Return the event that was read from a record. evidence_hash: SHA-256 of its bytes, hex."""
    return session.exec(select(EventRow).where(EventRow.evidence_hash == evidence_hash)).first()


def evidence_of(session: Session, evidence_hash: str) -> EvidenceRow | None:
    """Return a record with its bytes. evidence_hash: SHA-256 of its bytes, hex."""
    return session.get(EvidenceRow, evidence_hash)


def sighted_elsewhere(
    session: Session, sightings: Collection[tuple[str, str]], first_ms: int, last_ms: int
) -> list[Any]:
    """Return events of devices that were observed at other places in a time span.

    Args:
        session: A session of the store.
        sightings: (device id, place) pairs; events at the place of their pair are left out.
        first_ms: Start of the span, Unix milliseconds, inclusive.
        last_ms: End of the span, Unix milliseconds, inclusive.

    Returns:
        (device id, event id, place, began_ms, observed_at_ms) of each.
    """
    devices = sorted({device for device, _ in sightings})
    elsewhere: list[Any] = []
    for start in range(0, len(devices), _CHUNK):
        chunk = devices[start : start + _CHUNK]
        pairs = [pair for pair in sightings if pair[0] in set(chunk)]
        elsewhere += session.exec(
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
    return elsewhere


def event_with_device(session: Session, event_id: str) -> tuple[EventRow, str] | None:
    """Return an event and its device's name: the registry's, or the one its agreement gives."""
    row = session.exec(
        select(EventRow, func.coalesce(DeviceRow.name, AgreementRow.device, ""))
        .join(DeviceRow, DeviceRow.device_id == EventRow.device_id, isouter=True)
        .join(AgreementRow, AgreementRow.agreement_id == EventRow.agreement_id, isouter=True)
        .where(EventRow.event_id == event_id)
    ).first()
    return (row[0], row[1]) if row else None


def event_ids(session: Session, payment: str) -> list[str]:
    """Return the ids of a payment's events, by counter."""
    return list(
        session.exec(
            select(EventRow.event_id)
            .where(EventRow.payment_id == payment)
            .order_by(EventRow.counter)
        )
    )


def event_counts(session: Session) -> dict[str, int]:
    """Count the events that are stored, claimed, dropped by a rule, supporting, and waiting."""
    claimed = session.exec(select(func.count()).where(EventRow.payment_id.is_not(None))).one()
    dropped = session.exec(select(func.count()).where(EventRow.reason.is_not(None))).one()
    stored = session.exec(select(func.count()).select_from(EventRow)).one()
    supporting, waiting = (
        session.exec(
            select(func.count())
            .where(EventRow.role == role)
            .where(EventRow.payment_id.is_(None), EventRow.reason.is_(None))
        ).one()
        for role in (SUPPORTING, STREAM)
    )
    return {
        "stored": stored,
        "claimed": claimed,
        "dropped": dropped,
        "supporting": supporting,
        "waiting": waiting,
    }
