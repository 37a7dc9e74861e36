"""Payments whose dispute window is over: what a payee's next release or payout holds."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session

from orchestrator.core.payment import NextStep
from orchestrator.edges.store.payments import PaymentRow, posted_of

__all__ = ["matured", "unreleased"]


def matured(session: Session, payee: str, now: int) -> Sequence[PaymentRow]:
    """Return a payee's posted payments that wait for a payout, and whose dispute window is over.

    Some may be released already, and wait only for the order of their payout.
    """
    waiting = PaymentRow.next_step == NextStep.RELEASE, PaymentRow.release_at < now
    return posted_of(session, payee, *waiting)


def unreleased(session: Session, payee: str, now: int) -> Sequence[PaymentRow]:
    """Return a payee's posted payments whose dispute window is over, and that nobody released."""
    return posted_of(session, payee, PaymentRow.release_tx.is_(None), PaymentRow.release_at < now)
