"""Proves from bytes alone that a transaction or a receipt is in a block with a given header.

A trie proof is the list of nodes from the root down; the key is the RLP of the position in the
block (Ethereum yellow paper, 4.3). Typed transactions and receipts are EIP-2718 envelopes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import rlp
from rlp.exceptions import RLPException

from device_adapters.types import Rejected
from orchestrator.core.consensus_bytes import keccak

HEADER_FIELDS = 21  # Osaka: up to requestsHash (EIP-7685)
_TRANSACTIONS_ROOT, _RECEIPTS_ROOT, _NUMBER, _TIMESTAMP = 4, 5, 8, 11


class ProofReason(StrEnum):
    """The one reason of this package: the detail says what does not hold."""

    UNPROVEN = "unproven"


def unproven(detail: str) -> Rejected:
    """Return a Rejected for bytes that prove nothing; `verify` turns it into a failed step."""
    return Rejected(ProofReason.UNPROVEN, detail)


def rlp_list(data: bytes, what: str) -> list:
    """Return `data` as an RLP list of byte strings and lists; raise Rejected if it is not one."""
    try:
        items = rlp.decode(data)
    except RLPException as error:
        raise unproven(f"{what} is not RLP") from error
    if isinstance(items, bytes):
        raise unproven(f"{what} is not an RLP list")
    return items


@dataclass(frozen=True)
class Header:
    """A block header as its RLP; `hash` is the block hash, times are Unix seconds."""

    raw: bytes

    @cached_property
    def fields(self) -> list[bytes]:
        """Return the header's fields in their order."""
        fields = rlp_list(self.raw, "the block header")
        if len(fields) != HEADER_FIELDS or not all(isinstance(f, bytes) for f in fields):
            raise unproven(f"the block header does not have {HEADER_FIELDS} fields")
        return fields

    @property
    def hash(self) -> bytes:
        """Return the block hash."""
        return keccak(self.raw)

    @property
    def number(self) -> int:
        """Return the block number."""
        return int.from_bytes(self.fields[_NUMBER], "big")

    @property
    def timestamp(self) -> int:
        """Return the block time in Unix seconds."""
        return int.from_bytes(self.fields[_TIMESTAMP], "big")

    @property
    def transactions_root(self) -> bytes:
        """Return the root of the transactions trie."""
        return self.fields[_TRANSACTIONS_ROOT]

    @property
    def receipts_root(self) -> bytes:
        """Return the root of the receipts trie."""
        return self.fields[_RECEIPTS_ROOT]


@dataclass(frozen=True, slots=True)
class ReceiptLog:
    """One event of a receipt: who emitted it (20 bytes), its topics and its ABI data."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


def proven(root: bytes, index: int, nodes: Sequence[bytes]) -> bytes:
    """Return the value at position `index` under `root`, as `proven_at` does."""
    return proven_at(root, rlp.encode(index), nodes)


def proven_at(root: bytes, key: bytes, nodes: Sequence[bytes]) -> bytes:
    """Return the value under a key below `root`; every node must be on the path, in order.

    Nodes off the path would be bytes that nothing checks. Nodes shorter than 32 bytes would be
    embedded in their parent; transactions, receipts and accounts are always longer.

    Raises:
        Rejected: The nodes do not lead from the root to that key.
    """
    rest, expected = _nibbles(key), root
    for place, node in enumerate(nodes):
        if keccak(node) != expected:
            raise unproven(f"node {place} of the trie proof is not the one its parent names")
        items = rlp_list(node, f"node {place} of the trie proof")
        if len(items) == 17 and rest:
            expected, rest = items[rest[0]], rest[1:]
            continue
        step, leaf = _short_node(items, place)
        if rest[: len(step)] != step:
            break
        expected, rest = items[1], rest[len(step) :]
        if leaf and not rest and place == len(nodes) - 1:
            return expected
    raise unproven("the trie proof does not lead from the block's root to that position")


def _short_node(items: list, place: int) -> tuple[list[int], bool]:
    """Return (nibbles of the path, whether it is a leaf) of a two-item node (hex-prefix)."""
    if len(items) != 2 or not all(isinstance(item, bytes) and item for item in items):
        raise unproven(f"node {place} of the trie proof is no node of a trie")
    flag, *path = _nibbles(items[0])
    return (path if flag & 1 else path[1:]), bool(flag & 2)


def _nibbles(data: bytes) -> list[int]:
    return [nibble for byte in data for nibble in divmod(byte, 16)]


def receipt_logs(receipt: bytes) -> list[ReceiptLog]:
    """Return the logs of a consensus receipt, in order, or raise Rejected if it failed."""
    fields = rlp_list(_payload(receipt), "the receipt")
    if len(fields) != 4 or fields[0] != b"\x01":
        raise unproven("the receipt is not that of a successful transaction")
    try:
        return [ReceiptLog(address, tuple(topics), data) for address, topics, data in fields[3]]
    except (TypeError, ValueError) as error:
        raise unproven("the receipt's logs are malformed") from error


# Where `to` and the call data stand in each kind of transaction (EIP-2718 type byte).
_CALL_FIELDS = {0: (3, 5), 1: (4, 6), 2: (5, 7), 3: (5, 7), 4: (5, 7)}


def transaction_call(transaction: bytes) -> tuple[bytes, bytes]:
    """Return (called address, call data) of a transaction of any type, or raise Rejected."""
    kind = 0 if transaction[:1] >= b"\xc0" else int.from_bytes(transaction[:1], "big")
    fields = rlp_list(_payload(transaction), "the transaction")
    if kind not in _CALL_FIELDS:
        raise unproven(f"transactions of type {kind} are not known")
    to, data = _CALL_FIELDS[kind]
    if len(fields) <= data:
        raise unproven("the transaction is malformed")
    return fields[to], fields[data]


def _payload(envelope: bytes) -> bytes:
    return envelope if envelope[:1] >= b"\xc0" else envelope[1:]
