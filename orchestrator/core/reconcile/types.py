"""The facts that reconciliation compares: those of the chain, the ledger and the bank.

Token amounts are micro-euro (tEUR/6), ledger and bank amounts cents (EUR/2). Ids are raw bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

Kind = Literal["camt.052", "camt.053", "camt.054", "MT940"]
CONFIRMING = ("camt.053", "MT940")  # end-of-day statements; the others only notify
CHARGE_CODES = frozenset({"CHRG", "FEES", "COMM"})  # of ISO 20022's bank transaction codes


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """One booked line as one bank file reports it; text is "" where the bank left it out.

    Attributes:
        account: IBAN.
        booking_date: The day on which the bank booked it.
        value_date: The day from which it bears interest.
        amount_minor: Minor units of `currency`; credits positive, debits negative.
        currency: ISO 4217.
        source: SHA-256 of the file.
        path: The element within the file, as a local-name XPath.
        kind: The kind of report.
        end_to_end_id: The EndToEndId.
        reference: The ISO 11649 reference in canonical form.
        bank_reference: The bank's own reference.
        batch: The PmtInfId of a batch booking.
        counterparty_name: The other side's name.
        counterparty_iban: The other side's IBAN.
        reason: Return reason code (ISO external list); "" for an ordinary booking.
        is_reversal: Whether it reverses an earlier booking.
        text: Unstructured remittance information.
        charges_minor: Charges that the bank took inside this line, never below zero.
        uetr: The UETR.
        code: The bank transaction code in ISO words, such as "PMNT/ICDT/CHRG".
        proprietary_code: The bank's own transaction code.
    """

    account: str
    booking_date: date
    value_date: date
    amount_minor: int
    currency: str
    source: bytes
    path: str
    kind: Kind
    end_to_end_id: str = ""
    reference: str = ""
    bank_reference: str = ""
    batch: str = ""
    counterparty_name: str = ""
    counterparty_iban: str = ""
    reason: str = ""
    is_reversal: bool = False
    text: str = ""
    charges_minor: int = 0
    uetr: str = ""
    code: str = ""
    proprietary_code: str = ""

    @property
    def is_charge(self) -> bool:
        """Return whether the line is only a charge of the bank, or a charge given back."""
        return self.code.rpartition("/")[2] in CHARGE_CODES

    @property
    def is_return(self) -> bool:
        """Return whether the line undoes an earlier booking."""
        return self.is_reversal or self.reason != ""


@dataclass(frozen=True, slots=True)
class StatementBalances:
    """Opening and closing booked balance of one statement (minor units, credits positive)."""

    account: str
    statement: str  # the bank's id of the statement
    day: date
    opening_minor: int
    closing_minor: int
    currency: str = "EUR"
    source: bytes = b""  # SHA-256 of its file; b"": not known
    received_at: int = 0  # Unix seconds; 0: not known


@dataclass(frozen=True, slots=True)
class Booked:
    """One booking: the report that represents it, and every id under which it was reported.

    Attributes:
        line: The best report.
        ids: 32 bytes each, the earliest kind of report first (a notification precedes its
            statement), so that ids[0] is what a mint made on the notification carries. Check all of
            them before you act on a booking.
        confirmed: Whether an end-of-day statement holds it.
    """

    line: StatementLine
    ids: tuple[bytes, ...]
    confirmed: bool  # a camt.053 holds it


MICRO_PER_CENT = 10_000
DUPLICATE_REASONS = frozenset({"AM05", "DU01", "DU02", "DU03", "DU04", "DU05"})


@dataclass(frozen=True, slots=True)
class Redemption:
    """Chain: tokens burned against a payout order."""

    payout_id: bytes
    amount_micro: int
    at: int = 0  # Unix seconds of its block


@dataclass(frozen=True, slots=True)
class Mint:
    """Chain: tokens minted against a booked credit (`credit_id` is one of `Booked.ids`)."""

    credit_id: bytes
    amount_micro: int
    at: int = 0  # Unix seconds of its block


@dataclass(frozen=True, slots=True)
class SettlementMoves:
    """What one transaction moved from escrow to payees, or recorded as debts of payees.

    Attributes:
        tx_hash: The transaction.
        amount_micro: Micro-euro, above zero: on chain, or in the ledger.
    """

    tx_hash: bytes
    amount_micro: int


@dataclass(frozen=True, slots=True)
class ContractTotals:
    """What the contracts hold at one block, in micro-euro, as a node answers.

    Attributes:
        block: The hash of the block, 0x-hex.
        supply_micro: Tokens in circulation (`EuroToken.totalSupply`).
        rail_micro: Tokens of PaymentRail (`EuroToken.balanceOf`).
        escrow_micro: In all agreements (`PaymentRail.totals`, as the next four).
        pending_micro: Of payees, within the dispute window.
        withdrawable_micro: Of payees, after it.
        frozen_micro: Disputed.
        owed_micro: Open debts of all payees; a memo, not tokens.
        outside: Sub-account of tokens outside the rail -> what the chain says that it holds.
    """

    block: str
    supply_micro: int
    rail_micro: int
    escrow_micro: int
    pending_micro: int
    withdrawable_micro: int
    frozen_micro: int
    owed_micro: int
    outside: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChainFacts:
    """What the chain says at one final block.

    Attributes:
        supply_micro: Tokens in circulation.
        redemptions: Burned tokens.
        mints: Minted tokens.
        settlements: What each settlement moved to payees.
        debts: What each settlement recorded as debts.
        owed_micro: The open debts of all payees.
        totals: What the contracts hold at that block; None: no node was asked.
    """

    supply_micro: int
    redemptions: Sequence[Redemption] = ()
    mints: Sequence[Mint] = ()
    settlements: Sequence[SettlementMoves] = ()
    debts: Sequence[SettlementMoves] = ()
    owed_micro: int = 0
    totals: ContractTotals | None = None


@dataclass(frozen=True, slots=True)
class LedgerPayout:
    """Ledger: one payout.

    Attributes:
        payout_id: The payout.
        end_to_end_id: The EndToEndId of its newest order.
        amount_cents: The amount.
        iban: The payee's IBAN.
        batch: The PmtInfId of its newest order.
        due_on: The bank day whose statement must hold it; None: not sent yet.
        earlier: EndToEndIds of orders that were rejected or came back.
        credit_id: The bank credit that it sends back, where no token was burned for it.
    """

    payout_id: bytes
    end_to_end_id: str
    amount_cents: int
    iban: str
    batch: str = ""
    due_on: date | None = None
    earlier: tuple[str, ...] = ()
    credit_id: bytes = b""


@dataclass(frozen=True, slots=True)
class LedgerFunding:
    """Ledger: one credit whose tokens it holds as minted."""

    credit_id: bytes
    amount_cents: int


@dataclass(frozen=True, slots=True)
class OpenDebt:
    """Ledger: a debt that its payee has not paid back in full.

    Attributes:
        payment_id: The payment below zero.
        payee: The payee's address.
        open_micro: Micro-euro that are not paid back.
        noted_at: When its settlement became final, Unix seconds.
    """

    payment_id: bytes
    payee: str
    open_micro: int
    noted_at: int


@dataclass(frozen=True, slots=True)
class AtRisk:
    """Ledger: a payment that rests on records after a compromise (core/risk.py), with money at
    risk.

    Attributes:
        payment_id: The payment.
        amount_micro: Micro-euro that may still be lost.
        remedy: What can still be done.
        seen_at: Time of the first record in doubt, Unix seconds.
    """

    payment_id: bytes
    amount_micro: int
    remedy: str
    seen_at: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """What our books say.

    Attributes:
        payouts: All payouts.
        minted: Credits whose tokens are minted.
        references: Funding reference (canonical form) -> agreement id.
        settlements: What each settlement moved to payees.
        debts: What each settlement recorded as debts.
        owed_micro: The sum of all receivables.
        open_debts: Debts that are not paid in full.
        pending: Payee -> micro-euro that wait in the rail.
        at_risk: Payments that rest on a stolen key.
        bank_cents: The balance of the safeguarding account; None: not compared.
        allocated: Credits for which two officers found an agreement.
        unallocated: Credits that name no agreement which can take them.
        tokens: Kind of token account ("issued", "escrow", ...) -> its sum, micro-euro.
        outside: Sub-account of tokens outside the rail -> its balance, micro-euro.
    """

    payouts: Sequence[LedgerPayout] = ()
    minted: Sequence[LedgerFunding] = ()
    references: Mapping[str, bytes] = field(default_factory=dict)
    settlements: Sequence[SettlementMoves] = ()
    debts: Sequence[SettlementMoves] = ()
    owed_micro: int = 0
    open_debts: Sequence[OpenDebt] = ()
    pending: Mapping[str, int] = field(default_factory=dict)
    at_risk: Sequence[AtRisk] = ()
    bank_cents: int | None = None
    allocated: frozenset[bytes] = frozenset()
    unallocated: frozenset[bytes] = frozenset()
    tokens: Mapping[str, int] = field(default_factory=dict)
    outside: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PayoutRejection:
    """Bank: a payout refused in a pain.002, with the ISO status reason."""

    end_to_end_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class BankFacts:
    """What the bank says about the safeguarding account since it was opened.

    Attributes:
        account: Its IBAN; lines and balances of other accounts are left out.
        lines: Reported lines.
        balances: Statements with their balances.
        rejections: Refused payouts.
        opening_cents: The balance before the first line, for which there are no tokens.
    """

    account: str
    lines: Sequence[StatementLine] = ()
    balances: Sequence[StatementBalances] = ()
    rejections: Sequence[PayoutRejection] = ()
    opening_cents: int = 0
