"""From the dispute window to the payout: releases each payee's matured money, at most once a day.

Each rail is asked for its own: a payee of a rail that moved may have money on both. core/release.py
says when. A payment that waits for the payee's minimum or for the next day keeps
its stage, and its reason says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from orchestrator.core.payment import NextStep
from orchestrator.core.release import PayeeOnChain, ReleasePlan, Verdict, plan_release
from orchestrator.edges.chain.client import Call, Chain
from orchestrator.edges.chain.rails import RAIL, products_of, rail_of
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.store import Store, payments, releases, sends
from orchestrator.errors import Retry
from orchestrator.steps.anchoring import quote_with_anchor
from orchestrator.steps.settle import later

_TIMES = 1_000  # release times in one call: about 10,000 gas each


class ReleaseContext(Protocol):
    """What release_matured needs of the rail."""

    store: Store
    chain: Chain
    sender: Sender
    now: Callable[[], int]  # Unix seconds
    log: Any


def release_matured(context: ReleaseContext) -> int:
    """Release what has matured, one call per payee and rail; return how many calls were signed."""
    now = context.now()
    with context.store.read() as session:
        due = payments.due(session, NextStep.RELEASE, now, 5_000)
        in_flight = {released_by(ref) for ref in sends.open_refs(session, "release")}
    deployment, sent = context.chain.deployment, 0
    to_ask = {
        (payments.payee_of(row, agreement), rail_of(deployment, agreement.product_address))
        for row, agreement in due
    }
    # while a release is in no block, the rail does not show yet that it took the day's order
    for payee, rail in sorted(to_ask - in_flight):
        with context.store.read() as session:
            rows = releases.matured(session, payee, now, products_of(deployment, rail))
        if not rows:
            continue
        plan, fresh = _plan(context, payee, rail, rows, now)
        if plan.verdict is Verdict.RELEASE:
            sent += _release(context, payee, rail, rows, fresh, now)
        else:
            _put_off(context, rows, plan)
    if sent:
        context.sender.broadcast()
    return sent


def released_by(ref: str) -> tuple[str, str]:
    """Return (payee, name of the rail) of the reference of a release."""
    payee, _, rest = ref.partition(":")
    return payee, rest.rpartition(":")[2] if "@" in rest else RAIL


def payee_on_chain(chain: Chain, payee: str, rail: str = RAIL) -> PayeeOnChain:
    """Return what a rail knows about a payee; raises Retry if the node does not answer.

    Rails of 0.5.0 and before have no limits: each release orders what it leaves.
    """
    limited = chain.knows(rail, "payoutLimits")
    minimum, last_day = chain.view(rail, "payoutLimits", payee) if limited else (0, 0)
    return PayeeOnChain(
        any(chain.view(rail, "payoutAccount", payee)),
        minimum,
        last_day,
        chain.view(rail, "withdrawable", payee),
        chain.view(rail, "owed", payee),
    )


def _plan(
    context: ReleaseContext, payee: str, rail: str, rows: Sequence[payments.PaymentRow], now: int
) -> tuple[ReleasePlan, list[payments.PaymentRow]]:
    """Return the plan, and those of the payments that are not released yet."""
    fresh = [row for row in rows if row.release_tx is None]
    matured_micro = sum(row.amount_micro for row in fresh)
    return (
        plan_release(payee_on_chain(context.chain, payee, rail), len(fresh), matured_micro, now),
        fresh,
    )


def _put_off(
    context: ReleaseContext, rows: Sequence[payments.PaymentRow], plan: ReleasePlan
) -> None:
    ids = [row.payment_id for row in rows]
    with context.store.write() as session:
        if plan.verdict is Verdict.WAIT:
            payments.postpone(session, ids, plan.due_at, plan.reason)
        else:
            payments.set_many(session, [{"payment_id": i, "next_step": None} for i in ids])


def _release(
    context: ReleaseContext,
    payee: str,
    rail: str,
    rows: Sequence[payments.PaymentRow],
    fresh: Sequence[payments.PaymentRow],
    now: int,
) -> int:
    times = sorted({row.release_at for row in fresh})[:_TIMES]
    ids = [row.payment_id for row in rows if row.release_tx or row.release_at in times]
    ref = f"{payee}:{times[0]}-{times[-1]}:{len(times)}" if times else f"{payee}:released:{now}"
    if rail != RAIL:
        ref += f":{rail}"
    try:
        quote = quote_with_anchor(context, Call(rail, "release", (payee, times)))
    except Retry as error:  # chain time is a little behind ours, or nothing is left to release
        with context.store.write() as session:
            payments.postpone(session, ids, later(now, rows[0]), str(error))
        return 0
    with context.store.write() as session:
        tx_hash = context.sender.prepare(session, "release", ref, quote, now)
        payments.set_many(
            session, [{"payment_id": i, "next_step": None, "reason": None} for i in ids]
        )
    context.log.info("release signed", payee=payee, tx=tx_hash, payments=ids)
    return 1
