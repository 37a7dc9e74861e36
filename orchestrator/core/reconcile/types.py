"""The nouns of reconciliation: facts of chain, ledger and bank, and what comparing them finds.

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
    """One booked line as one bank file reports it.

    account: IBAN. amount_minor: minor units of `currency`; credits positive, debits negative.
    end_to_end_id, reference, bank_reference, batch: "" where the bank left them out;
    `reference` is the ISO 11649 one in canonical form; `batch` is the PmtInfId of a batch booking.
    reason: return reason code (ISO external list), "" for an ordinary booking.
    source: SHA-256 of the file; path: of the element within it, as a local-name XPath.
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
    text: str = ""  # unstructured remittance information
    charges_minor: int = 0  # taken by the bank inside this line, >= 0
    uetr: str = ""
    code: str = ""  # the bank's own transaction code in ISO words, e.g. "PMNT/ICDT/CHRG"
    proprietary_code: str = ""

    @property
    def is_charge(self) -> bool:
        """Whether the line is the bank's own charge, or one given back, and no payment."""
        return self.code.rpartition("/")[2] in CHARGE_CODES

    @property
    def is_return(self) -> bool:
        """Whether it undoes an earlier booking."""
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
    """One booked line: the report that stands for it, and every id it was ever known by.

    ids: 32 bytes each, the earliest kind of report first (a notification precedes its statement),
    so ids[0] is what a mint made on the notification carries. Whoever acts on a line must
    check all of `ids` first.
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
    """Chain: what one transaction moved from escrow to payees, or made payees owe to escrows;
    ledger: what it holds of that. Above zero."""

    tx_hash: bytes
    amount_micro: int


@dataclass(frozen=True, slots=True)
class ChainFacts:
    """What the chain says at one final block. owed_micro: the open debts of all payees."""

    supply_micro: int
    redemptions: Sequence[Redemption] = ()
    mints: Sequence[Mint] = ()
    settlements: Sequence[SettlementMoves] = ()
    debts: Sequence[SettlementMoves] = ()
    owed_micro: int = 0


@dataclass(frozen=True, slots=True)
class LedgerPayout:
    """Ledger: one payout. due_on: the bank day whose statement must hold it; None: not sent yet.

    batch: the PmtInfId it went out under. earlier: the EndToEndIds under which it was ordered
    before, and was rejected or came back. credit_id: the bank credit that it sends back, where no
    token was burned for it.
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
    """Ledger: a credit that its payee has not paid back in full. noted_at: Unix seconds."""

    payment_id: bytes
    payee: str
    open_micro: int
    noted_at: int


@dataclass(frozen=True, slots=True)
class AtRisk:
    """Ledger: a payment on the word of a device at or after its compromise (core/risk.py) of which
    money may still be lost. seen_at: Unix seconds of the first record in doubt."""

    payment_id: bytes
    amount_micro: int
    remedy: str
    seen_at: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """What our books say. references: funding reference (canonical) to agreement id. owed_micro:
    the sum of its receivables; pending: payee -> money of its that waits in the rail. bank_cents:
    what they say of the safeguarding account; None: not asked. allocated: credits that two officers
    found an agreement for; unallocated: those that named none which could take them."""

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


@dataclass(frozen=True, slots=True)
class PayoutRejection:
    """Bank: a payout refused in a pain.002, with the ISO status reason."""

    end_to_end_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class BankFacts:
    """What the bank says about the safeguarding account since it was opened.

    account: its IBAN; lines and balances of other accounts are left out. opening_cents: the
    balance before the first line, for which there are no tokens.
    """

    account: str
    lines: Sequence[StatementLine] = ()
    balances: Sequence[StatementBalances] = ()
    rejections: Sequence[PayoutRejection] = ()
    opening_cents: int = 0
