"""Ledger entries of debts: what a payee owes to an agreement, pays of it, or owes no longer."""

from __future__ import annotations

from orchestrator.core.ledger import (
    TEUR,
    Entry,
    debt_due,
    entry,
    escrow,
    receivable,
    withdrawable,
)


def debt_recorded(payment: str, agreement: str, payee: str, amount_micro: int) -> Entry:
    """Return the entry: the payee of a negative payment owes its amount to the agreement.

    No token moves yet. amount_micro: the absolute amount.
    """
    return entry(
        "debt_recorded",
        payment,
        [
            (receivable(payee), TEUR, amount_micro),
            (debt_due(agreement), TEUR, -amount_micro),
        ],
    )


def debt_paid(
    ref: str,
    agreement: str,
    payee: str,
    source: str,
    amount_micro: int,
    withdrawable_micro: int = 0,
) -> Entry:
    """Return the entry: a payee paid a debt, or a part of it, back into the agreement's escrow.

    The memo of the debt is reversed.

    Args:
        ref: The log.
        agreement: The agreement that was owed.
        payee: Who owed.
        source: The account that paid: the payee's pending or withdrawable money, or a wallet.
        amount_micro: What was paid.
        withdrawable_micro: The part of it that the payee's withdrawable money paid instead.
    """
    return entry(
        "debt_paid",
        ref,
        [
            (source, TEUR, amount_micro - withdrawable_micro),
            (withdrawable(payee), TEUR, withdrawable_micro),
            (escrow(agreement), TEUR, -amount_micro),
            (debt_due(agreement), TEUR, amount_micro),
            (receivable(payee), TEUR, -amount_micro),
        ],
    )


def debt_cancelled(ref: str, agreement: str, payee: str, amount_micro: int) -> Entry:
    """Return the entry: a debt, or a part of it, no longer stands, and no token moves.

    The payment that was corrected is refunded as a whole: the memo of the debt is reversed.
    """
    return entry(
        "debt_cancelled",
        ref,
        [
            (debt_due(agreement), TEUR, amount_micro),
            (receivable(payee), TEUR, -amount_micro),
        ],
    )
