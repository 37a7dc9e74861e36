"""The kinds of differences: their meaning, the role that resolves them, and its first step."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class BreakKind(StrEnum):
    """A named difference. Stable codes, explained in docs/RECONCILIATION.md."""

    MISSING = "missing"  # one side has it, the next side lacks it
    EXTRA = "extra"  # one side has it, and no earlier side explains it
    AMOUNT = "amount"  # both have it, with different amounts
    DUPLICATE = "duplicate"  # booked or minted more than once
    TIMING = "timing"  # it came, on another day than it was due
    BATCH_BOOKED = "batch_booked"  # several payouts booked as one sum, without their references
    REJECTED = "rejected"  # the bank refused the payout
    RETURNED = "returned"  # paid, and the money came back
    CHARGES = "charges"  # the bank took charges out of the safeguarding account
    KEY_COMPROMISED = "key_compromised"  # paid on the word of a stolen key, and not frozen
    REORGANISED = "reorganised"  # a block with entries left the chain: they were voided
    SUPPLY_MISMATCH = "supply_mismatch"  # tokens against money, after all named items
    LEDGER_DIFFERS_FROM_CHAIN = "ledger_differs_from_chain"
    UNMATCHED_FUNDING = "unmatched_funding"  # a credit that no agreement claims
    MINT_WITHOUT_CREDIT = "mint_without_credit"
    NOT_CONFIRMED = "not_confirmed"  # notified intraday, absent from that day's statement
    STATEMENT_GAP = "statement_gap"  # a statement does not open where the last one closed
    CURRENCY = "currency"  # booked in a currency that is not the rail's
    DEBT_UNPAID = "debt_unpaid"  # owed back by a payee whose money has left already


class Leg(StrEnum):
    """Between which two sides a difference was found."""

    DEVICE = "device"  # device events <-> settlements on chain
    CHAIN = "chain"  # settlements on chain <-> ledger
    BANK = "bank"  # ledger <-> bank lines
    SUPPLY = "supply"  # tokens <-> money


class Duty(NamedTuple):
    """Who resolves a break, and how.

    Attributes:
        owner: The role.
        action: Its first step.
    """

    owner: str
    action: str


DEVICE_DESK, BANK_DESK = "device desk", "bank desk"
TREASURY, ENGINEERING = "treasury", "engineering"

_BY_KIND = {
    BreakKind.MISSING: Duty(
        BANK_DESK,
        "Ask the bank for the order by its EndToEndId; never order again before it answers.",
    ),
    BreakKind.EXTRA: Duty(BANK_DESK, "Ask the bank what it booked; nothing of ours ordered it."),
    BreakKind.AMOUNT: Duty(BANK_DESK, "Ask the bank to correct the booking to the ordered amount."),
    BreakKind.DUPLICATE: Duty(BANK_DESK, "Ask the bank to reverse all but the first booking."),
    BreakKind.TIMING: Duty(BANK_DESK, "Ask the bank why it was late."),
    BreakKind.BATCH_BOOKED: Duty(
        BANK_DESK,
        "Ask the bank for the details of this sum; the only batch that it fits is named.",
    ),
    BreakKind.REJECTED: Duty(
        BANK_DESK,
        "Correct what the bank names, then propose to order again: `proofrail payout order-again`.",
    ),
    BreakKind.RETURNED: Duty(
        BANK_DESK,
        "The money is back: ask the payee for an account that "
        "takes it, then `proofrail payout order-again`.",
    ),
    BreakKind.CHARGES: Duty(
        TREASURY, "Pay the charge back into the safeguarding account from own funds, or resolve it."
    ),
    BreakKind.KEY_COMPROMISED: Duty(
        DEVICE_DESK,
        "See `proofrail device risk`: freeze it while its "
        "window is open, else claim it back from the payee.",
    ),
    BreakKind.REORGANISED: Duty(
        ENGINEERING,
        "`proofrail trace` what did not come back; the rail "
        "sends it again by itself while its mandate lives.",
    ),
    BreakKind.SUPPLY_MISMATCH: Duty(
        TREASURY, "Stop minting and payouts until the difference has a name."
    ),
    BreakKind.LEDGER_DIFFERS_FROM_CHAIN: Duty(
        ENGINEERING, "Keep the store, trace the settlement, post by hand."
    ),
    BreakKind.UNMATCHED_FUNDING: Duty(
        BANK_DESK, "Find its agreement or send it back: `proofrail funding list`."
    ),
    BreakKind.MINT_WITHOUT_CREDIT: Duty(
        TREASURY, "Stop minting and find who minted without a booked credit."
    ),
    BreakKind.NOT_CONFIRMED: Duty(
        BANK_DESK, "Ask the bank why its statement leaves out what it notified."
    ),
    BreakKind.STATEMENT_GAP: Duty(
        BANK_DESK, "Ask the bank for the statement between these two balances."
    ),
    BreakKind.CURRENCY: Duty(
        BANK_DESK, "Ask the bank to return the amount; the rail holds euro only."
    ),
    BreakKind.DEBT_UNPAID: Duty(
        TREASURY,
        "Ask the payee to pay it back (`proofrail party repay`); its next money does so by itself.",
    ),
}
_BY_LEG = {
    (Leg.DEVICE, BreakKind.MISSING): Duty(
        DEVICE_DESK,
        "`proofrail trace` it: the record, or the claim that holds it, is not there.",
    ),
    (Leg.DEVICE, BreakKind.EXTRA): Duty(
        ENGINEERING, "Find who settled it: the quorum signed what this rail did not collect."
    ),
    (Leg.DEVICE, BreakKind.AMOUNT): Duty(
        ENGINEERING, "Keep the store: a stored record is not the one that was settled."
    ),
    (Leg.CHAIN, BreakKind.AMOUNT): Duty(
        ENGINEERING,
        "Run `proofrail rebuild`: the ledger's bank account is not the sum of the bank's lines.",
    ),
    (Leg.SUPPLY, BreakKind.DUPLICATE): Duty(TREASURY, "Stop minting: one credit was minted twice."),
    (Leg.SUPPLY, BreakKind.AMOUNT): Duty(TREASURY, "Stop minting: tokens and their credit differ."),
    (Leg.SUPPLY, BreakKind.RETURNED): Duty(
        TREASURY,
        "The bank took a minted credit back: ask the "
        "payer to pay again, or have the escrow returned.",
    ),
}


def duty(leg: Leg, kind: BreakKind) -> Duty:
    """Return the role that resolves a break, and its first step."""
    return _BY_LEG.get((leg, kind)) or _BY_KIND[kind]
