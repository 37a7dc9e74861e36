"""The ledger's entries and postings: appended in batches, hash-chained, never changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from sqlmodel import Session, func, or_, select

from orchestrator.core.chart import LedgerAccount
from orchestrator.core.ledger import GENESIS, Entry, Posting, chain_hash, escrow
from orchestrator.core.reports import LedgerMovement
from orchestrator.edges.store import Head, add_all, pending
from orchestrator.edges.store.tables import (
    LedgerEntryRow,
    LedgerPostingRow,
    PendingEntryRow,
)

__all__ = ["GENESIS", "LedgerEntryRow", "LedgerPostingRow", "PendingEntryRow"]

_BATCH = 500
_AT_ONCE = 2_000  # rows that one fetch holds
_SUBJECTS_AT_ONCE = 100  # SQLite limits the depth of an expression


def post(session: Session, entries: Sequence[Entry], at: int, source: str = "") -> int:
    """Append entries that the journal does not have yet, in order.

    Args:
        session: A write session.
        entries: The entries; one whose id is there already is skipped.
        at: Unix seconds, for entries without a source of their own.
        source: The recorded input, for entries without a source of their own.

    Returns:
        How many entries were new.
    """
    stored_ids = _stored_among(session, [item.entry_id for item in entries])
    fresh = {
        item.entry_id: item.dated(at, source) for item in entries if item.entry_id not in stored_ids
    }
    if not fresh:
        return 0
    number, previous = head(session)
    rows, postings = [], []
    for item in fresh.values():
        number, previous = number + 1, chain_hash(previous, item)
        rows.append(
            LedgerEntryRow(
                number=number,
                entry_id=item.entry_id,
                kind=item.kind,
                ref=item.ref,
                at=item.at,
                hash=previous,
                source=item.source,
            )
        )
        postings += [
            LedgerPostingRow(
                entry_id=item.entry_id,
                account=p.account,
                asset=p.asset,
                amount_minor=p.amount_minor,
            )
            for p in item.postings
        ]
    add_all(session, rows)
    add_all(session, postings)
    return len(fresh)


def head(session: Session) -> tuple[int, str]:
    """Return (number, hash) of the newest entry; (0, GENESIS) of an empty journal."""
    last = session.exec(
        select(LedgerEntryRow).order_by(LedgerEntryRow.number.desc()).limit(1)
    ).first()
    return (last.number, last.hash) if last else (0, GENESIS)


def _stored_among(session: Session, ids: list[str]) -> set[str]:
    stored_ids: set[str] = set()
    for start in range(0, len(ids), 500):
        chunk = ids[start : start + 500]
        stored_ids |= set(
            session.exec(select(LedgerEntryRow.entry_id).where(LedgerEntryRow.entry_id.in_(chunk)))
        )
    return stored_ids


def balances(session: Session, as_of: int | None = None) -> dict[tuple[str, str], int]:
    """Return {(account, asset): balance in minor units}; debits are positive.

    Args:
        as_of: Only entries dated up to that time (Unix seconds, inclusive); None for all.
    """
    query = select(
        LedgerPostingRow.account, LedgerPostingRow.asset, func.sum(LedgerPostingRow.amount_minor)
    )
    if as_of is not None:
        query = query.join(LedgerEntryRow, LedgerEntryRow.entry_id == LedgerPostingRow.entry_id)
        query = query.where(LedgerEntryRow.at <= as_of)
    rows = session.exec(
        query.group_by(LedgerPostingRow.account, LedgerPostingRow.asset).order_by(
            LedgerPostingRow.asset, LedgerPostingRow.account
        )
    )
    return {(account, asset): total for account, asset, total in rows}


def pending_balances(session: Session, until: int | None = None) -> dict[tuple[str, str], int]:
    """Return what the entries of blocks that are not final yet would add to each balance.

    Args:
        until: Only entries dated up to this time (Unix seconds); None for all.
    """
    return pending.balances(session, until)


def escrows(session: Session, agreements: Iterable[str]) -> dict[str, int]:
    """Return {agreement id: micro-euro in its escrow}, without agreements that have none."""
    accounts, totals = [escrow(agreement) for agreement in agreements], {}
    for start in range(0, len(accounts), 500):
        totals |= dict(
            session.exec(
                select(LedgerPostingRow.account, func.sum(LedgerPostingRow.amount_minor))
                .where(LedgerPostingRow.account.in_(accounts[start : start + 500]))
                .group_by(LedgerPostingRow.account)
            ).all()
        )
    return {account.removeprefix(escrow("")): -total for account, total in totals.items() if total}


def escrows_moved(session: Session, after: int) -> set[str]:
    """Return the agreements whose escrow the entries behind an entry's number have changed."""
    rows = session.exec(
        select(LedgerPostingRow.account)
        .join(LedgerEntryRow, LedgerEntryRow.entry_id == LedgerPostingRow.entry_id)
        .where(LedgerEntryRow.number > after)
        .where(LedgerPostingRow.account.startswith(escrow(""), autoescape=True))
    )
    return {account.removeprefix(escrow("")) for account in rows}


def entries(
    session: Session, *, as_of: int | None = None, with_pending: bool = False
) -> Iterator[tuple[LedgerEntryRow | PendingEntryRow, Entry]]:
    """Yield every entry with its row, in journal order, read in batches.

    Args:
        as_of: As in `balances`.
        with_pending: Whether entries of blocks that are not final yet follow, in the chain's order;
            their rows are `PendingEntryRow`, whose `number` is none of the journal's.
    """
    query = select(LedgerEntryRow)
    if as_of is not None:
        query = query.where(LedgerEntryRow.at <= as_of)
    last = 0
    while rows := session.exec(
        query.where(LedgerEntryRow.number > last).order_by(LedgerEntryRow.number).limit(_BATCH)
    ).all():
        yield from _with_postings(session, rows)
        last = rows[-1].number
    if with_pending:
        yield from (
            (row, entry)
            for row, entry in pending.entries(session)
            if as_of is None or row.at <= as_of
        )


def _with_postings(
    session: Session, rows: Sequence[LedgerEntryRow]
) -> Iterator[tuple[LedgerEntryRow, Entry]]:
    for start in range(0, len(rows), _BATCH):
        chunk = rows[start : start + _BATCH]
        by_entry: dict[str, list[Posting]] = defaultdict(list)
        for entry_id, *parts in session.exec(
            select(
                LedgerPostingRow.entry_id,
                LedgerPostingRow.account,
                LedgerPostingRow.asset,
                LedgerPostingRow.amount_minor,
            )
            .where(LedgerPostingRow.entry_id.in_([row.entry_id for row in chunk]))
            .order_by(LedgerPostingRow.id)
        ):
            by_entry[entry_id].append(Posting(*parts))
        for row in chunk:
            postings = tuple(by_entry[row.entry_id])
            yield row, Entry(row.entry_id, row.kind, row.ref, postings, row.at, row.source)


def entries_of(session: Session, refs: Sequence[str]) -> list[tuple[LedgerEntryRow, Entry]]:
    """Return stored entries with these references, in journal order, each with its postings."""
    rows = session.exec(
        select(LedgerEntryRow).where(LedgerEntryRow.ref.in_(refs)).order_by(LedgerEntryRow.number)
    ).all()
    return list(_with_postings(session, rows))


def entries_of_kind(session: Session, kind: str) -> list[tuple[LedgerEntryRow, Entry]]:
    """Return stored entries of one kind, in journal order."""
    rows = session.exec(
        select(LedgerEntryRow).where(LedgerEntryRow.kind == kind).order_by(LedgerEntryRow.number)
    ).all()
    return list(_with_postings(session, rows))


def entry(session: Session, entry_id: str) -> Entry | None:
    """Return an entry of the journal or, if it is not there, the pending one with this id."""
    rows = session.exec(select(LedgerEntryRow).where(LedgerEntryRow.entry_id == entry_id)).all()
    posted = next((item for _, item in _with_postings(session, rows)), None)
    return posted or pending.entry(session, entry_id)


def first_broken_link(session: Session) -> int | None:
    """Return the number of the first entry whose hash does not follow from its predecessor.

    None if the whole chain holds.
    """
    previous = GENESIS
    for row, item in entries(session):
        if chain_hash(previous, item) != row.hash:
            return row.number
        previous = row.hash
    return None


def stray_postings(session: Session) -> int:
    """Count postings without an entry: balances would include them, and no hash covers them."""
    return session.exec(
        select(func.count())
        .select_from(LedgerPostingRow)
        .where(LedgerPostingRow.entry_id.not_in(select(LedgerEntryRow.entry_id)))
    ).one()


def hash_of(session: Session, number: int) -> str | None:
    """Return the hash of the entry with this number; None where there is none."""
    row = session.get(LedgerEntryRow, number) if number < 1 << 63 else None  # SQLite's integers
    return row.hash if row else None


def hash_before(session: Session, number: int) -> str:
    """Return the hash that the entry with this number was chained to."""
    return hash_of(session, number - 1) or GENESIS


def count(session: Session) -> int:
    """Count the entries of the journal."""
    return session.exec(select(func.count()).select_from(LedgerEntryRow)).one()


def entries_about(session: Session, subject_ids: Collection[str]) -> dict[str, list[Entry]]:
    """Return {id: its entries in journal order}.

    Args:
        subject_ids: Ids of payouts or credits, 0x-hex; an entry is about an id if its reference is
            that id, or begins with it and a slash.
    """
    ids, entries = sorted(subject_ids), {}
    for start in range(0, len(ids), _SUBJECTS_AT_ONCE):
        ranges = [  # "0" follows the slash
            (LedgerEntryRow.ref >= i) & (LedgerEntryRow.ref < i + "0")
            for i in ids[start : start + _SUBJECTS_AT_ONCE]
        ]
        rows = session.exec(
            select(LedgerEntryRow).where(or_(*ranges)).order_by(LedgerEntryRow.number)
        ).all()
        for row, entry in _with_postings(session, rows):
            entries.setdefault(row.ref.partition("/")[0], []).append(entry)
    return entries


def reclaimed(session: Session, agreements: Collection[str]) -> set[str]:
    """Return those of these agreements whose escrow was given back, according to the journal."""
    accounts, given_back = sorted(escrow(agreement) for agreement in agreements), set()
    for start in range(0, len(accounts), _BATCH):
        given_back |= set(
            session.exec(
                select(LedgerPostingRow.account)
                .join(LedgerEntryRow, LedgerEntryRow.entry_id == LedgerPostingRow.entry_id)
                .where(LedgerEntryRow.kind == "reclaimed")
                .where(LedgerPostingRow.account.in_(accounts[start : start + _BATCH]))
            )
        )
    return {account.removeprefix(escrow("")) for account in given_back}


def movements(
    session: Session,
    account: str | None = None,
    row: LedgerAccount | None = None,
    until: int | None = None,
) -> Iterator[LedgerMovement]:
    """Yield postings in journal order: all of them, one account's, or those of a row of the chart.

    Args:
        until: Only those of entries dated up to this time (Unix seconds).
    """
    query = (
        select(
            LedgerEntryRow.number,
            LedgerEntryRow.at,
            LedgerEntryRow.kind,
            LedgerEntryRow.ref,
            LedgerEntryRow.source,
            LedgerPostingRow.account,
            LedgerPostingRow.asset,
            LedgerPostingRow.amount_minor,
        )
        .join(LedgerPostingRow, LedgerPostingRow.entry_id == LedgerEntryRow.entry_id)
        .order_by(LedgerEntryRow.number, LedgerPostingRow.id)
    )
    if account is not None:
        query = query.where(LedgerPostingRow.account == account)
    if row is not None:
        query = query.where(_in(row))
    if until is not None:
        query = query.where(LedgerEntryRow.at <= until)
    for values in session.exec(query.execution_options(yield_per=_AT_ONCE)):
        yield LedgerMovement(*values)


def _in(row: LedgerAccount) -> Any:
    if row.has_details:
        return LedgerPostingRow.account.startswith(row.pattern[:-1], autoescape=True)
    return LedgerPostingRow.account == row.pattern


def entry_before(session: Session, at: int) -> Head:
    """Return the number and hash of the newest entry dated before a time (Unix seconds).

    The hash covers every entry up to that number.
    """
    row = session.exec(
        select(LedgerEntryRow)
        .where(LedgerEntryRow.at < at)
        .order_by(LedgerEntryRow.number.desc())
        .limit(1)
    ).first()
    return Head(row.number, row.hash) if row else Head(0, "")
