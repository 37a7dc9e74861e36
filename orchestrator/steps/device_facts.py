"""Loads what reconciliation compares of devices and settlements: raw records and raw call data.

A settlement is read from its archived proof: its bytes are the node's, and the roots in the header
prove them. A record is its stored bytes. Neither depends on the payment table.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256

from device_adapters.types import Rejected
from oracles.merkle import evidence_root
from oracles.types import Agreement, Claim
from orchestrator.core.audit.blocks import Header, proven, transaction_call
from orchestrator.core.audit.settlement import settle_call
from orchestrator.core.identity import payment_id
from orchestrator.core.outcome import unpack
from orchestrator.core.payment import STOPPING, Stage
from orchestrator.core.reconcile import Devices, Orphan, SettledClaim, Stranger, Waiters
from orchestrator.edges.store import Session, agreements, blocks, payments, pending
from orchestrator.edges.store import runs as store_runs
from orchestrator.edges.store.pending import PendingEntryRow
from orchestrator.products import products
from orchestrator.steps.collect import IN_FLIGHT, runs_behind

_GRACE_S = 3_600  # the worker needs a few turns; after an hour something is wrong
_MOVED = (
    Stage.SETTLED,
    Stage.POSTED,
    Stage.PAID_OUT,
    Stage.BOOKED,
    Stage.RECONCILED,
    Stage.DISPUTED,
    Stage.REFUNDED,
)
_AGREEMENT_WAITS = {
    agreements.Stage.SIGNED: "agreement_not_open",
    agreements.Stage.CLOSED: "agreement_closed",
    agreements.Stage.REFUND_DUE: "agreement_closed",
}


def device_facts(session: Session, now: int) -> Devices:
    """Return what devices recorded and what became of it, at the newest final block.

    Args:
        session: A session of the store.
        now: Unix seconds.
    """
    claims, strangers = _settled(session, blocks.newest_final(session))
    return Devices(
        _waiting(session, now),
        claims,
        strangers,
        _orphans(session),
        [(_raw(payment), events) for payment, events in store_runs.lost(session)],
    )


_Applied = dict[str, tuple[Claim, int]]  # payment id -> its claim and what it moved


def _settled(session: Session, final: int) -> tuple[list[SettledClaim], list[Stranger]]:
    applied: _Applied = {}
    strangers = []
    for tx_hash, args, proof in blocks.settlements(session, final):
        moved = [
            (outcome.amount_micro, outcome.refusal) for outcome in unpack(_raw(args["outcomes"]))
        ]
        claims = _proven(proof, moved) or _stored(session, tx_hash)
        applied |= claims
        if not claims and any(amount for amount, _ in moved):
            strangers.append(Stranger(_raw(tx_hash), sum(amount for amount, _ in moved)))
    stored = {row.payment_id for row in payments.by_ids(session, applied)}
    strangers += [
        Stranger(_raw(payment), amount)
        for payment, (_, amount) in applied.items()
        if payment not in stored
    ]
    runs = store_runs.of_payments(session, sorted(stored))
    return [
        _compared(payment, *applied[payment], runs.get(payment)) for payment in sorted(stored)
    ], strangers


def _proven(proof: str | None, moved: Sequence[tuple[int, int]]) -> _Applied:
    """Return the applied claims of a settlement by its call data.

    {} where it went through another contract, whose call data proves nothing, or where its proof is
    not archived.
    """
    stored_proof = json.loads(proof or "{}")
    try:
        root = Header(_raw(stored_proof["header"])).transactions_root
        transaction = proven(
            root, stored_proof["index"], [_raw(node) for node in stored_proof["transaction"]]
        )
        claims = settle_call(transaction, transaction_call(transaction)[0])[1]
    except (KeyError, Rejected):
        return {}
    return {
        "0x" + payment_id(claim.agreement, claim.sequence).hex(): (claim, amount)
        for claim, (amount, refusal) in zip(claims, moved, strict=True)
        if not refusal
    }


def _stored(session: Session, tx_hash: str) -> _Applied:
    """Return the same as the rail stored it, by the settlement's root (see steps/outcomes.py)."""
    return {
        row.payment_id: (
            Claim(
                _raw(row.agreement_id),
                row.sequence,
                row.first_counter,
                row.last_counter,
                _raw(row.evidence_root),
                _raw(row.facts),
            ),
            row.amount_micro,
        )
        for row in payments.of_settlement(session, tx_hash)
        if row.stage in _MOVED
    }


def _compared(
    payment: str, claim: Claim, amount: int, run: store_runs.PaymentRun | None
) -> SettledClaim:
    stored = evidence_root([sha256(body).digest() for body in run.bodies]) if run else b""
    return SettledClaim(
        _raw(payment),
        amount,
        (claim.first_counter, claim.last_counter),
        claim.evidence,
        (run.first, run.last) if run else None,
        stored,
    )


def _waiting(session: Session, now: int) -> list[Waiters]:
    waiting = store_runs.waiting(session)
    rows = agreements.by_ids(session, [waits.agreement for waits in waiting])
    busy = payments.busy_agreements(session, IN_FLIGHT)
    stopped = payments.busy_agreements(session, STOPPING)
    held = payments.busy_agreements(session, (Stage.HELD,))
    return [
        Waiters(
            _raw(waits.agreement),
            waits.events,
            waits.since,
            "payment_held"
            if waits.agreement in held
            else _held_by(session, waits, rows.get(waits.agreement), busy, stopped, now),
        )
        for waits in waiting
    ]


def _held_by(
    session: Session,
    waits: store_runs.Waits,
    row: agreements.AgreementRow | None,
    busy: set[str],
    stopped: set[str],
    now: int,
) -> str:
    """Return why an agreement's events are in no payment; "" if nothing holds them."""
    if row is None:
        return ""
    if row.stage != agreements.Stage.LIVE:
        return _AGREEMENT_WAITS[agreements.Stage(row.stage)]
    if now > row.ends_at:
        return "agreement_ended"
    if row.agreement_id in stopped:
        return "agreement_stopped"
    if row.agreement_id in busy:
        return "payment_in_flight"
    if now - waits.newest < _GRACE_S:
        return "just_arrived"
    runs = runs_behind(session, row, _agreement(row), products()[row.product])
    if runs.run:
        return ""
    return "hole_before_them" if runs.holes else "run_not_complete"


def _agreement(row: agreements.AgreementRow) -> Agreement:
    """Return the agreement as rules see it, from the stored mandate."""
    terms = _raw(row.terms)
    return Agreement(
        _raw(row.agreement_id),
        row.device,
        _raw(row.device_id),
        row.product,
        terms,
        row.begins_at,
        row.closes_at or row.expiry,
        row.first_counter,
        True,
        products()[row.product].subject(terms),
        row.grace_s,
    )


def _orphans(session: Session) -> list[Orphan]:
    rows_by_block = pending.voided_by_block(session)
    return [
        Orphan(block, len(rows), _back(session, rows), rows[0].at)
        for block, rows in sorted(rows_by_block.items())
    ]


def _back(session: Session, voided: Sequence[PendingEntryRow]) -> int:
    """Return how many of a block's voided entries stand again.

    That is the same entry, or another of its kind with equal postings: a release that is sent again
    has another reference.
    """
    later = pending.standing(session, [row.kind for row in voided], voided[-1].number)
    ids = {row.entry_id for row in later}
    alike = Counter((row.kind, row.postings) for row in later)
    alike.subtract(
        (row.kind, row.postings)
        for row in later
        if row.entry_id in {voided_row.entry_id for voided_row in voided}
    )
    count = 0
    for row in voided:
        if row.entry_id in ids:
            count += 1
        elif alike[row.kind, row.postings] > 0:
            alike[row.kind, row.postings] -= 1
            count += 1
    return count


def _raw(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
