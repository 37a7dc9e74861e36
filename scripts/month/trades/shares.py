"""Revenue share: what lamps earn goes to a waterfall, and its holders take their parts.

The lender gets a fifth of all until it has five euros; two partners share the rest, 62.5 to 37.5.
What each is owed is planned from the days that lamps ordered, and no number of the chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from orchestrator.core.waterfall import WaterfallTerms
from orchestrator.edges.chain.client import Call
from orchestrator.edges.chain.rails import instance
from orchestrator.edges.chain.sender import ChainCall, Sender, send_and_wait
from orchestrator.operations import waterfalls
from scripts.month.parties import MonthParty
from scripts.month.plan import CENT, SENIOR_LIMIT, SENIOR_SHARE, SHARES, PlannedShare
from scripts.month.rail import MonthRail

NAME = "Lampen 2026"
TAKEN_ON = tuple(date(2026, 4, day) for day in (13, 22, 30))
_AS_TOKENS = 2, date(2026, 4, 22)  # which holder takes tokens, and when


class MonthShare:
    """The waterfall on the chain, and its holders with their keys."""

    def __init__(self, rail: MonthRail, holders: Sequence[MonthParty]) -> None:
        """Create the waterfall, so that agreements can name it as their payee."""
        self.rail, self.holders = rail, holders
        lender, *partners = (holder.address for holder in holders)
        shared = sorted(zip(partners, SHARES, strict=True), key=lambda pair: int(pair[0], 16))
        terms = WaterfallTerms(
            waterfalls.label_of(NAME), tuple(shared), lender, SENIOR_SHARE, SENIOR_LIMIT
        )
        address, call = waterfalls.create_call(rail.chain, terms)
        self._send(rail.context.sender, "waterfall", call)
        waterfalls.save_party(rail.store, address, NAME)
        self.plan = PlannedShare(address, (lender, *partners))

    def evening(self, day: date, earned: int) -> None:
        """Let the holders take their parts on their days.

        Args:
            earned: micro-euro that the rail has released to the waterfall by then.
        """
        if day not in TAKEN_ON:
            return
        self.plan.came_in = earned
        name = instance("Waterfall", self.plan.address)
        for number, holder in enumerate(self.holders):
            left = self.plan.left()[holder.address]
            sender = Sender(self.rail.store, self.rail.chain, holder.account)
            reference = f"{holder.name} {day}"
            if (number, day) == _AS_TOKENS:
                self.plan.tokens[holder.address] += left
                self._send(sender, reference, Call(name, "take", ()))
            elif left >= CENT:
                self.plan.paid[holder.address] += left - left % CENT
                self._send(sender, reference, Call(name, "payOut", (holder.address,)))
        self.rail.work()

    def _send(self, sender: Sender, reference: str, call: Call) -> None:
        send_and_wait(sender, [ChainCall("share", reference, call)], self.rail.now, self.rail.mine)
