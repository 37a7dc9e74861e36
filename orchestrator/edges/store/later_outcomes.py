"""Later outcomes of records: stored with what decided them, sent until they are acknowledged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.dialects.sqlite import insert
from sqlmodel import Session, and_, delete, func, or_, select, update

from orchestrator.core.later_outcome import end_of_payment, outcome_id, pause_after
from orchestrator.core.payment import Stage
from orchestrator.edges.store.tables import (
    AgreementRow,
    DeviceRow,
    EventRow,
    EvidenceRow,
    LaterOutcomeRow,
    OutcomeDeliveryRow,
)

__all__ = ["LaterOutcomeRow", "OutcomeDeliveryRow"]

_CHUNK = 500
_SHORTEST_PAUSE_S = 1  # between two messages to one device, also if it acknowledges at once


def add_dropped(session: Session, reasons: Mapping[str, tuple[str, str]], now: int) -> None:
    """Store that rules dropped events after they were accepted.

    Args:
        session: The write session that drops them.
        reasons: Event id (0x-hex) -> (reason, sentence with the numbers).
        now: Unix seconds.
    """
    ids = list(reasons)
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        contents = {event_id: (*reasons[event_id], "", None) for event_id in chunk}
        _add(session, _records(session, EventRow.event_id.in_(chunk)), contents, now)


def note_move(
    session: Session, payment: str, before: Stage, after: Stage, why: tuple[str, str], now: int
) -> None:
    """Store what a payment's move means for its records, if it is news to their devices.

    Args:
        session: The write session that moves the payment.
        payment: Its id, 0x-hex.
        before, after: Its stages.
        why: (what identifies the fact that moved it, its sentence).
        now: Unix seconds.
    """
    end = end_of_payment(before, after, why[1])
    if end is None:
        return
    records = _records(session, EventRow.payment_id == payment)
    content = (end.outcome, end.detail, f"{payment}/{why[0]}", payment)
    _add(session, records, {row.event_id: content for row, _, _ in records}, now)


def of_event(session: Session, event_id: str) -> Sequence[LaterOutcomeRow]:
    """Return the outcomes of an event (0x-hex), the first one first."""
    return session.exec(
        select(LaterOutcomeRow)
        .where(LaterOutcomeRow.event_id == event_id)
        .order_by(LaterOutcomeRow.number)
    ).all()


def newest(
    session: Session, outcome: str | None, device: str | None, limit: int
) -> Sequence[LaterOutcomeRow]:
    """Return outcomes, the newest first, optionally of one code and about or for one device."""
    query = select(LaterOutcomeRow).order_by(LaterOutcomeRow.number.desc()).limit(limit)
    if outcome:
        query = query.where(LaterOutcomeRow.outcome == outcome)
    if device:
        query = query.where(or_(LaterOutcomeRow.device == device, LaterOutcomeRow.about == device))
    return session.exec(query).all()


def page(
    session: Session, device: str, after: int, limit: int, open_only: bool = False
) -> Sequence[LaterOutcomeRow]:
    """Return the outcomes for a device behind a number, in order.

    Args:
        open_only: Only what the device has not acknowledged.
    """
    query = (
        select(LaterOutcomeRow)
        .where(LaterOutcomeRow.device == device, LaterOutcomeRow.number > after)
        .order_by(LaterOutcomeRow.number)
        .limit(limit)
    )
    if open_only:
        query = query.where(LaterOutcomeRow.acknowledged_at.is_(None))
    return session.exec(query).all()


def due(session: Session, now: int, limit: int) -> list[str]:
    """Return devices that are to be sent their open outcomes now, the longest due first."""
    return list(
        session.exec(
            select(OutcomeDeliveryRow.device)
            .where(OutcomeDeliveryRow.due_at <= now)
            .order_by(OutcomeDeliveryRow.due_at, OutcomeDeliveryRow.device)
            .limit(limit)
        )
    )


def sent(session: Session, devices: Sequence[str], now: int) -> None:
    """Record that these devices were sent outcomes; the next message comes after a longer pause."""
    for row in session.exec(
        select(OutcomeDeliveryRow).where(OutcomeDeliveryRow.device.in_(devices))
    ):
        row.sent, row.sent_at = row.sent + 1, now
        row.due_at = now + pause_after(row.sent)
        session.add(row)


def take_acknowledged(session: Session, device: str, ids: Sequence[str], now: int) -> int:
    """Record what a device has taken, and return how much of it was new.

    Args:
        session: A write session.
        device: Who acknowledges; outcomes for others stay as they are.
        ids: Of outcomes; unknown ones change nothing.
        now: Unix seconds.
    """
    count = 0
    for start in range(0, len(ids), _CHUNK):
        count += session.exec(
            update(LaterOutcomeRow)
            .where(LaterOutcomeRow.outcome_id.in_(ids[start : start + _CHUNK]))
            .where(LaterOutcomeRow.device == device, LaterOutcomeRow.acknowledged_at.is_(None))
            .values(acknowledged_at=now)
        ).rowcount
    if count and not page(session, device, 0, 1, open_only=True):
        session.exec(delete(OutcomeDeliveryRow).where(OutcomeDeliveryRow.device == device))
    return count


def acknowledge(session: Session, device: str, ids: Sequence[str], now: int) -> None:
    """Record what a device acknowledged by MQTT, and let it have what follows.

    Args:
        session: A write session.
        device: Who acknowledges.
        ids: Of outcomes. None: it asks for all that it has not acknowledged.
        now: Unix seconds.
    """
    count = take_acknowledged(session, device, ids, now)
    if (count or not ids) and page(session, device, 0, 1, open_only=True):
        row = session.get(OutcomeDeliveryRow, device) or OutcomeDeliveryRow(device=device, due_at=0)
        row.sent, row.due_at = 0, max(now, row.sent_at + _SHORTEST_PAUSE_S)
        session.add(row)


def _records(session: Session, condition: Any) -> list[tuple[EventRow, str, str]]:
    """Return events with their device's name and with the inlet that their records came by."""
    rows = session.exec(
        select(
            EventRow,
            func.coalesce(DeviceRow.name, AgreementRow.device, ""),
            EvidenceRow.source,
        )
        .join(DeviceRow, DeviceRow.device_id == EventRow.device_id, isouter=True)
        .join(
            AgreementRow,
            and_(
                AgreementRow.agreement_id == EventRow.agreement_id,
                AgreementRow.device_id == EventRow.device_id,
            ),
            isouter=True,
        )
        .join(EvidenceRow, EvidenceRow.evidence_hash == EventRow.evidence_hash)
        .where(condition)
        .order_by(EventRow.counter)
    )
    return [(row[0], row[1], row[2]) for row in rows]


def _add(
    session: Session,
    records: Sequence[tuple[EventRow, str, str]],
    contents: Mapping[str, tuple[str, str, str, str | None]],
    now: int,
) -> None:
    """Store outcomes, and make those due whose records came by MQTT.

    Who posts by HTTP has no topic: what is sent there would only fill the broker's log.

    Args:
        contents: Event id -> (outcome, detail, cause, payment id).
    """
    values, waiting = [], {}
    for row, name, source in records:
        outcome, detail, cause, payment = contents[row.event_id]
        device = row.gateway or name  # who sent it, and has its receipt
        values.append(
            {
                "outcome_id": outcome_id(row.evidence_hash, outcome, cause),
                "device": device,
                "about": name,
                "event_id": row.event_id,
                "evidence_hash": row.evidence_hash,
                "counter": row.counter,
                "outcome": outcome,
                "detail": detail,
                "payment_id": payment,
                "at": now,
            }
        )
        if source == "mqtt" and device:
            waiting[device] = {"device": device, "due_at": now, "sent": 0, "sent_at": 0}
    if values:
        session.exec(insert(LaterOutcomeRow).on_conflict_do_nothing(), params=values)
    if waiting:
        rows = list(waiting.values())
        session.exec(insert(OutcomeDeliveryRow).on_conflict_do_nothing(), params=rows)
