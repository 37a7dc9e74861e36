"""Payouts: money on its way to the bank. `record_fact` is the only place that moves their stage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence

from sqlmodel import Session, col, func, select, update

from orchestrator.core.payout import MACHINE, Fact, Stage
from orchestrator.core.references import attempted, uetr
from orchestrator.edges.store.bank_files import order_file_name
from orchestrator.edges.store.tables import BankFileRow, PayoutRow

__all__ = ["PayoutRow"]

_CHUNK = 500  # SQLite's default limit of bound variables is far above


def record_fact(
    session: Session, payout_ids: Collection[str], fact: Fact, **columns: object
) -> int:
    """Apply a fact to payouts, and set columns of those that it moves.

    Args:
        session: A write session.
        payout_ids: The payouts, 0x-hex; ids that are not stored are ignored.
        fact: What became known about all of them.
        columns: Columns that are set along with the move.

    Returns:
        How many payouts were moved; one whose stage has the fact already stays as it is.

    Raises:
        Halt: The fact cannot occur at the stage of one of them; the caller drops the transaction.
    """
    moved: dict[Stage, list[str]] = defaultdict(list)
    for payout_id, stage in _stages(session, sorted(payout_ids)):
        after = MACHINE.advance(payout_id, stage, fact)
        if MACHINE.verdict(stage, fact) == "moves":
            moved[after].append(payout_id)
    for after, ids in moved.items():
        for start in range(0, len(ids), _CHUNK):
            chosen = col(PayoutRow.payout_id).in_(ids[start : start + _CHUNK])
            session.exec(update(PayoutRow).where(chosen).values(stage=after, **columns))
    return sum(map(len, moved.values()))


def _stages(session: Session, payout_ids: Sequence[str]) -> Iterator[tuple[str, Stage]]:
    for start in range(0, len(payout_ids), _CHUNK):
        chosen = col(PayoutRow.payout_id).in_(payout_ids[start : start + _CHUNK])
        rows = session.exec(select(PayoutRow.payout_id, PayoutRow.stage).where(chosen)).all()
        yield from ((payout_id, Stage(stage)) for payout_id, stage in rows)


def set_reason(session: Session, payout_id: str, reason: str) -> None:
    """Record why a payout waits; its stage stays."""
    chosen = PayoutRow.payout_id == payout_id
    session.exec(update(PayoutRow).where(chosen).values(reason=reason))


def get(session: Session, payout_id: str) -> PayoutRow | None:
    """Return a payout by its id."""
    return session.get(PayoutRow, payout_id)


def at_stage(session: Session, stage: Stage, limit: int) -> Sequence[PayoutRow]:
    """Return payouts at a stage, by id."""
    return session.exec(
        select(PayoutRow).where(PayoutRow.stage == stage).order_by(PayoutRow.payout_id).limit(limit)
    ).all()


def due(session: Session, limit: int, after: str = "") -> list[PayoutRow]:
    """Return payouts to be ordered.

    Those that wait for a person come last, so that they never hold up the rest; of these, those
    behind the id `after` come first, so that each has its turn.
    """
    return list(
        session.exec(
            select(PayoutRow)
            .where(PayoutRow.stage == Stage.DUE)
            .order_by(
                col(PayoutRow.reason).is_not(None),
                PayoutRow.payout_id <= after,
                PayoutRow.payout_id,
            )
            .limit(limit)
        )
    )


def all_payouts(session: Session) -> Sequence[PayoutRow]:
    """Return all payouts, the oldest first."""
    return session.exec(select(PayoutRow).order_by(PayoutRow.ordered_at)).all()


def newest(session: Session, stage: str | None, limit: int) -> Sequence[PayoutRow]:
    """Return payouts, the newest first; all of them, or those at a stage."""
    query = select(PayoutRow).order_by(col(PayoutRow.ordered_at).desc(), PayoutRow.payout_id)
    return session.exec(
        (query.where(PayoutRow.stage == stage) if stage else query).limit(limit)
    ).all()


def beginning(session: Session, start: str) -> Sequence[PayoutRow]:
    """Return payouts whose id or EndToEndId begins with a text; two at most, to see if it is
    unique."""
    return session.exec(
        select(PayoutRow)
        .where(
            col(PayoutRow.payout_id).startswith(start, autoescape=True)
            | col(PayoutRow.end_to_end_id).startswith(start, autoescape=True)
        )
        .limit(2)
    ).all()


def with_references(
    session: Session, end_to_end_ids: Collection[str], stages: Collection[Stage] = tuple(Stage)
) -> dict[str, PayoutRow]:
    """Return {EndToEndId: payout} of those of these orders that are at one of the stages."""
    references, payouts = sorted(end_to_end_ids), {}
    for start in range(0, len(references), _CHUNK):
        chosen = col(PayoutRow.end_to_end_id).in_(references[start : start + _CHUNK])
        for row in session.exec(select(PayoutRow).where(chosen, col(PayoutRow.stage).in_(stages))):
            payouts[row.end_to_end_id] = row
    return payouts


def of_message(session: Session, message_id: str) -> Sequence[PayoutRow]:
    """Return payouts that were ordered by the outgoing file with this message id."""
    return session.exec(
        select(PayoutRow)
        .join(BankFileRow, BankFileRow.file_hash == PayoutRow.file_hash)
        .where(BankFileRow.direction == "out", BankFileRow.name == order_file_name(message_id))
    ).all()


def order_names(rows: Iterable[PayoutRow]) -> dict[str, str]:
    """Return the EndToEndId of each order by each id that names it: that one and its UETR.

    Its InstrId is its EndToEndId.
    """
    names = {row.end_to_end_id: row.end_to_end_id for row in rows}
    return names | {
        uetr(attempted(bytes.fromhex(row.payout_id[2:]), row.attempt)): row.end_to_end_id
        for row in rows
    }


def of_batches(session: Session, batches: Collection[str]) -> dict[str, list[PayoutRow]]:
    """Return {PmtInfId: the payouts last ordered under it, by id}, without rejected ones."""
    names, payouts = sorted(batches), defaultdict(list)
    for start in range(0, len(names), _CHUNK):
        for row in session.exec(
            select(PayoutRow)
            .where(col(PayoutRow.batch).in_(names[start : start + _CHUNK]))
            .where(PayoutRow.stage != Stage.REJECTED)
            .order_by(PayoutRow.payout_id)
        ):
            payouts[row.batch].append(row)
    return payouts


def count_by_stage(session: Session) -> dict[str, tuple[int, int]]:
    """Return {stage: (how many payouts, cents)}."""
    rows = session.exec(
        select(PayoutRow.stage, func.count(), func.sum(PayoutRow.cents)).group_by(PayoutRow.stage)
    )
    return {stage: (count, cents) for stage, count, cents in rows}
