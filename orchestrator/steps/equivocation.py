"""Reports an oracle that contradicted itself, so that the chain bars it.

It signed two different claims for one sequence, or both rulings on one payment. The two signatures
are the whole proof: anyone may present them to OracleCommittee. `signatures` and `rulings` find
them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from oracles.attest import claim_hash
from oracles.quorum import Attested
from orchestrator.edges.chain.client import Call, Chain
from orchestrator.edges.chain.rails import COMMITTEE, RAIL, emitter, serving
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.store import Session, Store, disputes
from orchestrator.edges.store import equivocations as evidence
from orchestrator.errors import Retry
from orchestrator.steps.rulings import contracts_of

REPORT = "equivocation"  # purpose of the chain send; its reference is the oracle's address
_AT_ONCE = 10
# refusals that no later try can change: the member is barred, was never seated, or did not do it
_FINAL = ("Barred", "NotAMember", "NotEquivocation")


class EquivocationContext(Protocol):
    """What reporting an equivocation needs of the rail."""

    store: Store
    chain: Chain
    sender: Sender
    now: Callable[[], int]  # Unix seconds
    log: Any


def report_equivocations(context: EquivocationContext) -> int:
    """Present each proof to the committee's contract once; return how many were dealt with."""
    with context.store.read() as session:
        rows = evidence.unreported(session, _AT_ONCE)
    count = sum(_report(context, row) for row in rows)
    if count:
        context.sender.broadcast()
    return count


def _report(context: EquivocationContext, row: evidence.EquivocationRow) -> int:
    with context.store.read() as session:
        call = _call(context, session, row)
    try:
        quote = context.sender.quote(call)
    except Retry as delay:
        refusal = next(
            (name for name in _FINAL if str(delay).endswith(f"would revert: {name}")), ""
        )
        context.log.warning("equivocation is not reported", oracle=row.oracle, reason=str(delay))
        if not refusal:
            return 0
        with context.store.write() as session:
            evidence.mark_reported(session, row.oracle, "", refusal)
        return 1
    with context.store.write() as session:
        tx_hash = context.sender.prepare(session, REPORT, row.oracle, quote, context.now())
        evidence.mark_reported(session, row.oracle, tx_hash)
    context.log.warning("equivocation reported", oracle=row.oracle, tx=tx_hash)
    return 1


def _call(context: EquivocationContext, session: Session, row: evidence.EquivocationRow) -> Call:
    if row.first_digest == evidence.RULINGS:
        payment, rulings = row.second_digest, disputes.rulings_of(session, row.second_digest)
        contracts = contracts_of(session, context.chain, payment)
        rail = context.chain.deployment.addresses[contracts.rail]
        own_rulings = [ruling for ruling in rulings if ruling.oracle == row.oracle]
        return rulings_call(rail, payment, own_rulings, contracts.committee)
    first, second = evidence.proof(session, row)
    return report_call(
        row.agreement_id, row.sequence, first, second, _committee(context, first.batch.rail)
    )


def _committee(context: EquivocationContext, rail_address: str) -> str:
    """Return the name of the committee of the rail that both signatures are for."""
    deployment = context.chain.deployment
    rail = emitter(deployment, RAIL, rail_address) or RAIL
    return serving(deployment, rail, COMMITTEE)


def rulings_call(
    rail: str, payment: str, rulings: Sequence[disputes.RulingRow], committee: str = COMMITTEE
) -> Call:
    """Return the call of a committee's reportRulings for both rulings of one oracle.

    Args:
        rail: Address of the rail.
        payment: Id of the payment, 0x-hex.
        rulings: The oracle's two rulings, in any order.
        committee: Name of the rail's committee.
    """
    signatures = {ruling.refund: bytes.fromhex(ruling.signature[2:]) for ruling in rulings}
    arguments = (rail, bytes.fromhex(payment[2:]), signatures[True], signatures[False])
    return Call(committee, "reportRulings", arguments)


def report_call(
    agreement_id: str,
    sequence: int,
    first: Attested,
    second: Attested,
    committee: str = COMMITTEE,
) -> Call:
    """Return the call of a committee's reportEquivocation for two signed batches."""
    slot = bytes.fromhex(agreement_id[2:]), sequence
    testimonies = [_testimony(record, slot) for record in (first, second)]
    return Call(committee, "reportEquivocation", (first.batch.rail, *testimonies))


def _testimony(record: Attested, slot: tuple[bytes, int]) -> tuple[object, ...]:
    """IOracleCommittee.Testimony: the batch as it was signed, and the claim at `index` of it."""
    claims = record.batch.claims
    index = next(n for n, claim in enumerate(claims) if (claim.agreement, claim.sequence) == slot)
    claim = claims[index]
    fields = (
        claim.agreement,
        claim.sequence,
        claim.first_counter,
        claim.last_counter,
        claim.evidence,
        claim.facts,
    )
    hashes = [claim_hash(item) for item in claims]
    return record.batch.product, hashes, index, fields, record.attestation.signature
