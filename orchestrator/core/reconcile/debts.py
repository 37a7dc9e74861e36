"""Losses that stay although chain, ledger and bank agree: unpaid debts and stolen keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator.core.reconcile.findings import BreakFindings
from orchestrator.core.reconcile.kinds import BreakKind, Leg
from orchestrator.core.reconcile.types import AtRisk, OpenDebt


def name_debts(
    findings: BreakFindings, debts: Iterable[OpenDebt], pending: Mapping[str, int]
) -> None:
    """Report debts that the money waiting for their payee does not cover.

    A debt is paid by its payee's next release, the oldest first: an amount that is not covered has
    already left for the bank.

    Args:
        findings: Collects the breaks.
        debts: The open debts.
        pending: Payee -> micro-euro that wait in the rail.
    """
    left = dict(pending)
    for debt in sorted(debts, key=lambda debt: (debt.noted_at, debt.payment_id)):
        covered = min(debt.open_micro, left.get(debt.payee, 0))
        left[debt.payee] = left.get(debt.payee, 0) - covered
        if covered < debt.open_micro:
            findings.broken(
                Leg.CHAIN,
                BreakKind.DEBT_UNPAID,
                [debt.payment_id],
                [],
                debt.open_micro,
                covered,
                "tEUR/6",
                since=debt.noted_at,
                detail=f"owed by {debt.payee}",
            )


def name_risks(findings: BreakFindings, risks: Iterable[AtRisk]) -> None:
    """Report each payment that rests on a stolen key and whose money is neither frozen nor back."""
    for risk in risks:
        findings.broken(
            Leg.DEVICE,
            BreakKind.KEY_COMPROMISED,
            [risk.payment_id],
            [],
            0,
            risk.amount_micro,
            "tEUR/6",
            since=risk.seen_at,
            detail=risk.remedy,
        )
