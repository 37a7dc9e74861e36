"""A local node of the tests' own: a free loopback port, and blocks only when told."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parents[2]
ANVIL = ROOT / "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"


class Node:
    """A node of our own on a free loopback port, mining only when told."""

    def __init__(self, *options: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = [str(ANVIL), "--port", str(port), "--no-mining", "--silent", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def call(self, method: str, *params):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        answer = requests.post(self.url, json=body, timeout=20).json()
        assert "error" not in answer, answer
        return answer["result"]

    def ready(self) -> Node:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                self.call("eth_chainId")
                return self
            except requests.ConnectionError:
                time.sleep(0.02)
        raise TimeoutError("anvil did not answer")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=10)
