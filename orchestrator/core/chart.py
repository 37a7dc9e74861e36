"""The chart of accounts: one row per kind of account, as an accountant reads the books.

One journal holds two books, each balanced by itself: EUR/2 (cents: what the bank holds, and which
parties it is owed to) and tEUR/6 (micro-euro: who holds the tokens for those deposits). Debits are
positive. A pattern ending in ":*" is a control account with a sub-ledger.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from orchestrator.core import ledger
from orchestrator.core.ledger import EUR, TEUR
from orchestrator.errors import Halt


class AccountKind(StrEnum):
    """The kind of an account in the books; a memo account counts nothing that anyone holds."""

    ASSET = "asset"
    LIABILITY = "liability"
    INCOME = "income"
    EXPENSE = "expense"
    MEMO = "memo"


DEBIT, CREDIT = "debit", "credit"


@dataclass(frozen=True, slots=True)
class LedgerAccount:
    """One row of the chart. code: for people and spreadsheets, it never changes its meaning."""

    code: str
    pattern: str  # an account of the ledger, or "<prefix>:*" for all that begin so
    name: str
    kind: AccountKind
    normal: str  # the side on which it usually stands
    asset: str
    meaning: str

    @property
    def has_details(self) -> bool:
        """Return whether it is a control account with a sub-ledger."""
        return self.pattern.endswith(":*")

    def holds(self, account: str) -> bool:
        """Return whether the ledger's account of this name belongs to this row."""
        if self.has_details:
            return account.startswith(self.pattern[:-1]) and len(account) >= len(self.pattern)
        return account == self.pattern


def _all_of(account: str) -> str:
    """Return the pattern of a kind of account, from one of them: "escrow:0x1" -> "escrow:*"."""
    return account.split(":")[0] + ":*"


CHART = (
    LedgerAccount(
        "1000",
        ledger.SAFEGUARDING,
        "Safeguarding bank account",
        AccountKind.ASSET,
        DEBIT,
        EUR,
        "customers' euros, as the bank's lines book them",
    ),
    LedgerAccount(
        "2000",
        ledger.DEPOSITS,
        "Customer deposits",
        AccountKind.LIABILITY,
        CREDIT,
        EUR,
        "euros owed to the holders of the tokens",
    ),
    LedgerAccount(
        "2100",
        ledger.IN_TRANSIT,
        "Payouts in transit",
        AccountKind.LIABILITY,
        CREDIT,
        EUR,
        "burned and ordered, not booked by the bank yet",
    ),
    LedgerAccount(
        "2110",
        "payouts:returned",
        "Returned payouts",
        AccountKind.LIABILITY,
        CREDIT,
        EUR,
        "booked, and sent back by the bank: still owed to the payee",
    ),
    LedgerAccount(
        "2200",
        ledger.FUNDING,
        "Funding to be minted",
        AccountKind.LIABILITY,
        CREDIT,
        EUR,
        "booked with a known reference, tokens not minted yet",
    ),
    LedgerAccount(
        "2210",
        "suspense:unallocated",
        "Suspense: unallocated credits",
        AccountKind.LIABILITY,
        CREDIT,
        EUR,
        "booked without a reference of ours: a person decides",
    ),
    LedgerAccount(
        "2220",
        ledger.UNEXPLAINED,
        "Suspense: unexplained lines",
        AccountKind.LIABILITY,
        CREDIT,
        EUR,
        "booked lines that no record of ours explains",
    ),
    LedgerAccount(
        "4000",
        "income:fees",
        "Fees earned",
        AccountKind.INCOME,
        CREDIT,
        EUR,
        "what the rail charges for its service",
    ),
    LedgerAccount(
        "6000",
        "expenses:bank_charges",
        "Bank charges",
        AccountKind.EXPENSE,
        DEBIT,
        EUR,
        "what the bank took for itself",
    ),
    LedgerAccount(
        "6900",
        "rounding",
        "Rounding differences",
        AccountKind.EXPENSE,
        DEBIT,
        EUR,
        "less than a cent, where a sum of cents had to be whole",
    ),
    LedgerAccount(
        "7000",
        ledger.ISSUED,
        "Tokens issued",
        AccountKind.ASSET,
        DEBIT,
        TEUR,
        "the token supply: equals customer deposits, to the cent",
    ),
    LedgerAccount(
        "7100",
        _all_of(ledger.escrow("")),
        "Escrow",
        AccountKind.LIABILITY,
        CREDIT,
        TEUR,
        "held for an agreement, not earned yet; by agreement",
    ),
    LedgerAccount(
        "7200",
        _all_of(ledger.pending("")),
        "Pending",
        AccountKind.LIABILITY,
        CREDIT,
        TEUR,
        "earned, within the dispute window; by payee",
    ),
    LedgerAccount(
        "7300",
        _all_of(ledger.withdrawable("")),
        "Payable to payees",
        AccountKind.LIABILITY,
        CREDIT,
        TEUR,
        "released, to be paid out or withdrawn; by payee",
    ),
    LedgerAccount(
        "7400",
        ledger.FROZEN,
        "Disputed",
        AccountKind.LIABILITY,
        CREDIT,
        TEUR,
        "frozen until a dispute ends",
    ),
    LedgerAccount(
        "7500",
        ledger.WALLETS,
        "Wallets",
        AccountKind.LIABILITY,
        CREDIT,
        TEUR,
        "tokens outside the rail that have no row below",
    ),
    LedgerAccount(
        "7510",
        _all_of(ledger.share("", "")),
        "Waterfalls",
        AccountKind.LIABILITY,
        CREDIT,
        TEUR,
        "in a waterfall, to be taken; by waterfall and holder",
    ),
    LedgerAccount(
        "7520",
        _all_of(ledger.holder("")),
        "Holders' wallets",
        AccountKind.LIABILITY,
        CREDIT,
        TEUR,
        "in the wallets of waterfalls' holders; by holder",
    ),
    LedgerAccount(
        "9000",
        _all_of(ledger.receivable("")),
        "Debts receivable",
        AccountKind.MEMO,
        DEBIT,
        TEUR,
        "what a payee owes back to agreements; by payee",
    ),
    LedgerAccount(
        "9100",
        _all_of(ledger.debt_due("")),
        "Debts due",
        AccountKind.MEMO,
        CREDIT,
        TEUR,
        "the same, by agreement that it is owed to",
    ),
)


def row_of(account: str, asset: str) -> LedgerAccount:
    """Return the chart's row of a ledger account.

    Raises:
        Halt: The chart has none.
    """
    for row in CHART:
        if row.holds(account):
            if row.asset != asset:
                raise Halt(
                    f"The account {account} is kept in {row.asset}, and an entry posts {asset} to "
                    "it. Run `proofrail ledger check`; the posting rule is wrong."
                )
            return row
    raise Halt(
        f"The ledger has an account {account!r} ({asset}) that the chart of accounts does not "
        "name. Nothing was left out silently: add it to core/chart.py, or correct the entry."
    )


def find(text: str) -> LedgerAccount | None:
    """Return a row by its code, its pattern, or the beginning of its pattern ("escrow")."""
    for row in CHART:
        if text in (row.code, row.pattern, row.pattern.removesuffix(":*")):
            return row
    return None


def decimal_text(minor: int, asset: str) -> str:
    """Return minor units as an exact decimal; the asset names the digits ("tEUR/6": 6)."""
    digits = int(asset.rpartition("/")[2])
    whole, rest = divmod(abs(minor), 10**digits)
    return f"{'-' if minor < 0 else ''}{whole}.{rest:0{digits}}"


def euro_text(cents: int) -> str:
    """Return cents as people read them, such as "10,000.00 EUR"."""
    whole, rest = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}{whole:,}.{rest:02} EUR"
