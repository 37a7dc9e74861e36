"""What rests on a device's records, what a payment's records rest on, and what may end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from sqlmodel import Session, and_, col, or_, select

from oracles.types import ClaimReason
from orchestrator.core.payment import Stage
from orchestrator.core.risk import Exposed
from orchestrator.edges.store.tables import (
    AgreementRow,
    CitationRow,
    DeviceRow,
    EventRow,
    HeardRow,
    PaymentRow,
)

__all__ = ["exposed", "open_windows", "refused_as_compromised"]


def refused_as_compromised(session: Session, devices: Collection[str]) -> list[str]:
    """Return payments that may be good once these devices (0x-hex ids) are not compromised.

    Oracles refuse by that name, also where the device is only cited; a contract refuses claims of
    the agreement's own device by a number of its product.
    """
    by_oracles = and_(
        PaymentRow.stage == Stage.REJECTED,
        PaymentRow.reason == str(ClaimReason.DEVICE_COMPROMISED),
    )
    by_contract = and_(
        PaymentRow.stage == Stage.REFUSED,
        col(PaymentRow.reason).startswith("product_"),
        col(AgreementRow.device_id).in_(devices),
    )
    return list(
        session.exec(
            select(PaymentRow.payment_id)
            .join(AgreementRow, AgreementRow.agreement_id == PaymentRow.agreement_id)
            .where(or_(by_oracles, by_contract))
            .order_by(PaymentRow.agreement_id, PaymentRow.sequence)
        )
    )


def exposed(session: Session, device: str, only: Sequence[str] | None = None) -> list[Exposed]:
    """Return the payments that hold a record that a device signed, or that cite or hear one.

    A gateway signed the records of the devices behind it.

    Args:
        session: A session of the store.
        device: The device's id, 0x-hex.
        only: Payment ids to consider; None for all.
    """
    seen: dict[str, dict[str, int]] = defaultdict(dict)
    for query in _resting_on(device):
        chosen = query if only is None else query.where(query.selected_columns[0].in_(only))
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


def _resting_on(device: str) -> tuple[Any, ...]:
    """Return queries of (payment, event of the device, its time): claimed, cited and heard ones."""
    cited = EventRow.__table__.alias("cited")
    claimed = EventRow.payment_id.is_not(None)
    own = select(EventRow.payment_id, EventRow.event_id, EventRow.observed_at_ms)
    citing = (
        select(EventRow.payment_id, cited.c.event_id, cited.c.observed_at_ms)
        .join(CitationRow, CitationRow.event_id == EventRow.event_id)
        .join(cited, cited.c.event_id == CitationRow.cited_event_id)
    )
    hearing = (
        select(HeardRow.payment_id, cited.c.event_id, cited.c.observed_at_ms)
        .select_from(HeardRow)
        .join(cited, cited.c.event_id == HeardRow.event_id)
    )
    name = _name_of(device)
    return (
        own.where(or_(EventRow.device_id == device, EventRow.gateway == name), claimed),
        citing.where(or_(cited.c.device_id == device, cited.c.gateway == name), claimed),
        hearing.where(or_(cited.c.device_id == device, cited.c.gateway == name)),
    )


def _name_of(device: str) -> Any:
    """Return the query of a device's name: events have their gateway by name."""
    return select(DeviceRow.name).where(DeviceRow.device_id == device).scalar_subquery()


def open_windows(session: Session, device: str, now: int) -> list[str]:
    """Return payments that the warden may still dispute where a device is compromised.

    Those of its own agreements, and where it is a gateway, those of devices without a key that rest
    on its signatures. The contract lets the warden dispute no others.
    """
    signed = select(EventRow.payment_id).where(
        EventRow.gateway == _name_of(device), EventRow.payment_id.is_not(None)
    )
    without_key = select(DeviceRow.device_id).where(DeviceRow.key_x == "")
    behind = and_(PaymentRow.payment_id.in_(signed), AgreementRow.device_id.in_(without_key))
    return list(
        session.exec(
            select(PaymentRow.payment_id)
            .join(AgreementRow, AgreementRow.agreement_id == PaymentRow.agreement_id)
            .where(
                or_(AgreementRow.device_id == device, behind),
                PaymentRow.release_at > now,
                PaymentRow.amount_micro > 0,
            )
            .where(PaymentRow.stage.in_((Stage.SETTLED, Stage.POSTED)))
        )
    )


def _payments(session: Session, ids: Sequence[str]) -> Sequence[PaymentRow]:
    return session.exec(select(PaymentRow).where(PaymentRow.payment_id.in_(ids))).all()
