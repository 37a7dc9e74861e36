"""Whether the journal is what was written: its hash chain, its sums, and its anchors on chain."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.core.anchors import AnchorVerdict, Compared, compare
from orchestrator.core.ledger import GENESIS
from orchestrator.edges.store import Session, Store, ledger, sends

if TYPE_CHECKING:  # its module loads web3, which a check without a node does not need
    from orchestrator.edges.chain.client import Chain

ANCHORED = ("settle", "release")  # the sends whose call data carries the journal's head


@dataclass(frozen=True, slots=True)
class JournalCheck:
    """entries: how many there are. broken: the first entry that does not follow from the one before
    it. stray: postings of no entry. sums: debits less credits by asset. anchors: None where no node
    was asked, and `silence` says why."""

    entries: int
    broken: int | None
    stray: int
    sums: dict[str, int]
    anchors: Compared | None = None
    silence: str = ""

    @property
    def ok(self) -> bool:
        sound = self.broken is None and not self.stray and not any(self.sums.values())
        return sound and (self.anchors is None or self.anchors.verdict is AnchorVerdict.HOLDS)


def check_journal(store: Store) -> JournalCheck:
    """The journal by itself. Whoever may write the whole database can make it consistent."""
    with store.read() as session:
        sums: dict[str, int] = {}
        for (_, asset), amount in ledger.balances(session).items():
            sums[asset] = sums.get(asset, 0) + amount
        return JournalCheck(
            ledger.count(session),
            ledger.first_broken_link(session),
            ledger.stray_postings(session),
            sums,
        )


def check_anchors(store: Store, chain: Chain, senders: Collection[str]) -> Compared:
    """The journal against what its rail said of it on chain, up to the node's newest block.

    senders: addresses of the rail's sending key; those of stored sends are added, for a key that
    was replaced. Raises Retry if the node is silent.
    """
    from orchestrator.edges.chain.anchored import read_anchors

    with store.read() as session:
        known = sends.senders_of(session, ANCHORED)
    # an anchor was the head when it was signed, so it must hold whatever becomes of its block
    anchors = read_anchors(chain, {*senders, *known}, chain.head())
    with store.read() as session:  # afterwards: what was anchored meanwhile is in the journal
        return compare(anchors, lambda number: _hash_at(session, number), ledger.head(session)[0])


def _hash_at(session: Session, number: int) -> str | None:
    return GENESIS if number == 0 else ledger.hash_of(session, number)
