"""Entries of blocks that may still vanish: stored when seen, then posted or voided, always kept."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence

from sqlmodel import Session, select, update

from orchestrator.core.ledger import Entry, Posting
from orchestrator.core.ledger import balances as sums
from orchestrator.edges.store import add_all
from orchestrator.edges.store.tables import (
    PendingEntryRow,
)

__all__ = ["PendingEntryRow"]


def note(session: Session, block_hash: str, block_number: int, noted: Sequence[Entry]) -> None:
    """Store the entries of a block that was just seen, in their order."""
    add_all(
        session,
        [
            PendingEntryRow(
                entry_id=item.entry_id,
                block_hash=block_hash,
                block_number=block_number,
                kind=item.kind,
                ref=item.ref,
                at=item.at,
                postings=json.dumps([[p.account, p.asset, p.amount_minor] for p in item.postings]),
            )
            for item in noted
        ],
    )


def mark_posted(session: Session, block_hashes: Sequence[str]) -> None:
    """Record that the blocks are final and the journal has their entries."""
    session.exec(
        update(PendingEntryRow)
        .where(PendingEntryRow.block_hash.in_(block_hashes), PendingEntryRow.state == "pending")
        .values(state="posted")
    )


def void_from(session: Session, first: int) -> int:
    """Void the entries of blocks from `first` on, which left the chain; return how many."""
    return session.exec(
        update(PendingEntryRow)
        .where(PendingEntryRow.block_number >= first, PendingEntryRow.state == "pending")
        .values(state="voided")
    ).rowcount


def entries(session: Session, state: str = "pending") -> Iterator[tuple[PendingEntryRow, Entry]]:
    """Yield the entries in a state, in the order in which they were seen."""
    for row in session.exec(
        select(PendingEntryRow)
        .where(PendingEntryRow.state == state)
        .order_by(PendingEntryRow.number)
    ):
        yield row, _entry(row)


def entry(session: Session, entry_id: str) -> Entry | None:
    """Return the pending entry with this id."""
    row = session.exec(
        select(PendingEntryRow).where(
            PendingEntryRow.state == "pending", PendingEntryRow.entry_id == entry_id
        )
    ).first()
    return _entry(row) if row else None


def balances(session: Session, until: int | None = None) -> dict[tuple[str, str], int]:
    """Return what pending entries would add to each balance.

    Args:
        until: Only entries dated up to this time (Unix seconds); None for all.

    Returns:
        {(account, asset): amount in minor units}; debits are positive.
    """
    return sums(
        posting
        for row, item in entries(session)
        if until is None or row.at <= until
        for posting in item.postings
    )


def _entry(row: PendingEntryRow) -> Entry:
    postings = tuple(Posting(*parts) for parts in json.loads(row.postings))
    return Entry(row.entry_id, row.kind, row.ref, postings, row.at, f"block:{row.block_hash}")


def voided_by_block(session: Session) -> dict[str, list[PendingEntryRow]]:
    """Return {block hash: its voided entries} of every block that left the chain."""
    by_block: dict[str, list[PendingEntryRow]] = defaultdict(list)
    for row in session.exec(
        select(PendingEntryRow)
        .where(PendingEntryRow.state == "voided")
        .order_by(PendingEntryRow.number)
    ):
        by_block[row.block_hash].append(row)
    return by_block


def standing(session: Session, kinds: Sequence[str], after: int) -> list[PendingEntryRow]:
    """Return pending and posted entries of some kinds that were stored after an entry.

    Args:
        session: A session of the store.
        kinds: The kinds of entries.
        after: The number of that entry (`PendingEntryRow.number`).
    """
    return list(
        session.exec(
            select(PendingEntryRow)
            .where(PendingEntryRow.state != "voided", PendingEntryRow.kind.in_(kinds))
            .where(PendingEntryRow.number > after)
            .order_by(PendingEntryRow.number)
        )
    )
