"""Reads the journal's anchors back from the node: they are in the calls that our keys sent."""

from __future__ import annotations

from collections.abc import Collection

from orchestrator.core.anchors import Anchor, parse
from orchestrator.core.audit.blocks import transaction_call
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.ethereum import Account

_BLOCKS_AT_ONCE, _CALLS_AT_ONCE = 1_000, 200
_ANCHORED = ("Settled", "Released")  # the logs that anchored calls leave


def read_anchors(chain: Chain, senders: Collection[str], last: int) -> list[Anchor]:
    """Return the anchors in these addresses' settlements and releases, oldest first.

    Anyone may append bytes to a call of their own, so only our senders' calls count. The store is
    not asked.

    Args:
        chain: The node's client.
        senders: The addresses whose calls count.
        last: The newest block to read.

    Raises:
        Retry: The node does not answer, or does not show a transaction.
    """
    block_of: dict[str, int] = {}
    for first in range(chain.deployment.block_number, last + 1, _BLOCKS_AT_ONCE):
        upto = min(first + _BLOCKS_AT_ONCE - 1, last)
        for log in chain.logs_between("PaymentRail", first, upto):
            if log.name in _ANCHORED:
                block_of[log.tx_hash] = log.block_number
    hashes, anchors = list(block_of), []
    for start in range(0, len(hashes), _CALLS_AT_ONCE):
        anchors += _anchors(
            chain,
            {tx_hash: block_of[tx_hash] for tx_hash in hashes[start : start + _CALLS_AT_ONCE]},
            {address.lower() for address in senders},
        )
    return anchors


def _anchors(chain: Chain, blocks: dict[str, int], senders: set[str]) -> list[Anchor]:
    anchors = []
    for (tx_hash, number), raw in zip(
        blocks.items(), chain.reader.transactions(list(blocks)), strict=True
    ):
        anchor = parse(transaction_call(raw)[1])
        if anchor is not None and Account.recover_transaction(raw).lower() in senders:
            anchors.append(Anchor(*anchor, number, tx_hash))
    return anchors
