"""Blocks and logs seen: what the chain told, by hash, so that a rewind is noticed and undone."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session, delete, func, select, update

from orchestrator.edges.store.tables import Block, ChainLog, Proof

__all__ = ["Block", "ChainLog", "Proof"]


def newest(session: Session) -> Block | None:
    return session.exec(select(Block).order_by(Block.number.desc())).first()


def at(session: Session, number: int) -> Block | None:
    return session.get(Block, number)


def not_final(session: Session, up_to: int) -> Sequence[Block]:
    """Blocks deep enough to be final that were not treated as such yet, oldest first."""
    return session.exec(
        select(Block)
        .where(Block.final == False, Block.number <= up_to)  # noqa: E712
        .order_by(Block.number)
        .limit(200)
    ).all()


def mark_final(session: Session, numbers: Sequence[int]) -> None:
    session.exec(update(Block).where(Block.number.in_(numbers)).values(final=True))


def forget_from(session: Session, first: int) -> list[ChainLog]:
    """Removes blocks and logs from `first` on and returns the logs that were orphaned."""
    orphaned = session.exec(select(ChainLog).where(ChainLog.block_number >= first)).all()
    session.exec(delete(ChainLog).where(ChainLog.block_number >= first))
    session.exec(delete(Block).where(Block.number >= first))
    return list(orphaned)


def logs_in(session: Session, numbers: Sequence[int]) -> Sequence[ChainLog]:
    """Logs of these blocks in chain order."""
    return session.exec(
        select(ChainLog)
        .where(ChainLog.block_number.in_(numbers))
        .order_by(ChainLog.block_number, ChainLog.log_index)
    ).all()


def newest_final(session: Session) -> int:
    """The number of the newest final block, 0 if none."""
    return session.exec(select(func.max(Block.number)).where(Block.final)).one() or 0


def times(session: Session) -> dict[int, int]:
    """{number: Unix seconds} of every block seen."""
    return dict(session.exec(select(Block.number, Block.timestamp)).all())


def has_log(session: Session, tx_hash: str, name: str) -> bool:
    return log_of(session, tx_hash, name) is not None


def log_of(session: Session, tx_hash: str, name: str) -> ChainLog | None:
    """The first log of this name in a transaction."""
    return session.exec(
        select(ChainLog)
        .where(ChainLog.tx_hash == tx_hash, ChainLog.name == name)
        .order_by(ChainLog.log_index)
    ).first()


def logs_named(session: Session, names: Sequence[str]) -> Sequence[ChainLog]:
    """All logs with these names, in chain order."""
    return session.exec(
        select(ChainLog)
        .where(ChainLog.name.in_(names))
        .order_by(ChainLog.block_number, ChainLog.log_index)
    ).all()


def proof(session: Session, tx_hash: str) -> str | None:
    """The archived proof of a transaction (JSON), or None while its block is not final."""
    row = session.get(Proof, tx_hash)
    return row.body if row else None


def logs_about(session: Session, names: Sequence[str], subject: str) -> Sequence[ChainLog]:
    """Logs with these names that have `subject` (0x-hex) among their arguments, in chain order."""
    return session.exec(
        select(ChainLog)
        .where(ChainLog.name.in_(names), ChainLog.args.contains(f'"{subject}"'))
        .order_by(ChainLog.block_number, ChainLog.log_index)
    ).all()


def logs_in_transaction(session: Session, tx_hash: str) -> Sequence[ChainLog]:
    """The logs of one transaction, in order."""
    return session.exec(
        select(ChainLog).where(ChainLog.tx_hash == tx_hash).order_by(ChainLog.log_index)
    ).all()
