"""What the store knows of an agreement that moves to another contract."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlmodel import Session, func, or_, select, update

from orchestrator.core.agreement import Stage as AgreementStage
from orchestrator.core.payment import HOLDABLE, Stage
from orchestrator.edges.store.tables import AgreementRow, EventRow, PaymentRow, RejectionRow

_STREAM = "stream"
_ENDED = (AgreementStage.CLOSED, AgreementStage.REFUND_DUE)
_UNSETTLED = HOLDABLE  # not what is held: two officers decide about that first
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


def refused(
    session: Session, devices: Collection[str], reason: str, since: int
) -> Sequence[RejectionRow]:
    """Return what was refused for a reason and sent by these devices, or by none that is known.

    Args:
        session: A session of the store.
        devices: Names as the inlets authenticated them.
        reason: Why it was refused.
        since: Unix seconds.
    """
    return session.exec(
        select(RejectionRow)
        .where(RejectionRow.reason == reason, RejectionRow.received_at >= since)
        .where(RejectionRow.device.in_([*devices, ""]))
        .order_by(RejectionRow.id)
    ).all()


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


def unsettled(session: Session, products: Collection[str], final_at: int) -> list[str]:
    """Return payments that no settlement will ever hold: their agreements take no more claims.

    Args:
        session: A session of the store.
        products: Products of a former rail, addresses in lower case.
        final_at: Time of the newest final block, Unix seconds: claims of agreements that ended
            before it are refused in every later block.
    """
    is_over = or_(AgreementRow.stage.in_(_ENDED), AgreementRow.ends_at < final_at)
    return list(
        session.exec(
            select(PaymentRow.payment_id)
            .join(AgreementRow, AgreementRow.agreement_id == PaymentRow.agreement_id)
            .where(PaymentRow.stage.in_(_UNSETTLED), is_over)
            .where(func.lower(AgreementRow.product_address).in_(sorted(products)))
        )
    )


def with_records(session: Session, products: Collection[str]) -> list[str]:
    """Return agreements of these products with records that no claim holds, or an expired one."""
    open_record = or_(
        EventRow.payment_id.is_(None) & EventRow.reason.is_(None),
        PaymentRow.stage == Stage.EXPIRED,
    )
    return list(
        session.exec(
            select(EventRow.agreement_id)
            .join(AgreementRow, AgreementRow.agreement_id == EventRow.agreement_id)
            .outerjoin(PaymentRow, PaymentRow.payment_id == EventRow.payment_id)
            .where(EventRow.role == _STREAM, open_record)
            .where(func.lower(AgreementRow.product_address).in_(sorted(products)))
            .distinct()
        )
    )
