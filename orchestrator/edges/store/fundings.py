"""Fundings: credits at the bank on their way into escrow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlmodel import Session, select, update

from orchestrator.core.bank_posting import CreditBooked
from orchestrator.edges.store import add_values
from orchestrator.edges.store.tables import FundingRow

__all__ = ["FundingRow"]


def at_stage(session: Session, stage: str, limit: int, after: str = "") -> Sequence[FundingRow]:
    """By credit id, those after this one first, so that each has its turn."""
    return session.exec(
        select(FundingRow)
        .where(FundingRow.stage == stage)
        .order_by(FundingRow.credit_id <= after, FundingRow.credit_id)
        .limit(limit)
    ).all()


def all_fundings(session: Session) -> Sequence[FundingRow]:
    return session.exec(select(FundingRow)).all()


def mark_funding(session: Session, credit: str, stage: str, tx_hash: str | None = None) -> None:
    values = {"stage": stage} | ({"tx_hash": tx_hash} if tx_hash else {})
    session.exec(update(FundingRow).where(FundingRow.credit_id == credit).values(values))


def allocate(session: Session, credit: str, agreement: str) -> None:
    """A credit in suspense has an agreement now: it is to be minted."""
    session.exec(
        update(FundingRow)
        .where(FundingRow.credit_id == credit)
        .values(stage="booked", agreement_id=agreement)
    )


def take_back(session: Session, credit: str) -> None:
    """The bank reversed a credit: it is not minted any more, if that was not under way."""
    session.exec(
        update(FundingRow)
        .where(FundingRow.credit_id == credit, FundingRow.stage.in_(("booked", "suspense")))
        .values(stage="reversed")
    )


def mint_again(session: Session, credit: str) -> None:
    """A credit's mint failed on chain: it is due again, unless its tokens are there."""
    session.exec(
        update(FundingRow)
        .where(FundingRow.credit_id == credit, FundingRow.stage == "minting")
        .values(stage="booked")
    )


def add(session: Session, booked: Iterable[CreditBooked]) -> None:
    """Credits that came in: to be minted, or waiting for a person."""
    add_values(
        session,
        FundingRow,
        [
            {
                "credit_id": each.credit_id,
                "cents": each.cents,
                "agreement_id": each.agreement,
                "stage": "booked" if each.agreement else "suspense",
            }
            for each in booked
        ],
    )


def get(session: Session, credit: str) -> FundingRow | None:
    return session.get(FundingRow, credit)


def of_amount(session: Session, cents: int) -> Sequence[FundingRow]:
    """Credits of this amount, whatever became of them."""
    return session.exec(
        select(FundingRow).where(FundingRow.cents == cents).order_by(FundingRow.credit_id)
    ).all()


def in_stages(session: Session, stages: Sequence[str]) -> Sequence[FundingRow]:
    return session.exec(
        select(FundingRow).where(FundingRow.stage.in_(stages)).order_by(FundingRow.credit_id)
    ).all()
