"""A small rail that a state machine plays with: every example begins on the same chain and store.

The chain is a real one, taken back to a snapshot before each example; the store and the bank are
copies of the same files. The rail can be ended in the middle of a write and started again.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.edges.chain.reader import Registry
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.store import Session, Store, agreements, ledger, transfers
from orchestrator.ingest.intake import Intake
from orchestrator.products import deployed, products
from orchestrator.worker import Worker
from scripts.devices.fleet import Fleet
from scripts.month.street import BankScript
from tests.support.small_rail import START, SmallRail

FINALITY = 2


class PowerCut(BaseException):
    """The process is gone; nothing of it may catch this."""


class MachineRail(SmallRail):
    """One chain for all examples. commits: how many writes are left until the power goes; undone:
    whether that comes before the last of them is on disk, or right after."""

    commits: int | None = None
    undone: bool = False
    heights: tuple[str, ...] = ()  # snapshots, one before each block of this example

    def ready(self) -> MachineRail:
        """The town as every example finds it: escrows are funded, and one payout was booked."""
        self.start()
        for name in self.agreements:
            self.fund(name, 20_000)
        self.work(4)
        self.clock = START + 100_000
        assert self.take(*self.fleet["cp-0001"].session("12.5")) == ["accepted"]
        self.work(8, 20)
        for _ in range(FINALITY):  # what was final by this rail's first rule stays so by the next
            self.mine()
        with self.store.read() as session:
            self.references = {
                name: agreements.get(session, identity).reference
                for name, identity in self.agreements.items()
            }
        self.accounts = {
            role: getattr(self.rail, role).account for role in ("sender", "minter", "warden")
        }
        self.fleet.close()
        self.bank.books.db.close()
        self.store.close()
        self.kept = self.home.with_name("kept")
        shutil.copytree(self.home, self.kept)
        self.snapshot, self.morning = self.testnet.rpc("evm_snapshot"), self.clock
        return self

    def again(self) -> None:
        """Back to the beginning; what waits in the node's pool belongs to another example."""
        self.testnet.rpc("anvil_dropAllTransactions")
        assert self.testnet.rpc("evm_revert", self.snapshot)
        self.snapshot, self.clock = self.testnet.rpc("evm_snapshot"), self.morning
        self.heights = ()
        shutil.rmtree(self.home)
        shutil.copytree(self.kept, self.home)
        self.fleet = Fleet(self.home, 2, 1, seed=7, start_at=START + 1_000)
        self.bank = BankScript(self.home / "bank", {"business_date": "2025-10-09"})
        self.commits = None
        self.begin()

    def end(self) -> None:
        self.fleet.close()
        self.bank.books.db.close()
        self.store.close()

    def begin(self) -> None:
        """Starts the rail on what is on disk, as its process does."""
        self.store = _Frail(self)
        made = {
            role: Sender(self.store, self.chain, account) for role, account in self.accounts.items()
        }
        registry = Registry(self.chain, deployed(self.chain.deployment.addresses))
        settings = self.settings.model_copy(update={"finality_blocks": FINALITY})
        self.rail = replace(
            self.rail, settings=settings, store=self.store, registry=registry, fits={}, **made
        )
        self.worker = Worker(self.rail)
        self.worker.recover()
        self.intake = Intake(self.store, registry, products(), lambda: self.clock)

    def mine(self, seconds: int = 12) -> None:
        self.heights = (*self.heights, self.testnet.rpc("evm_snapshot"))
        super().mine(seconds)

    def reorganise(self, depth: int) -> None:
        """Other blocks in place of the newest ones, and one more. By snapshots: `anvil_reorg`
        discards those, and with them the way back to the beginning."""
        depth = min(depth, len(self.heights))
        if depth:
            assert self.testnet.rpc("evm_revert", self.heights[-depth])
            self.heights = self.heights[:-depth]
        for _ in range(depth + 1):
            self.mine()

    def turn(self) -> None:
        """One turn of the worker; it may end in a power cut, and begins again after it."""
        try:
            self.worker.turn()
        except PowerCut:
            self.store.close()
            self.commits = None
            self.begin()
        self.commits = None
        assert not self.worker.halted, self.worker.halted

    # --- what the checks read, each from its own source

    def at_block(self, contract: str, function: str, number: int, *arguments: Any) -> Any:
        """A view as of a block."""
        made = self.chain._contracts[contract].functions[function](*arguments)
        return made.call(block_identifier=number)

    def ordered(self, session: Session) -> Counter[str]:
        """EndToEndId -> how many of the files that went to the bank order it."""
        found: Counter[str] = Counter()
        for file in transfers.files(session, "out"):
            parts = file.body.split(b"<EndToEndId>")[1:]
            found.update(part.split(b"<")[0].decode() for part in parts)
        return found

    def balances(self) -> dict[str, int]:
        with self.store.read() as session:
            return {account: amount for (account, _), amount in ledger.balances(session).items()}


class _Frail(Store):
    """A store whose process can lose its power at a commit: before it, or right after it."""

    def __init__(self, rail: MachineRail) -> None:
        super().__init__(rail.settings.database)
        self._rail = rail

    @contextmanager
    def write(self) -> Iterator[Session]:
        rail, cut = self._rail, self._rail.commits == 1
        if rail.commits is not None:
            rail.commits -= 1
        with super().write() as session:
            yield session
            if cut and rail.undone:
                raise PowerCut
        if cut:
            raise PowerCut


def make(folder: Path) -> MachineRail:
    return MachineRail(folder / "home").ready()
