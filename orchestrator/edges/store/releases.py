"""Posted payments on their way out: what matured, what was released, what a payout holds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlmodel import Session, func, select

from orchestrator.core.payment import NextStep, Stage
from orchestrator.edges.store.tables import AgreementRow, PaymentRow

__all__ = [
    "idle_posted",
    "matured",
    "posted_of",
    "release",
    "released",
    "released_with_devices",
    "unreleased",
]


def released_with_devices(session: Session, payee: str) -> Sequence[tuple[PaymentRow, str]]:
    """Return (payment, name of its device) of all that was ever released to a payee."""
    return session.exec(
        select(PaymentRow, AgreementRow.device)
        .join(AgreementRow, AgreementRow.agreement_id == PaymentRow.agreement_id)
        .where(_is_paid(payee), PaymentRow.release_tx.is_not(None))
    ).all()


def matured(
    session: Session, payee: str, now: int, products: Collection[str] | None = None
) -> Sequence[PaymentRow]:
    """Return a payee's posted payments that wait for a payout, and whose dispute window is over.

    Some may be released already, and wait only for the order of their payout.

    Args:
        session: A session of the store.
        payee: Whose payments.
        now: Unix seconds.
        products: Those of one rail, addresses in lower case; None: any.
    """
    waiting = PaymentRow.next_step == NextStep.RELEASE, PaymentRow.release_at < now
    return posted_of(session, payee, *waiting, products=products)


def unreleased(
    session: Session, payee: str, now: int, products: Collection[str] | None = None
) -> Sequence[PaymentRow]:
    """Return a payee's posted payments whose dispute window is over, and that nobody released.

    products: those of one rail, addresses in lower case; None: any.
    """
    is_due = PaymentRow.release_tx.is_(None), PaymentRow.release_at < now
    return posted_of(session, payee, *is_due, products=products)


def release(
    session: Session,
    payee: str,
    times: Sequence[int],
    tx_hash: str,
    products: Collection[str] | None = None,
) -> list[str]:
    """Record that a payee's posted payments of these release times left the pending money.

    Their next step is due only after their payout, no matter who asked for the release.

    Args:
        session: A write session.
        payee: Whose money it is.
        times: Release times.
        tx_hash: The transaction that released it.
        products: The products of the rail that did, addresses in lower case; None: any.

    Returns:
        The ids of the payments.
    """
    gone = []
    for start in range(0, len(times), 500):
        chunk = times[start : start + 500]
        matured = PaymentRow.release_at.in_(chunk), PaymentRow.release_tx.is_(None)
        for row in posted_of(session, payee, *matured, products=products):
            row.release_tx, row.next_step = tx_hash, None
            gone.append(row.payment_id)
    session.flush()
    return gone


def released(session: Session, payee: str, products: Collection[str] | None = None) -> list[str]:
    """Return a payee's posted payments that were released: what its next payout holds.

    products: those of the rail that pays it out, addresses in lower case; None: any.
    """
    is_released = PaymentRow.release_tx.is_not(None)
    return [p.payment_id for p in posted_of(session, payee, is_released, products=products)]


def idle_posted(session: Session, payee: str, products: Collection[str] | None = None) -> list[str]:
    """Return a payee's posted payments that have no next step, because their release failed.

    products: those of the rail that was to release them, addresses in lower case; None: any.
    """
    is_idle = PaymentRow.next_step.is_(None)
    return [p.payment_id for p in posted_of(session, payee, is_idle, products=products)]


def posted_of(
    session: Session, payee: str, *conditions: Any, products: Collection[str] | None = None
) -> Sequence[PaymentRow]:
    """Return a payee's posted payments, but no debts: those have no money to release.

    products: those of one rail, addresses in lower case; None: any.
    """
    if products is not None:
        own_product = func.lower(AgreementRow.product_address).in_(sorted(products))
        conditions = (*conditions, own_product)
    return session.exec(
        select(PaymentRow)
        .join(AgreementRow, AgreementRow.agreement_id == PaymentRow.agreement_id)
        .where(_is_paid(payee), PaymentRow.stage == Stage.POSTED, PaymentRow.amount_micro >= 0)
        .where(*conditions)
    ).all()


def _is_paid(payee: str) -> Any:
    """Return the condition that a payment's claim names this payee, or else its agreement."""
    named = func.lower(func.coalesce(func.nullif(PaymentRow.payee, ""), AgreementRow.payee))
    return named == payee.lower()
