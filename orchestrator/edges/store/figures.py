"""Figures for the metrics: counts and ages, each from an index or over what is open alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlmodel import Session, func, select

from orchestrator.core import payout
from orchestrator.core.chain_send import OPEN
from orchestrator.core.payment import Stage
from orchestrator.edges.store import blocks, effects, holds
from orchestrator.edges.store.tables import (
    BankFileRow,
    BlockRow,
    BreakRow,
    ChainSendRow,
    PaymentRow,
    PayoutRow,
)

# stages at which something still has to happen; the others only grow
_OPEN_PAYMENTS = (
    Stage.RECEIVED,
    Stage.VERIFIED,
    Stage.ATTESTED,
    Stage.SETTLED,
    Stage.WAITING_FOR_FUNDS,
    Stage.DISPUTED,
)
_OPEN_PAYOUTS = (
    payout.Stage.DUE,
    payout.Stage.WAITING_FOR_APPROVAL,
    payout.Stage.SENT,
    payout.Stage.ACCEPTED,
    payout.Stage.PART_BOOKED,
)


@dataclass(frozen=True, slots=True)
class StageFigure:
    """How many are at a stage, and since when the oldest is there to be worked on.

    Attributes:
        oldest_at: When the oldest began, Unix seconds; None where it is not asked for.
    """

    stage: str
    count: int
    oldest_at: int | None = None


@dataclass(frozen=True, slots=True)
class RailFigures:
    """One reading of a store.

    Attributes:
        due: Payments by the step that they wait for: the worker's queues.
        sends: By purpose.
        breaks: By kind.
        bank_files: (direction, kind) -> count.
        effects: Those that wait, by target.
    """

    payments: list[StageFigure]
    due: list[StageFigure]
    payouts: list[StageFigure]
    sends: list[StageFigure]
    breaks: list[StageFigure]
    bank_files: dict[tuple[str, str], int]
    newest_block: int
    newest_block_at: int
    final_block: int
    effects: list[StageFigure]


def read_figures(session: Session) -> RailFigures:
    """Return all figures, read in one snapshot."""
    newest: BlockRow | None = blocks.newest(session)
    files = session.exec(
        select(BankFileRow.direction, BankFileRow.kind, func.count()).group_by(
            BankFileRow.direction, BankFileRow.kind
        )
    )
    return RailFigures(
        _payments(session),
        _grouped(
            session,
            select(PaymentRow.next_step, func.count(), func.min(PaymentRow.due_at))
            .where(PaymentRow.next_step.is_not(None))
            .group_by(PaymentRow.next_step),
        ),
        _by_stage(session, PayoutRow, PayoutRow.ordered_at, _OPEN_PAYOUTS),
        _grouped(
            session,
            select(ChainSendRow.purpose, func.count(), func.min(ChainSendRow.created_at))
            .where(ChainSendRow.stage.in_(OPEN))
            .group_by(ChainSendRow.purpose),
        ),
        _grouped(
            session,
            select(BreakRow.kind, func.count(), func.min(BreakRow.first_seen))
            .where(BreakRow.closed == "", BreakRow.resolved_by.is_(None))
            .group_by(BreakRow.kind),
        ),
        {(direction, kind): count for direction, kind, count in files},
        newest.number if newest else 0,
        newest.timestamp if newest else 0,
        blocks.newest_final(session),
        [
            StageFigure(target.name, target.waiting, target.oldest_at or None)
            for target in effects.states(session)
        ],
    )


def _payments(session: Session) -> list[StageFigure]:
    """Return the payments by stage; the age of what is held counts from its hold."""
    _, held_at = holds.count_and_oldest(session)
    figures = _by_stage(session, PaymentRow, PaymentRow.created_at, _OPEN_PAYMENTS)
    return [
        replace(figure, oldest_at=held_at or None) if figure.stage == Stage.HELD else figure
        for figure in figures
    ]


def _grouped(session: Session, query: object) -> list[StageFigure]:
    return [StageFigure(name, count, oldest) for name, count, oldest in session.exec(query)]


def _by_stage(
    session: Session, table: type, began_at: object, open_stages: tuple[str, ...]
) -> list[StageFigure]:
    counts = session.exec(select(table.stage, func.count()).group_by(table.stage))
    oldest = dict(
        session.exec(
            select(table.stage, func.min(began_at))
            .where(table.stage.in_(open_stages))
            .group_by(table.stage)
        ).all()
    )
    return [StageFigure(stage, count, oldest.get(stage)) for stage, count in counts]
