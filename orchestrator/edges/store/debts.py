"""What payees owe back to agreements: noted when a credit is final, paid oldest first."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session, select

from orchestrator.edges.store import add_new
from orchestrator.edges.store.tables import DebtRow, PaymentRow

__all__ = ["DebtRow", "all_open", "note", "of_payment", "pay"]


def note(session: Session, credits: Sequence[DebtRow]) -> None:
    """Credits whose settlement is final; one that is there already stays as it is."""
    add_new(session, credits)


def pay(session: Session, agreement: str, payee: str, amount_micro: int) -> list[str]:
    """Takes what a payee paid back to an agreement off its credits, the oldest first; returns the
    payments whose credit is paid in full by it. What is paid beyond them is of credits that this
    store never saw settle: the reconciliation names it, by what chain and ledger say is owed."""
    rest, done = amount_micro, []
    for row in _open_of(session, agreement, payee):
        part = min(rest, row.amount_micro - row.paid_micro)
        row.paid_micro, rest = row.paid_micro + part, rest - part
        if row.paid_micro == row.amount_micro:
            done.append(row.payment_id)
        if not rest:
            break
    session.flush()
    return done


def _open_of(session: Session, agreement: str, payee: str) -> Sequence[DebtRow]:
    """In the order in which the chain has queued them: by sequence, within one agreement."""
    return session.exec(
        select(DebtRow)
        .join(PaymentRow, PaymentRow.payment_id == DebtRow.payment_id)
        .where(DebtRow.agreement_id == agreement, DebtRow.payee == payee)
        .where(DebtRow.paid_micro < DebtRow.amount_micro)
        .order_by(PaymentRow.sequence)
    ).all()


def all_open(session: Session) -> Sequence[DebtRow]:
    """Credits that are not paid in full, the oldest first."""
    return session.exec(
        select(DebtRow)
        .where(DebtRow.paid_micro < DebtRow.amount_micro)
        .order_by(DebtRow.noted_at, DebtRow.payment_id)
    ).all()


def of_payment(session: Session, payment: str) -> DebtRow | None:
    return session.get(DebtRow, payment)
