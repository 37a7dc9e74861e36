"""The worker's steps: one file for each section of a payment's life, each on bounded batches.

Every step file declares a Protocol that names the few attributes its functions use.
`StepContext` satisfies all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from device_adapters.registry import protocols
from device_adapters.types import Assurance, Event
from orchestrator.core.approval import Office
from orchestrator.core.committee import Committee
from orchestrator.edges.bank.channel import Channel
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.reader import Registry
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.oracles import OracleCalls, OracleClient
from orchestrator.edges.store import Store
from orchestrator.products import Product
from orchestrator.settings import Settings


@dataclass(slots=True)
class RefundMemory:
    """How far a worker has looked for escrow to refund, so that a turn looks only at what is new.

    Attributes:
        full_at: When it looked at all ended agreements, Unix seconds.
        ended_to: Agreements that ended before this time were looked at, Unix seconds.
        entry: Journal entries up to this number were looked at.
        funded: Ended agreements that have money in escrow.
    """

    full_at: int = 0
    ended_to: int = 0
    entry: int = 0
    funded: set[str] = field(default_factory=set)


@dataclass(slots=True)
class SignerMemory:
    """Whose signatures did not count in a settlement, so that the next one does not need them.

    Attributes:
        failed: Checksummed address -> when its signature was found not to count, Unix seconds.
        lost_quorum_at: When a settlement last lacked its quorum, Unix seconds; 0: never.
    """

    failed: dict[str, int] = field(default_factory=dict)
    lost_quorum_at: int = 0


@dataclass(slots=True)
class WorkerMemory:
    """What one worker remembers between its turns.

    It is empty when the worker starts. Results never depend on it: a step that finds nothing here
    only works a little longer.
    """

    # product name -> the most claims that fit one settlement, where a settlement was too large
    claims_that_fit: dict[str, int] = field(default_factory=dict)
    last_payout: str = ""  # the payout that was looked at last and could not leave
    last_credit: str = ""  # the credit that was looked at last for minting
    break_causes: tuple[int, ...] | None = None  # what the newest reconciliation stood on
    files_taken: int = 0  # files of the bank that this worker stored
    refunds: RefundMemory = field(default_factory=RefundMemory)
    contracts_read: bool = False  # whether every contract of the deployment is followed
    moved_at: int = 0  # when records of former rails were looked for, Unix seconds
    rulings_asked_at: int = 0  # when oracles were last asked for rulings, Unix seconds
    calls: OracleCalls = field(default_factory=OracleCalls)
    signers: SignerMemory = field(default_factory=SignerMemory)


@dataclass(frozen=True)
class StepContext:
    """Everything that a step may use; `orchestrator.assembly` builds it."""

    settings: Settings
    store: Store
    chain: Chain
    registry: Registry
    sender: Sender  # pays for settle and release; its key can move no money
    minter: Sender  # the bank's minting key: mints tokens for booked credits
    warden: Sender  # may suspend devices and dispute their payments, nothing else
    oracles: list[OracleClient]
    office: Callable[[], Office]  # who may sign approvals now
    committee: Callable[[], Committee]  # as of the newest block that the store has
    rules: Mapping[str, Product]  # product name -> rules, for every product that is deployed
    bank: Channel
    safeguarding: Mapping[str, Any]  # the rail's own bank account: name, iban, bic, address
    now: Callable[[], int]  # Unix seconds
    log: Any
    memory: WorkerMemory = field(default_factory=WorkerMemory)

    @property
    def senders(self) -> tuple[Sender, ...]:
        """Return every key with which this rail sends."""
        return self.sender, self.minter, self.warden


@lru_cache(maxsize=100_000)
def event_of(
    protocol: str, body: bytes, assurance: str = Assurance.DEVICE, gateway: str = ""
) -> Event:
    """Return the event of a stored record: the bytes are the truth, and decoding is cheap.

    Args:
        protocol: The record's protocol.
        body: Its bytes.
        assurance: What the rail found when it verified the record.
        gateway: The gateway that signed it then; "" for the device itself.
    """
    event = protocols()[protocol].decode(body)
    if (event.assurance, event.gateway) == (assurance, gateway):
        return event
    return replace(event, assurance=Assurance(assurance), gateway=gateway)
