"""The nouns of reconciliation: facts of chain, ledger and bank, and what comparing them finds.

Token amounts are micro-euro (tEUR/6), ledger and bank amounts cents (EUR/2). Ids are raw bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Literal

Kind = Literal["camt.053", "camt.054"]


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

    @property
    def is_return(self) -> bool:
        """Whether it undoes an earlier booking."""
        return self.is_reversal or self.reason != ""


@dataclass(frozen=True, slots=True)
class Balances:
    """Opening and closing booked balance of one statement (minor units, credits positive)."""

    account: str
    statement: str  # the bank's id of the statement
    day: date
    opening_minor: int
    closing_minor: int
    currency: str = "EUR"


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


class BreakKind(StrEnum):
    """A named difference. Stable codes."""

    MISSING_AT_BANK = "missing_at_bank"  # ordered and due, not on the statement
    EXTRA_AT_BANK = "extra_at_bank"  # booked, nothing ordered it
    AMOUNT = "amount"  # booked with another amount
    DUPLICATE = "duplicate"  # one payout, booked more than once
    REJECTED = "rejected"  # the bank refused the payout
    RETURNED = "returned"  # paid out, and the money came back
    SUPPLY_MISMATCH = "supply_mismatch"  # tokens against money, after all named items
    LEDGER_DIFFERS_FROM_CHAIN = "ledger_differs_from_chain"
    UNMATCHED_FUNDING = "unmatched_funding"  # a credit that no agreement claims
    MINT_WITHOUT_CREDIT = "mint_without_credit"
    NOT_CONFIRMED = "not_confirmed"  # notified intraday, absent from that day's statement
    STATEMENT_GAP = "statement_gap"  # a statement does not open where the last one closed
    CURRENCY = "currency"  # booked in a currency that is not the rail's
    CREDIT_UNPAID = "credit_unpaid"  # owed back by a payee whose money has left already
    KEY_COMPROMISED = "key_compromised"  # paid on the word of a stolen key, and not frozen


@dataclass(frozen=True, slots=True)
class Redemption:
    """Chain: tokens burned against a payout order."""

    payout_id: bytes
    amount_micro: int


@dataclass(frozen=True, slots=True)
class Mint:
    """Chain: tokens minted against a booked credit (`credit_id` is one of `Booked.ids`)."""

    credit_id: bytes
    amount_micro: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """Chain: what one transaction moved from escrow to payees, or made payees owe to escrows;
    ledger: what it holds of that. Above zero."""

    tx_hash: bytes
    amount_micro: int


@dataclass(frozen=True, slots=True)
class Chain:
    """What the chain says at one final block. owed_micro: the open debts of all payees."""

    supply_micro: int
    redemptions: Sequence[Redemption] = ()
    mints: Sequence[Mint] = ()
    settlements: Sequence[Settlement] = ()
    credits: Sequence[Settlement] = ()
    owed_micro: int = 0


@dataclass(frozen=True, slots=True)
class LedgerPayout:
    """Ledger: one payout. due_on: the bank day whose statement must hold it; None: not sent yet.

    batch: the PmtInfId it went out under.
    """

    payout_id: bytes
    end_to_end_id: str
    amount_cents: int
    iban: str
    batch: str = ""
    due_on: date | None = None


@dataclass(frozen=True, slots=True)
class LedgerFunding:
    """Ledger: one credit whose tokens it holds as minted."""

    credit_id: bytes
    amount_cents: int


@dataclass(frozen=True, slots=True)
class OpenCredit:
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
    the sum of its receivables; pending: payee -> money of its that waits in the rail."""

    payouts: Sequence[LedgerPayout] = ()
    minted: Sequence[LedgerFunding] = ()
    references: Mapping[str, bytes] = field(default_factory=dict)
    settlements: Sequence[Settlement] = ()
    credits: Sequence[Settlement] = ()
    owed_micro: int = 0
    open_credits: Sequence[OpenCredit] = ()
    pending: Mapping[str, int] = field(default_factory=dict)
    at_risk: Sequence[AtRisk] = ()


@dataclass(frozen=True, slots=True)
class Rejection:
    """Bank: a payout refused in a pain.002, with the ISO status reason."""

    end_to_end_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Bank:
    """What the bank says about the safeguarding account since it was opened.

    account: its IBAN; lines and balances of other accounts are left out. opening_cents: the
    balance before the first line, which is nobody's token.
    """

    account: str
    lines: Sequence[StatementLine] = ()
    balances: Sequence[Balances] = ()
    rejections: Sequence[Rejection] = ()
    opening_cents: int = 0


@dataclass(frozen=True, slots=True)
class InFlight:
    """A named reason why supply and balance differ, with the micro-euro it adds to the supply."""

    name: str
    id: str
    amount_micro: int


@dataclass(frozen=True, slots=True)
class Match:
    """Booked lines and what they settle.

    rule: end_to_end_id | batch | account_and_amount | mint. lines: "sha256 hex:path" of each.
    """

    rule: str
    ids: tuple[str, ...]  # payout ids, or the credit id; hex
    amount_cents: int
    lines: tuple[str, ...]
    explanation: str


@dataclass(frozen=True, slots=True)
class Break:
    """A named difference: whom it concerns, both amounts in minor units of `asset`, what to do.

    ids: payout, credit, payment or settlement ids (hex), or the bank's id of a statement; lines as
    in Match. since: Unix seconds from when on it is open, where that is known; detail: more of it.
    """

    kind: BreakKind
    ids: tuple[str, ...]
    lines: tuple[str, ...]
    expected_minor: int
    found_minor: int
    asset: str  # EUR/2 | tEUR/6
    action: str
    since: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """difference_micro: supply less (balance and items); zero unless money is unexplained."""

    matches: tuple[Match, ...]
    breaks: tuple[Break, ...]
    in_flight: tuple[InFlight, ...]
    supply_micro: int
    balance_cents: int
    difference_micro: int
