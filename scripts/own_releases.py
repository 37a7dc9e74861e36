"""Payees that release their own money, where a whole day of payouts is played in minutes.

The rail orders one payout a day for a payee; what matures after it waits for the next day. A payee
can release at any time, and here each one does.
"""

from __future__ import annotations

import time

from device_adapters.types import Rejected
from orchestrator.core.payment import NextStep
from orchestrator.edges.chain.ethereum import LocalAccount
from orchestrator.edges.chain.sender import Sender, patience, send_in_turn
from orchestrator.edges.store import payments
from orchestrator.errors import Retry
from orchestrator.operations.payee_money import payee_money, release_calls
from scripts.stack import Stack

_EVERY_S = 1.0
_LONG_S = 600  # longer than a dispute window of the demonstration
_EVER = 1 << 40


class OwnReleases:
    """The payees of one stack, each with its own key."""

    def __init__(self, stack: Stack) -> None:
        self._stack, self._looked_at = stack, 0.0

    def tick(self) -> None:
        """Have payees release what waits for another day; look at most once a second."""
        if time.monotonic() - self._looked_at < _EVERY_S:
            return
        self._looked_at = time.monotonic()
        accounts = {account.address: account for account in self._stack.accounts()}
        for payee in sorted(self._waiting() & accounts.keys()):
            self._release(accounts[payee])

    def _waiting(self) -> set[str]:
        later = self._stack.now() + _LONG_S
        with self._stack.store.read() as session:
            rows = payments.due(session, NextStep.RELEASE, _EVER, 5_000)
            return {payments.payee_of(*item) for item in rows if item[0].due_at > later}

    def _release(self, account: LocalAccount) -> None:
        stack, now = self._stack, self._stack.now()
        try:
            money = payee_money(stack.store, stack.chain, account.address, now)
            sender = Sender(stack.store, stack.chain, account)
            send_in_turn(sender, release_calls(money), now, patience())
        except (Rejected, Retry):  # nothing is left, or the chain does not answer: looked at again
            return
