"""Ledger entries: postings that balance, their ids, and the hash chain of the journal.

Debits are positive, credits negative, and each entry sums to zero per asset. Token accounts are
kept in tEUR/6 (micro-euro), bank accounts in EUR/2 (cents).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256

from orchestrator.errors import Halt

GENESIS = "0" * 64  # what the first entry is chained to

# The journal's hashes are format 1: they cover these words as 0.3.0 wrote them, so that journals,
# anchors and bundles of 0.3.0 hold under the plain names that came after.
_HASHED_AS = {
    "debt_recorded": "credited",
    "debt_paid": "credit_paid",
    "debt_due": "credit_due",
    "approval": "decision",
}
_PLAIN = {old: plain for plain, old in _HASHED_AS.items()}


@dataclass(frozen=True, slots=True)
class Posting:
    """One debit (positive) or credit (negative) of an entry, in minor units of its asset."""

    account: str
    asset: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One immutable ledger entry.

    Attributes:
        entry_id: Derived from kind and reference, so that one cause posts once.
        kind: What happened.
        ref: The id of the record that it is about.
        postings: Its debits and credits.
        at: The time of its source, Unix seconds.
        source: The recorded input that it follows from.
    """

    entry_id: str
    kind: str
    ref: str  # payment id, credit id or payout id
    postings: tuple[Posting, ...]
    at: int = 0
    source: str = ""  # "block:0x<hash>", "file:<sha256>" or "approval:<id>"

    def dated(self, at: int, source: str) -> Entry:
        """Return the entry with a source and its time; an entry that has a source keeps both."""
        return self if self.source else replace(self, at=at, source=source)


def entry(kind: str, ref: str, postings: Iterable[tuple[str, str, int]]) -> Entry:
    """Return a balanced entry; zero postings are left out.

    Raises:
        Halt: It does not balance.
    """
    kept = tuple(Posting(*p) for p in postings if p[2])
    sums: dict[str, int] = defaultdict(int)
    for posting in kept:
        sums[posting.asset] += posting.amount_minor
    if any(sums.values()):
        raise Halt(f"entry {kind} for {ref} does not balance: {dict(sums)}. It was not posted.")
    return Entry(entry_id(kind, ref), kind, ref, kept)


def entry_id(kind: str, ref: str) -> str:
    """Return the id of the only entry of this kind about this reference: SHA-256, hex."""
    return sha256(f"{_HASHED_AS.get(kind, kind)}|{ref}".encode()).hexdigest()


def plain_name(text: str) -> str:
    """Return the kind, account or source of an entry as it is spelled since 0.4.0."""
    return _prefix_replaced(text, _PLAIN)


def _hashed_name(text: str) -> str:
    return _prefix_replaced(text, _HASHED_AS)


def _prefix_replaced(text: str, names: dict[str, str]) -> str:
    prefix, colon, rest = text.partition(":")
    return f"{names.get(prefix, prefix)}{colon}{rest}"


def balances(postings: Iterable[Posting]) -> dict[tuple[str, str], int]:
    """Return {(account, asset): balance in minor units}; debit positive."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for posting in postings:
        sums[posting.account, posting.asset] += posting.amount_minor
    return dict(sums)


def chain_hash(previous: str, item: Entry) -> str:
    """Return the hash of an entry over the hash of its predecessor.

    Any change in the journal changes all later hashes. Entries without a `source` are from before
    sources were recorded; they keep their hash, which does not cover their time.
    """
    lines = [previous, item.entry_id, _hashed_name(item.kind), item.ref]
    if item.source:
        lines += [str(item.at), _hashed_name(item.source)]
    lines += [f"{_hashed_name(p.account)}|{p.asset}|{p.amount_minor}" for p in item.postings]
    return sha256("\n".join(lines).encode()).hexdigest()
