"""The rail of the month: real chain, contracts, store, worker, oracles and bank on one clock.

What is not a process of its own here: the oracles (their own code, books and keys, asked by call
and not over HTTP), the worker and the bank, so that a day can pass in a second. tests/flow has all
of them as processes.
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
from oracles.types import Progress
from oracles.wire import OracleAnswer, Request
from orchestrator.edges.bank.channel import Folder
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.artifacts import load_artifacts
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.deployment import deploy
from orchestrator.edges.chain.reader import Registry
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.oracles import OracleDoor
from orchestrator.edges.store import Store, blocks
from orchestrator.ingest.intake import Intake
from orchestrator.operations.agreements import AgreementOps
from orchestrator.products import deployed, products
from orchestrator.settings import Settings
from orchestrator.steps import Committee, StepContext
from orchestrator.worker import STEPS, Worker
from scripts.deploy import DEVELOPMENT_WARDEN, development_plan
from scripts.month import days
from scripts.month.street import BankScript
from scripts.run_oracle import catch_up
from scripts.stack import ORACLES
from scripts.testnet import Testnet

FINALITY = 2
BLOCK_S = 12
PATIENCE_S = 20 * 3_600  # what is lost in the morning is passed by the next morning
_SENDER, _REGISTRAR, _MINTER, _FIRST_ORACLE = 9, 4, 3, 5
_ACCOUNTS = 80  # that hold ether
_IDLE = ("follow", "finalise")  # steps that find each new block, whatever is in it
_ADDRESS = {
    "street": "Am Kanal",
    "building": "1",
    "post_code": "14467",
    "town": "Potsdam",
    "country": "DE",
}


@dataclass(frozen=True)
class InProcessOracle(OracleDoor):
    """An oracle in this process: its own book, key and view of the chain."""

    node: OracleNode | None = None
    registry: Registry | None = None
    chain: Chain | None = None
    seen: list[str] = field(default_factory=list)  # the newest block that it has read

    def ask(self, request: Request) -> OracleAnswer:
        self.look()
        return self.node.attest(request)

    def look(self) -> None:
        """Reads what is new on the chain, as its process does each second."""
        newest = self.chain.blocks([self.chain.head()])[0].hash
        if self.seen != [newest]:
            self.registry.refresh()
            catch_up(self.chain, self.node.book)
            self.seen[:] = [newest]


class MonthRail:
    """One rail under `home`, which is empty. now: Unix seconds; only `mine` moves it.

    reorganise_next: the next settlement's block is taken back once.
    """

    reorganise_next = False

    def __init__(self, home: Path, accounts: Sequence[dict[str, Any]]) -> None:
        """accounts: of the bank, as its config names them; the first is the safeguarding one."""
        self.home, self.now = home, days.at(days.INSTALLED, 6)
        self.settings = Settings(
            home=home, finality_blocks=FINALITY, hole_patience_s=PATIENCE_S, batch_claims=200
        )
        self.testnet = Testnet(
            mining="auto", accounts=_ACCOUNTS, extra=("--timestamp", str(self.now))
        ).start()
        artifacts = load_artifacts()
        made = deploy(self.testnet.url, artifacts, development_plan(), self.settings.deployment)
        self.testnet.rpc("evm_setAutomine", False)
        self.chain = Chain(self.testnet.url, made, artifacts)
        self.store = Store(self.settings.database)
        self.known = deployed(made.addresses)
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
        self.office = AgreementOps(senders, lambda: self.now, self.mine)
        self.start(senders)

    def start(self, senders: dict[str, Sender]) -> None:
        """The rail itself; again after it was ended, from what is on disk."""
        members = {oracle.address: oracle.domain for oracle in self.oracles}
        log = structlog.wrap_logger(structlog.PrintLogger((self.home / "rail.log").open("a")))
        self.rail = StepContext(
            settings=self.settings,
            store=self.store,
            chain=self.chain,
            registry=self._registry(),
            sender=senders["sender"],
            minter=self._sender(_MINTER),
            warden=senders["warden"],
            oracles=self.oracles,
            committee=Committee(members, 3, 2),
            rules=products(),
            bank=Folder(self.settings.to_bank, self.settings.from_bank),
            safeguarding=self.safeguarding,
            now=lambda: self.now,
            log=log,
        )
        self.worker = Worker(self.rail)
        self.intake = Intake(self.store, self.rail.registry, products(), lambda: self.now)

    def close(self) -> None:
        self.testnet.stop()
        self.store.close()

    # --- time

    def mine(self, seconds: int = BLOCK_S, blocks: int = 1) -> None:
        """A block so many seconds later; more of them behind it, at their usual pace."""
        self.testnet.rpc("evm_setNextBlockTimestamp", hex(self.now + seconds))
        self.testnet.rpc("anvil_mine", hex(blocks), hex(BLOCK_S))
        self.now += seconds + BLOCK_S * (blocks - 1)

    def until(self, moment: int) -> None:
        """Lets the clock run to a moment that is still to come."""
        self.mine(max(BLOCK_S, moment - self.now))

    # --- work

    def take(self, protocol: str, records: Sequence[bytes]) -> list[str]:
        """Hands records to all four oracles and to the rail; the rail's answers."""
        messages = [Message(protocol, "", record, source="file") for record in records]
        for oracle in self.oracles:
            oracle.look()
            oracle.node.take(messages)
        found = self.intake.take(messages)
        return [outcome.outcome for each in found for outcome in each]

    def work(self, most: int = 60) -> int:
        """Turns of the worker, before each of them as many blocks as make the last one's calls
        final, until nothing is left to do; how many."""
        if self.reorganise_next:
            self._reorganise()
        for turn in range(most):
            self.mine(blocks=FINALITY + 1)
            if not self._turn():
                return turn
        raise RuntimeError(f"the rail found work for {most} turns: {self.worker.turns}")

    def _turn(self) -> int:
        before = dict(self.worker.turns)
        self.worker.turn()
        if self.worker.halted:
            raise RuntimeError(f"the rail halted: {self.worker.halted}")
        names = [step.__name__ for step in STEPS if step.__name__ not in _IDLE]
        worked = sum(self.worker.turns[name] - before.get(name, 0) for name in names)
        return worked + self.bank.step()

    def _reorganise(self) -> None:
        """Settles, and has the chain take the settlement's block back before it is final."""
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
        raise RuntimeError("nothing was settled that could be taken back")

    # --- inside

    def _registry(self) -> Registry:
        return Registry(self.chain, self.known, depth=2 * FINALITY)

    def _sender(self, index: int) -> Sender:
        return Sender(self.store, self.chain, keystore.development_account(index))

    def _oracle(self, number: int, name: str, domain: int) -> InProcessOracle:
        account = keystore.development_account(_FIRST_ORACLE + number)
        at, key = self.chain.deployment, bytes(account.key)
        registry = self._registry()
        identity = Identity(
            name,
            domain,
            account.address,
            partial(sign, private_key=key),
            at.chain_id,
            at.addresses["OracleCommittee"],
            at.addresses["PaymentRail"],
        )
        world = OracleView(registry, registry, self._progress, self.known, lambda: self.now)
        node = OracleNode(identity, world, Memory(self.home / f"{name}.sqlite3"))
        return InProcessOracle(
            name, account.address, domain, "", "", node=node, registry=registry, chain=self.chain
        )

    def _progress(self, agreement: bytes) -> Progress | None:
        sequence, last, *_, status = self.chain.view("PaymentRail", "agreementState", agreement)
        return Progress(sequence, last) if status else None
