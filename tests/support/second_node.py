"""A second implementation of an Ethereum node: Hardhat's (the npm package @nomicfoundation/edr)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator.edges.chain import keystore
from services.doctor import ask_node
from services.testnet import ROOT, die_with_parent

_SERVER = Path(__file__).with_name("edr_node.mjs")


def development_addresses(count: int = 40) -> list[str]:
    return [keystore.development_account(index).address for index in range(count)]


class SecondNode:
    """One such node on a free port; it mines at once until `evm_setAutomine` says otherwise."""

    def __init__(self, chain_id: int, funded: Sequence[str] = (), genesis_at: int = 0) -> None:
        node = shutil.which("node")
        assert node, "Node is needed for the second implementation: `make setup-dev`"
        self.process = subprocess.Popen(
            [node, str(_SERVER), str(chain_id), str(genesis_at or int(time.time())), *funded],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        line = self.process.stdout.readline()
        assert line, f"the second node ended with {self.process.wait()}"
        self.url = f"http://127.0.0.1:{json.loads(line)['port']}"

    def rpc(self, method: str, *params: Any) -> Any:
        return ask_node(self.url, [(method, list(params))])[0]

    def give(self, address: str, wei: int) -> None:
        """Set the balance of an account."""
        self.rpc("hardhat_setBalance", address, hex(wei))

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(timeout=60)
        self.process.stdout.close()

    def __enter__(self) -> SecondNode:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
