"""A chain with its keeper in this process, behind its real server; the test drives its loop.

As a program: `kept_chain.py HOME READY STEP` keeps a chain in a process of its own, and ends itself
by SIGKILL at that step of the first dump after the one of block 0.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from services.chain.__main__ import serve
from services.chain.dumps import Dumps
from services.chain.keeper import Keeper
from services.chain.schedule import Schedule
from services.chain.server import listener, server


def ask(url: str, method: str, *params: Any) -> Any:
    """Return the result of one JSON-RPC call; raise RuntimeError if it is an error."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    answer = requests.post(url, json=body, timeout=60).json()
    if "error" in answer:
        raise RuntimeError(f"{method}: {answer['error']}")
    return answer["result"]


def number_of(url: str, tag: str) -> int:
    return int(ask(url, "eth_getBlockByNumber", tag, False)["number"], 16)


class KeptChain:
    """One chain; it has what the rails of the tests use of a `Testnet`.

    Attributes:
        now: the keeper's clock, seconds; only `keep` and the test move it.
        step: called at each step of a dump.
    """

    def __init__(self, folder: Path, genesis_at: int | None = None) -> None:
        self.folder, self.genesis_at, self.now = folder, genesis_at, 1_000.0
        self.step: Callable[[str], None] = lambda name: None
        self.url, self._port = "", 0
        self._going: threading.Thread | None = None
        self._ended = threading.Event()

    def start(self) -> KeptChain:
        """Start where the newest dump is; at the old port, if there is one."""
        self.keeper = Keeper(
            Dumps(self.folder, lambda name: self.step(name)),
            Schedule(1.0, 300.0, 3, self.now),
            logging.getLogger("test chain"),
            genesis_at=self.genesis_at,
            clock=lambda: self.now,
            today=time.time if self.genesis_at is None else lambda: self.genesis_at,
        ).start()
        found = listener("127.0.0.1", self._port)
        self._port = found.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._server = server(self.keeper)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [found]})
        self._thread.start()
        return self

    def keep(self, seconds: float) -> None:
        """Do what the keeper does in so many seconds, at once."""
        until = self.now + seconds
        while True:
            wait_s = self.keeper.step()
            if self.now + wait_s > until:
                self.now = until
                return
            self.now += wait_s

    def kill(self) -> None:
        """End keeper and chain without a dump, as SIGKILL does."""
        self.keeper.testnet.kill()
        self._end_server()

    def stop(self) -> None:
        self._end_server()
        self.keeper.stop()

    def _end_server(self) -> None:
        self._keep_going(False)
        self._server.should_exit = True
        self._thread.join()

    def rpc(self, method: str, *params: Any) -> Any:
        if method == "evm_setAutomine":  # the set-up of a rail asks for it
            return self._keep_going(*params)
        return ask(self.url, method, *params)

    def _keep_going(self, on: bool) -> None:
        """Let the keeper's time run in a thread, or end that."""
        self._ended.set()
        if self._going:
            self._going.join()
            self._going = None
        if on:
            self._ended.clear()
            self._going = threading.Thread(target=self._go)
            self._going.start()

    def _go(self) -> None:
        while not self._ended.wait(0.01):
            self.keep(0.06)

    def pay(self) -> str:
        """Send one ether transfer; return its hash."""
        accounts = self.rpc("eth_accounts")
        transfer = {"from": accounts[0], "to": accounts[1], "value": "0x1"}
        return self.rpc("eth_sendTransaction", transfer)

    def number(self, tag: str) -> int:
        return number_of(self.url, tag)


def main() -> int:
    home, ready, deadly = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    passed = []

    def die(step: str) -> None:
        passed.append(step)
        if step == deadly and passed.count(step) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    options = argparse.Namespace(
        home=home,
        host="127.0.0.1",
        port=0,
        block_seconds=0.2,
        heartbeat_seconds=300.0,
        depth=3,
        timestamp=None,
        ready_file=ready,
    )
    return serve(options, Dumps(home / "chain", die))


if __name__ == "__main__":
    sys.exit(main())
