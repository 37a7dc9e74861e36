"""What the rail is owed or may lose, though chain, ledger and bank agree: debts and stolen keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator.core.reconcile.findings import BreakFindings
from orchestrator.core.reconcile.kinds import BreakKind, Leg
from orchestrator.core.reconcile.types import AtRisk, OpenDebt


def name_debts(
    found: BreakFindings, credits: Iterable[OpenDebt], pending: Mapping[str, int]
) -> None:
    """A credit is paid by its payee's next release, the oldest first: a break is what the money
    that waits for the payee in the rail does not cover, since that has left for the bank."""
    left = dict(pending)
    for credit in sorted(credits, key=lambda each: (each.noted_at, each.payment_id)):
        covered = min(credit.open_micro, left.get(credit.payee, 0))
        left[credit.payee] = left.get(credit.payee, 0) - covered
        if covered < credit.open_micro:
            found.broken(
                Leg.CHAIN,
                BreakKind.DEBT_UNPAID,
                [credit.payment_id],
                [],
                credit.open_micro,
                covered,
                "tEUR/6",
                since=credit.noted_at,
                detail=f"owed by {credit.payee}",
            )


def name_risks(found: BreakFindings, risks: Iterable[AtRisk]) -> None:
    """Each payment on the word of a stolen key whose money is neither frozen nor back."""
    for risk in risks:
        found.broken(
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
