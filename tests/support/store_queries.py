"""Reads of the store that only tests and the bench need."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import col, func, select

from orchestrator.core.payment import Stage
from orchestrator.edges.store import Session
from orchestrator.edges.store.bank_files import BankFileRow
from orchestrator.edges.store.evidence import EventRow
from orchestrator.edges.store.payments import PaymentRow
from orchestrator.edges.store.sends import ChainSendRow


def bank_files_of(session: Session, direction: str) -> Sequence[BankFileRow]:
    """Return all bank files of a direction, the oldest first."""
    return session.exec(
        select(BankFileRow).where(BankFileRow.direction == direction).order_by(BankFileRow.at)
    ).all()


def mined_sends(session: Session, ref: str) -> Sequence[ChainSendRow]:
    """Return the sends of a reference that are in a block."""
    return session.exec(
        select(ChainSendRow).where(ChainSendRow.ref == ref, ChainSendRow.block_number.is_not(None))
    ).all()


def settled_events(session: Session) -> int:
    """Count events in payments that a settlement in a block has applied."""
    return session.exec(
        select(func.count())
        .select_from(EventRow)
        .join(PaymentRow, PaymentRow.payment_id == EventRow.payment_id)
        .where(PaymentRow.release_at > 0)
    ).one()


def newest_booked(session: Session) -> str | None:
    """Return the newest payment whose payout the bank booked and whose claim follows another."""
    return session.exec(
        select(PaymentRow.payment_id)
        .where(
            col(PaymentRow.stage).in_((Stage.BOOKED, Stage.RECONCILED)),
            PaymentRow.amount_micro > 0,
            PaymentRow.sequence > 1,
        )
        .order_by(PaymentRow.created_at.desc(), PaymentRow.payment_id)
    ).first()
