"""Checks what a node says about a block against the block's hash. Pure.

A node answers in JSON (Ethereum JSON-RPC). Its header is right if its RLP hashes to the block hash;
its receipts and transactions are right if their tries have the roots in the header (Ethereum yellow
paper, 4.3; EIP-2718 for typed ones). Nothing else that the node adds to them is used.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from device_adapters.types import Rejected
from orchestrator.core.audit.blocks import keccak, proven_at, rlp_list
from orchestrator.core.consensus_bytes import (
    HEADER_NAMES,
    NodeFault,
    WrongAnswer,
    encode_receipt,
    encode_transaction,
    header_rlp,
    hex_text,
    ordered_root,
    raw_bytes,
    well_formed,
)

_BLOOM_BYTES = 256
# what nodes show with a header and no header holds
_NOT_HASHED = {"hash", "size", "totalDifficulty", "uncles", "transactions", "withdrawals"}


@dataclass(frozen=True, slots=True)
class CheckedHeader:
    """The parts of a header that hashes to `hash`; hashes are 0x-hex, roots raw bytes.

    Attributes:
        timestamp: Unix seconds.
        raw: The RLP of the whole header.
        bloom: 256 bytes: which addresses and topics the block's logs may have (yellow paper 4.3.1).
    """

    number: int
    hash: str
    parent: str
    timestamp: int
    raw: bytes
    state_root: bytes
    transactions_root: bytes
    receipts_root: bytes
    bloom: bytes

    def may_hold(self, addresses: Iterable[bytes]) -> bool:
        """Return False if no log of the block is of one of these addresses (20 bytes)."""
        bloom = int.from_bytes(self.bloom, "big")
        return any(bloom & bits == bits for bits in map(bloom_bits, addresses))


@dataclass(frozen=True, slots=True)
class CheckedReceipt:
    """What a block says about one of its transactions.

    Attributes:
        tx_hash: 0x-hex, computed from the transaction's bytes.
        block_number: Of the block that holds it.
        succeeded: Whether it was not reverted.
        gas_used: By this transaction alone.
    """

    tx_hash: str
    block_number: int
    succeeded: bool
    gas_used: int


def bloom_bits(value: bytes) -> int:
    """Return the three bits that an address or a topic sets in a bloom filter of 2,048 bits."""
    digest = keccak(value)
    return sum({1 << (int.from_bytes(digest[i : i + 2], "big") & 2047) for i in (0, 2, 4)})


def check_header(block: Any, number: int | None = None) -> CheckedHeader:
    """Return the header of a block, if it hashes to the block's own hash.

    Args:
        block: The block as JSON-RPC shows it.
        number: The number that was asked for; None: any.

    Raises:
        WrongAnswer: The header is not the one of that hash, or of another number.
    """
    _require_object(block, "block")
    raw = header_rlp(block)
    computed = hex_text(keccak(raw))
    if computed != block.get("hash"):
        unknown = sorted(set(block) - _NOT_HASHED - HEADER_NAMES)
        if unknown:
            raise WrongAnswer(
                NodeFault.FIELDS,
                f"the header of block {block.get('hash')} has fields that this version does not "
                f"know ({', '.join(unknown)}), so its hash cannot be checked: use a newer version",
            )
        raise WrongAnswer(
            NodeFault.HEADER,
            f"the node's header of block {block.get('hash')} hashes to {computed}",
        )
    header = well_formed("block", lambda: _header(block, raw))
    if number is not None and header.number != number:
        raise WrongAnswer(
            NodeFault.NUMBER, f"the node gave block {header.number} instead of block {number}"
        )
    return header


def _header(block: Mapping[str, Any], raw: bytes) -> CheckedHeader:
    bloom = raw_bytes(block["logsBloom"])
    if len(bloom) != _BLOOM_BYTES:
        raise ValueError("the bloom filter has another length")
    return CheckedHeader(
        int(block["number"], 16),
        hex_text(keccak(raw)),
        hex_text(raw_bytes(block["parentHash"])),
        int(block["timestamp"], 16),
        raw,
        raw_bytes(block["stateRoot"]),
        raw_bytes(block["transactionsRoot"]),
        raw_bytes(block["receiptsRoot"]),
        bloom,
    )


def check_linked(headers: Sequence[CheckedHeader]) -> None:
    """Raise WrongAnswer unless each header is the parent of the next."""
    for before, header in pairwise(headers):
        if header.parent != before.hash or header.number != before.number + 1:
            raise WrongAnswer(
                NodeFault.PARENT,
                f"block {header.number} ({header.hash}) does not follow block {before.number} "
                f"({before.hash}): the chain is rewinding, or the node mixes two chains",
            )


def check_transactions(header: CheckedHeader, transactions: Any, count: int) -> dict[str, bytes]:
    """Return {hash: consensus bytes} of a block's transactions, in order; both are computed.

    Args:
        header: The block.
        transactions: All its transactions, as JSON-RPC shows them.
        count: How many receipts the block has.

    Raises:
        WrongAnswer: They are not those of the header's root, or not as many, or one stands twice.
    """
    values = well_formed("transaction", lambda: [encode_transaction(tx) for tx in transactions])
    _check_root(header, header.transactions_root, values, NodeFault.TRANSACTIONS, "transactions")
    by_hash = {hex_text(keccak(value)): value for value in values}
    if not len(by_hash) == len(values) == count:
        raise WrongAnswer(
            NodeFault.TRANSACTIONS,
            f"block {header.number} ({header.hash}) has {len(by_hash)} transactions and {count} "
            "receipts: no real chain has such a block",
        )
    return by_hash


def check_receipts(header: CheckedHeader, receipts: Any) -> None:
    """Raise WrongAnswer unless these are all receipts of the block, in their order."""
    values = well_formed("receipt", lambda: [encode_receipt(receipt) for receipt in receipts])
    _check_root(header, header.receipts_root, values, NodeFault.RECEIPTS, "receipts")


def _check_root(
    header: CheckedHeader, root: bytes, values: Sequence[bytes], fault: NodeFault, what: str
) -> None:
    if ordered_root(values) != root:
        raise WrongAnswer(
            fault,
            f"the node's {len(values)} {what} of block {header.number} ({header.hash}) are not "
            "those of its header",
        )


def outcomes(
    header: CheckedHeader, tx_hashes: Iterable[str], receipts: Sequence[Mapping[str, Any]]
) -> list[CheckedReceipt]:
    """Return what checked receipts say about the checked transactions of the same block."""
    checked, before = [], 0
    for tx_hash, receipt in zip(tx_hashes, receipts, strict=True):
        gas = int(receipt["cumulativeGasUsed"], 16)
        succeeded = int(receipt["status"], 16) == 1
        checked.append(CheckedReceipt(tx_hash, header.number, succeeded, gas - before))
        before = gas
    return checked


def has_logs_of(receipts: Iterable[Mapping[str, Any]], addresses: Collection[bytes]) -> bool:
    """Return whether a checked receipt has a log of one of these addresses (20 bytes)."""
    return any(raw_bytes(log["address"]) in addresses for item in receipts for log in item["logs"])


def logs_in(
    header: CheckedHeader,
    tx_hashes: Iterable[str],
    receipts: Sequence[Mapping[str, Any]],
    addresses: Collection[bytes],
) -> list[dict[str, Any]]:
    """Return the logs of some addresses in checked receipts, in the form of JSON-RPC.

    All of it comes from the checked bytes and the order of the receipts: what the node writes
    about the place of a log proves nothing.

    Args:
        header: The block.
        tx_hashes: Its checked transactions.
        receipts: Its checked receipts.
        addresses: Contracts, 20 bytes each.
    """
    logs, index = [], 0
    for place, (tx_hash, receipt) in enumerate(zip(tx_hashes, receipts, strict=True)):
        for log in receipt["logs"]:
            address = raw_bytes(log["address"])
            if address in addresses:
                logs.append(
                    {
                        "address": hex_text(address),
                        "topics": [hex_text(raw_bytes(topic)) for topic in log["topics"]],
                        "data": hex_text(raw_bytes(log["data"])),
                        "blockHash": header.hash,
                        "blockNumber": hex(header.number),
                        "transactionHash": tx_hash,
                        "transactionIndex": hex(place),
                        "logIndex": hex(index),
                    }
                )
            index += 1
    return logs


def check_transaction(tx: Any, tx_hash: str) -> bytes:
    """Return the consensus bytes of a transaction; raise WrongAnswer unless they have this hash."""
    _require_object(tx, "transaction")
    value = well_formed("transaction", lambda: encode_transaction(tx))
    if (computed := hex_text(keccak(value))) != tx_hash.lower():
        raise WrongAnswer(
            NodeFault.TRANSACTION,
            f"the node gave a transaction that hashes to {computed} instead of {tx_hash}",
        )
    return value


def check_nonce(header: CheckedHeader, address: str, proof: Any) -> int:
    """Return how many transactions of an address the chain holds up to a block.

    Args:
        header: The block.
        address: 0x-hex.
        proof: The account as `eth_getProof` shows it (EIP-1186).

    Raises:
        WrongAnswer: The state of the block does not hold this account.
    """
    _require_object(proof, "proof")
    nodes = well_formed("proof", lambda: [raw_bytes(node) for node in proof["accountProof"]])
    try:
        account = proven_at(header.state_root, keccak(raw_bytes(address)), nodes)
        fields = rlp_list(account, "the account")
    except Rejected as error:
        raise WrongAnswer(
            NodeFault.STATE,
            f"the node's proof of {address} does not hold at block {header.number}: {error}",
        ) from error
    return well_formed("proof", lambda: int.from_bytes(fields[0], "big"))


def _require_object(value: Any, what: str) -> None:
    if value is None:
        raise WrongAnswer(NodeFault.MISSING, f"the node does not have this {what} (any more)")
    if not isinstance(value, dict):
        raise WrongAnswer(NodeFault.MALFORMED, f"the node gave {value!r:.60} instead of a {what}")
