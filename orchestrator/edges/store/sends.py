"""Chain sends: signed bytes with their nonces, from `signed` to `mined`."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session, func, select, update

from orchestrator.edges.store.tables import ChainSend

__all__ = ["ChainSend", "add", "by_ref", "mark_mined", "mark_sent", "next_nonce", "unmined"]

OPEN = ("signed", "sent")


def add(session: Session, row: ChainSend) -> None:
    session.add(row)
    session.flush()


def next_nonce(session: Session, chain_id: int, sender: str) -> int | None:
    """The lowest nonce never used here, or None if this key never sent from this store."""
    highest = session.exec(
        select(func.max(ChainSend.nonce)).where(
            ChainSend.chain_id == chain_id, ChainSend.sender == sender
        )
    ).one()
    return None if highest is None else highest + 1


def unmined(session: Session, chain_id: int, sender: str) -> Sequence[ChainSend]:
    """Sends that no block holds, in nonce order."""
    return session.exec(
        select(ChainSend)
        .where(ChainSend.chain_id == chain_id, ChainSend.sender == sender)
        .where(ChainSend.stage.in_(OPEN))
        .order_by(ChainSend.nonce)
        .limit(500)
    ).all()


def by_ref(session: Session, purpose: str, ref: str) -> ChainSend | None:
    """The newest send for a purpose and reference that did not fail."""
    return session.exec(
        select(ChainSend)
        .where(ChainSend.purpose == purpose, ChainSend.ref == ref, ChainSend.stage != "failed")
        .order_by(ChainSend.nonce.desc())
    ).first()


def open_send(session: Session, purpose: str, ref: str) -> ChainSend | None:
    """The newest send for a purpose and reference that no block holds (yet, or any more)."""
    return session.exec(
        select(ChainSend)
        .where(ChainSend.purpose == purpose, ChainSend.ref == ref, ChainSend.stage.in_(OPEN))
        .order_by(ChainSend.nonce.desc())
    ).first()


def mark_sent(session: Session, tx_hash: str, verdict: str) -> None:
    """After a broadcast; a send that is already mined stays so."""
    session.exec(
        update(ChainSend)
        .where(ChainSend.tx_hash == tx_hash, ChainSend.stage.in_(OPEN))
        .values(stage="sent", verdict=verdict)
    )


def mark_mined(session: Session, tx_hash: str, block: int, gas_used: int, succeeded: bool) -> None:
    """A receipt exists; `failed` still consumed the nonce."""
    session.exec(
        update(ChainSend)
        .where(ChainSend.tx_hash == tx_hash)
        .values(stage="mined" if succeeded else "failed", block_number=block, gas_used=gas_used)
    )


def mark_displaced(session: Session, tx_hash: str) -> None:
    """Another transaction used its nonce for good: these bytes can never be mined."""
    session.exec(
        update(ChainSend)
        .where(ChainSend.tx_hash == tx_hash, ChainSend.stage.in_(OPEN))
        .values(stage="failed", verdict="its nonce was used by another transaction")
    )


def unmine(session: Session, first_block: int) -> None:
    """Blocks from `first_block` on were orphaned: their sends are open again, same bytes."""
    session.exec(
        update(ChainSend)
        .where(ChainSend.block_number >= first_block)
        .values(stage="sent", block_number=None)
    )


def ending(session: Session, first_block: int, last_block: int) -> Sequence[ChainSend]:
    """Sends mined in a range of blocks."""
    return session.exec(
        select(ChainSend).where(
            ChainSend.block_number >= first_block, ChainSend.block_number <= last_block
        )
    ).all()


def open_refs(session: Session, purpose: str) -> set[str]:
    """References with a send of this purpose that is still open."""
    found = session.exec(
        select(ChainSend.ref).where(ChainSend.purpose == purpose, ChainSend.stage.in_(OPEN))
    )
    return set(found)


def by_hash(session: Session, tx_hash: str) -> ChainSend | None:
    return session.get(ChainSend, tx_hash)


def gas_used(session: Session, purpose: str) -> int:
    """Gas of all mined sends of a purpose."""
    return (
        session.exec(select(func.sum(ChainSend.gas_used)).where(ChainSend.purpose == purpose)).one()
        or 0
    )


def senders_of(session: Session, purposes: Sequence[str]) -> set[str]:
    """The addresses that ever sent for one of these purposes."""
    chosen = select(ChainSend.sender).where(ChainSend.purpose.in_(purposes)).distinct()
    return set(session.exec(chosen))
