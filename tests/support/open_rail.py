"""A small rail on an open chain: strangers act on it, nodes fail, and more devices can join."""

from __future__ import annotations

import atexit
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator.core import ledger
from orchestrator.core.payment import NextStep, Stage
from orchestrator.core.release import next_day
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.client import Call, Quote
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.edges.store import lookup, payments
from orchestrator.operations.agreements import Enrolment, enrolment_digest
from orchestrator.steps.settle import settle_call
from services.simulated_devices.device import DeviceKind
from tests.support.small_rail import SmallRail

_LONG_S = 600  # longer than a dispute window of these rails
_HELD = ("escrow", "pending", "withdrawable", "frozen")


class OpenRail(SmallRail):
    """The small rail with strangers on its chain and more devices when a test wants one."""

    def join(
        self,
        name: str,
        cents: int = 0,
        kind: DeviceKind = DeviceKind.CHARGE_POINT,
        **agreed: Any,
    ) -> str:
        """A new device with an agreement, funded or not; returns the agreement."""
        device, at = self.fleet.add(name, kind), self.chain.deployment
        owner = self.payee.address
        digest = enrolment_digest(at.chain_id, at.addresses["DeviceRegistry"], name, owner)
        self.agreement_ops.enrol(
            [Enrolment(name, device.public, owner, *device.sign_digest(digest))]
        )
        identity = self.agree(name, **agreed)
        if cents:
            self.fund(name, cents)
        self.work(6)
        return identity

    def charge(self, name: str, kwh: str) -> None:
        device = self.fleet[name]
        device.now = max(device.now, self.clock)
        assert self.take(*device.session(kwh)) == ["accepted"]

    def payment(self, name: str) -> payments.PaymentRow:
        with self.store.read() as session:
            agreement = lookup.FoundId("agreement", self.agreements[name])
            rows = lookup.payments_of(session, agreement, 1)
        return rows[0][0] if rows else payments.PaymentRow(stage="none")

    def send(self, index: int, call: Call | None = None, **changes: str) -> str:
        """A transaction of somebody's own; returns its hash once it is mined."""
        account = keystore.development_account(index)
        quote = self.chain.quote(account.address, call) if call else _plain(self)
        quote = replace(quote, **changes)
        tx_hash, raw = self.chain.sign(account, self.chain.nonce(account.address), quote)
        assert self.chain.broadcast([raw]) == ["sent"]
        self.mine()
        assert self.chain.receipts([tx_hash])[0].succeeded
        return tx_hash

    def settle_call(self, name: str) -> Call:
        """The settlement of a payment's batch, from what is public about it."""
        digest = self.payment(name).batch_digest
        with self.store.read() as session:
            batch = payments.of_batch(session, digest)
            return settle_call(
                self.chain.deployment, batch, payments.attestations_of(session, digest)
            )

    def until(self, name: str, stage: str, turns: int = 30) -> None:
        """Work until a payment is at a stage; days in which it only waits for its payout go by."""
        for turn in range(turns):
            row = self.payment(name)
            if row.stage == stage:
                return
            if row.stage == Stage.PAID_OUT and turn % 8 == 7:
                self.next_day()  # the bank may be closed today
            if row.next_step == NextStep.RELEASE and row.due_at > self.clock + _LONG_S:
                self.clock = row.due_at
            self.work(1)
        raise AssertionError(f"{name} is {row.stage} ({row.reason}), not {stage}")

    def until_paid(self, name: str) -> None:
        """Work until the bank has been ordered to pay a payment, or has paid it."""
        if self.payment(name).stage not in ("booked", "reconciled"):
            self.until(name, "paid_out")

    def next_day(self) -> None:
        """Go to a day on which no stranger has had a payout ordered yet."""
        self.clock = next_day(self.clock)
        self.work(1)

    def oracles_down(self) -> None:
        self.with_oracles_down("utility-a", "utility-b", "bank", "auditor")

    def agree_with_the_chain(self) -> None:
        """Ledger = chain, account by account, to the last unit, once each block is final."""
        for _ in range(10):
            self.work(3)
            (sums, owed, issued), chain_sums = self._ledger_sums(), self._chain_sums()
            if (sums, owed, issued) == chain_sums:
                return
        assert (sums, owed, issued) == chain_sums

    def _ledger_sums(self) -> tuple[dict[str, int], int, int]:
        """Return (escrow, pending, withdrawable and frozen; what payees owe; tokens issued)."""
        with self.store.read() as session:
            balances = store_ledger.balances(session)
        sums = dict.fromkeys(_HELD, 0)
        for (account, asset), amount in balances.items():
            if asset == ledger.TEUR and account.split(":")[0] in sums:
                sums[account.split(":")[0]] -= amount
        owed = sum(
            held
            for (account, asset), held in balances.items()
            if asset == ledger.TEUR and account.startswith("receivable:")
        )
        return sums, owed, balances.get((ledger.ISSUED, ledger.TEUR), 0)

    def _chain_sums(self) -> tuple[dict[str, int], int, int]:
        totals = self.chain.view("PaymentRail", "totals")
        held = dict(zip(_HELD, totals, strict=False))
        return held, totals[5], self.chain.view("EuroToken", "totalSupply")


def _plain(rail: OpenRail) -> Quote:
    call = Call("PaymentRail", "setPayoutAccount", (bytes(32), 0))
    quote = rail.chain.quote(rail.payee.address, call)
    return replace(quote, gas=3_000_000)


@cache
def open_rail() -> OpenRail:
    """One for all tests of a run: each has devices of its own on it."""
    folder = tempfile.TemporaryDirectory(prefix="open-rail-")
    atexit.register(folder.cleanup)
    rail = OpenRail(Path(folder.name) / "home").start()
    atexit.register(rail.stop)
    return rail
