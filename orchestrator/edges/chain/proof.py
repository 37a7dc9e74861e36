"""Builds proofs that transactions and their receipts are in a block, and checks them.

The node is not trusted: both tries are rebuilt from the block's transactions and receipts, and
their roots and the header's keccak must match the block hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import requests
import rlp
from trie import HexaryTrie

from orchestrator.core.audit.blocks import Header
from orchestrator.errors import Halt, Retry

_TIMEOUT_SECONDS = 30
_RECEIPTS_PER_CALL = 200

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


def proofs(url: str, tx_hashes: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return {transaction hash: proof} for any transactions; each block is fetched once."""
    by_block: dict[str, list[str]] = {}
    for tx_hash in dict.fromkeys(map(_plain, tx_hashes)):
        by_block.setdefault(_block_of(url, tx_hash), []).append(tx_hash)
    all_proofs: dict[str, dict[str, Any]] = {}
    for block_hash, hashes in by_block.items():
        all_proofs |= block_proofs(url, block_hash, hashes)
    return all_proofs


def block_proofs(url: str, block_hash: str, tx_hashes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return {transaction hash: {"block", "header", "index", "transaction", "receipt"}} of a block.

    header: RLP of the block header, hex. index: position in the block. transaction, receipt: trie
    nodes from the root down, hex; their leaves hold the consensus bytes.

    Raises:
        Retry: The node does not answer or does not have the block.
        Halt: The node's data does not hash to the block.
    """
    block = _call(url, [("eth_getBlockByHash", [block_hash, True])])[0]
    if block is None:
        raise Retry(f"the node does not have block {block_hash}")
    receipts = _receipts(url, block)
    header = Header(header_rlp(block))
    transactions = _trie([encode_transaction(tx) for tx in block["transactions"]])
    outcomes = _trie([encode_receipt(receipt) for receipt in receipts])
    _check(block_hash, header, transactions, outcomes)
    places = {_plain(tx["hash"]): place for place, tx in enumerate(block["transactions"])}
    wanted = [_plain(tx_hash) for tx_hash in tx_hashes]
    missing = [tx_hash for tx_hash in wanted if tx_hash not in places]
    if missing:
        raise Halt(f"block {block_hash} does not hold {missing[0]}. Next: look up its block again.")
    return {
        tx_hash: {
            "block": "0x" + header.hash.hex(),
            "header": "0x" + header.raw.hex(),
            "index": places[tx_hash],
            "transaction": _nodes(transactions, places[tx_hash]),
            "receipt": _nodes(outcomes, places[tx_hash]),
        }
        for tx_hash in wanted
    }


def _check(block_hash: str, header: Header, transactions: HexaryTrie, receipts: HexaryTrie) -> None:
    pairs = (
        ("block hash", bytes.fromhex(_plain(block_hash)[2:]), header.hash),
        ("transactions root", header.transactions_root, transactions.root_hash),
        ("receipts root", header.receipts_root, receipts.root_hash),
    )
    for name, stated, computed in pairs:
        if stated != computed:
            raise Halt(
                f"the {name} of block {block_hash} is not the hash of its contents. No proof was "
                "made. Next: ask another node; if it agrees, the chain's blocks are not Osaka's."
            )


def header_rlp(block: dict[str, Any]) -> bytes:
    """Return the header's RLP from a JSON-RPC block; raise Halt if it lacks a field of Osaka."""
    absent = [name for name, _ in _HEADER if name not in block]
    if absent:
        raise Halt(f"the node's block has no {absent[0]}: proofs need a chain at Osaka or later.")
    return rlp.encode(
        [_integer(block[name]) if whole else _raw(block[name]) for name, whole in _HEADER]
    )


def encode_receipt(receipt: dict[str, Any]) -> bytes:
    """Return the consensus bytes of a JSON-RPC receipt (EIP-2718 envelope)."""
    logs = [
        [_raw(log["address"]), [_raw(topic) for topic in log["topics"]], _raw(log["data"])]
        for log in receipt["logs"]
    ]
    status, gas = _integer(receipt["status"]), _integer(receipt["cumulativeGasUsed"])
    return _typed(receipt, rlp.encode([status, gas, _raw(receipt["logsBloom"]), logs]))


def encode_transaction(tx: dict[str, Any]) -> bytes:
    """Return the consensus bytes of a transaction of type 0 to 4; raise Halt for other types."""
    names = _TRANSACTION.get(int(tx.get("type", "0x0"), 16))
    if names is None:
        raise Halt(f"transaction {tx['hash']} has a type that is not known: {tx['type']}.")
    values = {"yParity": tx.get("v"), **tx}  # some nodes give a typed transaction only `v`
    return _typed(tx, rlp.encode([_field(name, values[name]) for name in names]))


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


def _typed(item: dict[str, Any], payload: bytes) -> bytes:
    kind = int(item.get("type", "0x0"), 16)
    return bytes([kind]) + payload if kind else payload


def _trie(values: Sequence[bytes]) -> HexaryTrie:
    trie = HexaryTrie({})
    for index, value in enumerate(values):
        trie[rlp.encode(index)] = value
    return trie


def _nodes(trie: HexaryTrie, index: int) -> list[str]:
    return ["0x" + rlp.encode(node).hex() for node in trie.get_proof(rlp.encode(index))]


def _receipts(url: str, block: dict[str, Any]) -> list[dict[str, Any]]:
    hashes = [tx["hash"] for tx in block["transactions"]]
    receipts: list[dict[str, Any]] = []
    for start in range(0, len(hashes), _RECEIPTS_PER_CALL):
        part = hashes[start : start + _RECEIPTS_PER_CALL]
        receipts += _call(url, [("eth_getTransactionReceipt", [tx_hash]) for tx_hash in part])
    if any(receipt is None or receipt["blockHash"] != block["hash"] for receipt in receipts):
        raise Retry(f"block {block['hash']} is no longer part of the node's chain")
    return receipts


def _block_of(url: str, tx_hash: str) -> str:
    receipt = _call(url, [("eth_getTransactionReceipt", [tx_hash])])[0]
    if receipt is None:
        raise Retry(f"the node has no receipt of {tx_hash} yet")
    return receipt["blockHash"]


def _call(url: str, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
    """Return the results of a JSON-RPC batch, in the order asked."""
    body = [
        {"jsonrpc": "2.0", "id": place, "method": method, "params": params}
        for place, (method, params) in enumerate(calls)
    ]
    try:
        answers = requests.post(url, json=body, timeout=_TIMEOUT_SECONDS).json()
        by_id = {answer["id"]: answer for answer in answers}
        return [by_id[place]["result"] for place in range(len(calls))]
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        raise Retry(f"the node did not answer {calls[0][0]}") from error


def _plain(value: str) -> str:
    return "0x" + value.lower().removeprefix("0x")


def _raw(value: str | None) -> bytes:
    return bytes.fromhex(value[2:]) if value else b""


def _integer(value: str) -> bytes:
    number = int(value, 16)
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
