"""Names of officers, and the approvals that two of them sign; each is executed once."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlmodel import Session, select, update

from oracles.attest import checksummed
from orchestrator.core.approval import Approval
from orchestrator.edges.store import add_all, add_new
from orchestrator.edges.store.tables import ApprovalRow, BlockRow, ChainLogRow, OfficerRow
from orchestrator.errors import Halt

__all__ = ["ApprovalRow", "OfficerRow"]

NAMED_ONLY = 0  # added_at of an officer that has a name here; its seat is on chain alone


def officer_names(session: Session) -> dict[str, str]:
    """Return {address: name}; a name gives no right, the chain's OfficerRegistry does."""
    return {row.address: row.name for row in session.exec(select(OfficerRow))}


def name_officer(session: Session, address: str, name: str) -> None:
    """Store the name of an officer; the address may have had another one.

    Raises:
        Halt: Another address has this name.
    """
    row = session.exec(select(OfficerRow).where(OfficerRow.name == name)).first()
    if row is not None and row.address != address:
        raise Halt(
            f"The officer {row.address} is named {name!r}. Nothing was changed. Give another name."
        )
    former = session.get(OfficerRow, address)
    if former is not None:
        former.name = name
        session.flush()
    else:
        add_all(session, [OfficerRow(address=address, name=name, added_at=NAMED_ONLY)])


def former_officers(session: Session, at: int) -> set[str]:
    """Return the addresses that can have signed an approval of that time (Unix seconds).

    Those are all that ever had a seat on chain. Before the first seat, releases up to 0.5.0 had
    their officers in the store alone.
    """
    logs = session.exec(
        select(ChainLogRow.args, BlockRow.timestamp)
        .join(BlockRow, BlockRow.hash == ChainLogRow.block_hash)
        .where(ChainLogRow.name == "OfficerSeated")
    ).all()
    seated = {checksummed(bytes.fromhex(json.loads(args)["officer"][2:])) for args, _ in logs}
    if any(timestamp <= at for _, timestamp in logs):
        return seated
    return seated | {
        row.address
        for row in session.exec(select(OfficerRow).where(OfficerRow.added_at != NAMED_ONLY))
        if row.added_at <= at and (row.removed_at is None or at <= row.removed_at)
    }


def has_approved(session: Session) -> bool:
    """Return whether an approval waits for its execution."""
    query = select(ApprovalRow.approval_id).where(
        ApprovalRow.approved_at.is_not(None),
        ApprovalRow.executed_at.is_(None),
        ApprovalRow.withdrawn_at.is_(None),
    )
    return session.exec(query.limit(1)).first() is not None


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
    """Return all approvals, or those that are neither executed nor withdrawn, oldest first."""
    query = select(ApprovalRow).order_by(ApprovalRow.proposed_at, ApprovalRow.approval_id)
    if only_open:
        query = query.where(ApprovalRow.executed_at.is_(None), ApprovalRow.withdrawn_at.is_(None))
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
        .where(ApprovalRow.executed_at.is_(None), ApprovalRow.withdrawn_at.is_(None))
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


def mark_withdrawn(
    session: Session, approval_id: str, officer: str, signature: str, at: int
) -> None:
    """Store the signature that ends an approval. at: Unix seconds."""
    session.exec(
        update(ApprovalRow)
        .where(ApprovalRow.approval_id == approval_id)
        .values(withdrawn_by=officer, withdrawal_signature=signature, withdrawn_at=at)
    )


def mark_executed(session: Session, approval_id: str, at: int) -> None:
    """Record when an approval was carried out. at: Unix seconds."""
    session.exec(
        update(ApprovalRow).where(ApprovalRow.approval_id == approval_id).values(executed_at=at)
    )
