"""A local node of the tests' own: a free loopback port, and blocks only on demand."""

from __future__ import annotations

from pathlib import Path

from services.testnet import Testnet

ROOT = Path(__file__).resolve().parents[2]
ANVIL = ROOT / "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"


class AuditNode:
    """A node of our own on a port that it chose itself, mining only on demand."""

    def __init__(self, *options: str) -> None:
        self._testnet = Testnet(mining="manual", extra=options)

    @property
    def url(self) -> str:
        return self._testnet.url

    def call(self, method: str, *params):
        return self._testnet.rpc(method, *params)

    def ready(self) -> AuditNode:
        self._testnet.start(timeout=120)
        return self

    def stop(self) -> None:
        self._testnet.stop()
