"""Officers, and the decisions that two of them signed; each is executed once."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlmodel import Session, select, update

from orchestrator.core.approval import Decision as Said
from orchestrator.edges.store import add_all, add_new
from orchestrator.edges.store.tables import Decision, Officer

__all__ = ["Decision", "Officer"]


def officers(session: Session, at: int | None = None) -> dict[str, str]:
    """{address: name} of all who may sign now, or could at a time (Unix seconds)."""
    return {
        row.address: row.name
        for row in all_officers(session)
        if (
            row.removed_at is None
            if at is None
            else row.added_at <= at and (row.removed_at is None or at <= row.removed_at)
        )
    }


def all_officers(session: Session) -> Sequence[Officer]:
    return session.exec(select(Officer).order_by(Officer.added_at, Officer.name)).all()


def add_officer(session: Session, address: str, name: str, at: int) -> None:
    add_all(session, [Officer(address=address, name=name, added_at=at)])


def remove_officer(session: Session, address: str, at: int) -> None:
    session.exec(update(Officer).where(Officer.address == address).values(removed_at=at))


def add(session: Session, decision: Said, proposer: str, signature: str) -> None:
    """A proposal; the same one again changes nothing."""
    add_new(
        session,
        [
            Decision(
                decision_id=decision.decision_id,
                kind=decision.kind,
                subject=decision.subject,
                detail=decision.detail_text,
                proposed_at=decision.proposed_at,
                proposer=proposer,
                proposal=signature,
            )
        ],
    )


def get(session: Session, decision_id: str) -> Decision | None:
    return session.get(Decision, decision_id)


def said(row: Decision) -> Said:
    """The stored decision as it was signed."""
    return Said(row.kind, row.subject, json.loads(row.detail), row.proposed_at)


def listed(session: Session, *, only_open: bool = False) -> Sequence[Decision]:
    """All decisions, or those that are not executed yet, oldest first."""
    wanted = select(Decision).order_by(Decision.proposed_at, Decision.decision_id)
    if only_open:
        wanted = wanted.where(Decision.executed_at.is_(None))
    return session.exec(wanted).all()


def about(session: Session, kind: str, subject: str) -> Sequence[Decision]:
    """Decisions of a kind about one subject, oldest first."""
    return session.exec(
        select(Decision)
        .where(Decision.kind == kind, Decision.subject == subject)
        .order_by(Decision.proposed_at)
    ).all()


def approved(session: Session, kind: str) -> Sequence[Decision]:
    """Approved and not executed yet, in the order of their approval."""
    return session.exec(
        select(Decision)
        .where(Decision.kind == kind, Decision.approved_at.is_not(None))
        .where(Decision.executed_at.is_(None))
        .order_by(Decision.approved_at, Decision.decision_id)
    ).all()


def mark_approved(
    session: Session, decision_id: str, approver: str, signature: str, at: int
) -> None:
    session.exec(
        update(Decision)
        .where(Decision.decision_id == decision_id, Decision.approved_at.is_(None))
        .values(approver=approver, approval=signature, approved_at=at)
    )


def mark_executed(session: Session, decision_id: str, at: int) -> None:
    session.exec(update(Decision).where(Decision.decision_id == decision_id).values(executed_at=at))
