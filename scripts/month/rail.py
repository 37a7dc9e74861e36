"""The rail of the month: real chain, contracts, store, worker, oracles and bank on one clock.

The oracles, the worker and the bank run in this process, so that a day takes a second: an oracle
has its own memory and key, but it is called directly and not over HTTP. tests/flow runs all of
them as processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from device_adapters.types import Message
from oracles.attest import sign
from oracles.memory import Memory
from oracles.node import Identity, OracleNode, OracleView
from oracles.readers import READERS
from oracles.types import Progress
from oracles.wire import OracleAnswer, Request
from orchestrator.assembly import RailParts, assemble
from orchestrator.edges.bank.channel import Folder
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.artifacts import load_artifacts
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.deployment import deploy
from orchestrator.edges.chain.reader import Registry
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.oracles import OracleClient
from orchestrator.edges.store import Store, blocks
from orchestrator.ingest.intake import Intake
from orchestrator.operations.agreements import AgreementOps
from orchestrator.products import deployed, products
from orchestrator.settings import Settings
from orchestrator.worker import STEPS, Worker
from scripts.deploy import DEVELOPMENT_WARDEN, development_plan
from scripts.month import days
from scripts.month.bank_script import BankScript
from scripts.solidity.shipped import refresh
from scripts.stack import ORACLES
from services.development import reader_of
from services.oracle import catch_up
from services.testnet import Testnet

FINALITY = 2
BLOCK_S = 12
PATIENCE_S = 20 * 3_600  # a record lost in the morning is given up by the next morning
_SENDER, _REGISTRAR, _MINTER, _FIRST_ORACLE = 9, 4, 3, 5
_ACCOUNTS = 80  # accounts that hold ether
_IDLE = ("follow", "finalise")  # steps that count each new block as work, even an empty one
_ADDRESS = {
    "street": "Am Kanal",
    "building": "1",
    "post_code": "14467",
    "town": "Potsdam",
    "country": "DE",
}


@dataclass(frozen=True)
class InProcessOracle(OracleClient):
    """An oracle in this process, with its own memory, key and view of the chain."""

    node: OracleNode | None = None
    registry: Registry | None = None
    chain: Chain | None = None
    seen: list[str] = field(default_factory=list)  # hash of the newest block that it has read

    def ask(self, request: Request) -> OracleAnswer:
        self.read_chain()
        return self.node.attest(request)

    def read_chain(self) -> None:
        """Read new blocks, as an oracle process does every second."""
        newest = self.chain.blocks([self.chain.head()])[0].hash
        if self.seen != [newest]:
            self.registry.refresh()
            catch_up(self.chain, self.node.memory)
            self.seen[:] = [newest]


class MonthRail:
    """One rail under an empty `home`.

    Attributes:
        now: Unix seconds; only `mine` moves it.
        reorganise_next: whether the chain drops the block of the next settlement once.
    """

    reorganise_next = False

    def __init__(self, home: Path, accounts: Sequence[dict[str, Any]]) -> None:
        """Start the chain, the bank and the rail.

        Args:
            accounts: of the bank, as its configuration; the first is the safeguarding account.
        """
        self.home, self.now = home, days.at(days.INSTALLED, 6)
        self.settings = Settings(
            home=home, finality_blocks=FINALITY, hole_patience_s=PATIENCE_S, batch_claims=200
        )
        self.testnet = Testnet(
            mining="auto", accounts=_ACCOUNTS, extra=("--timestamp", str(self.now))
        ).start()
        refresh()
        artifacts = load_artifacts()
        deployment = deploy(
            self.testnet.url, artifacts, development_plan(), self.settings.deployment
        )
        self.testnet.rpc("evm_setAutomine", False)
        self.chain = Chain(self.testnet.url, deployment, artifacts)
        # until here the chain's clock was this machine's: a slow one is ahead of the plan
        self.now = max(self.now, self.chain.blocks([self.chain.head()])[0].timestamp)
        self.store = Store(self.settings.database)
        self.deployed = deployed(deployment.addresses)
        self.bank = BankScript(
            home / "bank", {"business_date": days.INSTALLED.isoformat(), "accounts": list(accounts)}
        )
        self.safeguarding = {
            "name": accounts[0]["name"],
            "iban": accounts[0]["iban"],
            "bic": "",
            "address": _ADDRESS,
        }
        self.oracles = [self._oracle(n, name, domain) for n, (name, domain) in enumerate(ORACLES)]
        senders = {
            "registrar": self._sender(_REGISTRAR),
            "sender": self._sender(_SENDER),
            "warden": self._sender(DEVELOPMENT_WARDEN),
        }
        owner = senders["registrar"].account  # of every device of the month
        self.agreement_ops = AgreementOps(
            senders,
            lambda: self.now,
            self.mine,
            lambda address: owner if address == owner.address else None,
        )
        self.start()

    def start(self) -> None:
        """Start the rail from what is on disk."""
        log = structlog.wrap_logger(structlog.PrintLogger((self.home / "rail.log").open("a")))
        keys = {"sender": _SENDER, "minter": _MINTER, "warden": DEVELOPMENT_WARDEN}
        self.context = assemble(
            RailParts(
                settings=self.settings,
                store=self.store,
                chain=self.chain,
                accounts={role: keystore.development_account(n) for role, n in keys.items()},
                oracles=self.oracles,
                bank=Folder(self.settings.to_bank, self.settings.from_bank),
                safeguarding=self.safeguarding,
                now=lambda: self.now,
                log=log,
                registry_depth=2 * FINALITY,
            )
        )
        self.worker = Worker(self.context)
        self.intake = Intake(self.store, self.context.registry, products(), lambda: self.now)

    def close(self) -> None:
        self.testnet.stop()
        self.store.close()

    # --- time

    def mine(self, seconds: int = BLOCK_S, blocks: int = 1) -> None:
        """Mine one block `seconds` later, and further blocks at the usual pace."""
        self.testnet.rpc("evm_setNextBlockTimestamp", hex(self.now + seconds))
        self.testnet.rpc("anvil_mine", hex(blocks), hex(BLOCK_S))
        self.now += seconds + BLOCK_S * (blocks - 1)

    def until(self, moment: int) -> None:
        """Move the clock to a later moment (Unix seconds)."""
        self.mine(max(BLOCK_S, moment - self.now))

    # --- work

    def take(self, protocol: str, records: Sequence[bytes]) -> list[str]:
        """Send records to all four oracles and to the rail; return the rail's answers."""
        messages = [Message(protocol, "", record, source="file") for record in records]
        for oracle in self.oracles:
            oracle.read_chain()
            oracle.node.take(messages)
        answers = self.intake.take(messages)
        return [outcome.outcome for outcomes in answers for outcome in outcomes]

    def work(self, max_turns: int = 60) -> int:
        """Let the worker turn until nothing is left to do; return the number of turns.

        Blocks are mined before each turn, so that the calls of the last turn are final.

        Raises:
            RuntimeError: there is still work after `max_turns`, or the rail halted.
        """
        if self.reorganise_next:
            self._reorganise()
        for turn in range(max_turns):
            self.mine(blocks=FINALITY + 1)
            if not self._turn():
                return turn
        raise RuntimeError(f"the rail still has work after {max_turns} turns: {self.worker.turns}")

    def _turn(self) -> int:
        before = dict(self.worker.turns)
        self.worker.turn()
        if self.worker.halted:
            raise RuntimeError(f"the rail halted: {self.worker.halted}")
        names = [step.__name__ for step in STEPS if step.__name__ not in _IDLE]
        worked = sum(self.worker.turns[name] - before.get(name, 0) for name in names)
        return worked + self.bank.step()

    def _reorganise(self) -> None:
        """Settle, and have the chain drop the settlement's block before it is final."""
        for _ in range(20):
            self.mine()
            self._turn()
            with self.store.read() as session:
                head = blocks.newest(session)
                names = {log.name for log in blocks.logs_in(session, [head.number])}
            if "Settled" in names:
                self.testnet.rpc("anvil_reorg", 1, [])
                self.reorganise_next = False
                return
        raise RuntimeError("no settlement came whose block could be dropped")

    # --- inside

    def _registry(self) -> Registry:
        return Registry(self.chain, self.deployed, depth=2 * FINALITY)

    def _sender(self, index: int) -> Sender:
        return Sender(self.store, self.chain, keystore.development_account(index))

    def _oracle(self, number: int, name: str, domain: int) -> InProcessOracle:
        account = keystore.development_account(_FIRST_ORACLE + number)
        deployment, key = self.chain.deployment, bytes(account.key)
        registry = self._registry()
        identity = Identity(
            name,
            domain,
            account.address,
            partial(sign, private_key=key),
            deployment.chain_id,
            deployment.addresses["OracleCommittee"],
            deployment.addresses["PaymentRail"],
        )
        view = OracleView(registry, registry, self._progress, self.deployed, lambda: self.now)
        memory = Memory(self.home / f"{name}.sqlite3")
        node = OracleNode(identity, view, memory, READERS[reader_of(domain)])
        return InProcessOracle(
            name, account.address, domain, "", "", node=node, registry=registry, chain=self.chain
        )

    def _progress(self, agreement: bytes) -> Progress | None:
        sequence, last, *_, status = self.chain.view("PaymentRail", "agreementState", agreement)
        return Progress(sequence, last) if status else None
