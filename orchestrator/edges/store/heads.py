"""Where chain and journal stood at a time: what an auditor needs to see the same books again."""

from __future__ import annotations

from typing import NamedTuple

from sqlmodel import Session, select

from orchestrator.edges.store.tables import BlockRow, LedgerEntryRow


class Head(NamedTuple):
    """The last one before a time: a final block, or an entry of the journal. (0, ""): none."""

    number: int
    hash: str


def block_before(session: Session, at: int) -> Head:
    """The newest final block of an earlier time (Unix seconds)."""
    row = session.exec(
        select(BlockRow)
        .where(BlockRow.final, BlockRow.timestamp < at)
        .order_by(BlockRow.number.desc())
    ).first()
    return Head(row.number, row.hash) if row else Head(0, "")


def entry_before(session: Session, at: int) -> Head:
    """The newest entry that is dated before a time (Unix seconds), with the journal's hash at it:
    the hash covers every entry up to that number."""
    row = session.exec(
        select(LedgerEntryRow).where(LedgerEntryRow.at < at).order_by(LedgerEntryRow.number.desc())
    ).first()
    return Head(row.number, row.hash) if row else Head(0, "")
