"""What the store knows of an agreement that moves to another contract."""

from __future__ import annotations

from collections.abc import Collection

from sqlmodel import Session, func, select, update

from orchestrator.core.payment import Stage
from orchestrator.edges.store.tables import AgreementRow, EventRow, PaymentRow

_STREAM = "stream"
_CLAIMED = (
    Stage.SETTLED,
    Stage.POSTED,
    Stage.PAID_OUT,
    Stage.BOOKED,
    Stage.RECONCILED,
    Stage.DISPUTED,
    Stage.REFUNDED,
    Stage.SKIPPED,
)


def payments_at(session: Session, agreement: str, stages: Collection[Stage]) -> list[str]:
    """Return the ids of an agreement's payments at these stages, in order of their claims."""
    return list(
        session.exec(
            select(PaymentRow.payment_id)
            .where(PaymentRow.agreement_id == agreement, PaymentRow.stage.in_(stages))
            .order_by(PaymentRow.sequence)
        )
    )


def with_salt(session: Session, salt: str) -> AgreementRow | None:
    """Return the agreement whose mandate has a salt (0x-hex)."""
    return session.exec(select(AgreementRow).where(AgreementRow.salt == salt)).first()


def payees_of(session: Session, agreement: str) -> list[str]:
    """Return the payees that an agreement's applied claims name."""
    return list(
        session.exec(
            select(PaymentRow.payee)
            .where(PaymentRow.agreement_id == agreement, PaymentRow.stage.in_(_CLAIMED))
            .where(PaymentRow.payee != "")
            .distinct()
            .order_by(PaymentRow.payee)
        )
    )


def pending_of(
    session: Session, products: Collection[str], now: int
) -> list[tuple[str, int, int, int]]:
    """Return what is charged and not released, of the agreements of some products.

    Args:
        session: A session of the store.
        products: Addresses of the products.
        now: Unix seconds.

    Returns:
        (payee, matured micro-euro, micro-euro that mature later, when the last of it does).
    """
    payee = func.coalesce(func.nullif(PaymentRow.payee, ""), AgreementRow.payee)
    rows = session.exec(
        select(payee, PaymentRow.amount_micro, PaymentRow.release_at)
        .join(AgreementRow, AgreementRow.agreement_id == PaymentRow.agreement_id)
        .where(
            AgreementRow.product_address.in_(products),
            PaymentRow.stage.in_((Stage.SETTLED, Stage.POSTED)),
            PaymentRow.amount_micro > 0,
            PaymentRow.release_tx.is_(None),
        )
    )
    sums: dict[str, list[int]] = {}
    for name, amount, at in rows:
        entry = sums.setdefault(name, [0, 0, 0])
        entry[at >= now] += amount
        if at >= now:
            entry[2] = max(entry[2], at)
    return [(name, *sums[name]) for name in sorted(sums)]


def reroute(session: Session, former: str, following: str, above: int) -> int:
    """Put the records that an agreement left unclaimed into the one that follows it.

    Those of its expired payments are among them: no block will ever take their claims.

    Args:
        session: A write session.
        former: Id of the agreement that takes no more claims, 0x-hex.
        following: Id of the agreement that took its place.
        above: The last counter that was claimed on chain.

    Returns:
        How many records that may be claimed there.
    """
    expired = payments_at(session, former, (Stage.EXPIRED,))
    if expired:
        session.exec(
            update(EventRow).where(EventRow.payment_id.in_(expired)).values(payment_id=None)
        )
    moved = session.exec(
        update(EventRow)
        .where(EventRow.agreement_id == former, EventRow.counter > above)
        .where(EventRow.role == _STREAM)
        .where(EventRow.payment_id.is_(None), EventRow.reason.is_(None))
        .values(agreement_id=following)
    )
    return moved.rowcount
