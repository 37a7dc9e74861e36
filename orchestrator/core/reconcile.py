"""Compare chain, ledger and bank from three independent reads; explain each match, name each break.

Pure and order-independent: the same facts in any order give the same answer. Nothing is decided
by guesswork: where two explanations are possible, a break is named and a person decides.
Token amounts are micro-euro (tEUR/6), bank and ledger amounts cents (EUR/2).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from orchestrator.core.references import find_reference
from orchestrator.core.statement import Balances, Booked, StatementLine, distinct

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
class Chain:
    """What the chain says at one final block."""

    supply_micro: int
    redemptions: Sequence[Redemption] = ()
    mints: Sequence[Mint] = ()


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
class Ledger:
    """What our books say. references: funding reference (canonical) to agreement id."""

    payouts: Sequence[LedgerPayout] = ()
    minted: Sequence[LedgerFunding] = ()
    references: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rejection:
    """Bank: a payout refused in a pain.002, with the ISO status reason."""

    end_to_end_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Bank:
    """What the bank says about the safeguarding account: every line, and its statements' balances.

    Without a statement the booked balance is `opening_cents` plus all lines.
    """

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
    """A booked line and what it settles. rule: end_to_end_id | batch | account_and_amount | mint."""

    rule: str
    ids: tuple[str, ...]  # payout ids, or the credit id; hex
    amount_cents: int
    lines: tuple[str, ...]  # "sha256 hex:path"
    explanation: str


@dataclass(frozen=True, slots=True)
class Break:
    """A named difference: whom it concerns, both amounts, and what to do next."""

    kind: BreakKind
    ids: tuple[str, ...]
    expected_minor: int
    found_minor: int
    action: str


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """difference_micro: supply less (balance and items); zero unless money is unexplained."""

    matches: tuple[Match, ...]
    breaks: tuple[Break, ...]
    in_flight: tuple[InFlight, ...]
    supply_micro: int
    balance_cents: int
    difference_micro: int
