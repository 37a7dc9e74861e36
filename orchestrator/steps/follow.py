"""From blocks to facts: follows the chain by parent hash and stores what each block would post.

What a block says is a fact at once (a payment is settled), but its entries are pending: they are
posted, and orders go to the bank, only N blocks later. A rewind of fewer than N blocks voids the
entries of those blocks and needs no person; a deeper one is a Halt.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from orchestrator.core.funding import Fact as FundingFact
from orchestrator.core.payment import Fact, NextStep
from orchestrator.edges.chain.client import Chain, DecodedLog, SeenBlock
from orchestrator.edges.chain.rails import products_of
from orchestrator.edges.chain.reader import Registry
from orchestrator.edges.chain.sender import Sender, broadcast_stored, displaced, settle_up
from orchestrator.edges.store import (
    Session,
    Store,
    add_all,
    blocks,
    fundings,
    holds,
    payments,
    pending,
    releases,
    sends,
)
from orchestrator.errors import Halt, Retry
from orchestrator.products import Product
from orchestrator.settings import Settings
from orchestrator.steps import WorkerMemory
from orchestrator.steps.added_contracts import read_added
from orchestrator.steps.adopt import adopt
from orchestrator.steps.chain_context import by_block, read_claims
from orchestrator.steps.outcomes import settled_facts
from orchestrator.steps.release import released_by

_BLOCKS_AT_ONCE = 100


class FollowContext(Protocol):
    """What follow needs of the rail."""

    settings: Settings
    store: Store
    chain: Chain
    registry: Registry
    senders: tuple[Sender, ...]
    rules: Mapping[str, Product]
    now: Callable[[], int]  # Unix seconds
    log: Any
    memory: WorkerMemory


def follow(context: FollowContext) -> int:
    """Read new blocks and record their facts; return how many blocks were new."""
    if (stands := read_added(context)) is not None:
        _undo(context, stands)
    with context.store.read() as session:
        last = blocks.newest(session)
    newest = context.chain.newest()
    head = newest.number
    if last is None:
        start = context.chain.deployment.block_number
    elif newest.hash == last.hash:
        return _nothing_new(context)
    elif head < last.number:
        return _rewind(context, last.number, head)
    else:
        start = last.number  # with the new blocks: is it still the same?
    end = min(head, start + _BLOCKS_AT_ONCE)
    seen = context.chain.blocks(range(start, end + 1))
    if last is not None and seen.pop(0).hash != last.hash:
        return _rewind(context, last.number, head)
    if not seen:
        return _nothing_new(context)
    _apply(context, seen, context.chain.logs_of([block.hash for block in seen]))
    context.registry.refresh()
    return len(seen)


def _nothing_new(context: FollowContext) -> int:
    """Send again what no block has taken for long: the node may have lost it."""
    for sender in context.senders:
        sender.broadcast_again(context.now())
    return 0


def _apply(context: FollowContext, seen: list[SeenBlock], logs: list[DecodedLog]) -> None:
    now, claims = context.now(), read_claims(context, logs)
    settled_logs = [log for log in logs if log.name == "Settled"]
    facts = [
        fact
        for log in settled_logs
        for fact in settled_facts(context, log, claims[log.tx_hash, log.index], now)
    ]
    with context.store.write() as session:
        add_all(
            session,
            [
                blocks.BlockRow(
                    number=b.number, hash=b.hash, parent=b.parent, timestamp=b.timestamp
                )
                for b in seen
            ],
        )
        add_all(
            session,
            [
                blocks.ChainLogRow(
                    block_hash=log.block_hash,
                    log_index=log.index,
                    block_number=log.block_number,
                    tx_hash=log.tx_hash,
                    name=log.name,
                    args=json.dumps(log.args),
                    address=log.address,
                )
                for log in logs
            ],
        )
        for block, _, entries in by_block(context, session, seen, logs, claims):
            pending.note(session, block.hash, block.number, entries)
        settlements = [(log, claims[log.tx_hash, log.index]) for log in settled_logs]
        adopt(context, session, settlements, now)
        payments.record_facts(session, facts, now)
    if facts:
        settled = [fact.payment_id for fact in facts]
        context.log.info("settled", block=seen[-1].number, payments=settled)
    _end_sends(context)


def _end_sends(context: FollowContext) -> None:
    """Record what became of our own sends; a failed settlement is sent again from its batch.

    Sends of a key that was replaced since are among them: their bytes are stored, so they are
    finished without it.
    """
    with context.store.read() as session:
        open_sends = sends.open_on(session, context.chain.deployment.chain_id)
    addresses = sorted({row.sender for row in open_sends})
    ended = settle_up(context.store, context.chain, [row.tx_hash for row in open_sends])
    _revive(context, [row for row in open_sends if ended.get(row.tx_hash) is False])
    if len(ended) < len(open_sends):
        broadcast_open(context)  # a broadcast may have been lost: the same bytes again
        _revive(context, _displaced(context, addresses))  # last: a node may lack state so far back


def _revive(context: FollowContext, failed: Sequence[sends.ChainSendRow]) -> None:
    for row in failed:
        context.log.warning("chain send failed", purpose=row.purpose, ref=row.ref, tx=row.tx_hash)
        next_step = {"settle": NextStep.SETTLE, "release": NextStep.RELEASE}.get(row.purpose)
        with context.store.write() as session:
            if row.purpose == "mint":
                fundings.record_fact(session, row.ref, FundingFact.MINT_FAILED)
            if row.purpose == "settle":
                ids = [payment.payment_id for payment, _ in payments.of_batch(session, row.ref)]
            elif row.purpose == "release":
                payee, rail = released_by(row.ref)
                products = products_of(context.chain.deployment, rail)
                ids = releases.idle_posted(session, payee, products)
            else:
                ids = []
            payments.revive(session, ids, next_step, context.now() + 1)


def broadcast_open(context: FollowContext) -> None:
    """Send again what no block holds, of every key that ever sent from here."""
    with context.store.read() as session:
        open_sends = sends.open_on(session, context.chain.deployment.chain_id)
    for address in sorted({row.sender for row in open_sends}):
        broadcast_stored(context.store, context.chain, address)


def _displaced(context: FollowContext, addresses: Sequence[str]) -> list[sends.ChainSendRow]:
    with context.store.read() as session:
        final = blocks.newest_final(session)
    if not final:
        return []
    return [
        row
        for address in addresses
        for row in displaced(context.store, context.chain, address, final)
    ]


def _rewind(context: FollowContext, number: int, head: int) -> int:
    """Find the last block that store and node share, and undo what came after it."""
    common = min(number, head)
    with context.store.read() as session:
        final = blocks.newest_final(session)
        while common > final:
            stored = blocks.at(session, common)
            if stored and context.chain.blocks([common])[0].hash == stored.hash:
                break
            common -= 1
    if common <= final and final:
        checked = min(final, head)
        with context.store.read() as session:
            stored = blocks.at(session, checked)
        if stored and context.chain.blocks([checked])[0].hash != stored.hash:
            raise Halt(
                f"The chain was rewound below block {final}, which was final. Nothing was changed, "
                "and nothing will be paid, since payments may rest on blocks that are gone. Next: "
                "compare this node with another one; point the rail at a node that has the block."
            )
        if head < final:
            raise Retry(
                f"the node is at block {head}, behind the final block {final}: wait until it "
                "has caught up, or use another node"
            )
    _undo(context, common)
    return 1


def _undo(context: FollowContext, common: int) -> None:
    """Forget every block after one, and what followed from it."""
    now = context.now()
    with context.store.write() as session:
        orphaned = blocks.forget_from(session, common + 1)
        voided = pending.void_from(session, common + 1)
        sends.record_orphaned(session, common + 1)
        facts = [
            fact for log in orphaned if log.name == "Settled" for fact in _orphaned(session, log)
        ]
        payments.record_facts(session, facts, now)
        holds.hold_again(session, facts, now)
    context.log.warning(
        "chain rewound", to=common, orphaned_logs=len(orphaned), voided_entries=voided
    )
    context.registry.forget(common)
    broadcast_open(context)


def _orphaned(session: Session, log: blocks.ChainLogRow) -> list[payments.NewFact]:
    ids = [row.payment_id for row in payments.of_settlement(session, log.tx_hash)]
    times = payments.orphanings(session, ids, log.block_hash)
    return [
        payments.NewFact(
            payment, Fact.ORPHANED, payments.sighting(log.block_hash, times.get(payment, 0))
        )
        for payment in ids
    ]
