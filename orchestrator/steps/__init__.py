"""The worker's steps, one file per stretch of a payment's life, each on bounded batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from device_adapters.registry import protocols
from device_adapters.types import Event
from orchestrator.edges.bank.channel import Channel
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.reader import Registry
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.oracles import OracleClient
from orchestrator.edges.store import Store
from orchestrator.products import Product
from orchestrator.settings import Settings


@dataclass(frozen=True, slots=True)
class Committee:
    """Who may attest, as the contract has it: checksummed address -> trust domain."""

    members: Mapping[str, int]
    need: int
    min_domains: int


@dataclass(frozen=True)
class StepContext:
    """Everything a step may touch: the doors, the rules and a clock."""

    settings: Settings
    store: Store
    chain: Chain
    registry: Registry
    sender: Sender  # pays for settle and release; its key moves nobody's money
    minter: Sender  # the bank's minting key: mints against booked credits
    oracles: list[OracleClient]
    committee: Committee
    rules: Mapping[str, Product]  # product name -> rules, of every product that is deployed
    bank: Channel
    safeguarding: Mapping[str, Any]  # the rail's own bank account: name, iban, bic, address
    now: Callable[[], int]  # Unix seconds
    log: Any
    warden: Sender  # may suspend devices and dispute for them, nothing else
    # product name -> the most claims that fit one settlement, where that was found out
    fits: dict[str, int] = field(default_factory=dict)

    @property
    def senders(self) -> tuple[Sender, ...]:
        """Every key that this rail sends with."""
        return self.sender, self.minter, self.warden


@lru_cache(maxsize=100_000)
def event_of(protocol: str, body: bytes) -> Event:
    """Stored evidence, read again: the bytes are the truth, and decoding them is cheap."""
    return protocols()[protocol].decode(body)
