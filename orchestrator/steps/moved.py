"""What a former rail can no longer settle goes on in the agreement that follows on the present one.

Oracles of this release sign for contracts of version 2 alone. So what was attested before settles
on the former rail, and nothing else is attested for it. Once an agreement there is over, its
unsettled payments end (`rail_moved`), and their records belong to the agreement that follows it.
Not before: what oracles signed, anyone may settle until then, and a record is paid once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from orchestrator.core.payment import Fact
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.rails import attests, former_rails, products_of, rail_of
from orchestrator.edges.store import Session, Store, agreements, blocks, evidence, moved, payments
from orchestrator.products import Product
from orchestrator.steps import WorkerMemory

MOVED = "rail_moved"  # the reason of a payment that ended since its rail moved
_LOOK_EVERY_S = 30
_ASK_AGAIN_S = 300
_NO_ORACLES = (
    "its contracts are of an earlier release, for which oracles of this release do not sign: "
    "what they attested before settles. Next: `proofrail agreement move` moves the agreement to "
    "the new contracts"
)
_Row = tuple[payments.PaymentRow, agreements.AgreementRow]


class MovedContext(Protocol):
    """What moving records on needs of the rail."""

    store: Store
    chain: Chain
    rules: Mapping[str, Product]
    now: Callable[[], int]  # Unix seconds
    log: Any
    memory: WorkerMemory


def move_records(context: MovedContext) -> int:
    """Move on the records of agreements that are over on a former rail; return how many records."""
    former, now = former_rails(context.chain.deployment), context.now()
    if not former or 0 <= now - context.memory.moved_at < _LOOK_EVERY_S:
        return 0
    context.memory.moved_at = now
    return sum(_move_rail(context, rail, now) for rail in former)


def _move_rail(context: MovedContext, rail: str, now: int) -> int:
    products = products_of(context.chain.deployment, rail) or frozenset()
    with context.store.write() as session:
        rows = moved.over(session, products, _final_at(context, session, rail))
        pairs = [(row, follower_of(context, session, row)) for row in rows]
        counts = {
            row.agreement_id: set_free(session, row, follower, now)
            for row, follower in pairs
            if follower is not None
        }
    for agreement, count in counts.items():
        context.log.info("records moved on", agreement=agreement, rail=rail, records=count)
    return sum(counts.values())


def _final_at(context: MovedContext, session: Session, rail: str) -> int:
    """Return the time of the newest final block; 0 where a pause may move the end of an agreement.

    There the chain says that it is over when its escrow is reclaimed.
    """
    if context.chain.knows(rail, "agreementEnd"):
        return 0
    row = blocks.at(session, blocks.newest_final(session))
    return row.timestamp if row else 0


def follower_of(
    context: MovedContext, session: Session, former: agreements.AgreementRow
) -> agreements.AgreementRow | None:
    """Return the agreement that follows one of a former rail; None if there is none yet.

    It is the newest live one of the same device, payer, product and subject on other contracts.
    """
    deployment = context.chain.deployment
    products = products_of(deployment, rail_of(deployment, former.product_address)) or frozenset()
    rules = context.rules[former.product]

    def subject(row: agreements.AgreementRow) -> bytes:
        return rules.subject(bytes.fromhex(row.terms[2:]))

    rows = moved.followers(session, former, products)
    return next((row for row in rows if subject(row) == subject(former)), None)


def set_free(
    session: Session,
    former: agreements.AgreementRow,
    follower: agreements.AgreementRow,
    now: int,
) -> int:
    """End the unsettled payments of an agreement, and give its records to the one that follows.

    Warning: only for an agreement that is over on a final block. Before that anyone may settle what
    oracles signed, and its records would be paid twice.

    Args:
        session: A write session.
        former: The agreement on the former rail.
        follower: The agreement that follows it: it begins at the last settled counter.
        now: Unix seconds.

    Returns:
        How many records moved on.
    """
    rows, detail = moved.unsettled(session, former.agreement_id), _detail(follower)
    facts = [
        payments.NewFact(row.payment_id, Fact.LAPSED, MOVED, detail, {"reason": MOVED})
        for row in rows
    ]
    payments.record_facts(session, facts, now)
    for row in rows:
        evidence.unclaim(session, row.payment_id)
    return moved.take_over(session, former, follower)


def _detail(follower: agreements.AgreementRow) -> str:
    return f"its records go on in agreement {follower.agreement_id}"


def end_or_wait(context: MovedContext, due: Sequence[_Row], now: int) -> list[_Row]:
    """Return the payments that oracles may attest; the others end, or wait with the reason.

    Args:
        context: The rail.
        due: Payments that are to be attested, with their agreements.
        now: Unix seconds.
    """
    deployment = context.chain.deployment
    held = [item for item in due if not attests(deployment, item[1].product_address)]
    if held:
        with context.store.write() as session:
            over = [row for row, agreement in held if _is_over(context, session, agreement)]
            facts = [
                payments.NewFact(row.payment_id, Fact.LAPSED, MOVED, _NO_ORACLES, {"reason": MOVED})
                for row in over
            ]
            payments.record_facts(session, facts, now)
            ended = {row.payment_id for row in over}
            waiting = [row.payment_id for row, _ in held if row.payment_id not in ended]
            payments.postpone(session, waiting, now + _ASK_AGAIN_S, _NO_ORACLES)
    return [item for item in due if attests(deployment, item[1].product_address)]


def _is_over(context: MovedContext, session: Session, agreement: agreements.AgreementRow) -> bool:
    rail = rail_of(context.chain.deployment, agreement.product_address)
    final_at = _final_at(context, session, rail)
    return agreement.stage in moved.ENDED or agreement.ends_at < final_at
