"""After an agreement's end its unspent escrow goes back to the payer; nobody's key is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from orchestrator.core.payment import Stage
from orchestrator.edges.chain.client import Call
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.store import Session, Store, blocks, exposure, ledger, payments, sends
from orchestrator.errors import Retry

PURPOSE = "reclaim"
# a claim that waits for funds past the end is refused whatever comes: it holds up nothing
_OPEN = (Stage.RECEIVED, Stage.VERIFIED, Stage.ATTESTED, Stage.SETTLED)


class RefundContext(Protocol):
    """What reclaiming escrow needs of the rail."""

    store: Store
    sender: Sender
    now: Callable[[], int]  # Unix seconds
    log: Any


def refund(context: RefundContext) -> int:
    """Asks for the escrow of ended agreements, once each time there is some; returns how many.

    Anyone may call `reclaim`: the rail does it with the key that pays for its other calls. What
    is booked follows from the log, like all else.
    """
    now = context.now()
    due = _due(context, now)
    sent = sum(_reclaim(context, agreement, ref, now) for agreement, ref in due)
    if sent:
        context.sender.broadcast()
    return sent


def _due(context: RefundContext, now: int) -> list[tuple[str, str]]:
    """(agreement, reference of the call) of ended agreements with money left in escrow.

    The reference counts what was reclaimed before: a dispute or a credit may put money back.
    """
    with context.store.read() as session:
        ended = exposure.ended(session, now)
        if not ended:
            return []
        busy = payments.busy_agreements(session, _OPEN)
        held = ledger.escrows(session, [a for a in ended if a not in busy])
        refs = [(agreement, f"{agreement}:{times(session, agreement)}") for agreement in held]
        return [item for item in refs if sends.by_ref(session, PURPOSE, item[1]) is None]


def times(session: Session, agreement: str) -> int:
    """How often it was reclaimed, as far as the ledger knows."""
    final = blocks.newest_final(session)
    logs = blocks.logs_about(session, ("EscrowReclaimed",), agreement)
    return sum(log.block_number <= final for log in logs)


def _reclaim(context: RefundContext, agreement: str, ref: str, now: int) -> int:
    try:
        quote = context.sender.quote(Call("PaymentRail", "reclaim", (agreement,)))
    except Retry as delay:  # chain time is a little behind ours, or somebody was faster
        context.log.info("refund waits", agreement=agreement, reason=str(delay))
        return 0
    with context.store.write() as session:
        context.sender.prepare(session, PURPOSE, ref, quote, now)
    return 1
