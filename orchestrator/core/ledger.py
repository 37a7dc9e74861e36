"""Double entry in integer minor units: turns facts of chain and bank into balanced entries.

Debits are positive, credits negative, and each entry sums to zero per asset. Token accounts are
kept in tEUR/6 (micro-euro), bank accounts in EUR/2 (cents).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256

from orchestrator.errors import Halt

TEUR = "tEUR/6"
EUR = "EUR/2"
MICRO_PER_CENT = 10_000

ISSUED = "token:issued"  # debit balance = supply
SAFEGUARDING = "bank:safeguarding"  # asset: the booked bank balance
DEPOSITS = "customers:deposits"  # liability: euros behind the tokens
UNEXPLAINED = "suspense:unexplained"  # bank lines that nothing of ours explains
FUNDING = "suspense:funding"  # booked at the bank, not minted yet
IN_TRANSIT = "payouts:in_transit"  # ordered, not booked by the bank yet
FROZEN = "frozen"  # disputed payments
WALLETS = "wallets"  # tokens outside the rail

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


def escrow(agreement: str) -> str:
    """Return the account of the tokens in an agreement's escrow."""
    return f"escrow:{agreement}"


def pending(payee: str) -> str:
    """Return the account of a payee's money within the dispute window."""
    return f"pending:{payee.lower()}"


def withdrawable(payee: str) -> str:
    """Return the account of a payee's money after the dispute window."""
    return f"withdrawable:{payee.lower()}"


def receivable(payee: str) -> str:
    """Return the account of a payee's debts; together with `debt_due` a memo without tokens."""
    return f"receivable:{payee.lower()}"


def debt_due(agreement: str) -> str:
    """Return the account of debts to an agreement: the other side of `receivable`."""
    return f"debt_due:{agreement}"


def funding_booked(credit: str, cents: int) -> Entry:
    """Return the entry: the bank booked a credit for an agreement, and no token is minted yet."""
    return entry("funding_booked", credit, [(SAFEGUARDING, EUR, cents), (FUNDING, EUR, -cents)])


def minted(credit: str, account: str, amount_micro: int) -> Entry:
    """Return the entry: tokens for a booked credit entered an agreement's escrow, or a wallet."""
    cents = cents_of(amount_micro)
    return entry(
        "minted",
        credit,
        [
            (FUNDING, EUR, cents),
            (DEPOSITS, EUR, -cents),
            (ISSUED, TEUR, amount_micro),
            (account, TEUR, -amount_micro),
        ],
    )


def settled(payment: str, agreement: str, payee: str, amount_micro: int) -> Entry:
    """Return the entry: a payment moved from escrow to the payee's pending money."""
    return entry(
        "settled",
        payment,
        [
            (escrow(agreement), TEUR, amount_micro),
            (pending(payee), TEUR, -amount_micro),
        ],
    )


def released(ref: str, payee: str, amount_micro: int) -> Entry:
    """Return the entry: the dispute window of some payments ended.

    amount_micro: what the payee got, after debts were paid from it.
    """
    return entry(
        "released",
        ref,
        [
            (pending(payee), TEUR, amount_micro),
            (withdrawable(payee), TEUR, -amount_micro),
        ],
    )


def redeemed(payout: str, account: str, cents: int) -> Entry:
    """Return the entry: tokens were burned for a payout order in whole cents."""
    micro = cents * MICRO_PER_CENT
    return entry(
        "redeemed",
        payout,
        [
            (account, TEUR, micro),
            (ISSUED, TEUR, -micro),
            (DEPOSITS, EUR, cents),
            (IN_TRANSIT, EUR, -cents),
        ],
    )


def payout_booked(payout: str, cents: int) -> Entry:
    """Return the entry: the bank booked the payout's debit."""
    return entry("payout_booked", payout, [(IN_TRANSIT, EUR, cents), (SAFEGUARDING, EUR, -cents)])


def disputed(payment: str, payee: str, amount_micro: int) -> Entry:
    """Return the entry: a payer froze a payment within its dispute window."""
    return entry(
        "disputed",
        payment,
        [
            (pending(payee), TEUR, amount_micro),
            (FROZEN, TEUR, -amount_micro),
        ],
    )


def dispute_ended(
    payment: str, agreement: str, payee: str, refunded_micro: int, kept_micro: int
) -> Entry:
    """Return the entry: a frozen payment went back to escrow, or to the payee, or to both.

    Args:
        payment: The payment's id.
        agreement: Its agreement.
        payee: Its payee.
        refunded_micro: What went back to the escrow.
        kept_micro: What is the payee's: all of a payment that stands; of a refunded one what a
            correction that is paid gave back before.
    """
    return entry(
        "dispute_ended",
        payment,
        [
            (FROZEN, TEUR, refunded_micro + kept_micro),
            (escrow(agreement), TEUR, -refunded_micro),
            (withdrawable(payee), TEUR, -kept_micro),
        ],
    )


def reclaimed(ref: str, agreement: str, amount_micro: int) -> Entry:
    """Return the entry: unspent escrow went back to the payer after the agreement's end."""
    return entry(
        "reclaimed",
        ref,
        [
            (escrow(agreement), TEUR, amount_micro),
            (WALLETS, TEUR, -amount_micro),
        ],
    )


def withdrawn(ref: str, payee: str, amount_micro: int) -> Entry:
    """Return the entry: a payee took tokens out to a wallet."""
    return entry(
        "withdrawn",
        ref,
        [
            (withdrawable(payee), TEUR, amount_micro),
            (WALLETS, TEUR, -amount_micro),
        ],
    )


def funded(ref: str, agreement: str, amount_micro: int) -> Entry:
    """Return the entry: tokens from a wallet went into an agreement's escrow."""
    return entry(
        "funded",
        ref,
        [
            (WALLETS, TEUR, amount_micro),
            (escrow(agreement), TEUR, -amount_micro),
        ],
    )


def unexplained(line: str, amount_cents: int) -> Entry:
    """Return the entry: the bank booked a line that no order and no reference of ours explains."""
    return entry(
        "unexplained",
        line,
        [
            (SAFEGUARDING, EUR, amount_cents),
            (UNEXPLAINED, EUR, -amount_cents),
        ],
    )


def cents_of(amount_micro: int) -> int:
    """Return the whole cents of a token amount.

    Raises:
        Halt: Cents would be lost.
    """
    cents, rest = divmod(amount_micro, MICRO_PER_CENT)
    if rest:
        raise Halt(f"{amount_micro} micro-euro is not a whole number of cents")
    return cents


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


# --- what the bank books (core/bank_posting.py decides which)

UNALLOCATED = "suspense:unallocated"  # credits without a reference of ours: a person decides
RETURNED = "payouts:returned"  # paid out, and sent back by the bank
CHARGES = "expenses:bank_charges"  # what the bank took for itself


def part_of(payout: str, cause: str) -> str:
    """Return the reference of a further entry about a payout.

    Args:
        payout: The payout's id.
        cause: The id of the record that the entry follows from.
    """
    return f"{payout}/{cause}"


def payout_returned(ref: str, cents: int) -> Entry:
    """Return the entry: a payout, or a part of it, came back; it is still owed to its payee."""
    return entry("payout_returned", ref, [(SAFEGUARDING, EUR, cents), (RETURNED, EUR, -cents)])


def reordered(ref: str, cents: int) -> Entry:
    """Return the entry: two officers had a payout that came back ordered again."""
    return entry("reordered", ref, [(RETURNED, EUR, cents), (IN_TRANSIT, EUR, -cents)])


def bank_charge(line: str, cents: int) -> Entry:
    """Return the entry: the bank took a charge; an amount below zero: it gave one back."""
    return entry("bank_charge", line, [(CHARGES, EUR, cents), (SAFEGUARDING, EUR, -cents)])


def unallocated(credit: str, cents: int) -> Entry:
    """Return the entry: the bank booked a credit that names no agreement which can take it."""
    return entry("unallocated", credit, [(SAFEGUARDING, EUR, cents), (UNALLOCATED, EUR, -cents)])


def allocated(credit: str, cents: int) -> Entry:
    """Return the entry: two officers found the agreement of a credit; no token is minted yet."""
    return entry("allocated", credit, [(UNALLOCATED, EUR, cents), (FUNDING, EUR, -cents)])


def sent_back(payout: str, cents: int) -> Entry:
    """Return the entry: two officers had a credit sent back, as a payout without tokens."""
    return entry("sent_back", payout, [(UNALLOCATED, EUR, cents), (IN_TRANSIT, EUR, -cents)])


def credit_reversed(credit: str, account: str, cents: int) -> Entry:
    """Return the entry: the bank took back a credit whose tokens are not minted.

    account: the suspense account that held it.
    """
    return entry("credit_reversed", credit, [(account, EUR, cents), (SAFEGUARDING, EUR, -cents)])
