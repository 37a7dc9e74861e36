"""Ends what a former rail can no longer settle, and moves records on to where they can be paid.

Oracles of this release sign for contracts of version 2 alone. So what was attested before settles
on the former rail, and nothing else is attested for it. Once an agreement there is over, its
unsettled payments end (`rail_moved`), and their records go on in the agreement that follows it
(`proofrail agreement move`). Not before: what oracles signed, anyone may settle until then, and a
record is paid once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from orchestrator.core.mandate import salt_of
from orchestrator.core.payment import MOVED, Fact
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.rails import attests, former_rails, products_of
from orchestrator.edges.store import Session, Store, agreements, blocks, moves, payments
from orchestrator.steps import WorkerMemory

_LOOK_EVERY_S = 30
_ASK_AGAIN_S = 300
_NO_ORACLES = (
    "its contracts are of an earlier release, for which oracles of this release do not sign: "
    "what they attested before settles. Next: `proofrail agreement move` moves the agreement to "
    "the new contracts"
)
_OVER = "its agreement takes no more claims, and nothing more is attested for its former contracts"
_Row = tuple[payments.PaymentRow, agreements.AgreementRow]


class MovedContext(Protocol):
    """What ending payments of former rails needs of the rail."""

    store: Store
    chain: Chain
    now: Callable[[], int]  # Unix seconds
    log: Any
    memory: WorkerMemory


def end_moved(context: MovedContext) -> int:
    """End payments that no former rail will settle, and move their records on; return how many."""
    former, now = former_rails(context.chain.deployment), context.now()
    if not former or 0 <= now - context.memory.moved_at < _LOOK_EVERY_S:
        return 0
    context.memory.moved_at = now
    with context.store.write() as session:
        return sum(_end_on(context, session, rail, now) for rail in former)


def _end_on(context: MovedContext, session: Session, rail: str, now: int) -> int:
    products = products_of(context.chain.deployment, rail) or frozenset()
    due = moves.unsettled(session, products, _final_at(context, session, rail))
    facts = [
        payments.NewFact(payment, Fact.LAPSED, MOVED, _OVER, {"reason": MOVED}) for payment in due
    ]
    ended = payments.record_facts(session, facts, now)
    moved = sum(_move_on(session, former) for former in moves.with_records(session, products))
    if ended or moved:
        context.log.info("payments ended on a former rail", rail=rail, ended=ended, records=moved)
    return ended + moved


def _final_at(context: MovedContext, session: Session, rail: str) -> int:
    """Return the time of the newest final block; 0 where a pause may move the end of an agreement.

    There an agreement is over when its escrow was reclaimed.
    """
    if context.chain.knows(rail, "agreementEnd"):
        return 0
    row = blocks.at(session, blocks.newest_final(session))
    return row.timestamp if row else 0


def _move_on(session: Session, former: str) -> int:
    """Move an agreement's records to the one that follows it, if that is open; return how many."""
    following = moves.with_salt(session, "0x" + salt_of(former).hex())
    if following is None or following.stage == agreements.Stage.SIGNED:
        return 0
    return moves.reroute(session, former, following.agreement_id, following.first_counter)


def attestable(context: MovedContext, due: Sequence[_Row], now: int) -> list[_Row]:
    """Return the payments that oracles may attest; the others wait, and say for what.

    Args:
        context: The rail.
        due: Payments that are to be attested, with their agreements.
        now: Unix seconds.
    """
    deployment = context.chain.deployment
    held = [row for row, on in due if not attests(deployment, on.product_address)]
    if not held:
        return list(due)
    with context.store.write() as session:
        ids = [row.payment_id for row in held]
        payments.postpone(session, ids, now + _ASK_AGAIN_S, _NO_ORACLES)
    return [item for item in due if attests(deployment, item[1].product_address)]
