"""A share of revenue: a waterfall is the payee, and each holder takes its own part."""

from __future__ import annotations

import time

from orchestrator.core.payout import Stage
from orchestrator.core.waterfall import WaterfallTerms, checked
from orchestrator.edges.chain.sender import Sender, patience, send_in_turn
from orchestrator.edges.store import Session, payouts
from orchestrator.operations import waterfalls
from scripts.demo.notes import Note
from scripts.demo.parties import DemoParty
from scripts.stack import Stack

NAME = "Freezers"
_SENIOR_SHARE, _SENIOR_LIMIT_MICRO = 2_000, 1_500_000_000
_PATIENCE_S, _POLL_S = 60, 0.2


class RevenueShare:
    """One waterfall: a senior with a fifth, and holders of what is left.

    Args:
        senior: who is served first.
        holders: holder -> its share of the rest, basis points.
        expected_cents: holder -> what it takes in the demonstration.
    """

    def __init__(
        self,
        stack: Stack,
        senior: DemoParty,
        holders: dict[DemoParty, int],
        expected_cents: dict[DemoParty, int],
    ) -> None:
        self.stack, self._senior, self._shares = stack, senior, holders
        self._expected = expected_cents
        self._taken: list[str] = []  # hashes of the holders' transactions

    def create(self) -> str:
        """Create the waterfall, and return its address: the payee of an agreement."""
        shares = [(self._address(party), share) for party, share in self._shares.items()]
        senior = self._address(self._senior), _SENIOR_SHARE, _SENIOR_LIMIT_MICRO
        terms = checked(WaterfallTerms(waterfalls.label_of(NAME), tuple(shares), *senior))
        address, call = waterfalls.create_call(self.stack.chain, terms)
        self._send(self._senior, [call])
        waterfalls.save_party(self.stack.store, address, NAME)
        return address

    def take(self) -> None:
        """Wait until there is money, and have each holder take its part to its bank account."""
        stack, deadline = self.stack, time.monotonic() + _PATIENCE_S
        item = waterfalls.waterfall_of(stack.store, NAME)
        while not (money := self._money(item)).matured_micro + money.waiting_micro:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no money came to the waterfall {NAME} in {_PATIENCE_S} s")
            time.sleep(_POLL_S)
        for holder in self._expected:
            money = self._money(item)
            calls = waterfalls.take_calls(stack.chain, item, money, self._address(holder), True)
            self._taken += self._send(holder, calls)

    def is_over(self, session: Session) -> bool:
        """Return whether the bank booked what each holder took."""
        return self._booked_cents(session) == self._expected_by_address()

    def note(self, session: Session) -> Note:
        """Return what each holder got."""
        cents = self._booked_cents(session)
        parts = (f"{amount // 100}.{amount % 100:02}" for amount in cents.values())
        detail = f"{' + '.join(parts)} € to its holders' banks"
        return Note("what a waterfall earned", "shared", detail, self.is_over(session))

    def _booked_cents(self, session: Session) -> dict[str, int]:
        rows = [row for row in payouts.all_payouts(session) if row.tx_hash in self._taken]
        return {row.payee.lower(): row.cents for row in rows if row.stage == Stage.BOOKED}

    def _expected_by_address(self) -> dict[str, int]:
        return {self._address(party).lower(): cents for party, cents in self._expected.items()}

    def _money(self, item: waterfalls.KnownWaterfall) -> waterfalls.WaterfallMoney:
        return waterfalls.money_of(self.stack.store, self.stack.chain, item, self.stack.now())

    def _send(self, party: DemoParty, calls: list) -> list[str]:
        sender = Sender(self.stack.store, self.stack.chain, self.stack.party(party.index))
        return send_in_turn(sender, calls, self.stack.now(), patience())

    def _address(self, party: DemoParty) -> str:
        return self.stack.party(party.index).address
