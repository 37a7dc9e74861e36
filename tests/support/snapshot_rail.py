"""A small rail for state machines: every example begins on the same chain and store.

The real chain is reverted to a snapshot before each example; the files of store and bank are
copied. A power cut can end the rail in the middle of a write; it then starts again.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.assembly import SENDING_ROLES
from orchestrator.edges.store import Session, Store, agreements, ledger
from orchestrator.ingest.intake import Intake
from orchestrator.products import products
from orchestrator.worker import Worker
from scripts.month.bank_script import BankScript
from services.simulated_devices.fleet import Fleet
from tests.support.rail_builder import context_on_chain
from tests.support.small_rail import START, SmallRail
from tests.support.store_queries import bank_files_of

FINALITY = 2


class PowerCut(BaseException):
    """The end of the process; no code of the rail may catch it."""


class SnapshotRail(SmallRail):
    """One chain for all examples.

    Attributes:
        commits: writes that are left until the power cut; None for no cut.
        undone: whether the last write is lost (True) or just committed (False).
        heights: snapshots, one before each block of this example.
    """

    commits: int | None = None
    undone: bool = False
    heights: tuple[str, ...] = ()

    def ready(self) -> SnapshotRail:
        """Prepare the state in which every example begins: funded escrows and one booked payout."""
        self.start()
        for name in self.agreements:
            self.fund(name, 20_000)
        self.work(4)
        self.clock = START + 100_000
        assert self.take(*self.fleet["cp-0001"].session("12.5")) == ["accepted"]
        self.work(8, 20)
        for _ in range(
            FINALITY
        ):  # final by this rail's shorter finality, and by the longer one of `begin`
            self.mine()
        with self.store.read() as session:
            self.references = {
                name: agreements.get(session, identity).reference
                for name, identity in self.agreements.items()
            }
        self.accounts = {role: getattr(self.rail, role).account for role in SENDING_ROLES}
        self.fleet.close()
        self.bank.books.db.close()
        self.store.close()
        self.template = self.home.with_name("template")
        shutil.copytree(self.home, self.template)
        self.snapshot, self.morning = self.testnet.rpc("evm_snapshot"), self.clock
        return self

    def reset(self) -> None:
        """Go back to the beginning, and drop what another example left in the node's pool."""
        self.testnet.rpc("anvil_dropAllTransactions")
        assert self.testnet.rpc("evm_revert", self.snapshot)
        self.snapshot, self.clock = self.testnet.rpc("evm_snapshot"), self.morning
        self.heights = ()
        shutil.rmtree(self.home)
        shutil.copytree(self.template, self.home)
        self.fleet = Fleet(self.home, 2, 1, seed=7, start_at=START + 1_000)
        self.bank = BankScript(self.home / "bank", {"business_date": "2025-10-09"})
        self.commits = None
        self.begin()

    def end(self) -> None:
        self.fleet.close()
        self.bank.books.db.close()
        self.store.close()

    def begin(self) -> None:
        """Start the rail from what is on disk, as its process does."""
        self.store = _UnreliableStore(self)
        self.rail = context_on_chain(
            self.settings.model_copy(update={"finality_blocks": FINALITY}),
            self.store,
            lambda: self.clock,
            chain=self.chain,
            accounts=self.accounts,
            oracles=self.rail.oracles,
            safeguarding=self.rail.safeguarding,
        )
        self.worker = Worker(self.rail)
        self.worker.recover()
        self.intake = Intake(self.store, self.rail.registry, products(), lambda: self.clock)

    def mine(self, seconds: int = 12) -> None:
        self.heights = (*self.heights, self.testnet.rpc("evm_snapshot"))
        super().mine(seconds)

    def reorganise(self, depth: int) -> None:
        """Replace the newest blocks by other ones, and add one more.

        It reverts to a snapshot: `anvil_reorg` would discard the snapshot of the beginning.
        """
        depth = min(depth, len(self.heights))
        if depth:
            assert self.testnet.rpc("evm_revert", self.heights[-depth])
            self.heights = self.heights[:-depth]
        for _ in range(depth + 1):
            self.mine()

    def turn(self) -> None:
        """Let the worker turn once; after a power cut the rail starts again."""
        try:
            self.worker.turn()
        except PowerCut:
            self.store.close()
            self.commits = None
            self.begin()
        self.commits = None
        assert not self.worker.halted, self.worker.halted

    # --- what the invariants read, each from its own source

    def at_block(self, contract: str, function: str, number: int, *arguments: Any) -> Any:
        """Return the result of a view function at a block."""
        call = self.chain._contracts[contract].functions[function](*arguments)
        return call.call(block_identifier=number)

    def ordered(self, session: Session) -> Counter[str]:
        """Return EndToEndId -> number of files to the bank that order it."""
        orders: Counter[str] = Counter()
        for file in bank_files_of(session, "out"):
            parts = file.body.split(b"<EndToEndId>")[1:]
            orders.update(part.split(b"<")[0].decode() for part in parts)
        return orders

    def balances(self) -> dict[str, int]:
        with self.store.read() as session:
            return {account: amount for (account, _), amount in ledger.balances(session).items()}


class _UnreliableStore(Store):
    """A store that can raise PowerCut at a commit: before it, or right after it."""

    def __init__(self, rail: SnapshotRail) -> None:
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


def make(folder: Path) -> SnapshotRail:
    return SnapshotRail(folder / "home").ready()
