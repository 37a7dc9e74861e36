"""The bytes that Ethereum hashes, from a node's JSON: headers, receipts, transactions, tries.

See the yellow paper (4.3, appendix D) and EIP-2718 for typed receipts and transactions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeVar

import rlp
import sha3

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
HEADER_NAMES = {name for name, _ in _HEADER}

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
    return well_formed(
        "block",
        lambda: rlp.encode(
            [_integer(block[name]) if whole else raw_bytes(block[name]) for name, whole in _HEADER]
        ),
    )


def encode_receipt(receipt: Mapping[str, Any]) -> bytes:
    """Return the consensus bytes of a JSON-RPC receipt (EIP-2718 envelope)."""
    logs = [
        [
            raw_bytes(log["address"]),
            [raw_bytes(topic) for topic in log["topics"]],
            raw_bytes(log["data"]),
        ]
        for log in receipt["logs"]
    ]
    status, gas = _integer(receipt["status"]), _integer(receipt["cumulativeGasUsed"])
    return _typed(receipt, rlp.encode([status, gas, raw_bytes(receipt["logsBloom"]), logs]))


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


def _field(name: str, value: Any) -> Any:
    if name == "accessList":
        return [
            [raw_bytes(entry["address"]), [raw_bytes(key) for key in entry["storageKeys"]]]
            for entry in value
        ]
    if name == "blobVersionedHashes":
        return [raw_bytes(item) for item in value]
    if name == "authorizationList":
        whole = ("nonce", *_SEAL)
        return [
            [
                _integer(authorization["chainId"]),
                raw_bytes(authorization["address"]),
                *(_integer(authorization[part]) for part in whole),
            ]
            for authorization in value
        ]
    return raw_bytes(value) if name in _BYTES else _integer(value)


def _typed(item: Mapping[str, Any], payload: bytes) -> bytes:
    kind = int(item.get("type", "0x0"), 16)
    return bytes([kind]) + payload if kind else payload


def raw_bytes(value: str | None) -> bytes:
    """Return the bytes of a hex text, without its first two characters; b"" for None."""
    return bytes.fromhex(value[2:]) if value else b""


def hex_text(data: bytes) -> str:
    """Return 0x-hex."""
    return "0x" + data.hex()


def _integer(value: str) -> bytes:
    number = int(value, 16)
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def well_formed(what: str, read: Callable[[], _T]) -> _T:
    """Return what `read` returns; what it cannot read is a WrongAnswer."""
    try:
        return read()
    except (TypeError, ValueError, KeyError, AttributeError, IndexError, OverflowError) as error:
        raise WrongAnswer(
            NodeFault.MALFORMED, f"the node gave a {what} that cannot be read ({error!r:.80})"
        ) from error


def keccak(data: bytes) -> bytes:
    """Return keccak256 of bytes."""
    return sha3.keccak_256(data).digest()


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
