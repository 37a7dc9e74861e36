"""Payouts on their way to the bank: what is due, and what became of an order."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlmodel import Session, col, select

from orchestrator.edges.store.tables import PayoutRow

__all__ = ["PayoutRow"]


def due(session: Session, limit: int, after: str = "") -> list[PayoutRow]:
    """Payouts to be ordered; those that wait for somebody to mend something come last, so that
    they never hold up the rest, and of these those after this id first: each has its turn."""
    return list(
        session.exec(
            select(PayoutRow)
            .where(PayoutRow.stage == "ordered")
            .order_by(
                col(PayoutRow.reason).is_not(None),
                PayoutRow.payout_id <= after,
                PayoutRow.payout_id,
            )
            .limit(limit)
        )
    )


def with_references(
    session: Session, end_to_end_ids: Collection[str], stages: Collection[str]
) -> dict[str, PayoutRow]:
    """{EndToEndId: payout} of these orders, where it is at one of the stages."""
    rows = session.exec(
        select(PayoutRow).where(
            col(PayoutRow.end_to_end_id).in_(end_to_end_ids), col(PayoutRow.stage).in_(stages)
        )
    )
    return {row.end_to_end_id: row for row in rows}


def listed(session: Session, stage: str | None, limit: int) -> Sequence[PayoutRow]:
    """The newest payouts first."""
    query = select(PayoutRow).order_by(col(PayoutRow.ordered_at).desc(), PayoutRow.payout_id)
    return session.exec(
        (query.where(PayoutRow.stage == stage) if stage else query).limit(limit)
    ).all()


def beginning(session: Session, start: str) -> Sequence[PayoutRow]:
    """Payouts whose id or EndToEndId begins so; at most two, to see whether it is one."""
    return session.exec(
        select(PayoutRow)
        .where(
            col(PayoutRow.payout_id).startswith(start, autoescape=True)
            | col(PayoutRow.end_to_end_id).startswith(start, autoescape=True)
        )
        .limit(2)
    ).all()
