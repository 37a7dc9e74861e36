"""The register of breaks: every break that was ever found, since when it is open, how it ended."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlmodel import Session, func, select

from orchestrator.edges.store.tables import ApprovalRow, BankFileRow, BreakRow, PendingEntryRow

__all__ = ["BreakRow"]

RESOLVE = "resolve_break"


def note(session: Session, break_id: str, body: Mapping[str, Any], now: int) -> None:
    """Record a break that is seen now.

    Args:
        session: A write session.
        break_id: The id of the break (core.reconcile.register).
        body: Everything about it, JSON-ready, with `kind`, `ids` and `owner`.
        now: Unix seconds.
    """
    row = session.get(BreakRow, break_id)
    if row is None:
        row = BreakRow(
            break_id=break_id,
            kind=body["kind"],
            ids=json.dumps(body["ids"]),
            first_seen=body.get("since") or now,
            last_seen=now,
            owner=body["owner"],
        )
        session.add(row)
    row.last_seen, row.body, row.closed = now, json.dumps(body), body["closed"]
    row.resolved_by = body["resolved_by"]


def leave(session: Session, seen: set[str], why: str) -> int:
    """Close the open breaks that are no longer seen, with a reason; return how many."""
    gone = [row for row in listed(session) if row.break_id not in seen and not row.closed]
    for row in gone:
        row.closed = why
    return len(gone)


def listed(session: Session) -> Sequence[BreakRow]:
    """Return all breaks, the oldest first."""
    return session.exec(select(BreakRow).order_by(BreakRow.first_seen, BreakRow.break_id)).all()


def resolutions(session: Session) -> Sequence[ApprovalRow]:
    """Return every resolution that two officers signed, in the order of their approval."""
    return session.exec(
        select(ApprovalRow)
        .where(ApprovalRow.kind == RESOLVE, ApprovalRow.approved_at.is_not(None))
        .order_by(ApprovalRow.approved_at, ApprovalRow.approval_id)
    ).all()


def received(session: Session) -> dict[str, int]:
    """Return {SHA-256 of a file of the bank: when it came, Unix seconds}."""
    return dict(
        session.exec(
            select(BankFileRow.file_hash, BankFileRow.at).where(BankFileRow.direction == "in")
        ).all()
    )


def causes(session: Session) -> tuple[int, int]:
    """Count voided entries and resolutions: with bank files, all that breaks change with."""
    counts = (
        select(func.count()).select_from(PendingEntryRow).where(PendingEntryRow.state == "voided"),
        select(func.count())
        .select_from(ApprovalRow)
        .where(ApprovalRow.kind == RESOLVE, ApprovalRow.approved_at.is_not(None)),
    )
    return tuple(session.exec(count).one() for count in counts)
