"""Money to and from the bank: payouts, fundings, the bank's files and their lines."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session, func, select, update

from orchestrator.edges.store.tables import BankFile, BankLine, Funding, Payout

__all__ = ["BankFile", "BankLine", "Funding", "Payout"]


def payouts_at(session: Session, stage: str, limit: int) -> Sequence[Payout]:
    return session.exec(
        select(Payout).where(Payout.stage == stage).order_by(Payout.payout_id).limit(limit)
    ).all()


def payout(session: Session, payout_id: str) -> Payout | None:
    return session.get(Payout, payout_id)


def payout_by_reference(session: Session, end_to_end_id: str) -> Payout | None:
    return session.exec(select(Payout).where(Payout.end_to_end_id == end_to_end_id)).first()


def all_payouts(session: Session) -> Sequence[Payout]:
    return session.exec(select(Payout).order_by(Payout.ordered_at)).all()


def mark_payouts(session: Session, ids: Sequence[str], **values: object) -> None:
    session.exec(update(Payout).where(Payout.payout_id.in_(ids)).values(**values))


def mint_agreement(session: Session, credit: str) -> str | None:
    row = session.get(Funding, credit)
    return row.agreement_id if row else None


def fundings_at(session: Session, stage: str, limit: int) -> Sequence[Funding]:
    return session.exec(select(Funding).where(Funding.stage == stage).limit(limit)).all()


def all_fundings(session: Session) -> Sequence[Funding]:
    return session.exec(select(Funding)).all()


def mark_funding(session: Session, credit: str, stage: str, tx_hash: str | None = None) -> None:
    values = {"stage": stage} | ({"tx_hash": tx_hash} if tx_hash else {})
    session.exec(update(Funding).where(Funding.credit_id == credit).values(values))


def file(session: Session, file_hash: str) -> BankFile | None:
    return session.get(BankFile, file_hash)


def files(session: Session, direction: str) -> Sequence[BankFile]:
    return session.exec(
        select(BankFile).where(BankFile.direction == direction).order_by(BankFile.at)
    ).all()


def line(session: Session, line_id: str) -> BankLine | None:
    return session.get(BankLine, line_id)


def lines(session: Session) -> Sequence[BankLine]:
    return session.exec(select(BankLine).order_by(BankLine.booking_date)).all()


def line_by_reference(session: Session, end_to_end_id: str) -> BankLine | None:
    return session.exec(select(BankLine).where(BankLine.end_to_end_id == end_to_end_id)).first()


def count_payouts(session: Session) -> dict[str, tuple[int, int]]:
    """{stage: (how many, cents)}."""
    rows = session.exec(
        select(Payout.stage, func.count(), func.sum(Payout.cents)).group_by(Payout.stage)
    )
    return {stage: (count, cents) for stage, count, cents in rows}
