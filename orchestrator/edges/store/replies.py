"""Answers given under an Idempotency-Key: one request per key, and its answer, kept for ever."""

from __future__ import annotations

from sqlmodel import Session, update

from orchestrator.edges.store import add_new
from orchestrator.edges.store.tables import IdempotencyRow

__all__ = ["IdempotencyRow", "keep", "reserve"]

PENDING = 0  # the status of a request that was taken and has no answer yet


def find(session: Session, client: str, key: str) -> IdempotencyRow | None:
    """Return the stored request of a client's key; None if the key is new."""
    return session.get(IdempotencyRow, (client, key))


def reserve(session: Session, client: str, key: str, body_hash: str) -> IdempotencyRow:
    """Store the request of a key and return it; if the key has one already, return that one."""
    add_new(
        session,
        [
            IdempotencyRow(
                client=client,
                key=key,
                body_hash=body_hash,
                status=PENDING,
                answer="",
            )
        ],
    )
    return session.get_one(IdempotencyRow, (client, key))


def keep(session: Session, client: str, key: str, status: int, answer: str) -> None:
    """Store the answer of a reserved request; one that was stored before stays as it is."""
    session.exec(
        update(IdempotencyRow)
        .where(IdempotencyRow.client == client, IdempotencyRow.key == key)
        .where(IdempotencyRow.status == PENDING)
        .values(status=status, answer=answer)
    )
