"""The state of one verification, and the anchors that its auditor trusts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from device_adapters.types import Event
from oracles.types import Claim, ProductRules

from . import logs
from .blocks import Header, ReceiptLog, proven, receipt_logs, unproven
from .reading import unhex, whole

History = list[tuple[str, tuple[Any, ...]]]


class Rules(ProductRules, Protocol):
    """The rules of a product that an auditor needs: those of oracles, and the payee of a claim."""

    def payee(self, facts: bytes) -> str | None:
        """Return the payee that the claim names; None: the mandate's payee."""


BEFORE = "before:"  # before the name of an event of a former contract


@dataclass(frozen=True, slots=True)
class Anchors:
    """Values that the auditor knows from elsewhere.

    Where one is empty, the bundle's value is used and printed. Addresses are 0x-hex in any case.

    Attributes:
        blocks: Hashes of blocks known to be canonical; if there are any, each block of the bundle
            must be among them.
        files: SHA-256 (hex) of bank files; the same rule.
        min_domains: How many trust domains a quorum must span.
    """

    blocks: frozenset[str] = frozenset()
    chain_id: int | None = None
    rail: str | None = None
    registry: str | None = None
    committee: str | None = None
    token: str | None = None
    files: frozenset[str] = frozenset()
    min_domains: int = 2


@dataclass
class Case:
    """One bundle under verification; each stage reads what earlier stages added, and adds more."""

    bundle: dict[str, Any]
    anchors: Anchors
    products: Mapping[str, Rules]
    blocks: dict[int, str] = field(default_factory=dict)  # number: hash, as proofs are opened
    files: list[str] = field(default_factory=list)  # SHA-256 of the bank files
    device_id: bytes = b""  # the agreement's
    histories: dict[bytes, History] = field(default_factory=dict)  # device id: registry events
    events: list[Event] = field(default_factory=list)
    supporting: list[Event] = field(default_factory=list)
    cited: dict[str, Event] = field(default_factory=dict)  # what the run cites, by the cited id
    anchor: Event | None = None
    claim: Claim | None = None
    claim_hash: bytes = b""
    payment: str = ""  # payment id, 0x-hex
    payee: str = ""  # named by the claim or else the mandate; lower-case 0x-hex
    signers: list[str] = field(default_factory=list)
    quorum: int = 0
    settlement_tx: str = ""
    cents: int = 0
    account: bytes = b""  # keccak256 of the payee's IBAN, as on chain

    def address(self, contract: str) -> bytes:
        """Return the 20 bytes of "rail", "registry" or "committee"."""
        return unhex(self.bundle["chain"][contract], f"chain.{contract}", 20)

    def receipt(self, proof: dict[str, Any], what: str) -> tuple[Header, list[ReceiptLog]]:
        """Return the block and the logs that a receipt proof leads to, or raise Rejected."""
        header = self._header(proof, what)
        nodes = [unhex(node, f"a node of {what}") for node in proof["receipt"]]
        return header, receipt_logs(proven(header.receipts_root, proof["index"], nodes))

    def transaction(self, proof: dict[str, Any], what: str) -> bytes:
        """Return the consensus bytes that a transaction proof leads to, or raise Rejected."""
        header = self._header(proof, what)
        nodes = [unhex(node, f"a node of {what}") for node in proof["transaction"]]
        return proven(header.transactions_root, proof["index"], nodes)

    def events_of(self, proof: dict[str, Any], contract: str, what: str) -> list:
        """Return (event name, arguments) for one of our contracts in a proven receipt."""
        return logs.events(self.receipt(proof, what)[1], self.address(contract))

    def history_of(
        self,
        proofs: list[dict[str, Any]],
        contract: str,
        names: tuple[str, ...],
        subject: Any,
        before: bytes = b"",
    ) -> History:
        """Return the named events of several proven receipts, which must be in chain order.

        Args:
            proofs: The receipts; each must hold an event.
            contract: "rail", "registry" or "committee".
            names: The events that count.
            subject: If not None, only events whose first argument it is.
            before: Address of the contract that this one took the place of: its events count as
                well, with BEFORE before their names.
        """
        history, last_place, what = [], (-1, -1), f"the {contract}'s history"
        for proof in proofs:
            place = (self._header(proof, what).number, proof["index"])
            if place <= last_place:
                raise unproven(f"{what} is not in the order of the chain")
            of_receipt = self.receipt(proof, what)[1]
            events = [
                (prefix + name, arguments)
                for prefix, address in ((BEFORE, before), ("", self.address(contract)))
                for name, arguments in logs.events(of_receipt, address)
                if name in names and subject in (None, arguments[0])
            ]
            if not events:
                raise unproven(f"{what} has a receipt without an event of it")
            history, last_place = history + events, place
        return history

    def _header(self, proof: dict[str, Any], what: str) -> Header:
        whole(proof["index"], 32, f"the index of {what}")
        header = Header(unhex(proof["header"], f"the header of {what}"))
        block = "0x" + header.hash.hex()
        if block != proof["block"]:
            raise unproven(f"{what}: the header does not hash to block {proof['block']}")
        if self.blocks.setdefault(header.number, block) != block:
            raise unproven(f"{what}: two blocks of the bundle have the number {header.number}")
        anchored = {item.lower() for item in self.anchors.blocks}
        if anchored and block not in anchored:
            raise unproven(f"{what}: block {header.number} ({block}) is not among the anchors")
        return header

    def file(self, sha256_hex: str, what: str) -> None:
        """Record a bank file, and compare it with the anchors."""
        self.files.append(sha256_hex)
        anchored = {item.lower().removeprefix("0x") for item in self.anchors.files}
        if anchored and sha256_hex not in anchored:
            raise unproven(f"{what}: the file {sha256_hex} is not among the anchors")
