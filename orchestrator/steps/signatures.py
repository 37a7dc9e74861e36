"""Keeps every signature of an oracle, and finds two that contradict each other.

An oracle counts for no quorum of this rail from the moment that its second signature arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Protocol

from oracles.attest import batch_digest
from oracles.quorum import Attested, equivocations
from oracles.types import Attestation, Batch
from orchestrator.core.committee import Committee
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.store import Store, payments
from orchestrator.edges.store import equivocations as evidence
from orchestrator.steps import SignerMemory, WorkerMemory

REMEMBERED_S = 3_600  # after that, a signature is trusted to count again


class SignaturesContext(Protocol):
    """What storing and comparing signatures needs of the rail."""

    store: Store
    chain: Chain
    now: Callable[[], int]  # Unix seconds
    log: Any


class LostQuorumContext(Protocol):
    """What noting a settlement without a quorum needs of the rail."""

    store: Store
    committee: Callable[[], Committee]
    now: Callable[[], int]  # Unix seconds
    memory: WorkerMemory


def equivocators(
    context: SignaturesContext, batch: Batch, digest: bytes, attestations: Collection[Attestation]
) -> set[str]:
    """Store valid signatures over a batch; return the oracles whose signatures count no longer."""
    if not attestations:
        with context.store.read() as session:
            return evidence.equivocators(session)
    now, records = context.now(), [Attested(batch, attestation) for attestation in attestations]
    with context.store.write() as session:
        rivals = evidence.keep(session, digest, records, now)
        proofs = [
            (proof, _digest(context, proof.first), _digest(context, proof.second))
            for proof in equivocations([*rivals, *records] if rivals else [])
        ]
        evidence.note(session, proofs, now)
        untrusted = evidence.equivocators(session)
    for proof, first, second in proofs:
        context.log.error(
            "oracle equivocated",
            oracle=proof.oracle,
            agreement="0x" + proof.agreement.hex(),
            sequence=proof.sequence,
            batches=[first, second],
        )
    return untrusted


def _digest(context: SignaturesContext, record: Attested) -> str:
    deployment = context.chain.deployment
    committee = deployment.addresses["OracleCommittee"]
    return "0x" + batch_digest(record.batch, deployment.chain_id, committee).hex()


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
