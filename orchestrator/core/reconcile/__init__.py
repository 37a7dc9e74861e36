"""Compare chain, ledger and bank from three independent reads; explain each match, name each break.

Pure and order-independent: the same facts in any order give the same answer. Nothing is decided
by guesswork: where two explanations are possible, a break is named and a person decides.
"""

from __future__ import annotations

from orchestrator.core.reconcile.compare import reconcile
from orchestrator.core.reconcile.lines import distinct
from orchestrator.core.reconcile.types import (
    DUPLICATE_REASONS,
    AtRisk,
    Balances,
    Bank,
    Booked,
    Break,
    BreakKind,
    Chain,
    InFlight,
    Ledger,
    LedgerFunding,
    LedgerPayout,
    Match,
    Mint,
    OpenCredit,
    Reconciliation,
    Redemption,
    Rejection,
    Settlement,
    StatementLine,
)

__all__ = [
    "DUPLICATE_REASONS",
    "AtRisk",
    "Balances",
    "Bank",
    "Booked",
    "Break",
    "BreakKind",
    "Chain",
    "InFlight",
    "Ledger",
    "LedgerFunding",
    "LedgerPayout",
    "Match",
    "Mint",
    "OpenCredit",
    "Reconciliation",
    "Redemption",
    "Rejection",
    "Settlement",
    "StatementLine",
    "distinct",
    "reconcile",
]
