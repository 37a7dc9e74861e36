"""Ends disputes: with the rulings that people had the oracles sign, or at the deadline.

A dispute whose deadline is over ends in the payee's favour. Anyone may do both on chain. An oracle
that signed both answers is reported by `equivocation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from device_adapters.types import Rejected
from oracles.attest import recover
from oracles.rulings import SignedRuling
from orchestrator.core.ruling import count_ruling
from orchestrator.edges.chain.client import Call, Chain
from orchestrator.edges.chain.disputes import (
    all_members,
    dispute_end_call,
    dispute_of,
    has_disputes,
    rule_call,
    ruling_rules,
)
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.oracles import OracleClient
from orchestrator.edges.store import Session, Store, disputes, payments, sends
from orchestrator.edges.store import equivocations as evidence
from orchestrator.errors import Retry
from orchestrator.steps import WorkerMemory

RULE, EXPIRE = "rule", "expire dispute"  # purposes of chain sends
ASK_EVERY_S = 30


class RulingsContext(Protocol):
    """What ending disputes needs of the rail."""

    store: Store
    chain: Chain
    sender: Sender
    oracles: Sequence[OracleClient]
    now: Callable[[], int]  # Unix seconds
    log: Any
    memory: WorkerMemory


def rule_disputes(context: RulingsContext) -> int:
    """Send the rulings that are enough to end a dispute; return how many disputes."""
    now = context.now()
    if 0 <= now - context.memory.rulings_asked_at < ASK_EVERY_S:
        return 0
    frozen = _open(context, RULE)
    if not frozen:
        return 0
    context.memory.rulings_asked_at = now
    keep_rulings(context.store, context.chain, ask_oracles(context), now)
    ended = sum(_rule(context, payment, now) for payment in frozen)
    if ended:
        context.sender.broadcast()
    return ended


def expire_disputes(context: RulingsContext) -> int:
    """End disputes that nobody ruled on in time; return how many."""
    now, due = context.now(), []
    for payment in _open(context, EXPIRE):
        with context.store.read() as session:
            record = disputes.record_of(session, payment)
        if record is not None and record.ended_at is None and 0 < record.deadline < now:
            due.append(payment)
    sent = sum(
        _send(context, EXPIRE, payment, dispute_end_call("expire", payment), now) for payment in due
    )
    if sent:
        context.sender.broadcast()
    return sent


def _open(context: RulingsContext, purpose: str) -> list[str]:
    """Return frozen payments whose dispute no call of ours for this purpose ends already."""
    if not has_disputes(context.chain):
        return []
    with context.store.read() as session:
        return [
            row.payment_id
            for row in disputes.disputed(session)
            if sends.by_ref(session, purpose, row.payment_id) is None
        ]


def _rule(context: RulingsContext, payment: str, now: int) -> int:
    with context.store.read() as session:
        rows = disputes.rulings_of(session, payment)
    if not rows:
        return 0
    state = dispute_of(context.chain, payment)
    if state is None:  # it ended in a block that is not final yet
        return 0
    rules = ruling_rules(context.chain, state)
    for refund in (True, False):
        signatures = {row.oracle: row.signature for row in rows if row.refund == refund}
        count = count_ruling(rules, signatures)
        if count.is_enough:
            counting = [bytes.fromhex(signatures[oracle][2:]) for oracle in count.counting]
            return _send(context, RULE, payment, rule_call(payment, refund, counting), now)
    return 0


def _send(context: RulingsContext, purpose: str, payment: str, call: Call, now: int) -> int:
    try:
        quote = context.sender.quote(call)
    except Retry as error:  # a pause moved the deadline, someone else was faster, a seat was lost
        context.log.info("dispute goes on", payment=payment, purpose=purpose, reason=str(error))
        return 0
    with context.store.write() as session:
        context.sender.prepare(session, purpose, payment, quote, now)
    return 1


def ask_oracles(context: RulingsContext) -> list[SignedRuling]:
    """Return what the oracles say that they signed; one that does not answer adds nothing."""

    def ask(oracle: OracleClient) -> Sequence[SignedRuling]:
        try:
            return oracle.rulings()
        except Retry as error:
            context.log.info("oracle shows no rulings", oracle=oracle.name, reason=str(error))
            return ()

    with ThreadPoolExecutor(max_workers=max(len(context.oracles), 1)) as pool:
        return [signed for answer in pool.map(ask, context.oracles) for signed in answer]


def keep_rulings(
    store: Store, chain: Chain, signed_rulings: Iterable[SignedRuling], now: int
) -> list[str]:
    """Store genuine rulings on payments of this rail, and note oracles that signed both answers.

    Those of signers who never had a seat are left out: a hostile oracle could make any number.

    Args:
        store: The store.
        chain: The node's client.
        signed_rulings: Rulings by oracles, unchecked.
        now: Unix seconds.

    Returns:
        The payments (0x-hex) of the genuine ones.

    Raises:
        Retry: The node does not answer.
    """
    deployment, seated = chain.deployment, set(all_members(chain))
    rail, committee = (deployment.addresses[name] for name in ("PaymentRail", "OracleCommittee"))
    rows = [
        disputes.RulingRow(
            payment_id="0x" + signed.ruling.payment.hex(),
            oracle=signed.oracle,
            refund=signed.ruling.refund,
            signature="0x" + signed.signature.hex(),
            decided_by=signed.decided_by[:200],
            reason=signed.reason[:1_000],
            decided_at=signed.decided_at,
            received_at=now,
        )
        for signed in signed_rulings
        if signed.oracle in seated
        and signed.ruling.rail.lower() == rail.lower()
        and _is_genuine(signed, deployment.chain_id, committee)
    ]
    with store.write() as session:
        existing = {
            row.payment_id for row in payments.by_ids(session, {r.payment_id for r in rows})
        }
        kept = [row for row in rows if row.payment_id in existing]
        disputes.add_rulings(session, kept)
        for payment in {row.payment_id for row in kept}:
            _note_contradictions(session, payment, now)
    return [row.payment_id for row in kept]


def _is_genuine(signed: SignedRuling, chain_id: int, committee: str) -> bool:
    try:
        return recover(signed.ruling.digest(chain_id, committee), signed.signature) == signed.oracle
    except Rejected:
        return False


def _note_contradictions(session: Session, payment: str, now: int) -> None:
    """Note the oracles that signed both answers for a payment: `equivocation` reports them."""
    rows = disputes.rulings_of(session, payment)
    both = {row.oracle for row in rows if row.refund} & {r.oracle for r in rows if not r.refund}
    if both:
        [row] = payments.by_ids(session, [payment])
        evidence.note_rulings(session, sorted(both), row, now)
