"""From final blocks to the ledger: posts each block once, records payouts, stores the proofs.

Nothing here runs before a block is N deep and the node itself calls it final, so no bank file can
leave on a block that may vanish.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from orchestrator.core.chain_posting import by_rail, orders, released_rest
from orchestrator.core.committee import BARRED
from orchestrator.core.funding import Fact as FundingFact
from orchestrator.core.payment import Fact, NextStep, Stage
from orchestrator.core.references import end_to_end_id
from orchestrator.core.release import next_day
from orchestrator.edges.chain.client import Chain, DecodedLog
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.proof import block_proofs
from orchestrator.edges.chain.rails import (
    RAIL,
    emitter,
    products_of,
    rail_addresses,
)
from orchestrator.edges.chain.settlements import skipped_claim
from orchestrator.edges.chain.stored import log_of
from orchestrator.edges.store import (
    Session,
    Store,
    add_new,
    agreements,
    blocks,
    debts,
    equivocations,
    fundings,
    ledger,
    payments,
    payouts,
    pending,
    releases,
)
from orchestrator.errors import Halt, Retry
from orchestrator.products import Product
from orchestrator.settings import Settings
from orchestrator.steps.agreement_life import note_closing, note_opening, skip
from orchestrator.steps.chain_context import Claims, by_block, read_claims
from orchestrator.steps.device_logs import DEVICE_LOGS
from orchestrator.steps.dispute_end import note_cancelled, note_end
from orchestrator.steps.final_effects import note_effects

# logs that an auditor may need proven; everything else is only posted
_PROVEN = (
    "Settled",
    "Minted",
    "Released",
    "Redeemed",
    "AgreementOpened",
    "DeviceEnrolled",
    "KeyRotated",
    "DeviceSuspended",
    "DeviceResumed",
    "DeviceRevoked",
    "CompromiseDeclared",
    "CompromiseRuled",
    "GatewayAssigned",
    "DeviceAdopted",
    "MemberSeated",
    "MemberUnseated",
    *BARRED,
)
_APPLIED = (Stage.SETTLED, Stage.DISPUTED)


class FinaliseContext(Protocol):
    """What finalise and reconsider need of the rail."""

    settings: Settings
    store: Store
    chain: Chain
    rules: Mapping[str, Product]
    now: Callable[[], int]  # Unix seconds
    log: Any


_Handler = Callable[[FinaliseContext, Session, DecodedLog, int], None]


def finalise(context: FinaliseContext) -> int:
    """Post newly final blocks, and record what follows from them; return how many blocks."""
    due_blocks = _final_blocks(context)
    if not due_blocks:
        return 0
    with context.store.read() as session:
        logs = [
            log_of(row) for row in blocks.logs_in(session, [block.number for block in due_blocks])
        ]
    proofs, claims = prove(context, logs), read_claims(context, logs)
    with context.store.write() as session:
        # derived again: what was noted when the block was first seen does not count
        apply_final(context, session, due_blocks, logs, claims)
        pending.mark_posted(session, [block.hash for block in due_blocks])
        add_new(session, proofs)
        blocks.mark_final(session, [block.number for block in due_blocks])
    return len(due_blocks)


def apply_final(
    context: FinaliseContext,
    session: Session,
    final_blocks: Sequence[blocks.BlockRow],
    logs: Sequence[DecodedLog],
    claims: Claims,
    origin: str = "block",
) -> None:
    """Post what logs of final blocks moved, and record what follows from them.

    Args:
        context: The rail.
        session: A write session.
        final_blocks: The blocks, in order.
        logs: Their logs, in order.
        claims: Those of the settlements among them.
        origin: Of the entries; "late" for logs that were read after their blocks had been posted.
    """
    for block, block_logs, entries in by_block(
        context, session, final_blocks, logs, claims, origin
    ):
        ledger.post(session, entries, block.timestamp, f"{origin}:{block.hash}")
        for log in block_logs:
            if log.name in _HANDLERS:
                _HANDLERS[log.name](context, session, log, block.timestamp)
            settled = claims.get((log.tx_hash, log.index), ())
            note_effects(context, session, log, settled, block.timestamp)


def _final_blocks(context: FinaliseContext) -> list[blocks.BlockRow]:
    """Return blocks that are newly final: deep enough, and not above the node's finalized block.

    What the node claims can only delay. It is asked each time, and nothing of it is stored.

    Raises:
        Retry: The node does not answer, or its chain is no longer the stored one.
        Halt: Two nodes disagree.
    """
    with context.store.read() as session:
        newest = blocks.newest(session)
        depth = context.settings.finality_blocks
        deep_blocks = blocks.not_final(session, newest.number - depth) if newest else []
    if not deep_blocks:
        return []
    node_final = context.chain.finalized()
    due_blocks = [block for block in deep_blocks if block.number <= node_final]
    if due_blocks:
        _require_agreement(context.chain, due_blocks[-1])
    return due_blocks


def _require_agreement(chain: Chain, block: blocks.BlockRow) -> None:
    """Compare a block that becomes final with every node; its hash stands for all before it.

    Raises:
        Retry: A node does not have the block yet, or all nodes have another one: they may have
            lost blocks since `follow` saw them.
        Halt: Two nodes have different blocks at that depth.
    """
    hashes = chain.hashes_at(block.number)
    late = [name for name, block_hash in hashes.items() if block_hash is None]
    others = [name for name, block_hash in hashes.items() if block_hash not in (None, block.hash)]
    distinct = {block_hash for block_hash in hashes.values() if block_hash}
    if len(distinct) > 1:
        views = ", ".join(f"{name}: {block_hash}" for name, block_hash in hashes.items())
        raise Halt(
            f"the nodes disagree on block {block.number}, which is deep enough to be final "
            f"({views}). It was not posted, and nothing will be paid, since one of them does not "
            "show the real chain. Next: find out which one, for example with a third operator's "
            "node; take the other out of rpc_url and rpc_urls, start the rail again, then resume."
        )
    if others:
        raise Retry(f"block {block.number} is another one by now: the chain is rewinding")
    if late:
        raise Retry(
            f"block {block.number} is not final yet: {', '.join(late)} does not have it. Finality "
            "waits for every node that answers; take a node that stays behind out of rpc_urls"
        )


def prove(context: FinaliseContext, logs: Sequence[DecodedLog]) -> list[blocks.ProofRow]:
    """Return the proofs of the transactions of those logs that an auditor may need proven."""
    transactions: dict[str, list[str]] = {}
    for log in logs:
        if log.name in _PROVEN:
            hashes = transactions.setdefault(log.block_hash, [])
            if log.tx_hash not in hashes:
                hashes.append(log.tx_hash)
    return [
        blocks.ProofRow(tx_hash=tx_hash, body=json.dumps(proof))
        for block_hash, hashes in transactions.items()
        for tx_hash, proof in block_proofs(context.chain.reader, block_hash, hashes).items()
    ]


# --- one function per log; `at` is the time of its block; facts get the current time


def _settled(context: FinaliseContext, session: Session, log: DecodedLog, at: int) -> None:
    # the batch also holds claims that it refused, at other stages
    rows = [row for row in payments.of_settlement(session, log.tx_hash) if row.stage in _APPLIED]
    parties = agreements.by_ids(session, {row.agreement_id for row in rows})
    debts.note(
        session,
        [
            debts.DebtRow(
                payment_id=row.payment_id,
                agreement_id=row.agreement_id,
                payee=payments.payee_of(row, parties[row.agreement_id]),
                amount_micro=-row.amount_micro,
                noted_at=at,
            )
            for row in rows
            if row.amount_micro < 0
        ],
    )
    payments.record_facts(
        session,
        [
            payments.NewFact(row.payment_id, Fact.OWED, log.block_hash)
            if row.amount_micro < 0
            else payments.NewFact(
                row.payment_id, Fact.FINAL, log.block_hash, due_at=row.release_at + 1
            )
            for row in rows
        ],
        context.now(),
    )


def _minted(context: FinaliseContext, session: Session, log: DecodedLog, at: int) -> None:
    fundings.record_fact(session, log.args["credit"], FundingFact.MINTED, tx_hash=log.tx_hash)


def _escrow_funded(context: FinaliseContext, session: Session, log: DecodedLog, at: int) -> None:
    _try_waiting(session, log.args["agreement"], log, at)


def _try_waiting(session: Session, agreement: str, log: DecodedLog, at: int) -> None:
    """Record that an escrow has money: short claims try again, an ended agreement refunds it."""
    agreements.record_fact(session, agreement, agreements.Fact.FUNDED, at)
    waiting = payments.of_agreement(session, agreement, Stage.WAITING_FOR_FUNDS)
    key = f"{log.block_hash}:{log.index}"
    payments.record_facts(
        session, [payments.NewFact(payment, Fact.FUNDED, key) for payment in waiting], at
    )


def _released(context: FinaliseContext, session: Session, log: DecodedLog, at: int) -> None:
    deployment = context.chain.deployment
    products = _products_of_rail(deployment, log.address)
    times = log.args["releaseTimes"]
    released = releases.release(session, log.args["payee"], times, log.tx_hash, products)
    logs = [log_of(row) for row in blocks.logs_in_transaction(session, log.tx_hash)]
    if log.args["amount"] and not released_rest(log, logs):
        # all of it paid debts: no payout will ever hold it
        set_off = [payments.NewFact(payment, Fact.SET_OFF, log.tx_hash) for payment in released]
        payments.record_facts(session, set_off, context.now())
    elif not orders(log, logs, rail_addresses(deployment)):
        # below a minimum, or not the first release of a stranger's on its day: looked at tomorrow
        payments.revive(session, released, NextStep.RELEASE, next_day(at))


def _products_of_rail(deployment: Deployment, address: str) -> frozenset[str] | None:
    """Return the products (lower case) of the rail at an address; None where it is the only one."""
    return products_of(deployment, emitter(deployment, RAIL, address) or RAIL)


def _debt_paid(context: FinaliseContext, session: Session, log: DecodedLog, at: int) -> None:
    agreement, ref = log.args["agreement"], f"{log.tx_hash}:{log.index}"
    paid = debts.pay(session, agreement, log.args["payee"], log.args["amount"])
    payments.record_facts(
        session, [payments.NewFact(payment, Fact.SET_OFF, ref) for payment in paid], context.now()
    )
    _try_waiting(session, agreement, log, at)


def _redeemed(context: FinaliseContext, session: Session, log: DecodedLog, at: int) -> None:
    payout, payee = log.args["order"], log.args["beneficiary"]
    add_new(
        session,
        [
            payouts.PayoutRow(
                payout_id=payout,
                payee=payee,
                account=log.args["account"],
                cents=log.args["cents"],
                end_to_end_id=end_to_end_id(bytes.fromhex(payout[2:])),
                tx_hash=log.tx_hash,
                ordered_at=at,
            )
        ],
    )
    # anyone may redeem tokens of their own, also within one transaction with our release
    deployment = context.chain.deployment
    if by_rail(log, rail_addresses(deployment)):
        products = _products_of_rail(deployment, log.args["holder"])
        payments.record_facts(
            session,
            [  # a redemption takes all that was released before
                payments.NewFact(payment, Fact.REDEEMED, payout, sets={"payout_id": payout})
                for payment in releases.released(session, payee, products)
            ],
            context.now(),
        )


def _reclaimed(context: FinaliseContext, session: Session, log: DecodedLog, at: int) -> None:
    agreements.record_fact(session, log.args["agreement"], agreements.Fact.RECLAIMED, at)


def _opened(context: FinaliseContext, session: Session, log: DecodedLog, at: int) -> None:
    note_opening(session, log.args, at)


def _closed(context: FinaliseContext, session: Session, log: DecodedLog, at: int) -> None:
    note_closing(session, log.args)


def _skipped(context: FinaliseContext, session: Session, log: DecodedLog, at: int) -> None:
    skip(session, skipped_claim(log), log.block_hash, context.now())


def _disputed(context: FinaliseContext, session: Session, log: DecodedLog, at: int) -> None:
    disputed = payments.NewFact(log.args["payment"], Fact.DISPUTED, log.block_hash)
    payments.record_facts(session, [disputed], context.now())


def _dispute_ended(context: FinaliseContext, session: Session, log: DecodedLog, at: int) -> None:
    agreement = note_end(session, log, at, context.now())
    if agreement is not None:  # money is in escrow again, without a log EscrowFunded
        _try_waiting(session, agreement, log, at)


def _debt_cancelled(context: FinaliseContext, session: Session, log: DecodedLog, at: int) -> None:
    note_cancelled(session, log, context.now())


def _barred(context: FinaliseContext, session: Session, log: DecodedLog, at: int) -> None:
    slots = [(log.args.get("agreement"), log.args.get("sequence"))]
    if "payment" in log.args:
        rows = payments.by_ids(session, [log.args["payment"]])
        slots = [(row.agreement_id, row.sequence) for row in rows]
    for agreement, sequence in slots:
        equivocations.mark_barred(session, log.args["member"], agreement, sequence, at)


_HANDLERS: dict[str, _Handler] = {
    "Settled": _settled,
    "Minted": _minted,
    "EscrowFunded": _escrow_funded,
    "EscrowReclaimed": _reclaimed,
    "Released": _released,
    "DebtPaid": _debt_paid,
    "DebtCancelled": _debt_cancelled,
    "Redeemed": _redeemed,
    "AgreementOpened": _opened,
    "AgreementClosed": _closed,
    "ClaimSkipped": _skipped,
    "PaymentDisputed": _disputed,
    "DisputeEnded": _dispute_ended,
    **DEVICE_LOGS,
    "MemberBarred": _barred,
    "MemberBarredForRulings": _barred,
    "MemberBarredForFault": _barred,
}


def reconsider(context: FinaliseContext) -> int:
    """Try payments again that the cap refused, when a new period may have begun."""
    now = context.now()
    with context.store.read() as session:
        waiting = payments.overdue(session, Stage.WAITING_FOR_FUNDS, now)
    if not waiting:
        return 0
    with context.store.write() as session:
        return payments.record_facts(
            session,
            [payments.NewFact(payment, Fact.FUNDED, f"time:{now}") for payment in waiting],
            now,
        )
