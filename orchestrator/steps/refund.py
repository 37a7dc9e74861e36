"""After an agreement's end its unspent escrow goes back to the payer; nobody's key is needed."""

from __future__ import annotations

from orchestrator.core.payment import Stage
from orchestrator.edges.chain.client import Call
from orchestrator.edges.store import Session, agreements, blocks, ledger, payments, sends
from orchestrator.errors import Retry
from orchestrator.steps import StepContext

PURPOSE = "reclaim"
# a claim that waits for funds past the end is refused whatever comes: it holds up nothing
_OPEN = (Stage.RECEIVED, Stage.VERIFIED, Stage.ATTESTED, Stage.SETTLED)


def refund(rail: StepContext) -> int:
    """Asks for the escrow of ended agreements, once each time there is some; returns how many.

    Anyone may call `reclaim`: the rail does it with the key that pays for its other calls. What
    is booked follows from the log, like all else.
    """
    now = rail.now()
    due = _due(rail, now)
    sent = sum(_reclaim(rail, agreement, ref, now) for agreement, ref in due)
    if sent:
        rail.sender.broadcast()
    return sent


def _due(rail: StepContext, now: int) -> list[tuple[str, str]]:
    """(agreement, reference of the call) of ended agreements with money left in escrow.

    The reference counts what was reclaimed before: a dispute or a credit may put money back.
    """
    with rail.store.read() as session:
        ended = agreements.ended(session, now)
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


def _reclaim(rail: StepContext, agreement: str, ref: str, now: int) -> int:
    try:
        quote = rail.sender.quote(Call("PaymentRail", "reclaim", (agreement,)))
    except Retry as delay:  # chain time is a little behind ours, or somebody was faster
        rail.log.info("refund waits", agreement=agreement, reason=str(delay))
        return 0
    with rail.store.write() as session:
        rail.sender.prepare(session, PURPOSE, ref, quote, now)
    return 1
