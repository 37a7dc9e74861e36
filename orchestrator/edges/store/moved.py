"""Agreements of a former rail, and those that follow them: what is not settled goes on there."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlmodel import Session, and_, func, or_, select, update

from orchestrator.core.agreement import Stage
from orchestrator.core.payment import Stage as PaymentStage
from orchestrator.edges.store.evidence import STREAM
from orchestrator.edges.store.tables import AgreementRow, EventRow, PaymentRow

__all__ = ["followers", "over", "take_over", "unsettled"]

ENDED = (Stage.CLOSED, Stage.REFUND_DUE)
# what no settlement holds; its records go on in the agreement that follows
_UNSETTLED = (
    PaymentStage.RECEIVED,
    PaymentStage.VERIFIED,
    PaymentStage.ATTESTED,
    PaymentStage.WAITING_FOR_FUNDS,
    PaymentStage.REJECTED,
    PaymentStage.REFUSED,
    PaymentStage.EXPIRED,
)


def over(session: Session, products: Collection[str], final_at: int) -> Sequence[AgreementRow]:
    """Return agreements that settle nothing more and have unsettled records.

    Args:
        session: A session of the store.
        products: Products of a former rail, addresses in lower case.
        final_at: Time of the newest final block, Unix seconds: claims of agreements that ended
            before it are refused in every later block.
    """
    unclaimed = (
        select(EventRow.event_id)
        .where(EventRow.agreement_id == AgreementRow.agreement_id, EventRow.role == STREAM)
        .where(EventRow.payment_id.is_(None), EventRow.reason.is_(None))
    )
    claimed = (
        select(EventRow.event_id)
        .join(PaymentRow, PaymentRow.payment_id == EventRow.payment_id)
        .where(PaymentRow.agreement_id == AgreementRow.agreement_id)
        .where(PaymentRow.stage.in_(_UNSETTLED))
    )
    is_over = or_(
        AgreementRow.stage.in_(ENDED),
        and_(AgreementRow.stage == Stage.LIVE, AgreementRow.ends_at < final_at),
    )
    return session.exec(
        select(AgreementRow)
        .where(func.lower(AgreementRow.product_address).in_(sorted(products)), is_over)
        .where(or_(unclaimed.exists(), claimed.exists()))
        .order_by(AgreementRow.agreement_id)
    ).all()


def followers(
    session: Session, former: AgreementRow, products: Collection[str]
) -> Sequence[AgreementRow]:
    """Return live agreements of the same device, payer and product on other contracts.

    Args:
        session: A session of the store.
        former: The agreement that ended.
        products: Products of its own rail, addresses in lower case.
    """
    return session.exec(
        select(AgreementRow)
        .where(
            AgreementRow.device_id == former.device_id,
            AgreementRow.payer == former.payer,
            AgreementRow.product == former.product,
            AgreementRow.stage == Stage.LIVE,
        )
        .where(func.lower(AgreementRow.product_address).not_in(sorted(products)))
        .order_by(AgreementRow.opened_at.desc())
    ).all()


def unsettled(session: Session, agreement: str) -> Sequence[PaymentRow]:
    """Return an agreement's payments that no settlement holds, in order of sequence."""
    return session.exec(
        select(PaymentRow)
        .where(PaymentRow.agreement_id == agreement, PaymentRow.stage.in_(_UNSETTLED))
        .order_by(PaymentRow.sequence)
    ).all()


def take_over(session: Session, former: AgreementRow, follower: AgreementRow) -> int:
    """Give an agreement's unclaimed records to the one that follows it; return how many.

    Those at or below the follower's first counter stay: they are before it.
    """
    statement = (
        update(EventRow)
        .where(EventRow.agreement_id == former.agreement_id, EventRow.role == STREAM)
        .where(EventRow.payment_id.is_(None), EventRow.reason.is_(None))
        .where(EventRow.counter > follower.first_counter)
        .values(agreement_id=follower.agreement_id)
    )
    return session.exec(statement).rowcount
