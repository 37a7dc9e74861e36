"""An open rail on a real chain that takes back its last blocks."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.edges.store import blocks, sends
from orchestrator.settings import Settings
from orchestrator.steps.follow import follow
from tests.support.open_rail import OpenRail

FINALITY = 8


class DeepRail(OpenRail):
    """An open rail whose blocks are final late enough to be taken back."""

    def start(self) -> DeepRail:
        super().start()
        settings = Settings(home=self.home, finality_blocks=FINALITY, hole_patience_s=0)
        self.rail = self.worker.context = replace(self.rail, settings=settings)
        return self

    def see(self) -> None:
        """Follows the chain to its head, and does nothing else."""
        while follow(self.rail):
            pass

    def reorganise(self, depth: int, *placed: str) -> None:
        """The last blocks vanish; raw transactions stand in the first of the new ones."""
        self.see()
        self.testnet.rpc("anvil_reorg", depth, [[raw, 0] for raw in placed])
        self.see()

    def settle_now(self, name: str, depth: int) -> str:
        """Charges, and returns the settlement once it is `depth` blocks deep and seen."""
        self.charge(name, "3")
        self.until(name, "settled")
        head = self.chain.head()
        with self.store.read() as session:
            settled = blocks.log_of(session, self.payment(name).settlement_tx, "Settled")
        for _ in range(depth - 1 - (head - settled.block_number)):
            self.mine()
        self.see()
        assert self.chain.head() - settled.block_number == depth - 1
        return settled.tx_hash

    def raw(self, tx_hash: str) -> str:
        with self.store.read() as session:
            return sends.by_hash(session, tx_hash).raw
