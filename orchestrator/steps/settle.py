"""From signatures to the chain: puts attested batches into settlements, each sent exactly once."""

from __future__ import annotations

from itertools import groupby

from orchestrator.core.payment import Effect
from orchestrator.edges.chain.client import Call
from orchestrator.edges.store import payments, sends
from orchestrator.errors import Retry
from orchestrator.steps import Rail

_PATIENCE_S = (1, 2, 5, 15, 60)  # between tries of a settlement that would revert now


def settle(rail: Rail) -> int:
    """Signs and stores one settlement per attested batch, then broadcasts; returns how many."""
    now = rail.now()
    with rail.store.read() as session:
        due = payments.due(session, Effect.SETTLE, now, rail.settings.batch_claims)
        digests = sorted({row.batch_digest for row, _ in due})
    sent = sum(_settle_batch(rail, digest, now) for digest in digests)
    if sent:
        rail.sender.broadcast()
    return sent


def _settle_batch(rail: Rail, digest: str, now: int) -> int:
    with rail.store.read() as session:
        known = sends.by_ref(session, "settle", digest)
        batch = payments.of_batch(session, digest)
        signatures = payments.attestations_of(session, digest)
    ids = [row.payment_id for row, _ in batch]
    try:
        quote = None if known else rail.sender.quote(settle_call(batch, signatures))
    except Retry as delay:
        later = now + _PATIENCE_S[min(batch[0][0].attempts, len(_PATIENCE_S) - 1)]
        with rail.store.write() as session:
            payments.postpone(session, ids, later, str(delay))
        rail.log.warning("settlement waits", batch=digest, reason=str(delay))
        return 0
    with rail.store.write() as session:
        tx_hash = known.tx_hash if known else rail.sender.prepare(
            session, "settle", digest, quote, now
        )  # fmt: skip
        payments.set_many(session, [
            {"payment_id": i, "effect": None, "settlement_tx": tx_hash} for i in ids
        ])  # fmt: skip
    return 1


def settle_call(
    batch: list[tuple[payments.Payment, object]], signatures: list[payments.Attestation]
) -> Call:
    """PaymentRail.settle for a stored batch, claims in ascending agreement order."""
    claims = [
        (row.agreement_id, row.sequence, row.first_counter, row.last_counter,
         row.evidence_root, row.facts)
        for row, _ in batch
    ]  # fmt: skip
    product = batch[0][1].product_address
    return Call("PaymentRail", "settle", ((product, claims), [s.signature for s in signatures]))


def pay_out(rail: Rail) -> int:
    """Releases payments whose challenge window is over, one call per payee; returns how many."""
    now = rail.now()
    with rail.store.read() as session:
        due = payments.due(session, Effect.PAY_OUT, now, 5_000)
        open_refs = sends.open_refs(session, "release")
    by_payee = groupby(sorted(due, key=lambda item: item[1].payee), key=lambda i: i[1].payee)
    sent = 0
    for payee, found in by_payee:
        rows = [row for row, _ in found]
        times = sorted({row.release_at for row in rows})[:200]
        ref = f"{payee}:{times[0]}-{times[-1]}:{len(times)}"
        if ref not in open_refs:
            sent += _release(rail, payee, times, ref, rows, now)
    if sent:
        rail.sender.broadcast()
    return sent


def _release(
    rail: Rail, payee: str, times: list[int], ref: str, rows: list[payments.Payment], now: int
) -> int:
    ids = [row.payment_id for row in rows if row.release_at in times]
    try:
        quote = rail.sender.quote(Call("PaymentRail", "release", (payee, times)))
    except Retry as delay:  # chain time is a little behind ours: the window is not over there
        with rail.store.write() as session:
            payments.postpone(session, ids, now + 1, str(delay))
        return 0
    with rail.store.write() as session:
        rail.sender.prepare(session, "release", ref, quote, now)
        payments.set_many(session, [{"payment_id": i, "effect": None} for i in ids])
    return 1
