"""A pytest plugin that asks the node which branches each call and transaction took.

It works on contracts whose sources report their branches (scripts/assurance/branches.py), so code
is larger and dearer: the limits of the chain and of the compiler's wrapper are lifted. A run writes
the numbers of the branches into $BRANCHES_FOLDER, a file for each process.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from scripts.assurance.branches import PROBE_ADDRESS
from scripts.solidity import compiler
from services.testnet import Testnet
from tests.support.contracts.onchain import Node

# runs in the node at each call: the frames of a long challenge would be millions
TRACER = {
    "tracer": """{
  seen: {},
  enter: function(frame) {
    if (toHex(frame.getTo()) == "PROBE") this.seen[toHex(frame.getInput())] = 1;
  },
  exit: function(frame) {},
  fault: function(log, db) {},
  result: function(context, db) { return Object.keys(this.seen); }
}""".replace("PROBE", PROBE_ADDRESS)
}
SENDING = ("eth_sendTransactionSync", "eth_sendTransaction", "eth_sendRawTransaction")
ASKING = ("eth_call", "eth_estimateGas")
_PATIENCE = 1_800  # seconds; the trace of a full settlement is long


class BranchCollector:
    """Collects the branches that a process took."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.numbers = folder, set[int]()

    def after(self, ask: Any, method: str, params: tuple[Any, ...], answer: Any) -> None:
        """Trace what was sent or asked; `ask` sends a request to the same node."""
        if method in ASKING:
            block = params[1] if len(params) > 1 else "latest"
            self._collect(ask("debug_traceCall", params[0], block, TRACER))
        elif method in SENDING:
            result = answer.get("result") if isinstance(answer, dict) else answer
            tx = result["transactionHash"] if isinstance(result, dict) else result
            if tx:
                self._collect(ask("debug_traceTransaction", tx, TRACER))

    def _collect(self, answer: dict[str, Any]) -> None:
        self.numbers |= {int(word, 16) for word in answer.get("result") or ()}

    def write(self) -> None:
        """Write the numbers into a file of this process."""
        (self.folder / f"{os.getpid()}.json").write_text(json.dumps(sorted(self.numbers)))


@pytest.hookimpl
def pytest_configure(config: pytest.Config) -> None:
    """Ask the node after each request, and lift the limits of code and gas."""
    collector = BranchCollector(Path(os.environ["BRANCHES_FOLDER"]))
    config.stash[_KEY] = collector
    answer, connect, start = Node.answer, Node.__init__, Testnet.__init__

    def patient(self: Node, url: str) -> None:
        connect(self, url)
        self._connection.timeout = _PATIENCE

    def traced(self: Node, method: str, *params: Any) -> dict[str, Any]:
        got = answer(self, method, *params)
        collector.after(lambda *request: answer(self, *request), method, params, got)
        return got

    def without_limits(self: Testnet, **options: Any) -> None:
        extra = [
            *options.pop("extra", ()),
            "--disable-code-size-limit",
            "--gas-limit",
            "3000000000",
        ]
        start(self, **{**options, "tx_gas_limit": False}, extra=extra)

    Node.answer, Node.__init__, Testnet.__init__ = traced, patient, without_limits
    compiler.MAX_CODE_BYTES = 2**20


def pytest_unconfigure(config: pytest.Config) -> None:
    """Keep what was collected."""
    config.stash[_KEY].write()


_KEY: pytest.StashKey[BranchCollector] = pytest.StashKey()
