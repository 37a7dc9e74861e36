"""Reads the claims that settlements applied from their call data, and those that were skipped.

An oracle that was down uses it to catch up with what the others attested.
"""

from __future__ import annotations

from collections.abc import Iterator

from oracles.types import Claim, SkippedClaim
from orchestrator.core.batch_bytes import called_claims
from orchestrator.core.outcome import unpack
from orchestrator.edges.chain.client import Chain, DecodedLog

_BLOCKS_AT_ONCE = 1_000
# (block hash, transaction hash, log index) -> the block's number
Recorded = dict[tuple[str, str, int], int]


def settled_claims(
    chain: Chain, above: int, head: int, recorded: Recorded | None = None
) -> Iterator[tuple[list[Claim | SkippedClaim], int]]:
    """Yield (claims, the last block read) for the blocks above one, up to the head.

    Claims are in chain order, those that payer and payee passed over among them.

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
        named = chain.logs_named({"PaymentRail": ("Settled", "ClaimSkipped")}, first, last)
        logs = {
            (log.block_hash, log.tx_hash, log.index): log
            for log in sorted(named, key=lambda log: (log.block_number, log.index))
        }
        claims = [
            claim
            for key, log in logs.items()
            if recorded is None or key not in recorded
            for claim in _claims_of(chain, log)
        ]
        yield claims, last
        if recorded is not None:
            recorded |= {key: log.block_number for key, log in logs.items()}
        first = last + 1


def _claims_of(chain: Chain, log: DecodedLog) -> list[Claim | SkippedClaim]:
    if log.name == "ClaimSkipped":
        return [skipped_claim(log)]
    return _applied(chain, log.tx_hash, log.args["outcomes"])


def skipped_claim(log: DecodedLog) -> SkippedClaim:
    """Return what a ClaimSkipped log says."""
    agreement = bytes.fromhex(log.args["agreement"][2:])
    return SkippedClaim(agreement, log.args["sequence"], log.args["lastCounter"])


def _applied(chain: Chain, tx_hash: str, packed: str) -> list[Claim]:
    function, arguments = chain.call_input(tx_hash, "PaymentRail")
    if function != "settle":
        return []
    outcomes = unpack(bytes.fromhex(packed[2:]))
    claims = called_claims(arguments)
    return [claim for claim, outcome in zip(claims, outcomes, strict=True) if not outcome.refusal]
