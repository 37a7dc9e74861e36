"""An open rail for disputes and challenges: its payer has tokens for bonds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator import cli
from orchestrator.edges.chain.client import Call
from orchestrator.edges.store import agreements, payments
from orchestrator.steps.refund import refund
from orchestrator.views.payment import life
from services.simulated_devices.device import DeviceKind
from tests.support.open_rail import OpenRail

PAYER, PAYEE, STRANGER = 10, 11, 15  # development accounts
BOND, DAY_S = 300_000, 86_400
WINDOW_S = 14 * DAY_S
CLI = CliRunner()


class PurseRail(OpenRail):
    """A rail whose payer has tokens in its wallet: those of an agreement that ended.

    It is for the tests of one file: they let months pass, and oracles are barred for ever.
    """

    def start(self) -> PurseRail:
        super().start()
        self.with_oracles_down()
        self.join("purse", 5_000)
        self.send(PAYER, Call("PaymentRail", "close", (self.agreements["purse"],)))
        self.work(2)
        with self.store.read() as session:
            ends_at = agreements.get(session, self.agreements["purse"]).ends_at
        self.mine(ends_at - self.clock)
        refund(self.rail)
        self.work(3)
        return self

    def paid(self, name: str, **agreed: Any) -> str:
        """Return a new payment of one session, 0.60 EUR, its dispute window still open."""
        if name not in self.agreements:
            terms = {"window_s": WINDOW_S, "bond_micro": BOND} | agreed
            self.join(name, 5_000, DeviceKind.CHARGE_POINT, **terms)
        self.mine(4_000)
        device = self.fleet[name]
        device.now = max(device.now, self.clock - 1_000)
        assert self.take(*device.session("2", seconds=600)) == ["accepted"]
        self.until(name, "posted")
        return self.payment(name).payment_id

    def proofrail(self, *words: str) -> dict[str, Any]:
        """Run a command; return its JSON and its exit code."""
        result = CLI.invoke(cli.app, [*words, "--json", "--home", str(self.home)])
        return {"code": result.exit_code, **json.loads(result.output)}

    def tokens(self, holder: str) -> int:
        """Return what a wallet holds, in micro-euro."""
        return self.chain.view("EuroToken", "balanceOf", holder)

    def life(self, payment: str) -> dict[str, Any]:
        """Return the life of a payment as `proofrail trace` has it."""
        with self.store.read() as session:
            [row] = payments.by_ids(session, [payment])
            return life(session, row, agreements.get(session, row.agreement_id))

    @contextmanager
    def by_command(self, patch: pytest.MonkeyPatch, module: ModuleType) -> Iterator[PurseRail]:
        """Let a module of commands have this rail's time and blocks.

        Afterwards nothing is halted and the ledger is the chain, to the last unit.
        """
        self.with_oracles_down()
        patch.setattr(module, "time", SimpleNamespace(time=lambda: self.clock))
        patch.setattr(module, "patience", lambda: self.mine)
        yield self
        assert self.worker.halted == {}
        self.agree_with_the_chain()
