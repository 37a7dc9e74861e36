"""A rail's home on the shared real chain, as an operator has it: keys, store, trusted roots."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from orchestrator import cli
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.store import Store, agreements
from orchestrator.operations.trust import DevelopmentCa
from orchestrator.settings import Settings
from scripts.deploy import DEVELOPMENT_WARDEN
from services.bank import new_iban
from services.simulated_devices.device import DeviceKind, SimulatedMeter
from tests.support.real_chain import has_anvil, real_chain

__all__ = ["OperatorsHome", "has_anvil"]

ROLES = {"minter": 3, "registrar": 4, "sender": 12, "warden": DEVELOPMENT_WARDEN}
PAYER, PAYEE = 18, 19  # development accounts with their keystores in keys/parties


class OperatorsHome:
    """`run` returns the result of a command; `run_json` its JSON, and requires exit code 0."""

    def __init__(self, folder: Path) -> None:
        self.home, self.chain = folder, real_chain()
        self.settings = Settings(home=folder)
        self.chain.deployment.save(self.settings.deployment)
        (folder / "rail.json").write_text(json.dumps({"rpc_url": self.chain.client.url}))
        for role, index in ROLES.items():
            self._key(self.settings.keys, role, index)
        DevelopmentCa.make(self.settings, int(time.time()))
        self.store = Store(self.settings.database)
        parties = [("Ada Sommer", PAYER), ("Nord eG", PAYEE)]
        with self.store.write() as session:
            session.add_all(
                [
                    agreements.PartyRow(
                        address=self._party(name, index), name=name, iban=new_iban(index)
                    )
                    for name, index in parties
                ]
            )

    def _party(self, name: str, index: int) -> str:
        return self._key(self.settings.keys / "parties", name, index)

    def _key(self, folder: Path, name: str, index: int) -> str:
        return keystore.create(folder, name, keystore.development_account(index).key.hex()).address

    def senders(self) -> dict[str, Sender]:
        """Return a sender for each role."""
        return {
            role: Sender(self.store, self.chain.client, keystore.load(self.settings.keys, role))
            for role in ROLES
        }

    def run(self, *arguments: object) -> Any:
        return CliRunner().invoke(cli.app, ["--home", str(self.home), *map(str, arguments)])

    def run_json(self, *arguments: object) -> Any:
        result = self.run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def refused(self, *arguments: object) -> str:
        """Return the error of a refused command; it must have sent nothing."""
        before = self.sent()
        result = self.run(*arguments)
        assert result.exit_code == 2, result.output
        assert "bug in proofrail" not in result.stderr, result.stderr
        assert self.sent() == before
        return result.stderr

    def sent(self) -> int:
        """Return how many transactions this home's keys have on the chain."""
        accounts = map(keystore.development_account, [*ROLES.values(), PAYER, PAYEE])
        return sum(self.chain.client.nonce(account.address) for account in accounts)

    def device(self, name: str) -> SimulatedMeter:
        """A simulated device; its key is in `folder`/key.pem."""
        return SimulatedMeter(self.home / "devices" / name, name, DeviceKind.CHARGE_POINT, None, 0)

    def key_file(self, name: str) -> Path:
        return self.device(name).folder / "key.pem"

    def add(self, name: str, *more: object) -> Any:
        return self.run_json(
            "device",
            "add",
            name,
            "--private-key",
            self.key_file(name),
            "--owner",
            "Nord eG",
            *more,
        )

    def row(self, name: str) -> agreements.DeviceRow | None:
        with self.store.read() as session:
            return agreements.device_by_name(session, name)

    def close(self) -> None:
        self.store.close()
