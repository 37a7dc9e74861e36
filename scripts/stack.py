"""Start a whole rail on this machine, process by process, and stop each by its process id.

Chain, broker, four oracles of three trust domains, bank and orchestrator are real processes on free
loopback ports. All their files are under one home folder.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from orchestrator.core.receipt import Receipts
from orchestrator.edges.broker import credentials
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.artifacts import load_artifacts
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.deployment import Deployment, deploy
from orchestrator.edges.chain.ethereum import LocalAccount
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.store import Store
from orchestrator.errors import Halt
from orchestrator.operations.agreements import AgreementOps
from orchestrator.operations.trust import DevelopmentCa
from orchestrator.settings import Settings
from scripts.deploy import DEVELOPMENT_WARDEN, ROOT, development_plan
from scripts.solidity.shipped import refresh
from services.bank import BankClient, new_iban
from services.testnet import Testnet, die_with_parent

# (name, trust domain): two oracles of one utility, one of a bank, one of an auditor
ORACLES = (("utility-a", 1), ("utility-b", 1), ("bank", 2), ("auditor", 3))
DOMAINS = {1: "utility", 2: "bank", 3: "auditor"}
_ROLES = ("deployer", "steward", "guardian", "minter", "registrar")
_SENDER_ACCOUNT, _FIRST_PARTY = 9, 10
_MARK = "rail.json"


@dataclass
class Stack:
    """The processes of one rail.

    Attributes:
        home: the folder; `prepare` empties it if it holds an earlier rail.
        start_at: Unix seconds of the chain's first block, when devices are installed.
        keep: whether processes go on when this one ends.
        ports: oracle -> its HTTP port, which it keeps over restarts.
    """

    home: Path
    start_at: int
    block_seconds: int = 1
    keep: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    _parties: dict[int, LocalAccount] = field(default_factory=dict)
    _starting: dict[str, Path] = field(
        default_factory=dict
    )  # ready files that processes will write

    # --- start, in the order of the checklist

    def prepare(self) -> None:
        """Make an empty home.

        Raises:
            Halt: the folder holds something else than a rail.
        """
        if self.home.exists() and any(self.home.iterdir()):
            if not (self.home / _MARK).exists():
                raise Halt(f"{self.home} is not empty and holds no rail; choose another home")
            shutil.rmtree(self.home)
        (self.home / "logs").mkdir(parents=True)
        self.home.chmod(0o700)  # it holds names, accounts and logs
        keystore.write_private(self.home / _MARK, b"{}")
        self.settings = Settings(home=self.home)
        self._keys()

    def _keys(self) -> None:
        keys = self.settings.keys
        for index, role in enumerate(_ROLES):
            keystore.create(keys, role, keystore.development_account(index).key.hex())
        for role, index in (("sender", _SENDER_ACCOUNT), ("warden", DEVELOPMENT_WARDEN)):
            keystore.create(keys, role, keystore.development_account(index).key.hex())
        DevelopmentCa.make(self.settings, self.now())
        receipt = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        keystore.write_private(keys / "receipt.pem", receipt)
        keystore.write_private(keys / "receipt.pub.pem", Receipts(receipt).public_pem)

    def compile(self, watch: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Load the contracts, after compiling those whose sources changed."""
        refresh(watch=watch)
        self.artifacts = load_artifacts()

    def start_chain(self) -> None:
        """Start anvil with its first block in the past, so that device history is plausible."""
        self.testnet = Testnet(
            mining="auto",
            accounts=40,
            outlive=self.keep,
            extra=("--timestamp", str(self.start_at)),
        ).start()

    def deploy(self) -> Deployment:
        """Deploy the contracts; the deployment is idempotent and keeps a journal."""
        deployment = deploy(
            self.testnet.url, self.artifacts, development_plan(), self.settings.deployment
        )
        self.chain = Chain(self.testnet.url, deployment, self.artifacts)
        self.store = Store(self.settings.database)
        senders = {
            role: Sender(self.store, self.chain, keystore.load(self.settings.keys, role))
            for role in ("registrar", "sender", "warden")
        }
        self.agreement_ops = AgreementOps(senders, self.now, lambda: time.sleep(0.02))
        return deployment

    def start_broker(self) -> None:
        """Start the broker, and give the rail a password for it."""
        self._spawn_broker()
        password = credentials.issue(self.home, "rail", credentials.CredentialRole.RAIL)
        keystore.write_private(self.settings.keys / "broker.password", password.encode())

    def restart_broker(self) -> None:
        """Start a stopped broker on its old ports, with its old passwords and its log."""
        port, nats_port = self.broker["port"], self.broker["nats_port"]
        self._spawn_broker("--port", str(port), "--nats-port", str(nats_port))

    def _spawn_broker(self, *extra: str) -> None:
        ready = self._ready("broker")
        self._start("broker", "services.broker", "--home", self.home, "--ready-file", ready, *extra)
        self.broker = self._wait_ready("broker", ready)

    def spawn_oracles(self) -> None:
        """Start all of them at once, each with its own key, password, token and home."""
        for name, _ in ORACLES:
            self._equip_oracle(name)
            self._starting[name] = self._spawn_oracle(name)

    def start_oracles(self) -> None:
        """Wait until all oracles serve; start those that `spawn_oracles` did not start."""
        if ORACLES[0][0] not in self._starting:
            self.spawn_oracles()
        for name, _ in ORACLES:
            self.ports[name] = self._wait_ready(name, self._starting.pop(name))["port"]

    def prepare_oracle(self, name: str, *extra: object) -> None:
        """Start an oracle's next process, which waits for `restart_oracle`."""
        current = self.processes.pop(name, None)
        ready = self._spawn_oracle(name, "--start-file", self._ready(f"start-{name}"), *extra)
        self._starting[name] = ready
        self.processes[f"next {name}"] = self.processes.pop(name)
        if current is not None:
            self.processes[name] = current

    def restart_oracle(self, name: str, *extra: object) -> None:
        """Start a stopped oracle with its key, memory and port; `extra` are flags such as --lie."""
        ready = self._starting.pop(name, None)
        if ready is None:
            ready = self._spawn_oracle(name, *extra)
        else:
            self.processes[name] = self.processes.pop(f"next {name}")
            (self.home / "run" / f"start-{name}.json").touch()
        self._wait_ready(name, ready)

    def _equip_oracle(self, name: str) -> None:
        index = [oracle for oracle, _ in ORACLES].index(name)
        home = self.home / "oracles" / name
        password = credentials.issue(self.home, name, credentials.CredentialRole.ORACLE)
        keystore.write_private(home / "broker.password", password.encode())
        keystore.create(home, "key", keystore.development_account(5 + index).key.hex())
        token = secrets.token_urlsafe(32).encode()
        keystore.write_private(home / "token", token)
        keystore.write_private(self.settings.keys / f"{name}.token", token)

    def _spawn_oracle(self, name: str, *extra: object) -> Path:
        home, ready = self.home / "oracles" / name, self._ready(name)
        self._start(
            name,
            "services.oracle",
            "--name",
            name,
            "--domain",
            str(dict(ORACLES)[name]),
            "--home",
            home,
            "--rpc",
            self.testnet.url,
            "--deployment",
            self.settings.deployment,
            "--broker-host",
            self.broker["host"],
            "--broker-port",
            str(self.broker["nats_port"]),
            "--broker-user",
            name,
            "--broker-password-file",
            home / "broker.password",
            "--http-port",
            str(self.ports.get(name, 0)),
            "--keystore",
            home / "key.json",
            "--password-file",
            home / "password",
            "--token-file",
            home / "token",
            "--ready-file",
            ready,
            *extra,
        )
        return ready

    def start_bank(self) -> None:
        """Start the simulated bank with the rail's safeguarding account."""
        self.safeguarding = {
            "name": "proofrail safeguarding",
            "iban": new_iban(1),
            "bic": "",
            "address": {
                "street": "Am Kanal",
                "building": "1",
                "post_code": "14467",
                "town": "Potsdam",
                "country": "DE",
            },
        }
        self.bank = BankClient(self.home / "bank")
        self.bank.start(
            {
                "accounts": [
                    {
                        "iban": self.safeguarding["iban"],
                        "name": self.safeguarding["name"],
                        "kind": "safeguarding",
                        "balance_cents": 0,
                    }
                ]
            },
            outlive=self.keep,
        )
        self.processes["simulated bank"] = self.bank.process

    def prepare_rail(self) -> None:
        """Start the orchestrator's process, which loads its modules and waits for `start_rail`."""
        start_file = self._ready("start")
        self._starting["orchestrator"] = self.spawn_rail("--start-file", start_file)

    def start_rail(self) -> None:
        """Start the orchestrator; it reads the addresses of all other parts from rail.json."""
        self._write_addresses()
        if "orchestrator" in self._starting:
            (self.home / "run" / "start.json").touch()
        ready = self._starting.pop("orchestrator", None) or self.spawn_rail()
        self.api_url = self._wait_ready("orchestrator", ready)["api_url"]
        self._write_addresses(api_url=self.api_url)

    def spawn_rail(self, *extra: object) -> Path:
        """Start the orchestrator's process; return its ready file, which exists once it serves."""
        ready = self._ready("orchestrator")
        self._start(
            "orchestrator",
            "services.orchestrator",
            "--home",
            self.home,
            "--ready-file",
            ready,
            *extra,
        )
        return ready

    def _write_addresses(self, **fields: Any) -> None:
        oracles = [
            {
                "name": name,
                "domain": domain,
                "address": keystore.development_account(5 + index).address,
                "url": f"http://127.0.0.1:{self.ports[name]}",
            }
            for index, (name, domain) in enumerate(ORACLES)
        ]
        addresses = {
            "rpc_url": self.testnet.url,
            "broker": self.broker,
            "oracles": oracles,
            "safeguarding": self.safeguarding,
            **fields,
        }
        keystore.write_private(self.home / _MARK, json.dumps(addresses, indent=1).encode())

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

    def move_to_now(self) -> None:
        """End the installation: set the chain's clock to now and mine at the usual pace."""
        self.testnet.rpc("evm_setNextBlockTimestamp", hex(self.now()))
        self.testnet.rpc("evm_mine")
        self.testnet.rpc("evm_setAutomine", False)
        self.testnet.rpc("evm_setIntervalMining", self.block_seconds)

    # --- processes

    def _ready(self, name: str) -> Path:
        path = self.home / "run" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        return path

    def _start(self, name: str, module: str, *arguments: object) -> None:
        log = (self.home / "logs" / f"{name}.log").open("ab")
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **self.environment},
            start_new_session=True,
            preexec_fn=None if self.keep else die_with_parent,
        )
        log.close()

    def _wait_ready(self, name: str, ready: Path, timeout_s: float = 60) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_s
        while not ready.exists():
            code = self.processes[name].poll()
            if code is not None or time.monotonic() > deadline:
                log = self.home / "logs" / f"{name}.log"
                last = log.read_text(errors="replace").strip().splitlines()[-3:]
                raise Halt(f"{name} did not start (exit {code}); {log} ends: {' / '.join(last)}")
            time.sleep(0.02)
        return json.loads(ready.read_text())

    def issue_devices(self, names: list[str]) -> dict[str, str]:
        """Issue a new broker password per device; only hashes are kept."""
        return credentials.issue_many(self.home, names, credentials.CredentialRole.DEVICE)

    def stop(self, name: str, sign: int = signal.SIGTERM) -> None:
        """End one process and wait for it; SIGKILL stands for a power cut."""
        process = self.processes.pop(name, None)
        if process is None or process.poll() is not None:
            return
        process.send_signal(sign)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

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
        """Return {process: id}, to stop a kept rail later."""
        return {name: process.pid for name, process in self.processes.items()} | {
            "chain": self.testnet.pid
        }
