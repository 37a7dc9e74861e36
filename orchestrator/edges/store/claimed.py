"""What settlements stand on, as it is stored: proven settlements, runs of events, who waits."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlmodel import Session, func, select

from orchestrator.edges.store.evidence import STREAM
from orchestrator.edges.store.tables import (
    ChainLog,
    Citation,
    Event,
    Evidence,
    Payment,
    PendingEntry,
    Proof,
)

_CHUNK = 500


class Run(NamedTuple):
    """The events of a payment: their counters, and the evidence bytes of them in counter order,
    then those of what they cite, in order of first citation."""

    first: int
    last: int
    bodies: list[bytes]


class Waits(NamedTuple):
    """Accepted events of an agreement that are in no payment; since: when the first arrived."""

    agreement: str
    events: int
    since: int
    newest: int  # when the newest arrived


def settlements(session: Session, up_to: int) -> Iterator[tuple[str, dict[str, Any], str | None]]:
    """(transaction hash, arguments of its Settled log, its archived proof as JSON) up to a block,
    in chain order."""
    rows = session.exec(
        select(ChainLog.tx_hash, ChainLog.args, Proof.body)
        .outerjoin(Proof, Proof.tx_hash == ChainLog.tx_hash)
        .where(ChainLog.name == "Settled", ChainLog.block_number <= up_to)
        .order_by(ChainLog.block_number, ChainLog.log_index)
    )
    for tx_hash, args, body in rows:
        yield tx_hash, json.loads(args), body


def runs(session: Session, payments: Sequence[str]) -> dict[str, Run]:
    """What is stored of these payments; one without events is left out."""
    found: dict[str, Run] = {}
    for start in range(0, len(payments), _CHUNK):
        found |= _runs(session, payments[start : start + _CHUNK])
    return found


def _runs(session: Session, payments: Sequence[str]) -> dict[str, Run]:
    own: dict[str, dict[str, tuple[int, bytes]]] = defaultdict(dict)
    rows = session.exec(
        select(Event.payment_id, Event.event_id, Event.counter, Evidence.body)
        .join(Evidence, Evidence.evidence_hash == Event.evidence_hash)
        .where(Event.payment_id.in_(payments))
        .order_by(Event.counter)
    )
    for payment, event, counter, body in rows:
        own[payment][event] = (counter, body)
    beside: dict[str, dict[str, bytes]] = defaultdict(dict)
    citing = Event.__table__.alias("citing")
    cited = session.exec(
        select(citing.c.payment_id, Citation.cited_event_id, Evidence.body)
        .select_from(citing)
        .join(Citation, Citation.event_id == citing.c.event_id)
        .join(Event, Event.event_id == Citation.cited_event_id)
        .join(Evidence, Evidence.evidence_hash == Event.evidence_hash)
        .where(citing.c.payment_id.in_(payments))
        .order_by(citing.c.counter, Citation.position)
    )
    for payment, event, body in cited:
        if event not in own[payment]:
            beside[payment].setdefault(event, body)
    return {
        payment: Run(
            min(counter for counter, _ in events.values()),
            max(counter for counter, _ in events.values()),
            [body for _, body in events.values()] + list(beside[payment].values()),
        )
        for payment, events in own.items()
        if events
    }


def waiting(session: Session) -> list[Waits]:
    """Per agreement, accepted stream events that are in no payment and were not dropped."""
    rows = session.exec(
        select(
            Event.agreement_id,
            func.count(),
            func.min(Event.received_at),
            func.max(Event.received_at),
        )
        .where(Event.payment_id.is_(None), Event.reason.is_(None))
        .where(Event.role == STREAM)
        .group_by(Event.agreement_id)
    )
    return [Waits(*row) for row in rows]


def lost(session: Session) -> list[tuple[str, int]]:
    """Payments that events name and that are not there, with how many events."""
    return [
        tuple(row)
        for row in session.exec(
            select(Event.payment_id, func.count())
            .outerjoin(Payment, Payment.payment_id == Event.payment_id)
            .where(Event.payment_id.is_not(None), Payment.payment_id.is_(None))
            .group_by(Event.payment_id)
        )
    ]


def orphaned(session: Session) -> dict[str, list[PendingEntry]]:
    """{block hash: its voided entries} of every block that left the chain."""
    found: dict[str, list[PendingEntry]] = defaultdict(list)
    for row in session.exec(
        select(PendingEntry).where(PendingEntry.state == "voided").order_by(PendingEntry.number)
    ):
        found[row.block_hash].append(row)
    return found


def standing(session: Session, kinds: Sequence[str], after: int) -> list[PendingEntry]:
    """Entries of these kinds, pending or posted, that were noted after one with that number."""
    return list(
        session.exec(
            select(PendingEntry)
            .where(PendingEntry.state != "voided", PendingEntry.kind.in_(kinds))
            .where(PendingEntry.number > after)
            .order_by(PendingEntry.number)
        )
    )
