"""Gathers what reconciliation compares of devices and settlements: raw records, raw call data.

A settlement is read from its archived proof, whose bytes the node gave and the header's roots
vouch for; a record is its stored bytes. Neither asks what the payment table thinks of them.
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
from orchestrator.edges.store import Session, agreements, blocks, claimed, payments
from orchestrator.edges.store.pending import PendingEntryRow
from orchestrator.products import products
from orchestrator.steps.collect import IN_FLIGHT, runs_behind

_GRACE_S = 3_600  # the worker needs a few turns; a silent hour is no accident
_MOVED = (
    Stage.SETTLED,
    Stage.POSTED,
    Stage.PAID_OUT,
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
    """Everything at the newest final block. now: Unix seconds."""
    claims, strangers = _settled(session, blocks.newest_final(session))
    return Devices(
        _waiting(session, now),
        claims,
        strangers,
        _orphans(session),
        [(_raw(payment), events) for payment, events in claimed.lost(session)],
    )


_Applied = dict[str, tuple[Claim, int]]  # payment id -> its claim and what it moved


def _settled(session: Session, final: int) -> tuple[list[SettledClaim], list[Stranger]]:
    applied: _Applied = {}
    strangers = []
    for tx_hash, args, proof in claimed.settlements(session, final):
        moved = [(o.amount_micro, o.refusal) for o in unpack(_raw(args["outcomes"]))]
        found = _proven(proof, moved) or _stored(session, tx_hash)
        applied |= found
        if not found and any(amount for amount, _ in moved):
            strangers.append(Stranger(_raw(tx_hash), sum(amount for amount, _ in moved)))
    known = {row.payment_id for row in payments.by_ids(session, applied)}
    strangers += [
        Stranger(_raw(payment), amount)
        for payment, (_, amount) in applied.items()
        if payment not in known
    ]
    runs = claimed.runs(session, sorted(known))
    return [_compared(each, *applied[each], runs.get(each)) for each in sorted(known)], strangers


def _proven(proof: str | None, moved: Sequence[tuple[int, int]]) -> _Applied:
    """The applied claims of a settlement by its call data; {} where it went through another
    contract, whose call data proves nothing, or where its proof is not archived."""
    told = json.loads(proof or "{}")
    try:
        root = Header(_raw(told["header"])).transactions_root
        transaction = proven(root, told["index"], [_raw(node) for node in told["transaction"]])
        claims = settle_call(transaction, transaction_call(transaction)[0])[1]
    except (KeyError, Rejected):
        return {}
    return {
        "0x" + payment_id(claim.agreement, claim.sequence).hex(): (claim, amount)
        for claim, (amount, refusal) in zip(claims, moved, strict=True)
        if not refusal
    }


def _stored(session: Session, tx_hash: str) -> _Applied:
    """The same as the rail took them, by the settlement's root (steps/outcomes.py)."""
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
    payment: str, claim: Claim, amount: int, run: claimed.PaymentRun | None
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
    found = claimed.waiting(session)
    rows = agreements.by_ids(session, [each.agreement for each in found])
    busy = payments.busy_agreements(session, IN_FLIGHT)
    stopped = payments.busy_agreements(session, STOPPING)
    return [
        Waiters(
            _raw(each.agreement),
            each.events,
            each.since,
            _held_by(session, each, rows.get(each.agreement), busy, stopped, now),
        )
        for each in found
    ]


def _held_by(
    session: Session,
    waits: claimed.Waits,
    row: agreements.AgreementRow | None,
    busy: set[str],
    stopped: set[str],
    now: int,
) -> str:
    """Why an agreement's events are in no payment; "": nothing holds them."""
    if row is None:
        return ""
    if row.stage != agreements.Stage.LIVE:
        return _AGREEMENT_WAITS[agreements.Stage(row.stage)]
    if now >= (row.closes_at or row.expiry):
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
    """The agreement as rules see it, from the mandate that is stored."""
    terms = _raw(row.terms)
    return Agreement(
        _raw(row.agreement_id),
        row.device,
        _raw(row.device_id),
        row.product,
        terms,
        row.opened_at,
        row.expiry,
        row.first_counter,
        True,
        products()[row.product].subject(terms),
    )


def _orphans(session: Session) -> list[Orphan]:
    found = claimed.orphaned(session)
    return [
        Orphan(block, len(rows), _back(session, rows), rows[0].at)
        for block, rows in sorted(found.items())
    ]


def _back(session: Session, voided: Sequence[PendingEntryRow]) -> int:
    """How many of a block's entries stand again: the same entry, or one of its kind with its very
    postings (a release sent anew has another reference)."""
    later = claimed.standing(session, [row.kind for row in voided], voided[-1].number)
    ids = {row.entry_id for row in later}
    alike = Counter((row.kind, row.postings) for row in later)
    alike.subtract(
        (row.kind, row.postings)
        for row in later
        if row.entry_id in {each.entry_id for each in voided}
    )
    back = 0
    for row in voided:
        if row.entry_id in ids:
            back += 1
        elif alike[row.kind, row.postings] > 0:
            alike[row.kind, row.postings] -= 1
            back += 1
    return back


def _raw(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
