"""What rests on a device's records, what a payment's records rest on, and what may end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlmodel import Session, select

from orchestrator.core.payment import Stage
from orchestrator.core.risk import Exposed
from orchestrator.edges.store.tables import (
    AgreementRow,
    CitationRow,
    EventRow,
    PaymentRow,
)

__all__ = ["exposed", "open_windows"]


def exposed(session: Session, device: str, only: Sequence[str] | None = None) -> list[Exposed]:
    """Return the payments that hold a record of a device, or a record that cites one.

    Args:
        session: A session of the store.
        device: The device's id, 0x-hex.
        only: Payment ids to consider; None for all.
    """
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
    """Return queries of (payment, event of the device, its time): claimed ones, and cited ones."""
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
    """Return payments of a device's agreements that may still be disputed."""
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
