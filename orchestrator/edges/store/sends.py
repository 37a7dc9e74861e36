"""Chain sends: signed bytes with their nonces, from `signed` to `mined`."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session, func, select, update

from orchestrator.edges.store.tables import ChainSendRow

__all__ = ["ChainSendRow", "add", "by_ref", "mark_mined", "mark_sent", "next_nonce", "unmined"]

OPEN = ("signed", "sent")


def add(session: Session, row: ChainSendRow) -> None:
    session.add(row)
    session.flush()


def next_nonce(session: Session, chain_id: int, sender: str) -> int | None:
    """The lowest nonce never used here, or None if this key never sent from this store."""
    highest = session.exec(
        select(func.max(ChainSendRow.nonce)).where(
            ChainSendRow.chain_id == chain_id, ChainSendRow.sender == sender
        )
    ).one()
    return None if highest is None else highest + 1


def unmined(session: Session, chain_id: int, sender: str) -> Sequence[ChainSendRow]:
    """Sends that no block holds, in nonce order."""
    return session.exec(
        select(ChainSendRow)
        .where(ChainSendRow.chain_id == chain_id, ChainSendRow.sender == sender)
        .where(ChainSendRow.stage.in_(OPEN))
        .order_by(ChainSendRow.nonce)
        .limit(500)
    ).all()


def by_ref(session: Session, purpose: str, ref: str) -> ChainSendRow | None:
    """The newest send for a purpose and reference that did not fail."""
    return session.exec(
        select(ChainSendRow)
        .where(
            ChainSendRow.purpose == purpose, ChainSendRow.ref == ref, ChainSendRow.stage != "failed"
        )
        .order_by(ChainSendRow.nonce.desc())
    ).first()


def open_send(session: Session, purpose: str, ref: str) -> ChainSendRow | None:
    """The newest send for a purpose and reference that no block holds (yet, or any more)."""
    return session.exec(
        select(ChainSendRow)
        .where(
            ChainSendRow.purpose == purpose, ChainSendRow.ref == ref, ChainSendRow.stage.in_(OPEN)
        )
        .order_by(ChainSendRow.nonce.desc())
    ).first()


def mark_sent(session: Session, tx_hash: str, verdict: str) -> None:
    """After a broadcast; a send that is already mined stays so."""
    session.exec(
        update(ChainSendRow)
        .where(ChainSendRow.tx_hash == tx_hash, ChainSendRow.stage.in_(OPEN))
        .values(stage="sent", verdict=verdict)
    )


def mark_mined(session: Session, tx_hash: str, block: int, gas_used: int, succeeded: bool) -> None:
    """A receipt exists; `failed` still consumed the nonce."""
    session.exec(
        update(ChainSendRow)
        .where(ChainSendRow.tx_hash == tx_hash)
        .values(stage="mined" if succeeded else "failed", block_number=block, gas_used=gas_used)
    )


def mark_displaced(session: Session, tx_hash: str) -> None:
    """Another transaction used its nonce for good: these bytes can never be mined."""
    session.exec(
        update(ChainSendRow)
        .where(ChainSendRow.tx_hash == tx_hash, ChainSendRow.stage.in_(OPEN))
        .values(stage="failed", verdict="its nonce was used by another transaction")
    )


def unmine(session: Session, first_block: int) -> None:
    """Blocks from `first_block` on were orphaned: their sends are open again, same bytes."""
    session.exec(
        update(ChainSendRow)
        .where(ChainSendRow.block_number >= first_block)
        .values(stage="sent", block_number=None)
    )


def ending(session: Session, first_block: int, last_block: int) -> Sequence[ChainSendRow]:
    """Sends mined in a range of blocks."""
    return session.exec(
        select(ChainSendRow).where(
            ChainSendRow.block_number >= first_block, ChainSendRow.block_number <= last_block
        )
    ).all()


def open_refs(session: Session, purpose: str) -> set[str]:
    """References with a send of this purpose that is still open."""
    found = session.exec(
        select(ChainSendRow.ref).where(
            ChainSendRow.purpose == purpose, ChainSendRow.stage.in_(OPEN)
        )
    )
    return set(found)


def by_hash(session: Session, tx_hash: str) -> ChainSendRow | None:
    return session.get(ChainSendRow, tx_hash)


def gas_used(session: Session, purpose: str) -> int:
    """Gas of all mined sends of a purpose."""
    return (
        session.exec(
            select(func.sum(ChainSendRow.gas_used)).where(ChainSendRow.purpose == purpose)
        ).one()
        or 0
    )


def senders_of(session: Session, purposes: Sequence[str]) -> set[str]:
    """The addresses that ever sent for one of these purposes."""
    chosen = select(ChainSendRow.sender).where(ChainSendRow.purpose.in_(purposes)).distinct()
    return set(session.exec(chosen))
