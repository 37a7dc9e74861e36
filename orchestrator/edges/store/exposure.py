"""What rests on a device's records, what a payment's records rest on, and what may end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlmodel import Session, and_, or_, select

from orchestrator.core.agreement import Stage as AgreementStage
from orchestrator.core.payment import Stage
from orchestrator.core.risk import Exposed
from orchestrator.edges.store.tables import (
    AgreementRow,
    CitationRow,
    DeviceRow,
    EventRow,
    EvidenceRow,
    PaymentRow,
)

__all__ = ["compromised", "ended", "exposed", "open_windows", "supporting_of"]


def exposed(session: Session, device: str, only: Sequence[str] | None = None) -> list[Exposed]:
    """Every payment (or only these) with a record of a device (id), or with one that cites it."""
    seen: dict[str, dict[str, int]] = defaultdict(dict)
    for query in _resting_on(device):
        chosen = query if only is None else query.where(EventRow.payment_id.in_(only))
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
    cited = EventRow.__table__.alias("cited")
    claimed = EventRow.payment_id.is_not(None)
    own = select(EventRow.payment_id, EventRow.event_id, EventRow.observed_at_ms)
    citing = (
        select(EventRow.payment_id, cited.c.event_id, cited.c.observed_at_ms)
        .join(CitationRow, CitationRow.event_id == EventRow.event_id)
        .join(cited, cited.c.event_id == CitationRow.cited_event_id)
    )
    return own.where(EventRow.device_id == device, claimed), citing.where(
        cited.c.device_id == device, claimed
    )


def open_windows(session: Session, device: str, now: int) -> list[str]:
    """Payments of a device's agreements that may still be disputed."""
    return list(
        session.exec(
            select(PaymentRow.payment_id)
            .join(AgreementRow, AgreementRow.agreement_id == PaymentRow.agreement_id)
            .where(
                AgreementRow.device_id == device,
                PaymentRow.release_at > now,
                PaymentRow.amount_micro > 0,
            )
            .where(PaymentRow.stage.in_((Stage.SETTLED, Stage.POSTED)))
        )
    )


def _payments(session: Session, ids: Sequence[str]) -> Sequence[PaymentRow]:
    return session.exec(select(PaymentRow).where(PaymentRow.payment_id.in_(ids))).all()


def compromised(session: Session) -> dict[str, int]:
    """{device id: since when (Unix seconds)} of the devices that are declared compromised."""
    rows = session.exec(
        select(DeviceRow.device_id, DeviceRow.compromised_since).where(
            DeviceRow.compromised_since.is_not(None)
        )
    )
    return dict(rows.all())


def ended(session: Session, now: int) -> list[str]:
    """Agreements past their end that may have money in escrow: those nobody reclaimed yet, and
    those into which money came back since."""
    past = or_(
        AgreementRow.expiry < now, and_(AgreementRow.closes_at > 0, AgreementRow.closes_at < now)
    )
    return list(
        session.exec(
            select(AgreementRow.agreement_id).where(
                or_(
                    and_(AgreementRow.stage == AgreementStage.LIVE, past),
                    AgreementRow.stage == AgreementStage.REFUND_DUE,
                )
            )
        )
    )


def supporting_of(session: Session, payment: str) -> list[tuple[EventRow, bytes, str]]:
    """(event, evidence bytes, protocol) of what a payment's records cite, in order of first
    citation, each once and none that is part of the payment itself."""
    citing = EventRow.__table__.alias("citing")
    rows = session.exec(
        select(EventRow, EvidenceRow.body, EvidenceRow.protocol)
        .join(CitationRow, CitationRow.cited_event_id == EventRow.event_id)
        .join(citing, citing.c.event_id == CitationRow.event_id)
        .join(EvidenceRow, EvidenceRow.evidence_hash == EventRow.evidence_hash)
        .where(citing.c.payment_id == payment)
        .order_by(citing.c.counter, CitationRow.position)
    )
    found: dict[str, tuple[EventRow, bytes, str]] = {}
    for event, body, protocol in rows:
        if event.payment_id != payment:
            found.setdefault(event.event_id, (event, body, protocol))
    return list(found.values())
