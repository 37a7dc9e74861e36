"""Officers, and the approvals that two of them sign; each is executed once."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlmodel import Session, select, update

from orchestrator.core.approval import Approval
from orchestrator.edges.store import add_all, add_new
from orchestrator.edges.store.tables import ApprovalRow, OfficerRow

__all__ = ["ApprovalRow", "OfficerRow"]


def officers(session: Session, at: int | None = None) -> dict[str, str]:
    """Return {address: name} of all who may sign now, or who could sign at a time.

    Args:
        session: A session of the store.
        at: Unix seconds; None for now.
    """
    return {
        row.address: row.name
        for row in all_officers(session)
        if (
            row.removed_at is None
            if at is None
            else row.added_at <= at and (row.removed_at is None or at <= row.removed_at)
        )
    }


def all_officers(session: Session) -> Sequence[OfficerRow]:
    """Return all officers, removed ones too, in the order in which they were added."""
    return session.exec(select(OfficerRow).order_by(OfficerRow.added_at, OfficerRow.name)).all()


def add_officer(session: Session, address: str, name: str, at: int) -> None:
    """Store an officer. at: Unix seconds."""
    add_all(session, [OfficerRow(address=address, name=name, added_at=at)])


def remove_officer(session: Session, address: str, at: int) -> None:
    """End the right of an officer to sign. at: Unix seconds."""
    session.exec(update(OfficerRow).where(OfficerRow.address == address).values(removed_at=at))


def add(session: Session, approval: Approval, proposer: str, signature: str) -> None:
    """Store a proposal; the same one again changes nothing."""
    add_new(
        session,
        [
            ApprovalRow(
                approval_id=approval.approval_id,
                kind=approval.kind,
                subject=approval.subject,
                detail=approval.detail_text,
                proposed_at=approval.proposed_at,
                proposer=proposer,
                proposer_signature=signature,
            )
        ],
    )


def get(session: Session, approval_id: str) -> ApprovalRow | None:
    """Return an approval by its id (0x-hex)."""
    return session.get(ApprovalRow, approval_id)


def content_of(row: ApprovalRow) -> Approval:
    """Return a stored approval as it was signed."""
    return Approval(row.kind, row.subject, json.loads(row.detail), row.proposed_at)


def listed(session: Session, *, only_open: bool = False) -> Sequence[ApprovalRow]:
    """Return all approvals, or those that are not executed yet, oldest first."""
    query = select(ApprovalRow).order_by(ApprovalRow.proposed_at, ApprovalRow.approval_id)
    if only_open:
        query = query.where(ApprovalRow.executed_at.is_(None))
    return session.exec(query).all()


def about(session: Session, kind: str, subject: str) -> Sequence[ApprovalRow]:
    """Return the approvals of a kind about one subject, oldest first."""
    return session.exec(
        select(ApprovalRow)
        .where(ApprovalRow.kind == kind, ApprovalRow.subject == subject)
        .order_by(ApprovalRow.proposed_at)
    ).all()


def approved(session: Session, kind: str) -> Sequence[ApprovalRow]:
    """Return approved approvals of a kind that are not executed yet, in the order of approval."""
    return session.exec(
        select(ApprovalRow)
        .where(ApprovalRow.kind == kind, ApprovalRow.approved_at.is_not(None))
        .where(ApprovalRow.executed_at.is_(None))
        .order_by(ApprovalRow.approved_at, ApprovalRow.approval_id)
    ).all()


def mark_approved(
    session: Session, approval_id: str, approver: str, signature: str, at: int
) -> None:
    """Store the second signature of a proposal; an approval that has one already stays as it is."""
    session.exec(
        update(ApprovalRow)
        .where(ApprovalRow.approval_id == approval_id, ApprovalRow.approved_at.is_(None))
        .values(approver=approver, approver_signature=signature, approved_at=at)
    )


def mark_executed(session: Session, approval_id: str, at: int) -> None:
    """Record when an approval was carried out. at: Unix seconds."""
    session.exec(
        update(ApprovalRow).where(ApprovalRow.approval_id == approval_id).values(executed_at=at)
    )
