"""What payees owe to agreements: recorded when a negative payment is final, paid oldest first."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session, select

from orchestrator.edges.store import add_new
from orchestrator.edges.store.tables import DebtRow, PaymentRow

__all__ = ["DebtRow", "all_open", "cancel", "note", "of_payment", "open_micro", "pay"]


def note(session: Session, debts: Sequence[DebtRow]) -> None:
    """Record debts whose settlement is final; a debt that is stored already stays as it is."""
    add_new(session, debts)


def pay(session: Session, agreement: str, payee: str, amount_micro: int) -> list[str]:
    """Subtract what a payee paid back from its debts to an agreement, the oldest first.

    Returns:
        The ids of the payments whose debt is paid in full by it. An amount beyond them belongs to
        debts whose settlement this store never saw; reconciliation reports it, because chain and
        ledger then differ.
    """
    return _take_off(session, agreement, payee, amount_micro, "paid_micro")


def cancel(session: Session, agreement: str, payee: str, amount_micro: int) -> list[str]:
    """Subtract what no longer stands of a payee's debts to an agreement, the oldest first.

    Returns:
        The ids of the payments whose debt is over by it.
    """
    return _take_off(session, agreement, payee, amount_micro, "cancelled_micro")


def _take_off(
    session: Session, agreement: str, payee: str, amount_micro: int, column: str
) -> list[str]:
    rest, done = amount_micro, []
    for row in _open_of(session, agreement, payee):
        part = min(rest, open_micro(row))
        setattr(row, column, getattr(row, column) + part)
        rest -= part
        if not open_micro(row):
            done.append(row.payment_id)
        if not rest:
            break
    session.flush()
    return done


def open_micro(row: DebtRow) -> int:
    """Return what is left of a debt, in micro-euro."""
    return row.amount_micro - row.paid_micro - row.cancelled_micro


def _open_of(session: Session, agreement: str, payee: str) -> Sequence[DebtRow]:
    """Return open debts in the order of the chain's queue: by sequence, within one agreement."""
    return session.exec(
        select(DebtRow)
        .join(PaymentRow, PaymentRow.payment_id == DebtRow.payment_id)
        .where(DebtRow.agreement_id == agreement, DebtRow.payee == payee)
        .where(DebtRow.paid_micro + DebtRow.cancelled_micro < DebtRow.amount_micro)
        .order_by(PaymentRow.sequence)
    ).all()


def all_open(session: Session) -> Sequence[DebtRow]:
    """Return debts that are not paid in full, the oldest first."""
    return session.exec(
        select(DebtRow)
        .where(DebtRow.paid_micro + DebtRow.cancelled_micro < DebtRow.amount_micro)
        .order_by(DebtRow.noted_at, DebtRow.payment_id)
    ).all()


def of_payment(session: Session, payment: str) -> DebtRow | None:
    """Return the debt of a payment, if it has one."""
    return session.get(DebtRow, payment)
