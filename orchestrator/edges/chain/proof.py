"""Builds proofs that transactions and their receipts are in a block, and checks them.

The node is not trusted: both tries are rebuilt from the block's transactions and receipts, and
their roots and the header's keccak must match the block hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import rlp
from trie import HexaryTrie

from orchestrator.core.consensus_bytes import NodeFault, WrongAnswer, encode_receipt
from orchestrator.edges.chain.checked import BlockReader
from orchestrator.errors import Retry


def proofs(reader: BlockReader, tx_hashes: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return {transaction hash: proof} for any transactions; each block is fetched once."""
    by_block: dict[str, list[str]] = {}
    for tx_hash in dict.fromkeys(map(_plain, tx_hashes)):
        by_block.setdefault(_block_of(reader, tx_hash), []).append(tx_hash)
    all_proofs: dict[str, dict[str, Any]] = {}
    for block_hash, hashes in by_block.items():
        all_proofs |= block_proofs(reader, block_hash, hashes)
    return all_proofs


def block_proofs(
    reader: BlockReader, block_hash: str, tx_hashes: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return {transaction hash: {"block", "header", "index", "transaction", "receipt"}} of a block.

    header: RLP of the block header, hex. index: position in the block. transaction, receipt: trie
    nodes from the root down, hex; their leaves hold the consensus bytes.

    Raises:
        Retry: The node does not answer, does not have the block or one of the transactions in it,
            or its data does not hash to the block.
    """
    header = reader.known(_plain(block_hash))
    transactions, receipts = reader.body(header)
    places = {tx_hash: place for place, tx_hash in enumerate(transactions)}
    wanted = [_plain(tx_hash) for tx_hash in tx_hashes]
    missing = [tx_hash for tx_hash in wanted if tx_hash not in places]
    if missing:
        raise WrongAnswer(NodeFault.MISSING, f"block {block_hash} does not hold {missing[0]}")
    calls, results = _trie(transactions.values()), _trie(map(encode_receipt, receipts))
    return {
        tx_hash: {
            "block": header.hash,
            "header": "0x" + header.raw.hex(),
            "index": places[tx_hash],
            "transaction": _nodes(calls, places[tx_hash]),
            "receipt": _nodes(results, places[tx_hash]),
        }
        for tx_hash in wanted
    }


def _trie(values: Iterable[bytes]) -> HexaryTrie:
    trie = HexaryTrie({})
    for index, value in enumerate(values):
        trie[rlp.encode(index)] = value
    return trie


def _nodes(trie: HexaryTrie, index: int) -> list[str]:
    return ["0x" + rlp.encode(node).hex() for node in trie.get_proof(rlp.encode(index))]


def _block_of(reader: BlockReader, tx_hash: str) -> str:
    [receipt] = reader.nodes.rpc_many([("eth_getTransactionReceipt", [tx_hash])])
    if not isinstance(receipt, dict) or not isinstance(receipt.get("blockHash"), str):
        raise Retry(f"the node has no receipt of {tx_hash} yet")
    return receipt["blockHash"]


def _plain(value: str) -> str:
    return "0x" + value.lower().removeprefix("0x")
