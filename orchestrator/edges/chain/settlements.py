"""The claims that settlements applied, read from their call data, for whoever was not asked about
them: an oracle that was away catches up with what the others attested.
"""

from __future__ import annotations

from collections.abc import Iterator

from oracles.types import Claim
from orchestrator.core.outcome import unpack
from orchestrator.edges.chain.client import Chain

_BLOCKS_AT_ONCE = 1_000


def settled_claims(chain: Chain, above: int, head: int) -> Iterator[tuple[list[Claim], int]]:
    """(claims, the block up to which they are all) of the blocks above one, up to the head.

    Raises Retry if the node is silent.
    Warning: a settlement that went through another contract is left out: such call data proves
    nothing. Whoever needs its claims lacks them.
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
            one["agreement"],
            one["sequence"],
            one["firstCounter"],
            one["lastCounter"],
            one["evidence"],
            one["facts"],
        )
        for one, outcome in zip(arguments["batch"]["claims"], outcomes, strict=True)
        if not outcome.refusal
    ]
