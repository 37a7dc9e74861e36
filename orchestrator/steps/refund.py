"""Returns the unspent escrow of an ended agreement to its payer; no party's key is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from orchestrator.core.payment import Stage
from orchestrator.edges.chain.client import Call
from orchestrator.edges.chain.rails import rail_of
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.store import (
    Session,
    Store,
    agreement_ends,
    agreements,
    blocks,
    ledger,
    payments,
    sends,
)
from orchestrator.errors import Retry
from orchestrator.steps import RefundMemory, WorkerMemory

PURPOSE = "reclaim"
# not those that wait for funds: past the end they are refused in any case
_OPEN = (Stage.RECEIVED, Stage.VERIFIED, Stage.ATTESTED, Stage.SETTLED)

_DAY_S = 86_400
_LATE_CLOSE_S = 3_600  # a close that moves the end may be final, and so known, only after that end


class RefundContext(Protocol):
    """What refund needs of the rail."""

    store: Store
    sender: Sender
    now: Callable[[], int]  # Unix seconds
    log: Any
    memory: WorkerMemory


def refund(context: RefundContext) -> int:
    """Reclaim the escrow of ended agreements, once each time there is some; return how many.

    Anyone may call `reclaim`: the rail uses the key that pays for its other calls. What is posted
    follows from the log, as always.
    """
    now = context.now()
    due = _due(context, now)
    sent = sum(_reclaim(context, agreement, ref, now) for agreement, ref in due)
    if sent:
        context.sender.broadcast()
    return sent


def _due(context: RefundContext, now: int) -> list[tuple[str, str]]:
    """Return (agreement, reference of the call) for ended agreements with money left in escrow.

    The reference counts earlier reclaims: a dispute or a paid debt may put money back.
    """
    with context.store.read() as session:
        funded = _funded(session, context.memory.refunds, now)
        if not funded:
            return []
        busy = payments.busy_agreements(session, _OPEN)
        refs = [
            (agreement, f"{agreement}:{times(session, agreement)}")
            for agreement in sorted(funded - busy)
        ]
        return [item for item in refs if sends.by_ref(session, PURPOSE, item[1]) is None]


def _funded(session: Session, memory: RefundMemory, now: int) -> set[str]:
    """Return the ended agreements with money in escrow.

    Ended agreements stay for ever, most of them with an empty escrow. So a turn looks only at those
    that ended since the last one, at those whose escrow was changed since, and at those that had
    money then. Once a day it looks at all.
    """
    entry = ledger.head(session)[0]
    if now - memory.full_at >= _DAY_S or now < memory.ended_to or entry < memory.entry:
        memory.full_at, memory.ended_to, memory.entry = now, 0, 0
        candidates = set(agreement_ends.ended(session, now))
    else:
        candidates = memory.funded | set(
            agreement_ends.ended(session, now, memory.ended_to - _LATE_CLOSE_S)
        )
        moved = ledger.escrows_moved(session, memory.entry) if entry > memory.entry else set()
        candidates |= set(agreement_ends.ended_among(session, moved, now))
    memory.funded = set(ledger.escrows(session, candidates))
    memory.ended_to, memory.entry = now, entry
    return memory.funded


def _waits(context: RefundContext, rail: str, agreement: str, now: int) -> bool:
    """Return whether claims are still taken: a pause has moved the agreement's end on chain."""
    chain = context.sender.chain
    if not chain.knows(rail, "agreementEnd"):  # contracts of 0.5.0 know no grace
        return False
    return chain.view(rail, "agreementEnd", agreement)[0] >= now


def times(session: Session, agreement: str) -> int:
    """Return how often an agreement was reclaimed, up to the newest final block."""
    final = blocks.newest_final(session)
    logs = blocks.logs_about(session, ("EscrowReclaimed",), agreement)
    return sum(log.block_number <= final for log in logs)


def _reclaim(context: RefundContext, agreement: str, ref: str, now: int) -> int:
    with context.store.read() as session:
        product_address = agreements.get(session, agreement).product_address
    rail = rail_of(context.sender.chain.deployment, product_address)
    try:
        if _waits(context, rail, agreement, now):
            return 0
        quote = context.sender.quote(Call(rail, "reclaim", (agreement,)))
    except Retry as error:  # chain time is a little behind ours, or someone else was faster
        context.log.info("refund waits", agreement=agreement, reason=str(error))
        return 0
    with context.store.write() as session:
        context.sender.prepare(session, PURPOSE, ref, quote, now)
    return 1
