"""The ledger's entries and postings: appended in batches, hash-chained, never changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlmodel import Session, func, select

from orchestrator.core.ledger import GENESIS, Entry, Posting, chain_hash, escrow
from orchestrator.edges.store import add_all
from orchestrator.edges.store.tables import LedgerEntry, LedgerPosting

__all__ = ["GENESIS", "LedgerEntry", "LedgerPosting"]


def post(session: Session, entries: Sequence[Entry], at: int, source: str = "") -> int:
    """Appends entries that are not there yet, in order; returns how many were new.

    at, source: of those that do not tell their own (ledger.Entry).
    """
    known = _known(session, [item.entry_id for item in entries])
    fresh = {item.entry_id: item.dated(at, source) for item in entries
             if item.entry_id not in known}  # fmt: skip
    if not fresh:
        return 0
    number, previous = head(session)
    rows, postings = [], []
    for item in fresh.values():
        number, previous = number + 1, chain_hash(previous, item)
        rows.append(LedgerEntry(
            number=number, entry_id=item.entry_id, kind=item.kind, ref=item.ref,
            at=item.at, hash=previous, source=item.source,
        ))  # fmt: skip
        postings += [
            LedgerPosting(
                entry_id=item.entry_id, account=p.account, asset=p.asset,
                amount_minor=p.amount_minor,
            )
            for p in item.postings
        ]  # fmt: skip
    add_all(session, rows)
    add_all(session, postings)
    return len(fresh)


def head(session: Session) -> tuple[int, str]:
    """(number, hash) of the newest entry; (0, GENESIS) of an empty journal."""
    last = session.exec(select(LedgerEntry).order_by(LedgerEntry.number.desc())).first()
    return (last.number, last.hash) if last else (0, GENESIS)


def _known(session: Session, ids: list[str]) -> set[str]:
    found: set[str] = set()
    for start in range(0, len(ids), 500):
        chunk = ids[start : start + 500]
        found |= set(
            session.exec(select(LedgerEntry.entry_id).where(LedgerEntry.entry_id.in_(chunk)))
        )
    return found


def balances(session: Session) -> dict[tuple[str, str], int]:
    """{(account, asset): balance in minor units}; debit positive."""
    rows = session.exec(
        select(LedgerPosting.account, LedgerPosting.asset, func.sum(LedgerPosting.amount_minor))
        .group_by(LedgerPosting.account, LedgerPosting.asset)
        .order_by(LedgerPosting.asset, LedgerPosting.account)
    )
    return {(account, asset): total for account, asset, total in rows}


def escrows(session: Session, agreements: Iterable[str]) -> dict[str, int]:
    """{agreement: tokens held for it, micro-euro} of those of these agreements that have any."""
    accounts, found = [escrow(agreement) for agreement in agreements], {}
    for start in range(0, len(accounts), 500):
        found |= dict(session.exec(
            select(LedgerPosting.account, func.sum(LedgerPosting.amount_minor))
            .where(LedgerPosting.account.in_(accounts[start : start + 500]))
            .group_by(LedgerPosting.account)
        ).all())  # fmt: skip
    return {account.removeprefix(escrow("")): -total for account, total in found.items() if total}


def entries_of(session: Session, refs: Sequence[str]) -> list[tuple[LedgerEntry, Entry]]:
    """Stored entries with these references, in journal order, each with its postings."""
    rows = session.exec(
        select(LedgerEntry).where(LedgerEntry.ref.in_(refs)).order_by(LedgerEntry.number)
    ).all()
    return [(row, _entry(session, row)) for row in rows]


def _entry(session: Session, row: LedgerEntry) -> Entry:
    postings = session.exec(
        select(LedgerPosting)
        .where(LedgerPosting.entry_id == row.entry_id)
        .order_by(LedgerPosting.id)
    )
    kept = tuple(Posting(p.account, p.asset, p.amount_minor) for p in postings)
    return Entry(row.entry_id, row.kind, row.ref, kept, row.at, row.source)


def first_broken_link(session: Session) -> int | None:
    """The number of the first entry whose hash does not follow from its predecessor, or None."""
    previous = GENESIS
    rows = session.exec(select(LedgerEntry).order_by(LedgerEntry.number)).all()
    for row in rows:
        if chain_hash(previous, _entry(session, row)) != row.hash:
            return row.number
        previous = row.hash
    return None


def entries_of_kind(session: Session, kind: str) -> list[tuple[LedgerEntry, Entry]]:
    """Stored entries of one kind, in journal order."""
    rows = session.exec(
        select(LedgerEntry).where(LedgerEntry.kind == kind).order_by(LedgerEntry.number)
    ).all()
    return [(row, _entry(session, row)) for row in rows]


def hash_before(session: Session, number: int) -> str:
    """The hash that the entry with this number was chained to."""
    row = session.get(LedgerEntry, number - 1)
    return row.hash if row else GENESIS


def count(session: Session) -> int:
    """How many entries the journal holds."""
    return session.exec(select(func.count()).select_from(LedgerEntry)).one()
