"""Reads the journal's anchors back from the node: the calls that our keys have sent to the rail."""

from __future__ import annotations

from collections.abc import Collection

from orchestrator.core.anchors import Anchor, parse
from orchestrator.edges.chain.client import Chain
from orchestrator.errors import Retry

_BLOCKS_AT_ONCE, _CALLS_AT_ONCE = 1_000, 200
_TELLS = ("Settled", "Released")  # what the anchored calls leave in the logs


def read_anchors(chain: Chain, senders: Collection[str], last: int) -> list[Anchor]:
    """The anchors of these addresses' settlements and releases up to block `last`, oldest first.

    Anybody may put anything behind a call of their own, so only our senders' count. Nothing is
    asked of the store. Raises Retry if the node is silent, or does not show a transaction.
    """
    found: dict[str, int] = {}
    for first in range(chain.deployment.block_number, last + 1, _BLOCKS_AT_ONCE):
        upto = min(first + _BLOCKS_AT_ONCE - 1, last)
        for log in chain.logs_between("PaymentRail", first, upto):
            if log.name in _TELLS:
                found[log.tx_hash] = log.block_number
    hashes, anchors = list(found), []
    for start in range(0, len(hashes), _CALLS_AT_ONCE):
        anchors += _anchors(
            chain,
            {h: found[h] for h in hashes[start : start + _CALLS_AT_ONCE]},
            {address.lower() for address in senders},
        )
    return anchors


def _anchors(chain: Chain, blocks: dict[str, int], senders: set[str]) -> list[Anchor]:
    sent = chain.rpc_many([("eth_getTransactionByHash", [tx_hash]) for tx_hash in blocks])
    anchors = []
    for (tx_hash, number), transaction in zip(blocks.items(), sent, strict=True):
        if transaction is None:
            raise Retry(f"the node does not show transaction {tx_hash}")
        told = parse(bytes.fromhex(transaction["input"][2:]))
        if told is not None and transaction["from"].lower() in senders:
            anchors.append(Anchor(*told, number, tx_hash))
    return anchors
