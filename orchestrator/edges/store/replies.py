"""Answers given under an Idempotency-Key: one request per key, and its answer, for ever."""

from __future__ import annotations

from sqlmodel import Session, update

from orchestrator.edges.store import add_new
from orchestrator.edges.store.tables import Idempotency

__all__ = ["Idempotency", "keep", "reserve"]

PENDING = 0  # the status of a request that was taken and has no answer yet


def find(session: Session, client: str, key: str) -> Idempotency | None:
    return session.get(Idempotency, (client, key))


def reserve(session: Session, client: str, key: str, body_hash: str) -> Idempotency:
    """The request this key stands for: the one that came first, maybe this one."""
    add_new(
        session,
        [
            Idempotency(
                client=client,
                key=key,
                body_hash=body_hash,
                status=PENDING,
                answer="",
            )
        ],
    )
    return session.get_one(Idempotency, (client, key))


def keep(session: Session, client: str, key: str, status: int, answer: str) -> None:
    """The answer of a reserved request; one that was kept before stays as it is."""
    session.exec(
        update(Idempotency)
        .where(Idempotency.client == client, Idempotency.key == key)
        .where(Idempotency.status == PENDING)
        .values(status=status, answer=answer)
    )
