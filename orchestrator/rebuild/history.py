"""Reads the chain's own history up to the newest final block from the node.

Nothing of it comes from the store: blocks by number, logs by block hash, claims from call data. The
store's copies are then compared with it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from oracles.merkle import root
from oracles.types import Claim, SkippedClaim
from orchestrator.core.batch_bytes import called_claims
from orchestrator.core.outcome import ClaimOutcome, Window, leaves_of, unpack
from orchestrator.edges.chain.client import Chain, DecodedLog, SeenBlock
from orchestrator.edges.chain.settlements import skipped_claim
from orchestrator.edges.store import Session, all_rows, batches, blocks
from orchestrator.errors import Retry
from orchestrator.rebuild.findings import Differences

_BLOCKS_AT_ONCE = 100
Place = tuple[str, int]  # of a log: transaction hash, index in its block


def place(log: DecodedLog) -> Place:
    """Return where a log is: its transaction, and its index in the block."""
    return log.tx_hash, log.index


@dataclass(frozen=True, slots=True)
class Applied:
    """A claim that a final settlement has applied, with the contract's outcome."""

    claim: Claim
    outcome: ClaimOutcome
    log: DecodedLog


@dataclass
class ChainHistory:
    """The chain up to the newest final block.

    Attributes:
        blocks: The blocks, oldest first.
        logs: Block hash -> its logs in order.
        claims: Place of each `Settled` log -> the claims in the settlement's call data; those of a
            settlement through another contract are the ones that its Merkle root proves.
    """

    blocks: list[SeenBlock] = field(default_factory=list)
    logs: dict[str, list[DecodedLog]] = field(default_factory=dict)
    claims: dict[Place, list[Claim]] = field(default_factory=dict)

    def named(self, *names: str) -> list[DecodedLog]:
        """Return all logs with these names, in chain order."""
        return [log for b in self.blocks for log in self.logs[b.hash] if log.name in names]

    def applied(self) -> list[Applied]:
        """Return every claim that a settlement did not refuse, in chain order."""
        return [claim for claim in self.passed() if isinstance(claim, Applied)]

    def passed(self) -> list[Applied | SkippedClaim]:
        """Return every claim that was applied, or that its parties passed over, in chain order."""
        passed: list[Applied | SkippedClaim] = []
        for log in self.named("Settled", "ClaimSkipped"):
            if log.name == "ClaimSkipped":
                passed.append(skipped_claim(log))
                continue
            outcomes = unpack(bytes.fromhex(log.args["outcomes"][2:]))
            passed += [
                Applied(claim, outcome, log)
                for claim, outcome in zip(self.claims[place(log)], outcomes, strict=False)
                if not outcome.refusal
            ]
        return passed


def read_history(chain: Chain, session: Session, final: int, findings: Differences) -> ChainHistory:
    """Return everything from the deployment's block to the newest final one.

    Raises:
        Retry: The node does not answer, or does not have these blocks (any more).
    """
    history, first = ChainHistory(), chain.deployment.block_number
    for start in range(first, final + 1, _BLOCKS_AT_ONCE):
        numbers = range(start, min(start + _BLOCKS_AT_ONCE, final + 1))
        seen = chain.blocks(numbers)
        history.blocks += seen
        by_block: dict[str, list[DecodedLog]] = defaultdict(list)
        for log in chain.logs_of([block.hash for block in seen]):
            by_block[log.block_hash].append(log)
        history.logs |= {block.hash: by_block[block.hash] for block in seen}
        findings.progress("blocks", numbers[-1] - first + 1, final - first + 1)
    settled = history.named("Settled")
    for done, log in enumerate(settled, 1):
        history.claims[place(log)] = _claims(chain, session, log)
        findings.progress("settlements", done, len(settled))
    findings.count("blocks", len(history.blocks))
    findings.count("logs", sum(map(len, history.logs.values())))
    return history


def _claims(chain: Chain, session: Session, log: DecodedLog) -> list[Claim]:
    function, arguments = chain.call_input(log.tx_hash, "PaymentRail")
    if function == "settle":
        return called_claims(arguments)
    return _proven(session, log)


def _proven(session: Session, log: DecodedLog) -> list[Claim]:
    """Return the claims of a settlement through another contract, whose call data proves nothing.

    They are those of the stored batch that hashes to the root in its log; none where no batch does.
    """
    outcomes = unpack(bytes.fromhex(log.args["outcomes"][2:]))
    wanted = bytes.fromhex(log.args["root"][2:])
    for batch in batches.of_size(session, log.args["product"], len(outcomes)):
        claims = [
            Claim(
                _raw(p.agreement_id),
                p.sequence,
                p.first_counter,
                p.last_counter,
                _raw(p.evidence_root),
                _raw(p.facts),
            )
            for p, _ in batch
        ]
        parties = {
            _raw(a.agreement_id): (p.payee or a.payee, Window(a.window_s, a.mandate_version))
            for p, a in batch
        }
        if root(leaves_of(claims, outcomes, parties, log.args["settledAt"])) == wanted:
            return claims
    return []


def _raw(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def check_copies(session: Session, history: ChainHistory, findings: Differences) -> None:
    """Compare the store's blocks and logs with the node's, up to the newest final block."""
    final = history.blocks[-1].number if history.blocks else 0
    stored = [row for row in all_rows(session, blocks.BlockRow) if row.number <= final]
    if len(stored) == len(history.blocks) and stored and not _same_chain(stored, history.blocks):
        raise Retry(
            "the node's blocks are not those that were final here: it is another chain, or "
            "was rewound below a final block. Ask another node"
        )
    findings.rows(
        "block",
        stored,
        {
            b.number: {"hash": b.hash, "parent": b.parent, "timestamp": b.timestamp}
            for b in history.blocks
        },
        lambda row: row.number,
    )
    stored_logs = _logs(session, final)
    findings.rows(
        "chain log",
        stored_logs,
        _wanted(history.logs),
        lambda row: (row.block_hash, row.log_index),
    )
    makers = {
        (block, log.index): log.address for block, logs in history.logs.items() for log in logs
    }
    for row in stored_logs:
        place = row.block_hash, row.log_index
        if row.address and place in makers:  # "": stored by a release before 0.6.0
            name = " ".join(map(str, place))
            findings.compare("chain log", name, row, {"address": makers[place]})


def _same_chain(stored: Sequence[blocks.BlockRow], seen: Sequence[SeenBlock]) -> bool:
    """Return whether any block is the same: if none is, the node follows another chain."""
    return any(row.hash == block.hash for row, block in zip(stored, seen, strict=True))


def _logs(session: Session, final: int) -> list[blocks.ChainLogRow]:
    return [row for row in all_rows(session, blocks.ChainLogRow) if row.block_number <= final]


def _wanted(logs: Mapping[str, Sequence[DecodedLog]]) -> dict[tuple[str, int], dict[str, object]]:
    return {
        (block, log.index): {
            "block_number": log.block_number,
            "tx_hash": log.tx_hash,
            "name": log.name,
            "args": json.dumps(log.args),
        }
        for block, block_logs in logs.items()
        for log in block_logs
    }
