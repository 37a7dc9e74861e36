"""From signatures to the chain: sends each attested batch as one settlement, exactly once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from orchestrator.core.batch_bytes import Group, batch_argument, claim_fields
from orchestrator.core.batch_size import after_fit, after_overflow
from orchestrator.core.committee import Committee
from orchestrator.core.payment import Fact, NextStep, Stage
from orchestrator.edges.chain import client
from orchestrator.edges.chain.client import TOO_MUCH_GAS, Call, Quote
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.rails import rail_of, takes_groups
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.store import Session, Store, payments, sends
from orchestrator.edges.store.tables.agreements import AgreementRow
from orchestrator.errors import Retry
from orchestrator.products import shared_terms
from orchestrator.settings import Settings
from orchestrator.steps import WorkerMemory
from orchestrator.steps.anchoring import quote_with_anchor
from orchestrator.steps.attest import claim_of_row
from orchestrator.steps.lost_quorum import note_lost_quorum

_PATIENCE_S = (1, 2, 5, 15, 60)  # between attempts of a call that would revert now
# errors of the committee when a batch has lost its quorum: its members have changed
_STALE = ("NotAMember", "Barred", "QuorumMissing", "DomainsMissing")
_ATTEST_AGAIN_S = 15
# measured in tests/contracts/test_gas.py, plus a rest; long facts cost by their length
_GAS_A_BATCH, _GAS_A_CLAIM, _GAS_A_FACT_BYTE = 150_000, 100_000, 60
_PAUSED = (
    "Paused: a guardian stopped settlement for at most seven days; it goes on by itself when the "
    "pause ends (`proofrail status` shows when)"
)


class SettleContext(Protocol):
    """What settle needs of the rail."""

    settings: Settings
    store: Store
    sender: Sender
    committee: Callable[[], Committee]
    now: Callable[[], int]  # Unix seconds
    log: Any
    memory: WorkerMemory


def settle(context: SettleContext) -> int:
    """Sign and store one settlement per attested batch, then broadcast; return how many."""
    now = context.now()
    with context.store.read() as session:
        due = payments.due(session, NextStep.SETTLE, now, context.settings.batch_claims)
    digests = sorted({row.batch_digest for row, _ in due if row.batch_digest})
    # settled by a stranger and orphaned since: there are no signatures of ours to send
    _attest_again(context, [row for row, _ in due if not row.batch_digest], "no batch of ours", now)
    sent = sum(_settle_batch(context, digest, now) for digest in digests)
    if sent:
        context.sender.broadcast()
    return sent


def _settle_batch(context: SettleContext, digest: str, now: int) -> int:
    with context.store.read() as session:
        open_send = sends.open_send(session, "settle", digest)
        batch = payments.of_batch(session, digest)
        signatures = payments.attestations_of(session, digest)
    # a stranger may have settled some of it in an older batch: those stay as they are
    ids = [row.payment_id for row, _ in batch if row.stage == Stage.ATTESTED]
    try:
        call = settle_call(context.sender.chain.deployment, batch, signatures)
        quote = None if open_send else quote_with_anchor(context, call)
    except Retry as error:
        context.log.warning("settlement waits", batch=digest, reason=str(error))
        if TOO_MUCH_GAS in str(error) and len(batch) > 1:
            # signatures are over the whole batch, so each half is signed again
            context.memory.claims_that_fit[batch[0][1].product] = after_overflow(len(batch))
            _attest_again(context, [row for row, _ in batch], str(error), now, wait_s=0)
        elif any(name in str(error) for name in _STALE):
            note_lost_quorum(context, digest)
            _attest_again(context, [row for row, _ in batch], str(error), now)
        else:
            reason = _PAUSED if "Paused" in str(error) else str(error)
            with context.store.write() as session:
                payments.postpone(session, ids, later(now, batch[0][0]), reason)
        return 0
    with context.store.write() as session:
        if not _is_as_it_was(session, digest, batch):
            context.log.info("settlement not signed: a payment was held", batch=digest)
            return 0
        tx_hash = (
            open_send.tx_hash
            if open_send
            else context.sender.prepare(session, "settle", digest, _ample(quote, batch), now)
        )
        payments.set_many(
            session, [{"payment_id": i, "next_step": None, "settlement_tx": tx_hash} for i in ids]
        )
    if quote is not None:
        _note_that_it_fits(context, batch[0][1].product, len(batch), quote)
    context.log.info("settlement signed", batch=digest, tx=tx_hash, payments=ids)
    return 1


def _is_as_it_was(
    session: Session, digest: str, batch: list[tuple[payments.PaymentRow, AgreementRow]]
) -> bool:
    """Return whether no payment of a batch was held since the batch was read."""
    fresh = payments.of_batch(session, digest)
    return [(r.payment_id, r.stage) for r, _ in fresh] == [
        (r.payment_id, r.stage) for r, _ in batch
    ]


def _ample(quote: Quote, batch: list[tuple[payments.PaymentRow, AgreementRow]]) -> Quote:
    """Return a quote whose gas is enough for claims that the node's estimate refused.

    Where the newest block is older than a reading, a claim is refused in the estimate, which is
    cheap, and taken in the next block. Gas that is not used costs nothing.
    """
    length = sum(len(row.facts) // 2 for row, _ in batch)
    enough = _GAS_A_BATCH + _GAS_A_CLAIM * len(batch) + _GAS_A_FACT_BYTE * length
    return replace(quote, gas=max(quote.gas, min(enough, client.GAS_LIMIT)))


def _note_that_it_fits(context: SettleContext, product: str, size: int, quote: Quote) -> None:
    """Let the batches of a product grow again after one that was too large."""
    limits = context.memory.claims_that_fit
    most = context.settings.batch_claims
    limit = after_fit(limits.pop(product, None), size, quote.gas, client.GAS_LIMIT, most)
    if limit is not None:
        limits[product] = limit


def _attest_again(
    context: SettleContext,
    rows: list[payments.PaymentRow],
    reason: str,
    now: int,
    wait_s: int = _ATTEST_AGAIN_S,
) -> None:
    facts = [
        payments.NewFact(
            row.payment_id, Fact.STALE, f"{row.batch_digest}:{now}", reason, due_at=now + wait_s
        )
        for row in rows
        if row.stage == Stage.ATTESTED
    ]
    if not facts:  # a write transaction costs, also an empty one
        return
    with context.store.write() as session:
        payments.record_facts(session, facts, now)


def later(now: int, row: payments.PaymentRow) -> int:
    """Return when a call that would revert now is tried again: later, the more often it failed."""
    return now + _PATIENCE_S[min(row.attempts, len(_PATIENCE_S) - 1)]


def settle_call(
    deployment: Deployment,
    batch: list[tuple[payments.PaymentRow, AgreementRow]],
    signatures: list[payments.AttestationRow],
) -> Call:
    """Return settle of the batch's own rail, claims in ascending order of agreements.

    The signatures are one element, which costs least; a former rail takes each as its own, and
    claims as structs.
    """
    product = batch[0][1].product_address
    claims = [claim_of_row(row) for row, _ in batch]
    rail = rail_of(deployment, product)
    elements = [row.signature for row in signatures]
    argument: tuple[Any, ...] = (product, [claim_fields(claim) for claim in claims])
    if takes_groups(deployment, rail):
        argument = batch_argument(product, claims, [group_of(agreement) for _, agreement in batch])
        elements = ["0x" + "".join(signature[2:] for signature in elements)]
    return Call(rail, "settle", (argument, elements))


def group_of(agreement: AgreementRow) -> Group:
    """Return what an agreement may have in common with others, as it was opened."""
    return Group(
        payee=agreement.payee,
        cap=agreement.cap_micro,
        period_days=agreement.period_days,
        window=agreement.window_s,
        required_domain=agreement.required_domain,
        shared=shared_terms(agreement.product, bytes.fromhex(agreement.terms[2:])),
    )
