"""Chain sends: signed bytes with their nonces; they move only by `record_fact`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlmodel import Session, func, select

from orchestrator.core.chain_send import MACHINE, OPEN, Fact, Stage
from orchestrator.edges.store.tables import ChainSendRow

__all__ = ["ChainSendRow", "Fact", "Stage", "add", "by_ref", "next_nonce", "record_fact", "unmined"]


def add(session: Session, row: ChainSendRow) -> None:
    """Store a signed call before it is broadcast."""
    session.add(row)
    session.flush()


def next_nonce(session: Session, chain_id: int, sender: str) -> int | None:
    """Return the lowest nonce that this store never used; None if this key never sent from it."""
    highest = session.exec(
        select(func.max(ChainSendRow.nonce)).where(
            ChainSendRow.chain_id == chain_id, ChainSendRow.sender == sender
        )
    ).one()
    return None if highest is None else highest + 1


def unmined(session: Session, chain_id: int, sender: str) -> Sequence[ChainSendRow]:
    """Return sends that no block holds, in nonce order."""
    return session.exec(
        select(ChainSendRow)
        .where(ChainSendRow.chain_id == chain_id, ChainSendRow.sender == sender)
        .where(ChainSendRow.stage.in_(OPEN))
        # sorted by an expression: else SQLite walks through all sends in the order of their nonces
        .order_by(ChainSendRow.nonce + 0)
        .limit(500)
    ).all()


def open_on(session: Session, chain_id: int) -> Sequence[ChainSendRow]:
    """Return sends that no block holds, of every key that ever sent from here, in nonce order."""
    return session.exec(
        select(ChainSendRow)
        .where(ChainSendRow.chain_id == chain_id, ChainSendRow.stage.in_(OPEN))
        # sorted by an expression, as in `unmined`
        .order_by(ChainSendRow.sender + "", ChainSendRow.nonce + 0)
        .limit(500)
    ).all()


def by_ref(session: Session, purpose: str, ref: str) -> ChainSendRow | None:
    """Return the newest send for a purpose and reference that did not fail."""
    return session.exec(
        select(ChainSendRow)
        .where(
            ChainSendRow.purpose == purpose,
            ChainSendRow.ref == ref,
            ChainSendRow.stage != Stage.FAILED,
        )
        .order_by(ChainSendRow.nonce.desc())
        .limit(1)
    ).first()


def open_send(session: Session, purpose: str, ref: str) -> ChainSendRow | None:
    """Return the newest send for a purpose and reference that no block holds (yet, or any more)."""
    return session.exec(
        select(ChainSendRow)
        .where(
            ChainSendRow.purpose == purpose, ChainSendRow.ref == ref, ChainSendRow.stage.in_(OPEN)
        )
        .order_by(ChainSendRow.nonce.desc())
        .limit(1)
    ).first()


def record_fact(session: Session, tx_hash: str, fact: Fact, **values: Any) -> None:
    """Move a send by a fact; the only function that changes a send's stage.

    Args:
        session: A write session.
        tx_hash: The send, 0x-hex; it must be stored.
        fact: What became known about it.
        values: Columns that are set along with the move; a fact that changes nothing sets none.

    Raises:
        Halt: The fact cannot occur at the send's stage.
    """
    row = session.get(ChainSendRow, tx_hash)
    stage = Stage(row.stage)
    after = MACHINE.advance(tx_hash, stage, fact)
    if MACHINE.verdict(stage, fact) == "moves":
        for column, value in {"stage": after, **values}.items():
            setattr(row, column, value)
        session.add(row)


def record_receipt(session: Session, tx_hash: str, block: int, gas_used: int, status: bool) -> None:
    """Record that a block holds a send.

    Args:
        session: A write session.
        tx_hash: The send, 0x-hex.
        block: The number of the block.
        gas_used: Gas, from the receipt.
        status: Whether the call succeeded; the nonce is used either way.
    """
    fact = Fact.SUCCEEDED if status else Fact.REVERTED
    record_fact(session, tx_hash, fact, block_number=block, gas_used=gas_used)


def record_orphaned(session: Session, first_block: int) -> None:
    """Record that the blocks from `first_block` on are gone: their sends are open again."""
    for row in session.exec(select(ChainSendRow).where(ChainSendRow.block_number >= first_block)):
        record_fact(session, row.tx_hash, Fact.ORPHANED, block_number=None)


def ending(session: Session, first_block: int, last_block: int) -> Sequence[ChainSendRow]:
    """Return the sends that were mined in a range of blocks, both ends inclusive."""
    return session.exec(
        select(ChainSendRow).where(
            ChainSendRow.block_number >= first_block, ChainSendRow.block_number <= last_block
        )
    ).all()


def open_refs(session: Session, purpose: str) -> set[str]:
    """Return references with a send of this purpose that is still open."""
    refs = session.exec(
        select(ChainSendRow.ref).where(
            ChainSendRow.purpose == purpose, ChainSendRow.stage.in_(OPEN)
        )
    )
    return set(refs)


def by_hash(session: Session, tx_hash: str) -> ChainSendRow | None:
    """Return a send by its transaction hash (0x-hex)."""
    return session.get(ChainSendRow, tx_hash)


def gas_used(session: Session, purpose: str) -> int:
    """Return the gas of all mined sends of a purpose."""
    return (
        session.exec(
            select(func.sum(ChainSendRow.gas_used)).where(ChainSendRow.purpose == purpose)
        ).one()
        or 0
    )


def senders_of(session: Session, purposes: Sequence[str]) -> set[str]:
    """Return the addresses that ever sent for one of these purposes."""
    chosen = select(ChainSendRow.sender).where(ChainSendRow.purpose.in_(purposes)).distinct()
    return set(session.exec(chosen))


def waiting(session: Session, limit: int) -> Sequence[ChainSendRow]:
    """Return sends of all keys that no block holds, the oldest first."""
    return session.exec(
        select(ChainSendRow)
        .where(ChainSendRow.stage.in_(OPEN))
        .order_by(ChainSendRow.created_at)
        .limit(limit)
    ).all()
