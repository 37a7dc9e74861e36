"""Fundings: credits at the bank on their way into escrow. `record_fact` alone moves their stage."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sqlmodel import Session, col, select, update

from orchestrator.core.bank_context import CreditBooked
from orchestrator.core.funding import MACHINE, Fact, Stage, first_stage
from orchestrator.edges.store import add_values
from orchestrator.edges.store.tables import FundingRow

__all__ = ["FundingRow"]


def add(session: Session, booked: Iterable[CreditBooked]) -> None:
    """Store credits that came in: to be minted, or waiting for two officers."""
    add_values(
        session,
        FundingRow,
        [
            {
                "credit_id": credit.credit_id,
                "cents": credit.cents,
                "agreement_id": credit.agreement,
                "stage": first_stage(credit.agreement),
            }
            for credit in booked
        ],
    )


def record_fact(session: Session, credit_id: str, fact: Fact, **columns: object) -> bool:
    """Apply a fact to a funding, and set its columns if that moves it.

    Returns:
        Whether it was moved; False also where there is no such funding: others can mint, too.

    Raises:
        Halt: The fact cannot occur at its stage; the caller drops the transaction.
    """
    chosen = FundingRow.credit_id == credit_id
    stored = session.exec(select(FundingRow.stage).where(chosen)).first()
    if stored is None:
        return False
    stage = Stage(stored)
    after = MACHINE.advance(credit_id, stage, fact)
    if MACHINE.verdict(stage, fact) != "moves":
        return False
    session.exec(update(FundingRow).where(chosen).values(stage=after, **columns))
    return True


def get(session: Session, credit_id: str) -> FundingRow | None:
    """Return a funding by the id of its credit."""
    return session.get(FundingRow, credit_id)


def at_stage(session: Session, stage: Stage, limit: int, after: str = "") -> Sequence[FundingRow]:
    """Return fundings at a stage by credit id.

    Those behind the id `after` come first, so that a caller that passes the last id it looked at
    gives each its turn.
    """
    return session.exec(
        select(FundingRow)
        .where(FundingRow.stage == stage)
        .order_by(FundingRow.credit_id <= after, FundingRow.credit_id)
        .limit(limit)
    ).all()


def in_stages(session: Session, stages: Collection[str]) -> Sequence[FundingRow]:
    """Return all fundings at one of these stages, by credit id."""
    chosen = col(FundingRow.stage).in_(stages)
    return session.exec(select(FundingRow).where(chosen).order_by(FundingRow.credit_id)).all()


def all_fundings(session: Session) -> Sequence[FundingRow]:
    """Return all fundings."""
    return session.exec(select(FundingRow)).all()


def of_amounts(session: Session, amounts: Collection[int]) -> Sequence[FundingRow]:
    """Return the fundings of these amounts (cents) at any stage, by credit id."""
    chosen = col(FundingRow.cents).in_(amounts)
    return session.exec(select(FundingRow).where(chosen).order_by(FundingRow.credit_id)).all()
