"""Checks what a node says about a block against the block's hash. Pure.

A node answers in JSON (Ethereum JSON-RPC). Its header is right if its RLP hashes to the block hash;
its receipts and transactions are right if their tries have the roots in the header (Ethereum yellow
paper, 4.3; EIP-2718 for typed ones). Nothing else that the node adds to them is used.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any, TypeVar

import rlp

from device_adapters.types import Rejected
from orchestrator.core.audit.blocks import keccak, proven_at, rlp_list
from orchestrator.errors import Retry

# Header fields in the order of the RLP (Osaka); True: an integer, so without leading zeros.
_HEADER = (
    ("parentHash", False),
    ("sha3Uncles", False),
    ("miner", False),
    ("stateRoot", False),
    ("transactionsRoot", False),
    ("receiptsRoot", False),
    ("logsBloom", False),
    ("difficulty", True),
    ("number", True),
    ("gasLimit", True),
    ("gasUsed", True),
    ("timestamp", True),
    ("extraData", False),
    ("mixHash", False),
    ("nonce", False),
    ("baseFeePerGas", True),
    ("withdrawalsRoot", False),
    ("blobGasUsed", True),
    ("excessBlobGas", True),
    ("parentBeaconBlockRoot", False),
    ("requestsHash", False),
)
# what nodes show with a header and no header holds
_NOT_HASHED = {"hash", "size", "totalDifficulty", "uncles", "transactions", "withdrawals"}

# Fields of each transaction type in the order of the RLP: EIP-155, 2930, 1559, 4844, 7702.
_FEES = ("maxPriorityFeePerGas", "maxFeePerGas")
_CALL = ("gas", "to", "value", "input")
_SEAL = ("yParity", "r", "s")
_TRANSACTION = {
    0: ("nonce", "gasPrice", *_CALL, "v", "r", "s"),
    1: ("chainId", "nonce", "gasPrice", *_CALL, "accessList", *_SEAL),
    2: ("chainId", "nonce", *_FEES, *_CALL, "accessList", *_SEAL),
    3: (
        "chainId",
        "nonce",
        *_FEES,
        *_CALL,
        "accessList",
        "maxFeePerBlobGas",
        "blobVersionedHashes",
        *_SEAL,
    ),
    4: ("chainId", "nonce", *_FEES, *_CALL, "accessList", "authorizationList", *_SEAL),
}
_BYTES = ("to", "input")
_BLOOM_BYTES = 256
_T = TypeVar("_T")


class NodeFault(StrEnum):
    """Why an answer of a node is not used; the code stands at the end of the error's text."""

    MALFORMED = "malformed"  # not of the form that JSON-RPC prescribes
    MISSING = "missing"  # the node does not have it (any more)
    HEADER = "header_hash"  # the header does not hash to the block hash
    FIELDS = "header_fields"  # the header has fields that this version does not know, or lacks some
    NUMBER = "block_number"  # another block than the one that was asked for
    PARENT = "parent"  # the block does not follow the one before
    RECEIPTS = "receipts_root"  # short, doubled, reordered, changed, or of another block
    TRANSACTIONS = "transactions_root"  # the same of transactions
    TRANSACTION = "transaction_hash"  # a transaction that does not hash to its own hash
    STATE = "state_root"  # an account that the state of the block does not hold


class WrongAnswer(Retry):
    """An answer of a node that does not prove itself: it is asked again, and nothing is stored."""

    def __init__(self, fault: NodeFault, text: str) -> None:
        super().__init__(f"{text} [{fault}]")
        self.fault = fault


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
    computed = _hex(keccak(raw))
    if computed != block.get("hash"):
        unknown = sorted(set(block) - _NOT_HASHED - {name for name, _ in _HEADER})
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
    header = _well_formed("block", lambda: _header(block, raw))
    if number is not None and header.number != number:
        raise WrongAnswer(
            NodeFault.NUMBER, f"the node gave block {header.number} instead of block {number}"
        )
    return header


def _header(block: Mapping[str, Any], raw: bytes) -> CheckedHeader:
    bloom = _raw(block["logsBloom"])
    if len(bloom) != _BLOOM_BYTES:
        raise ValueError("the bloom filter has another length")
    return CheckedHeader(
        int(block["number"], 16),
        _hex(keccak(raw)),
        _hex(_raw(block["parentHash"])),
        int(block["timestamp"], 16),
        raw,
        _raw(block["stateRoot"]),
        _raw(block["transactionsRoot"]),
        _raw(block["receiptsRoot"]),
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
    values = _well_formed("transaction", lambda: [encode_transaction(tx) for tx in transactions])
    _check_root(header, header.transactions_root, values, NodeFault.TRANSACTIONS, "transactions")
    by_hash = {_hex(keccak(value)): value for value in values}
    if not len(by_hash) == len(values) == count:
        raise WrongAnswer(
            NodeFault.TRANSACTIONS,
            f"block {header.number} ({header.hash}) has {len(by_hash)} transactions and {count} "
            "receipts: no real chain has such a block",
        )
    return by_hash


def check_receipts(header: CheckedHeader, receipts: Any) -> None:
    """Raise WrongAnswer unless these are all receipts of the block, in their order."""
    values = _well_formed("receipt", lambda: [encode_receipt(receipt) for receipt in receipts])
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
    return any(_raw(log["address"]) in addresses for item in receipts for log in item["logs"])


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
            address = _raw(log["address"])
            if address in addresses:
                logs.append(
                    {
                        "address": _hex(address),
                        "topics": [_hex(_raw(topic)) for topic in log["topics"]],
                        "data": _hex(_raw(log["data"])),
                        "blockHash": header.hash,
                        "blockNumber": hex(header.number),
                        "transactionHash": tx_hash,
                        "transactionIndex": hex(place),
                        "logIndex": hex(index),
                    }
                )
            index += 1
    return logs


# --- the consensus bytes


def header_rlp(block: Mapping[str, Any]) -> bytes:
    """Return the header's RLP from a JSON-RPC block.

    Raises:
        WrongAnswer: It lacks a field of Osaka, or one is malformed.
    """
    absent = [name for name, _ in _HEADER if block.get(name) is None]
    if absent:
        raise WrongAnswer(
            NodeFault.FIELDS,
            f"the node's block has no {absent[0]}: the rail needs a chain at Osaka or later, and a "
            "node that shows the whole header",
        )
    return _well_formed(
        "block",
        lambda: rlp.encode(
            [_integer(block[name]) if whole else _raw(block[name]) for name, whole in _HEADER]
        ),
    )


def encode_receipt(receipt: Mapping[str, Any]) -> bytes:
    """Return the consensus bytes of a JSON-RPC receipt (EIP-2718 envelope)."""
    logs = [
        [_raw(log["address"]), [_raw(topic) for topic in log["topics"]], _raw(log["data"])]
        for log in receipt["logs"]
    ]
    status, gas = _integer(receipt["status"]), _integer(receipt["cumulativeGasUsed"])
    return _typed(receipt, rlp.encode([status, gas, _raw(receipt["logsBloom"]), logs]))


def encode_transaction(tx: Mapping[str, Any]) -> bytes:
    """Return the consensus bytes of a transaction of type 0 to 4.

    Raises:
        WrongAnswer: It has another type.
    """
    names = _TRANSACTION.get(int(tx.get("type", "0x0"), 16))
    if names is None:
        raise WrongAnswer(
            NodeFault.TRANSACTIONS,
            f"transaction {tx.get('hash')} has the type {tx['type']}, which this version does not "
            "know: use a newer version",
        )
    values = {"yParity": tx.get("v"), **tx}  # some nodes give a typed transaction only `v`
    return _typed(tx, rlp.encode([_field(name, values[name]) for name in names]))


def check_transaction(tx: Any, tx_hash: str) -> bytes:
    """Return the consensus bytes of a transaction; raise WrongAnswer unless they have this hash."""
    _require_object(tx, "transaction")
    value = _well_formed("transaction", lambda: encode_transaction(tx))
    if (computed := _hex(keccak(value))) != tx_hash.lower():
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
    nodes = _well_formed("proof", lambda: [_raw(node) for node in proof["accountProof"]])
    try:
        account = proven_at(header.state_root, keccak(_raw(address)), nodes)
        fields = rlp_list(account, "the account")
    except Rejected as error:
        raise WrongAnswer(
            NodeFault.STATE,
            f"the node's proof of {address} does not hold at block {header.number}: {error}",
        ) from error
    return _well_formed("proof", lambda: int.from_bytes(fields[0], "big"))


def _field(name: str, value: Any) -> Any:
    if name == "accessList":
        return [
            [_raw(entry["address"]), [_raw(key) for key in entry["storageKeys"]]] for entry in value
        ]
    if name == "blobVersionedHashes":
        return [_raw(item) for item in value]
    if name == "authorizationList":
        whole = ("nonce", *_SEAL)
        return [
            [
                _integer(authorization["chainId"]),
                _raw(authorization["address"]),
                *(_integer(authorization[part]) for part in whole),
            ]
            for authorization in value
        ]
    return _raw(value) if name in _BYTES else _integer(value)


def _typed(item: Mapping[str, Any], payload: bytes) -> bytes:
    kind = int(item.get("type", "0x0"), 16)
    return bytes([kind]) + payload if kind else payload


def _raw(value: str | None) -> bytes:
    return bytes.fromhex(value[2:]) if value else b""


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _integer(value: str) -> bytes:
    number = int(value, 16)
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _require_object(value: Any, what: str) -> None:
    if value is None:
        raise WrongAnswer(NodeFault.MISSING, f"the node does not have this {what} (any more)")
    if not isinstance(value, dict):
        raise WrongAnswer(NodeFault.MALFORMED, f"the node gave {value!r:.60} instead of a {what}")


def _well_formed(what: str, read: Callable[[], _T]) -> _T:
    """Return what `read` returns; what it cannot read is a WrongAnswer."""
    try:
        return read()
    except (TypeError, ValueError, KeyError, AttributeError, IndexError, OverflowError) as error:
        raise WrongAnswer(
            NodeFault.MALFORMED, f"the node gave a {what} that cannot be read ({error!r:.80})"
        ) from error


# --- the trie of a list (yellow paper, appendix D)

_EMPTY_ROOT = keccak(rlp.encode(b""))


def ordered_root(values: Sequence[bytes]) -> bytes:
    """Return the root of the trie that has value i under the key rlp(i).

    The library `trie` builds the same root by inserting one value at a time, at six times the cost;
    a test compares both.
    """
    if not values:
        return _EMPTY_ROOT
    pairs = [(_nibbles(rlp.encode(index)), value) for index, value in enumerate(values)]
    return keccak(rlp.encode(_node(sorted(pairs), 0)))


def _node(pairs: Sequence[tuple[bytes, bytes]], depth: int) -> list[Any]:
    """Return the node that holds these (nibbles of the key, value), below `depth` nibbles."""
    first, last = pairs[0][0], pairs[-1][0]
    if len(pairs) == 1:
        return [_hex_prefix(first[depth:], True), pairs[0][1]]
    shared = depth
    while first[shared] == last[shared]:
        shared += 1
    if shared > depth:
        return [_hex_prefix(first[depth:shared], False), _reference(_node(pairs, shared))]
    branch: list[Any] = [b""] * 17
    for nibble in range(16):  # no key is the beginning of another
        below = [pair for pair in pairs if pair[0][depth] == nibble]
        if below:
            branch[nibble] = _reference(_node(below, depth + 1))
    return branch


def _reference(node: list[Any]) -> Any:
    encoded = rlp.encode(node)
    return node if len(encoded) < 32 else keccak(encoded)


def _hex_prefix(nibbles: bytes, is_leaf: bool) -> bytes:
    flag = 2 * is_leaf + len(nibbles) % 2
    padded = bytes([flag, *nibbles]) if len(nibbles) % 2 else bytes([flag, 0, *nibbles])
    return bytes(16 * a + b for a, b in zip(padded[::2], padded[1::2], strict=True))


def _nibbles(data: bytes) -> bytes:
    return bytes(nibble for byte in data for nibble in divmod(byte, 16))
