"""Settlements on chain against the ledger, and the ledger's bank account against bank lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from orchestrator.core.reconcile.findings import BreakFindings
from orchestrator.core.reconcile.kinds import BreakKind, Leg
from orchestrator.core.reconcile.types import (
    MICRO_PER_CENT,
    Booked,
    ChainFacts,
    ContractTotals,
    Ledger,
    SettlementMoves,
)


def compare_ledger(findings: BreakFindings, chain: ChainFacts, ledger: Ledger) -> None:
    """Compare the ledger with the final blocks: per payout, credit and settlement, and in debts."""
    sides = [
        (
            "redeemed",
            _totals((item.payout_id, item.amount_micro) for item in chain.redemptions),
            _totals(
                (item.payout_id, item.amount_cents * MICRO_PER_CENT)
                for item in ledger.payouts
                if not item.credit_id
            ),
        ),
        (
            "minted",
            _totals((item.credit_id, item.amount_micro) for item in chain.mints),
            _totals((item.credit_id, item.amount_cents * MICRO_PER_CENT) for item in ledger.minted),
        ),
        ("settled", _settled(chain.settlements), _settled(ledger.settlements)),
        ("debt_recorded", _settled(chain.debts), _settled(ledger.debts)),
        ("owed", {"owed": chain.owed_micro}, {"owed": ledger.owed_micro}),
    ]
    for what, on_chain, in_ledger in sides:
        for record_id in on_chain.keys() | in_ledger.keys():
            if on_chain.get(record_id) != in_ledger.get(record_id):
                findings.broken(
                    Leg.CHAIN,
                    BreakKind.LEDGER_DIFFERS_FROM_CHAIN,
                    [record_id],
                    [],
                    on_chain.get(record_id, 0),
                    in_ledger.get(record_id, 0),
                    "tEUR/6",
                    detail=what,
                )


def compare_totals(findings: BreakFindings, chain: ChainFacts, ledger: Ledger) -> None:
    """Compare what the contracts hold with the ledger and with the stored logs.

    A log that was never stored is in neither of them, so they agree with each other; only the
    contracts' own sums know it.
    """
    totals = chain.totals
    if totals is None:
        return
    logged = sum(item.amount_micro for item in chain.mints) - sum(
        item.amount_micro for item in chain.redemptions
    )
    held = {
        "escrow": totals.escrow_micro,
        "pending": totals.pending_micro,
        "withdrawable": totals.withdrawable_micro,
        "frozen": totals.frozen_micro,
    }
    rows = [
        ("supply", totals.supply_micro, ledger.tokens.get("issued", 0), "the ledger"),
        ("supply_of_logs", totals.supply_micro, logged, "the stored logs"),
        ("owed", totals.owed_micro, ledger.owed_micro, "the ledger"),
        ("owed_by_logs", totals.owed_micro, chain.owed_micro, "the stored logs"),
    ]
    if unswept(totals) < 0:
        rail = "the token balance of PaymentRail"
        rows.append(("rail_balance", sum(held.values()), totals.rail_micro, rail))
    rows += [(name, sum_, ledger.tokens.get(name, 0), "the ledger") for name, sum_ in held.items()]
    rows += [
        (account, totals.outside.get(account, 0), ledger.outside.get(account, 0), "the ledger")
        for account in sorted(totals.outside.keys() | ledger.outside.keys())
    ]
    for name, on_chain, booked, source in rows:
        if on_chain != booked:
            findings.broken(
                Leg.CHAIN,
                BreakKind.LEDGER_DIFFERS_FROM_CHAIN,
                [f"total:{name}"],
                [],
                on_chain,
                booked,
                "tEUR/6",
                detail=f"the contracts' total at block {totals.block[:10]}, and {source}",
            )


def unswept(totals: ContractTotals) -> int:
    """Return the micro-euro of tokens in the rail beyond its sums; below zero: tokens are missing.

    Anyone can send tokens to the rail, so they are no break: they stay outside of its sums, like
    tokens in a wallet, until `PaymentRail.sweep` sends them out.
    """
    held = totals.escrow_micro + totals.pending_micro
    held += totals.withdrawable_micro + totals.frozen_micro
    return totals.rail_micro - held


def compare_bank_account(findings: BreakFindings, ledger: Ledger, booked: Iterable[Booked]) -> None:
    """Compare the ledger's safeguarding account with the sum of all the bank's lines."""
    lines = sum(item.line.amount_minor for item in booked if item.line.currency == "EUR")
    if ledger.bank_cents is not None and ledger.bank_cents != lines:
        findings.broken(
            Leg.CHAIN,
            BreakKind.AMOUNT,
            ["bank:safeguarding"],
            [],
            lines,
            ledger.bank_cents,
            detail="the ledger's bank account, and the bank's lines",
        )


def _settled(settlements: Iterable[SettlementMoves]) -> Mapping[bytes, int]:
    """Return settlements that moved money; one of nothing needs no entry."""
    return _totals((item.tx_hash, item.amount_micro) for item in settlements if item.amount_micro)


def _totals(amounts: Iterable[tuple[bytes, int]]) -> Mapping[bytes, int]:
    totals: Counter[bytes] = Counter()
    for record_id, amount in amounts:
        totals[record_id] += amount
    return totals
