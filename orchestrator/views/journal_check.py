"""Checks the journal's hash chain, its sums, and its anchors on chain."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.core.anchors import AnchorVerdict, Compared, compare
from orchestrator.core.ledger import GENESIS
from orchestrator.edges.store import Session, Store, ledger, sends

if TYPE_CHECKING:  # its module loads web3, which a check without a node does not need
    from orchestrator.edges.chain.client import Chain

ANCHORED = ("settle", "release")  # the sends whose call data contains the hash of the newest entry


@dataclass(frozen=True, slots=True)
class JournalCheck:
    """The result of a journal check.

    Attributes:
        entries: Number of entries.
        broken: The first entry that does not match the hash of the entry before it.
        stray: Number of postings without an entry.
        sums: Debits minus credits by asset, in minor units.
        anchors: The comparison with the chain; None if it was not made.
        not_compared: Why it was not made.
    """

    entries: int
    broken: int | None
    stray: int
    sums: dict[str, int]
    anchors: Compared | None = None
    not_compared: str = ""

    @property
    def ok(self) -> bool:
        """Whether every check that was made passes."""
        sound = self.broken is None and not self.stray and not any(self.sums.values())
        return sound and (self.anchors is None or self.anchors.verdict is AnchorVerdict.HOLDS)


def check_journal(store: Store) -> JournalCheck:
    """Check the journal without the chain.

    Warning: someone who can write the whole database can pass this check.
    """
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
    """Compare the journal with its anchors on chain, up to the node's newest block.

    Args:
        senders: Addresses of the rail's sending key; those of stored sends are added, because
            the key may have been replaced.

    Raises:
        Retry: the node does not answer.
    """
    from orchestrator.edges.chain.anchored import read_anchors

    with store.read() as session:
        stored_senders = sends.senders_of(session, ANCHORED)
    # an anchor was the newest hash when signed, so it must match even if its block is dropped
    anchors = read_anchors(chain, {*senders, *stored_senders}, chain.head())
    with (
        store.read() as session
    ):  # read after the chain, so that the journal has every anchored entry
        return compare(anchors, lambda number: _hash_at(session, number), ledger.head(session)[0])


def _hash_at(session: Session, number: int) -> str | None:
    return GENESIS if number == 0 else ledger.hash_of(session, number)
