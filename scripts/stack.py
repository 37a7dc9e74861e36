"""Start a whole rail on this machine, part by part, for the demonstration and for flow tests.

The processes are those of `proofrail up` (services/processes.py), on free loopback ports. Nobody
supervises them: what a test kills stays dead until the test starts it again. All files are under
one home folder.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from orchestrator.addresses import configured_addresses, write_addresses
from orchestrator.edges.broker import credentials
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.artifacts import load_artifacts
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.deployment import Deployment, deploy
from orchestrator.edges.chain.ethereum import LocalAccount
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.store import Store
from orchestrator.errors import Halt
from orchestrator.home_lock import holder
from orchestrator.operations.agreements import AgreementOps
from orchestrator.operations.trust import DevelopmentCa
from orchestrator.settings import OracleSettings, SafeguardingSettings, Settings
from scripts.solidity.shipped import refresh
from services import processes
from services.bank import BankClient
from services.development import FIRST_ORACLE, ORACLES, development_plan, reader_of
from services.equipment import (
    create_officers,
    create_receipt_key,
    create_role_keys,
    equip_oracle,
)
from services.processes import Process
from services.sandbox.parties import development_safeguarding
from services.testnet import Testnet

SAFEGUARDING = SafeguardingSettings(**development_safeguarding())
DEMO_MARK = "demo.json"  # a home with this file is a demonstration's, and may be deleted
_FIRST_PARTY = 10


@dataclass
class Stack:
    """The processes of one rail.

    Attributes:
        home: the folder; `prepare` empties it if it holds an earlier demonstration.
        start_at: Unix seconds of the chain's first block, when devices are installed.
        environment: variables of the processes.
        patience_s: how long a process may take until it serves.
        settings: with the port of each process, once that process serves.
    """

    home: Path
    start_at: int
    block_seconds: int = 1
    environment: dict[str, str] = field(default_factory=dict)
    patience_s: float = 60
    processes: dict[str, ForkServerProcess] = field(default_factory=dict)
    _starting: dict[str, Process] = field(default_factory=dict)
    _parties: dict[int, LocalAccount] = field(default_factory=dict)

    # --- start, in the order of the checklist

    def prepare(self) -> None:
        """Make an empty home, and have the modules of the processes loaded meanwhile.

        Raises:
            Halt: the folder holds something else than an earlier demonstration.
        """
        self.home = self.home.resolve()
        if self.home.exists() and any(self.home.iterdir()):
            if not (self.home / DEMO_MARK).exists():
                raise Halt(
                    f"{self.home} is not empty and is not the home of a demonstration. Nothing was "
                    "deleted. Choose another home."
                )
            if (process := holder(self.home / "rail.lock")) is not None:
                raise Halt(
                    f"Process {process} works on {self.home}. Nothing was deleted. Stop it first, "
                    "or choose another home."
                )
            shutil.rmtree(self.home)
        processes.load_modules()
        (self.home / "logs").mkdir(parents=True)
        self.home.chmod(0o700)  # it holds names, accounts and logs
        keystore.write_private(self.home / DEMO_MARK, json.dumps({"version": 1}).encode())
        self.settings = Settings(
            home=self.home,
            api_port=0,
            broker_port=0,
            safeguarding=SAFEGUARDING,
            oracles=tuple(
                OracleSettings(
                    name=name,
                    domain=domain,
                    address=keystore.development_account(FIRST_ORACLE + index).address,
                    url="http://127.0.0.1:0",
                    reader=reader_of(domain),
                )
                for index, (name, domain) in enumerate(ORACLES)
            ),
        )
        create_role_keys(self.settings)
        create_receipt_key(self.settings)
        DevelopmentCa.make(self.settings, self.now())

    def compile(self, watch: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Load the contracts, after compiling those whose sources changed."""
        refresh(watch=watch)
        self.artifacts = load_artifacts()

    def start_chain(self) -> None:
        """Start anvil with its first block in the past, so that device history is plausible."""
        self.testnet = Testnet(
            mining="auto",
            accounts=40,
            extra=("--timestamp", str(self.start_at)),
        ).start()
        self._set(rpc_url=self.testnet.url)

    def deploy(self) -> Deployment:
        """Deploy the contracts; the deployment is idempotent and keeps a journal."""
        deployment = deploy(
            self.settings.rpc_url, self.artifacts, development_plan(), self.settings.deployment
        )
        self.chain = Chain(self.settings.rpc_url, deployment, self.artifacts)
        self.store = Store(self.settings.database)
        create_officers(self.settings, self.store)
        senders = {
            role: Sender(self.store, self.chain, keystore.load(self.settings.keys, role))
            for role in ("registrar", "sender", "warden")
        }
        parties = keystore.keys_of(self.settings.keys / "parties")
        self.agreement_ops = AgreementOps(senders, self.now, lambda: time.sleep(0.02), parties)
        return deployment

    def start_broker(self) -> None:
        """Start the broker, and give the rail a password for it."""
        self.restart_broker()
        password = credentials.issue(self.home, "rail", credentials.CredentialRole.RAIL)
        keystore.write_private(self.settings.keys / "broker.password", password.encode())

    def restart_broker(self) -> None:
        """Start a stopped broker, from the second time on with its old ports, passwords and log."""
        self._spawn(processes.broker_process(self.settings))
        self.broker = self._wait_ready("broker")
        self._set(
            broker_host=self.broker["host"],
            broker_port=self.broker["port"],
            broker_nats_port=self.broker["nats_port"],
        )

    def spawn_oracles(self) -> None:
        """Start all of them at once, each with its own key, password, token and home."""
        for index, oracle in enumerate(self.settings.oracles):
            equip_oracle(self.settings, oracle.name, index)
            self._spawn(processes.oracle_process(self.settings, oracle))

    def start_oracles(self) -> None:
        """Wait until all oracles serve; start those that `spawn_oracles` did not start."""
        if not any(name.startswith("oracle-") for name in self._starting):
            self.spawn_oracles()
        oracles = []
        for oracle in self.settings.oracles:
            port = self._wait_ready(f"oracle-{oracle.name}")["port"]
            oracles.append(oracle.model_copy(update={"url": f"http://127.0.0.1:{port}"}))
        self._set(oracles=tuple(oracles))

    def restart_oracle(self, name: str, *extra: str) -> None:
        """Start a stopped oracle with its key, memory and port; `extra` are flags such as --lie."""
        [oracle] = [oracle for oracle in self.settings.oracles if oracle.name == name]
        self._spawn(processes.oracle_process(self.settings, oracle, *extra))
        self._wait_ready(f"oracle-{name}")

    def start_bank(self) -> None:
        """Start the simulated bank with the rail's safeguarding account and its earlier books."""
        processes.write_bank_accounts(self.settings)
        self.bank = BankClient(self.home / "bank")
        self._spawn(processes.bank_process(self.settings))
        self._wait_ready("bank")

    def start_rail(self) -> None:
        """Start the orchestrator; it reads the addresses of all other parts from rail.json."""
        self.spawn_rail()
        self.api_url = self._wait_ready("orchestrator")["api_url"]
        write_addresses(self.home, {**configured_addresses(self.settings), "api_url": self.api_url})

    def spawn_rail(self) -> None:
        """Start the orchestrator's process and return at once."""
        write_addresses(self.home, configured_addresses(self.settings))
        self._spawn(processes.orchestrator_process(self.settings))

    # --- time and parties

    def now(self) -> int:
        return int(time.time())

    def party(self, index: int) -> LocalAccount:
        """Return a payer's or payee's account; its keystore is under keys/parties."""
        if index not in self._parties:  # a keystore is slow to open by design
            key = keystore.development_account(_FIRST_PARTY + index).key.hex()
            folder = self.settings.keys / "parties"
            self._parties[index] = keystore.create(folder, f"party-{index}", key)
        return self._parties[index]

    def accounts(self) -> list[LocalAccount]:
        """Return the accounts of all payers and payees so far."""
        return list(self._parties.values())

    def move_to_now(self) -> None:
        """End the installation: set the chain's clock to now and mine at the usual pace."""
        self.testnet.rpc("evm_setNextBlockTimestamp", hex(self.now()))
        self.testnet.rpc("evm_mine")
        self.testnet.rpc("evm_setAutomine", False)
        self.testnet.rpc("evm_setIntervalMining", self.block_seconds)

    # --- processes

    def _set(self, **fields: Any) -> None:
        self.settings = self.settings.model_copy(update=fields)

    def _spawn(self, process: Process) -> None:
        environment = {"PROOFRAIL_API_PORT": "0", **self.environment}
        self._starting[process.name] = process
        self.processes[process.name] = processes.start(process, self.settings.logs, environment)

    def _wait_ready(self, name: str) -> dict[str, Any]:
        """Return the content of the process's ready file, once it serves."""
        process, deadline = self._starting.pop(name), time.monotonic() + self.patience_s
        while not process.serves():
            code = self.processes[name].exitcode
            if code is not None or time.monotonic() > deadline:
                log = self.settings.logs / f"{name}.log"
                last = log.read_text(errors="replace").strip().splitlines()[-3:]
                raise Halt(f"{name} did not start (exit {code}); {log} ends: {' / '.join(last)}")
            time.sleep(0.02)
        return json.loads(process.ready.read_text() or "{}")

    def issue_devices(self, names: list[str]) -> dict[str, str]:
        """Issue a new broker password per device; only hashes are kept."""
        return credentials.issue_many(self.home, names, credentials.CredentialRole.DEVICE)

    def stop(self, name: str, sign: int = signal.SIGTERM) -> None:
        """End one process and wait for it; SIGKILL stands for a power cut."""
        process = self.processes.pop(name, None)
        if process is None or process.exitcode is not None:
            return
        with suppress(ProcessLookupError):
            os.kill(process.pid, sign)
        process.join(timeout=20)
        if process.exitcode is None:
            process.kill()
            process.join()

    def stop_all(self) -> None:
        """End everything: the orchestrator first, the chain last."""
        self.stop("orchestrator")
        for process in self.processes.values():  # all at once; the loop below waits for each
            process.terminate()
        for name in list(self.processes):
            self.stop(name)
        if "testnet" in self.__dict__:
            self.testnet.stop()
        if "store" in self.__dict__:
            self.store.close()

    def pids(self) -> dict[str, int]:
        """Return {process: id}."""
        return {name: process.pid for name, process in self.processes.items()} | {
            "chain": self.testnet.pid
        }
