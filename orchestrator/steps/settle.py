"""From signatures to the chain: sends each attested batch as one settlement, exactly once."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any, Protocol

from orchestrator.core.anchors import suffix
from orchestrator.core.committee import Committee
from orchestrator.core.payment import Fact, NextStep, Stage
from orchestrator.edges.chain.client import TOO_MUCH_GAS, Call, Quote
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.store import Store, ledger, payments, sends
from orchestrator.errors import Retry
from orchestrator.settings import Settings
from orchestrator.steps import WorkerMemory
from orchestrator.steps.signatures import note_lost_quorum

_PATIENCE_S = (1, 2, 5, 15, 60)  # between attempts of a call that would revert now
# errors of the committee when a batch has lost its quorum: its members have changed
_STALE = ("NotAMember", "Barred", "QuorumMissing", "DomainsMissing")
_ATTEST_AGAIN_S = 15


class SettleContext(Protocol):
    """What settle and release_matured need of the rail."""

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
        quote = None if open_send else _quote(context, settle_call(batch, signatures))
    except Retry as error:
        context.log.warning("settlement waits", batch=digest, reason=str(error))
        if TOO_MUCH_GAS in str(error) and len(batch) > 1:
            # signatures are over the whole batch, so each half is signed again
            context.memory.claims_that_fit[batch[0][1].product] = len(batch) // 2
            _attest_again(context, [row for row, _ in batch], str(error), now, wait_s=0)
        elif any(name in str(error) for name in _STALE):
            note_lost_quorum(context, digest)
            _attest_again(context, [row for row, _ in batch], str(error), now)
        else:
            with context.store.write() as session:
                payments.postpone(session, ids, _later(now, batch[0][0]), str(error))
        return 0
    with context.store.write() as session:
        tx_hash = (
            open_send.tx_hash
            if open_send
            else context.sender.prepare(session, "settle", digest, quote, now)
        )
        payments.set_many(
            session, [{"payment_id": i, "next_step": None, "settlement_tx": tx_hash} for i in ids]
        )
    context.log.info("settlement signed", batch=digest, tx=tx_hash, payments=ids)
    return 1


def _quote(context: SettleContext, call: Call) -> Quote:
    """Return a quote for a call that carries the journal's newest hash, so the chain keeps it."""
    with context.store.read() as session:
        head = ledger.head(session)
    return context.sender.quote(call, suffix(*head))


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


def _later(now: int, row: payments.PaymentRow) -> int:
    return now + _PATIENCE_S[min(row.attempts, len(_PATIENCE_S) - 1)]


def settle_call(
    batch: list[tuple[payments.PaymentRow, object]], signatures: list[payments.AttestationRow]
) -> Call:
    """Return PaymentRail.settle for a stored batch, claims in ascending order of agreements."""
    claims = [
        (
            row.agreement_id,
            row.sequence,
            row.first_counter,
            row.last_counter,
            row.evidence_root,
            row.facts,
        )
        for row, _ in batch
    ]
    product = batch[0][1].product_address
    return Call("PaymentRail", "settle", ((product, claims), [s.signature for s in signatures]))


def release_matured(context: SettleContext) -> int:
    """Release payments whose dispute window is over, one call per payee; return how many.

    A payment of zero leaves no money pending, so it cannot be released by itself: it goes with the
    next one of its payee.
    """
    now = context.now()
    with context.store.read() as session:
        waiting = payments.due(session, NextStep.RELEASE, now + _PATIENCE_S[-1], 5_000)
        open_refs = sends.open_refs(session, "release")
    due = sorted(((payments.payee_of(*item), item[0]) for item in waiting), key=lambda i: i[0])
    by_payee = groupby(due, key=lambda item: item[0])
    sent = 0
    for payee, items in by_payee:
        rows = [row for _, row in items if row.due_at <= now or _goes_along(row, now)]
        if not any(row.due_at <= now for row in rows):
            continue
        times = sorted({row.release_at for row in rows})[:200]
        ref = f"{payee}:{times[0]}-{times[-1]}:{len(times)}"
        if ref not in open_refs:
            sent += _release(context, payee, times, ref, rows, now)
    if sent:
        context.sender.broadcast()
    return sent


def _goes_along(row: payments.PaymentRow, now: int) -> bool:
    return row.amount_micro == 0 and row.release_at < now


def _release(
    context: SettleContext,
    payee: str,
    times: list[int],
    ref: str,
    rows: list[payments.PaymentRow],
    now: int,
) -> int:
    ids = [row.payment_id for row in rows if row.release_at in times]
    try:
        quote = _quote(context, Call("PaymentRail", "release", (payee, times)))
    except Retry as error:  # chain time is a little behind ours, or nothing is left to release
        with context.store.write() as session:
            payments.postpone(session, ids, _later(now, rows[0]), str(error))
        return 0
    with context.store.write() as session:
        tx_hash = context.sender.prepare(session, "release", ref, quote, now)
        payments.set_many(
            session, [{"payment_id": i, "next_step": None, "reason": None} for i in ids]
        )
    context.log.info("release signed", payee=payee, tx=tx_hash, payments=ids)
    return 1
