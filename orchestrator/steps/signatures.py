"""Keeps every signature of an oracle, and finds two that contradict each other.

An oracle counts for no quorum of this rail from the moment that its second signature arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Protocol

from oracles.attest import batch_digest
from oracles.quorum import Attested, equivocations
from oracles.types import Attestation, Batch
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.store import Store
from orchestrator.edges.store import equivocations as evidence


class SignaturesContext(Protocol):
    """What storing and comparing signatures needs of the rail."""

    store: Store
    chain: Chain
    now: Callable[[], int]  # Unix seconds
    log: Any


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
