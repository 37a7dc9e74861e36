"""Reconciliation: compares devices, chain, ledger and bank from independent reads.

It explains each match and names each break. Pure and independent of order: the same facts in any
order give the same result. Nothing is guessed: where two explanations are possible, a break is
named and a person decides.
"""

from __future__ import annotations

from orchestrator.core.reconcile.compare import reconcile
from orchestrator.core.reconcile.devices import Devices, Orphan, SettledClaim, Stranger, Waiters
from orchestrator.core.reconcile.kinds import BreakKind, Leg
from orchestrator.core.reconcile.lines import distinct
from orchestrator.core.reconcile.results import (
    Break,
    InFlight,
    Match,
    Reconciliation,
    Reserve,
    Waiting,
)
from orchestrator.core.reconcile.types import (
    CHARGE_CODES,
    DUPLICATE_REASONS,
    AtRisk,
    BankFacts,
    Booked,
    ChainFacts,
    ContractTotals,
    Ledger,
    LedgerFunding,
    LedgerPayout,
    Mint,
    OpenDebt,
    PayoutRejection,
    Redemption,
    SettlementMoves,
    StatementBalances,
    StatementLine,
)

__all__ = [
    "CHARGE_CODES",
    "DUPLICATE_REASONS",
    "AtRisk",
    "BankFacts",
    "Booked",
    "Break",
    "BreakKind",
    "ChainFacts",
    "ContractTotals",
    "Devices",
    "InFlight",
    "Ledger",
    "LedgerFunding",
    "LedgerPayout",
    "Leg",
    "Match",
    "Mint",
    "OpenDebt",
    "Orphan",
    "PayoutRejection",
    "Reconciliation",
    "Redemption",
    "Reserve",
    "SettledClaim",
    "SettlementMoves",
    "StatementBalances",
    "StatementLine",
    "Stranger",
    "Waiters",
    "Waiting",
    "distinct",
    "reconcile",
]
