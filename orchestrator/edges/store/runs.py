"""Runs of events: those that each payment stands on, and those that no payment holds yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from sqlmodel import Session, func, select

from orchestrator.edges.store.citations import used_by
from orchestrator.edges.store.evidence import STREAM
from orchestrator.edges.store.tables import (
    EventRow,
    EvidenceRow,
    PaymentRow,
)

_CHUNK = 500


class PaymentRun(NamedTuple):
    """The events of a payment.

    Attributes:
        first: Their first counter.
        last: Their last counter.
        bodies: Their evidence bytes by counter, then those of the records they cite, by first
            citation, then those that their claim hears.
    """

    first: int
    last: int
    bodies: list[bytes]


class Waits(NamedTuple):
    """Accepted events of an agreement that are in no payment.

    Attributes:
        agreement: The agreement's id, 0x-hex.
        events: How many.
        since: When the first arrived, Unix seconds.
        newest: When the newest arrived, Unix seconds.
    """

    agreement: str
    events: int
    since: int
    newest: int


def of_payments(session: Session, payments: Sequence[str]) -> dict[str, PaymentRun]:
    """Return the runs of these payments; one without events is left out."""
    runs: dict[str, PaymentRun] = {}
    for start in range(0, len(payments), _CHUNK):
        runs |= _runs(session, payments[start : start + _CHUNK])
    return runs


def _runs(session: Session, payments: Sequence[str]) -> dict[str, PaymentRun]:
    own: dict[str, dict[str, tuple[int, bytes]]] = defaultdict(dict)
    rows = session.exec(
        select(EventRow.payment_id, EventRow.event_id, EventRow.counter, EvidenceRow.body)
        .join(EvidenceRow, EvidenceRow.evidence_hash == EventRow.evidence_hash)
        .where(EventRow.payment_id.in_(payments))
        .order_by(EventRow.counter)
    )
    for payment, event, counter, body in rows:
        own[payment][event] = (counter, body)
    supporting: dict[str, dict[str, bytes]] = defaultdict(dict)
    used = used_by(payments)
    cited = session.exec(
        select(used.c.payment_id, used.c.event_id, EvidenceRow.body)
        .select_from(used)
        .join(EventRow, EventRow.event_id == used.c.event_id)
        .join(EvidenceRow, EvidenceRow.evidence_hash == EventRow.evidence_hash)
        .order_by(used.c.counter, used.c.position)
    )
    for payment, event, body in cited:
        if event not in own[payment]:
            supporting[payment].setdefault(event, body)
    return {
        payment: PaymentRun(
            min(counter for counter, _ in events.values()),
            max(counter for counter, _ in events.values()),
            [body for _, body in events.values()] + list(supporting[payment].values()),
        )
        for payment, events in own.items()
        if events
    }


def waiting(session: Session) -> list[Waits]:
    """Return, by agreement, accepted stream events that are in no payment and were not dropped."""
    rows = session.exec(
        select(
            EventRow.agreement_id,
            func.count(),
            func.min(EventRow.received_at),
            func.max(EventRow.received_at),
        )
        .where(EventRow.payment_id.is_(None), EventRow.reason.is_(None))
        .where(EventRow.role == STREAM)
        .group_by(EventRow.agreement_id)
    )
    return [Waits(*row) for row in rows]


def lost(session: Session) -> list[tuple[str, int]]:
    """Return (payment id, events) of payments that events name and that do not exist."""
    return [
        tuple(row)
        for row in session.exec(
            select(EventRow.payment_id, func.count())
            .outerjoin(PaymentRow, PaymentRow.payment_id == EventRow.payment_id)
            .where(EventRow.payment_id.is_not(None), PaymentRow.payment_id.is_(None))
            .group_by(EventRow.payment_id)
        )
    ]
