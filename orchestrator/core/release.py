"""When to release a payee's matured money, with IPaymentRail.release.

The rail is a stranger to its payees: of others than the payee only the first call of a day (UTC)
orders a payout, and none below the minimum that the payee chose. So matured money is pooled until
an order is possible. Debts are the exception: they are paid at once, since money that is back in an
escrow can be charged again. Amounts are micro-euro, times Unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from orchestrator.core.chart import euro_text
from orchestrator.core.ledger import MICRO_PER_CENT

DAY_S = 86_400
MARGIN_S = 60  # the chain's clock may be this far behind ours when a day begins


class Verdict(StrEnum):
    """What to do with a payee's money now."""

    RELEASE = "release"
    WAIT = "wait"  # until a time, for a reason
    NOTHING = "nothing"  # nothing of it is left to be ordered


@dataclass(frozen=True, slots=True)
class PayeeOnChain:
    """What the rail knows about a payee.

    Attributes:
        has_account: Whether it named a bank account.
        minimum_micro: Strangers order no less.
        last_day: The day (since 1970) of the last order that a stranger caused.
        withdrawable_micro: What was released and not paid out.
        owed_micro: Its open debts.
    """

    has_account: bool
    minimum_micro: int
    last_day: int
    withdrawable_micro: int
    owed_micro: int


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """A verdict, and for WAIT until when and why."""

    verdict: Verdict
    due_at: int = 0
    reason: str = ""


def next_day(at: int) -> int:
    """Return when the day after a time has begun on the chain as well."""
    return (at // DAY_S + 1) * DAY_S + MARGIN_S


def plan_release(payee: PayeeOnChain, matured: int, matured_micro: int, now: int) -> ReleasePlan:
    """Return whether to release now.

    Args:
        payee: What the rail knows about the payee.
        matured: How many payments have matured and are not released.
        matured_micro: Their sum.
        now: Unix seconds.
    """
    available = payee.withdrawable_micro + matured_micro
    if payee.owed_micro and available:
        return ReleasePlan(Verdict.RELEASE)
    if not payee.has_account:
        return ReleasePlan(Verdict.RELEASE if matured_micro else Verdict.NOTHING)
    if payee.last_day >= (now - MARGIN_S) // DAY_S:
        return ReleasePlan(
            Verdict.WAIT,
            next_day(payee.last_day * DAY_S),
            "waits for tomorrow: the rail may order one payout a day for a payee, and has ordered "
            "today's; the payee itself can release at any time (`proofrail party release`)",
        )
    cents = available // MICRO_PER_CENT
    if cents * MICRO_PER_CENT < payee.minimum_micro:
        return ReleasePlan(
            Verdict.WAIT,
            next_day(now),
            f"waits for the payee's minimum: {euro_text(cents)} of "
            f"{euro_text(-(-payee.minimum_micro // MICRO_PER_CENT))} are there",
        )
    if cents or matured_micro:
        return ReleasePlan(Verdict.RELEASE)
    if matured:  # payments of zero: the rail refuses to release nothing
        return ReleasePlan(Verdict.WAIT, next_day(now), "goes with the payee's next money")
    return ReleasePlan(Verdict.NOTHING)
