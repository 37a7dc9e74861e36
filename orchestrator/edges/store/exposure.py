"""What rests on a device's records, what a payment's records rest on, and what may end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlmodel import Session, and_, or_, select

from orchestrator.core.payment import Stage
from orchestrator.core.risk import Exposed
from orchestrator.edges.store.tables import Agreement, Citation, Device, Event, Evidence, Payment

__all__ = ["compromised", "ended", "exposed", "open_windows", "supporting_of"]


def exposed(session: Session, device: str, only: Sequence[str] | None = None) -> list[Exposed]:
    """Every payment (or only these) with a record of a device (id), or with one that cites it."""
    seen: dict[str, dict[str, int]] = defaultdict(dict)
    for query in _resting_on(device):
        chosen = query if only is None else query.where(Event.payment_id.in_(only))
        for payment, event, observed in session.exec(chosen):
            seen[payment][event] = observed
    rows = [
        row
        for start in range(0, len(seen), 500)
        for row in _payments(session, list(seen)[start : start + 500])
    ]
    return [
        Exposed(
            row.payment_id,
            row.agreement_id,
            Stage(row.stage),
            row.amount_micro,
            row.release_at,
            sorted(seen[row.payment_id].values()),
        )
        for row in rows
    ]


def _resting_on(device: str) -> tuple[Any, Any]:
    """Queries of (payment, event of the device, its time): claimed ones, and cited ones."""
    cited = Event.__table__.alias("cited")
    claimed = Event.payment_id.is_not(None)
    own = select(Event.payment_id, Event.event_id, Event.observed_at_ms)
    citing = (
        select(Event.payment_id, cited.c.event_id, cited.c.observed_at_ms)
        .join(Citation, Citation.event_id == Event.event_id)
        .join(cited, cited.c.event_id == Citation.cited_event_id)
    )
    return own.where(Event.device_id == device, claimed), citing.where(
        cited.c.device_id == device, claimed
    )


def open_windows(session: Session, device: str, now: int) -> list[str]:
    """Payments of a device's agreements that may still be disputed."""
    return list(
        session.exec(
            select(Payment.payment_id)
            .join(Agreement, Agreement.agreement_id == Payment.agreement_id)
            .where(
                Agreement.device_id == device, Payment.release_at > now, Payment.amount_micro > 0
            )
            .where(Payment.stage.in_((Stage.SETTLED, Stage.POSTED)))
        )
    )


def _payments(session: Session, ids: Sequence[str]) -> Sequence[Payment]:
    return session.exec(select(Payment).where(Payment.payment_id.in_(ids))).all()


def compromised(session: Session) -> dict[str, int]:
    """{device id: since when (Unix seconds)} of the devices that are declared compromised."""
    rows = session.exec(
        select(Device.device_id, Device.compromised_since).where(
            Device.compromised_since.is_not(None)
        )
    )
    return dict(rows.all())


def ended(session: Session, now: int) -> list[str]:
    """Agreements past their end that may have money in escrow: those nobody reclaimed yet, and
    those into which money came back since."""
    past = or_(Agreement.expiry < now, and_(Agreement.closes_at > 0, Agreement.closes_at < now))
    return list(
        session.exec(
            select(Agreement.agreement_id).where(
                or_(
                    and_(Agreement.stage == "live", past),
                    Agreement.stage == "refund_due",
                )
            )
        )
    )


def supporting_of(session: Session, payment: str) -> list[tuple[Event, bytes, str]]:
    """(event, evidence bytes, protocol) of what a payment's records cite, in order of first
    citation, each once and none that is part of the payment itself."""
    citing = Event.__table__.alias("citing")
    rows = session.exec(
        select(Event, Evidence.body, Evidence.protocol)
        .join(Citation, Citation.cited_event_id == Event.event_id)
        .join(citing, citing.c.event_id == Citation.event_id)
        .join(Evidence, Evidence.evidence_hash == Event.evidence_hash)
        .where(citing.c.payment_id == payment)
        .order_by(citing.c.counter, Citation.position)
    )
    found: dict[str, tuple[Event, bytes, str]] = {}
    for event, body, protocol in rows:
        if event.payment_id != payment:
            found.setdefault(event.event_id, (event, body, protocol))
    return list(found.values())
