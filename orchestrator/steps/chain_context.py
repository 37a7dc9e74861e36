"""Context that the posting rules of core/chain_posting need, from the logs in the store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from oracles.types import Claim
from orchestrator.core.chain_posting import entries_of_block
from orchestrator.core.ledger import Entry, entry_id
from orchestrator.core.mandate import opened_mandate
from orchestrator.core.outcome import NOBODY
from orchestrator.core.outside import TokenHistory
from orchestrator.edges.chain.client import Chain, DecodedLog, SeenBlock
from orchestrator.edges.chain.plan import checksum
from orchestrator.edges.chain.rails import rail_addresses
from orchestrator.edges.chain.stored import log_of
from orchestrator.edges.store import Session, Store, agreements, blocks, ledger
from orchestrator.products import of_address
from orchestrator.steps.outcomes import claims_of


class PostingContext(Protocol):
    """What posting blocks needs of the rail."""

    store: Store
    chain: Chain
    log: Any


Claims = Mapping[tuple[str, int], Sequence[Claim]]  # by (transaction hash, log index)


def read_claims(context: PostingContext, logs: Iterable[DecodedLog]) -> Claims:
    """Return the claims of every settlement among these logs.

    It asks the node: never call it within a write transaction.

    Raises:
        Retry: The node does not answer.
    """
    return {
        (log.tx_hash, log.index): claims_of(context, log) for log in logs if log.name == "Settled"
    }


class StoredChain:
    """core.chain_posting.ChainContext within one session, for logs that are stored."""

    def __init__(self, context: PostingContext, session: Session, claims: Claims) -> None:
        deployment = context.chain.deployment
        self.rails = rail_addresses(deployment)
        self._session, self._claims = session, claims
        self._products = of_address(deployment.addresses)
        ids = {
            "0x" + claim.agreement.hex()
            for claims_of_log in claims.values()
            for claim in claims_of_log
        }
        self._terms = {
            row.agreement_id: (row.product_address, row.payee)
            for row in agreements.by_ids(session, ids).values()
        }
        self._around: dict[str, list[DecodedLog]] = {}
        self.outside = TokenHistory(
            self._waterfalls, self._transfers, lambda: blocks.followed(session)
        )

    def claims(self, log: DecodedLog) -> Sequence[Claim]:
        """Return the claims of a `Settled` log, which were read before."""
        return self._claims.get((log.tx_hash, log.index), ())

    def payee(self, agreement: str, facts: bytes) -> str | None:
        """Return the payee of a claim; None if its product is not known."""
        if agreement not in self._terms:
            self._terms[agreement] = self._opened(agreement)
        product, payee = self._terms[agreement]
        if payee not in ("", NOBODY):
            return payee
        _, rules = self._products.get(product.lower(), ("", None))
        return rules.payee(facts) if rules else None

    def _opened(self, agreement: str) -> tuple[str, str]:
        """Return (product, payee) of an agreement that was not opened through this rail."""
        rows = blocks.logs_about(self._session, ("AgreementOpened",), agreement)
        if not rows:
            return "", ""
        args = log_of(rows[0]).args
        return opened_mandate(args)["product"], args["payee"]

    def _waterfalls(self) -> list[DecodedLog]:
        return [log_of(row) for row in blocks.logs_named(self._session, ("WaterfallCreated",))]

    def _transfers(self, address: str) -> list[DecodedLog]:
        rows = blocks.logs_about(self._session, ("Transfer",), checksum(address))
        return [log_of(row) for row in rows]

    def around(self, log: DecodedLog) -> Sequence[DecodedLog]:
        """Return the logs of the same transaction, in order."""
        if log.tx_hash not in self._around:
            rows = blocks.logs_in_transaction(self._session, log.tx_hash)
            self._around[log.tx_hash] = [log_of(row) for row in rows]
        return self._around[log.tx_hash]

    def settled(self, payment: str) -> Entry | None:
        """Return the entry by which an earlier block settled a payment."""
        return ledger.entry(self._session, entry_id("settled", payment))


def by_block(
    context: PostingContext,
    session: Session,
    seen: Sequence[blocks.BlockRow | SeenBlock],
    logs: Iterable[DecodedLog],
    claims: Claims,
    origin: str = "block",
) -> Iterator[tuple[blocks.BlockRow | SeenBlock, list[DecodedLog], list[Entry]]]:
    """Yield (block, its logs, the entries that follow from them), block by block.

    The caller stores the entries of a block before it takes the next one.
    """
    stored, logs_by_block = StoredChain(context, session, claims), defaultdict(list)
    for log in logs:
        logs_by_block[log.block_hash].append(log)
    for block in seen:
        block_logs = logs_by_block[block.hash]
        entries = entries_of_block(block.hash, block.timestamp, block_logs, stored, origin)
        yield block, block_logs, entries
