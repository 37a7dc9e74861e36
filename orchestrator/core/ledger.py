"""Double entry in integer minor units: turns facts of chain and bank into balanced entries.

Debits are positive, credits negative, and each entry sums to zero per asset. Token accounts are
kept in tEUR/6 (micro-euro), bank accounts in EUR/2 (cents).
"""

from __future__ import annotations

from orchestrator.core.entry import (
    GENESIS,
    Entry,
    Posting,
    balances,
    chain_hash,
    entry,
    entry_id,
    plain_name,
)
from orchestrator.errors import Halt

__all__ = [
    "CHARGES",
    "DEPOSITS",
    "EUR",
    "FROZEN",
    "FUNDING",
    "GENESIS",
    "IN_TRANSIT",
    "ISSUED",
    "MICRO_PER_CENT",
    "RETURNED",
    "SAFEGUARDING",
    "TEUR",
    "UNALLOCATED",
    "UNEXPLAINED",
    "WALLETS",
    "Entry",
    "Posting",
    "allocated",
    "balances",
    "bank_charge",
    "cents_of",
    "chain_hash",
    "credit_reversed",
    "debt_due",
    "dispute_ended",
    "disputed",
    "entry",
    "entry_id",
    "escrow",
    "funded",
    "funding_booked",
    "holder",
    "minted",
    "part_of",
    "payout_booked",
    "payout_returned",
    "pending",
    "plain_name",
    "receivable",
    "reclaimed",
    "redeemed",
    "released",
    "reordered",
    "sent_back",
    "settled",
    "share",
    "unallocated",
    "undivided",
    "unexplained",
    "withdrawable",
    "withdrawn",
]

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
WALLETS = "wallets"  # tokens outside the rail, of no known holder


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


def share(waterfall: str, person: str) -> str:
    """Return the account of what a waterfall has for one of its holders."""
    return f"share:{waterfall.lower()}:{person.lower()}"


def undivided(waterfall: str) -> str:
    """Return the account of what a waterfall has below a minor unit for each holder."""
    return f"share:{waterfall.lower()}:undivided"


def holder(person: str) -> str:
    """Return the account of the tokens in the own wallet of a waterfall's holder."""
    return f"holder:{person.lower()}"


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
