"""Ends disputes: with the rulings that people had the oracles sign, or at the deadline.

A dispute whose deadline is over ends in the payee's favour; on a rail of 0.5.0 it has none. Anyone
may do both on chain. An oracle that signed both answers is reported by `equivocation`, where its
committee takes that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from device_adapters.types import Rejected
from oracles.attest import checksummed, recover
from oracles.rulings import SignedRuling
from orchestrator.core.committee import SEATED
from orchestrator.core.ruling import RulingRules, count_ruling
from orchestrator.edges.chain.client import Call, Chain
from orchestrator.edges.chain.disputes import (
    DisputeContracts,
    DisputeState,
    all_members,
    contracts_of_product,
    contracts_of_rails,
    dispute_end_call,
    dispute_of,
    lists_members,
    rule_call,
    ruling_rules,
)
from orchestrator.edges.chain.rails import COMMITTEE, emitter
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.oracles import OracleClient
from orchestrator.edges.store import Session, Store, agreements, blocks, disputes, payments, sends
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
        contracts = contracts_of(session, context.chain, payment)
    state = dispute_of(context.chain, payment, contracts.disputes)
    if state is None:  # it ended in a block that is not final yet
        return 0
    rules = rules_of(context.store, context.chain, contracts, state)
    for refund in (True, False):
        signatures = {row.oracle: row.signature for row in rows if row.refund == refund}
        count = count_ruling(rules, signatures)
        if count.is_enough:
            counting = [bytes.fromhex(signatures[oracle][2:]) for oracle in count.counting]
            call = rule_call(payment, refund, counting, contracts.disputes)
            return _send(context, RULE, payment, call, now)
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


def contracts_of(session: Session, chain: Chain, payment: str) -> DisputeContracts:
    """Return what a dispute about a stored payment (0x-hex) goes through: those of its rail."""
    [row] = payments.by_ids(session, [payment])
    return contracts_of_product(chain, agreements.get(session, row.agreement_id).product_address)


def rules_of(
    store: Store, chain: Chain, contracts: DisputeContracts, state: DisputeState
) -> RulingRules:
    """Return what a ruling on an open dispute needs of its rail's committee now.

    Raises:
        Retry: The node does not answer.
    """
    return ruling_rules(chain, contracts, state, _members(store, chain, contracts.committee))


def _members(store: Store, chain: Chain, committee: str) -> list[str]:
    """Return who ever had a seat in a committee, in the order in which it takes signatures.

    A committee of 0.5.0 does not list them, so the stored logs do; it takes signatures by address.
    """
    if lists_members(chain, committee):
        return all_members(chain, committee)
    with store.read() as session:
        logs = blocks.logs_named(session, (SEATED,))
    seats = {
        checksummed(bytes.fromhex(json.loads(log.args)["member"][2:]))
        for log in logs
        if emitter(chain.deployment, COMMITTEE, log.address) == committee
    }
    return sorted(seats, key=str.lower)


def keep_rulings(
    store: Store, chain: Chain, signed_rulings: Iterable[SignedRuling], now: int
) -> list[str]:
    """Store genuine rulings on payments of our rails, and note oracles that signed both answers.

    A ruling is of its payment's own rail and of a member of that rail's committee. Those of signers
    who never had a seat are left out: a hostile oracle could make any number.

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
    genuine = _genuine_by_payment(store, chain, list(signed_rulings))
    kept: list[str] = []
    with store.write() as session:
        for row in payments.by_ids(session, genuine):
            contracts = contracts_of(session, chain, row.payment_id)
            rulings = genuine[row.payment_id].get(contracts, [])
            disputes.add_rulings(session, [_row(signed, now) for signed in rulings])
            if chain.knows(contracts.committee, "reportRulings"):
                _note_contradictions(session, row.payment_id, now)
            kept += [row.payment_id] * len(rulings)
    return kept


def _genuine_by_payment(
    store: Store, chain: Chain, signed_rulings: Sequence[SignedRuling]
) -> dict[str, dict[DisputeContracts, list[SignedRuling]]]:
    """Return payment (0x-hex) -> contracts of the rail that a ruling names -> genuine rulings."""
    genuine: dict[str, dict[DisputeContracts, list[SignedRuling]]] = {}
    for contracts in contracts_of_rails(chain) if signed_rulings else []:
        rail = chain.deployment.addresses[contracts.rail].lower()
        named = [signed for signed in signed_rulings if signed.ruling.rail.lower() == rail]
        seated = set(_members(store, chain, contracts.committee)) if named else set()
        for signed in named:
            if signed.oracle in seated and _is_genuine(signed, chain, contracts):
                by_rail = genuine.setdefault("0x" + signed.ruling.payment.hex(), {})
                by_rail.setdefault(contracts, []).append(signed)
    return genuine


def _is_genuine(signed: SignedRuling, chain: Chain, contracts: DisputeContracts) -> bool:
    committee = chain.deployment.addresses[contracts.committee]
    digest = signed.ruling.digest(chain.deployment.chain_id, committee, contracts.version)
    try:
        return recover(digest, signed.signature) == signed.oracle
    except Rejected:
        return False


def _row(signed: SignedRuling, now: int) -> disputes.RulingRow:
    return disputes.RulingRow(
        payment_id="0x" + signed.ruling.payment.hex(),
        oracle=signed.oracle,
        refund=signed.ruling.refund,
        signature="0x" + signed.signature.hex(),
        decided_by=signed.decided_by[:200],
        reason=signed.reason[:1_000],
        decided_at=signed.decided_at,
        received_at=now,
    )


def _note_contradictions(session: Session, payment: str, now: int) -> None:
    """Note the oracles that signed both answers for a payment: `equivocation` reports them."""
    rows = disputes.rulings_of(session, payment)
    both = {row.oracle for row in rows if row.refund} & {r.oracle for r in rows if not r.refund}
    if both:
        [row] = payments.by_ids(session, [payment])
        evidence.note_rulings(session, sorted(both), row, now)
