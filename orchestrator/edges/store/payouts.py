"""Payouts: money on its way to the bank, one row for each order of the chain."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlmodel import Session, col, func, select, update

from orchestrator.edges.store.bank_files import order_file_name
from orchestrator.edges.store.tables import BankFileRow, PayoutRow

__all__ = ["PayoutRow"]


def at_stage(session: Session, stage: str, limit: int) -> Sequence[PayoutRow]:
    return session.exec(
        select(PayoutRow).where(PayoutRow.stage == stage).order_by(PayoutRow.payout_id).limit(limit)
    ).all()


def get(session: Session, payout_id: str) -> PayoutRow | None:
    return session.get(PayoutRow, payout_id)


def by_reference(session: Session, end_to_end_id: str) -> PayoutRow | None:
    return session.exec(select(PayoutRow).where(PayoutRow.end_to_end_id == end_to_end_id)).first()


def of_message(session: Session, message_id: str) -> Sequence[PayoutRow]:
    """Payouts ordered by the outgoing file of this message id."""
    return session.exec(
        select(PayoutRow)
        .join(BankFileRow, BankFileRow.file_hash == PayoutRow.file_hash)
        .where(BankFileRow.direction == "out", BankFileRow.name == order_file_name(message_id))
    ).all()


def all_payouts(session: Session) -> Sequence[PayoutRow]:
    return session.exec(select(PayoutRow).order_by(PayoutRow.ordered_at)).all()


def mark_payouts(session: Session, ids: Sequence[str], **values: object) -> None:
    session.exec(update(PayoutRow).where(PayoutRow.payout_id.in_(ids)).values(**values))


def count_by_stage(session: Session) -> dict[str, tuple[int, int]]:
    """{stage: (how many, cents)}."""
    rows = session.exec(
        select(PayoutRow.stage, func.count(), func.sum(PayoutRow.cents)).group_by(PayoutRow.stage)
    )
    return {stage: (count, cents) for stage, count, cents in rows}


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


def newest(session: Session, stage: str | None, limit: int) -> Sequence[PayoutRow]:
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


def of_batch(session: Session, batch: str) -> Sequence[PayoutRow]:
    """Payouts last ordered under this PmtInfId, but for those that the bank refused."""
    return session.exec(
        select(PayoutRow)
        .where(PayoutRow.batch == batch, PayoutRow.stage != "rejected")
        .order_by(PayoutRow.payout_id)
    ).all()
