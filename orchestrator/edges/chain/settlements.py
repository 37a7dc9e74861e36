"""Reads the claims that settlements applied from their call data.

An oracle that was down uses it to catch up with what the others attested.
"""

from __future__ import annotations

from collections.abc import Iterator

from oracles.types import Claim
from orchestrator.core.outcome import unpack
from orchestrator.edges.chain.client import Chain

_BLOCKS_AT_ONCE = 1_000


def settled_claims(chain: Chain, above: int, head: int) -> Iterator[tuple[list[Claim], int]]:
    """Yield (claims, the last block read) for the blocks above one, up to the head.

    Args:
        chain: The node's client.
        above: The last block that was read before.
        head: The last block to read.

    Raises:
        Retry: The node does not answer.

    Warning: a settlement through another contract is left out, since such call data proves nothing:
    its claims are missing.
    """
    first = max(above + 1, chain.deployment.block_number)
    while first <= head:
        last = min(first + _BLOCKS_AT_ONCE - 1, head)
        logs = chain.logs_between("PaymentRail", first, last)
        applied = {log.tx_hash: log.args["outcomes"] for log in logs if log.name == "Settled"}
        claims = [claim for tx, packed in applied.items() for claim in _applied(chain, tx, packed)]
        yield claims, last
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
