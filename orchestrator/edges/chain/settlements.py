"""Reads the claims that settlements applied from their call data.

An oracle that was down uses it to catch up with what the others attested.
"""

from __future__ import annotations

from collections.abc import Iterator

from oracles.types import Claim
from orchestrator.core.outcome import unpack
from orchestrator.edges.chain.client import Chain

_BLOCKS_AT_ONCE = 1_000
Recorded = dict[tuple[str, str], int]  # (block hash, transaction hash) -> the block's number


def settled_claims(
    chain: Chain, above: int, head: int, recorded: Recorded | None = None
) -> Iterator[tuple[list[Claim], int]]:
    """Yield (claims, the last block read) for the blocks above one, up to the head.

    Args:
        chain: The node's client.
        above: The last block that was read before.
        head: The last block to read.
        recorded: Settlements to leave out. What was yielded is added once the caller asks for more.

    Raises:
        Retry: The node does not answer.

    Warning: a settlement through another contract is left out, since such call data proves nothing:
    its claims are missing.
    """
    first = max(above + 1, chain.deployment.block_number)
    while first <= head:
        last = min(first + _BLOCKS_AT_ONCE - 1, head)
        logs = {
            (log.block_hash, log.tx_hash): log
            for log in chain.logs_named({"PaymentRail": ("Settled",)}, first, last)
        }
        claims = [
            claim
            for key, log in logs.items()
            if recorded is None or key not in recorded
            for claim in _applied(chain, log.tx_hash, log.args["outcomes"])
        ]
        yield claims, last
        if recorded is not None:
            recorded |= {key: log.block_number for key, log in logs.items()}
        first = last + 1


def _applied(chain: Chain, tx_hash: str, packed: str) -> list[Claim]:
    function, arguments = chain.call_input(tx_hash, "PaymentRail")
    if function != "settle":
        return []
    outcomes = unpack(bytes.fromhex(packed[2:]))
    return [
        Claim(
            fields["agreement"],
            fields["sequence"],
            fields["firstCounter"],
            fields["lastCounter"],
            fields["evidence"],
            fields["facts"],
        )
        for fields, outcome in zip(arguments["batch"]["claims"], outcomes, strict=True)
        if not outcome.refusal
    ]
