"""Remembers whose signatures were not enough on chain, so that the next settlement needs others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from orchestrator.core.committee import Committee
from orchestrator.edges.store import Store, payments
from orchestrator.steps import SignerMemory, WorkerMemory

REMEMBERED_S = 3_600  # after that, a signature is trusted to count again


class LostQuorumContext(Protocol):
    """What noting a settlement without a quorum needs of the rail."""

    store: Store
    committee: Callable[[], Committee]
    now: Callable[[], int]  # Unix seconds
    memory: WorkerMemory


def note_lost_quorum(context: LostQuorumContext, digest: str) -> None:
    """Remember whose signatures a settlement of this batch had, now that they are not enough.

    The next quorum prefers others and keeps every signature that it gets, so that no member stops
    it again by leaving in between. If the chain says which of them lost their seats, only those
    are avoided.
    """
    members = context.committee().members
    with context.store.read() as session:
        signers = {row.oracle for row in payments.attestations_of(session, digest)}
    gone = {oracle for oracle in signers if oracle not in members}
    memory, now = context.memory.signers, context.now()
    memory.lost_quorum_at = now
    memory.failed |= dict.fromkeys(gone or signers, now)


def doubtful(memory: SignerMemory, now: int) -> tuple[frozenset[str], bool]:
    """Return (oracles to choose last, whether to keep spare signatures) at a time."""
    since = now - REMEMBERED_S
    failed = frozenset(oracle for oracle, at in memory.failed.items() if at > since)
    return failed, memory.lost_quorum_at > since
