"""Count and add up payments by product."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from orchestrator.edges.store import Session, agreements, pages, payments

_ALL = 100_000  # more than a demonstration has


class Sum(NamedTuple):
    """The number and total of payments; `debts` are the negative ones among them."""

    payments: int
    amount_micro: int
    debts: int
    debts_micro: int


def by_product(session: Session) -> dict[str, list[payments.PaymentRow]]:
    """Return {product: its payments, oldest first}."""
    rows = pages.payments(session, None, None, None, _ALL)
    agreed = agreements.by_ids(session, {row.agreement_id for row in rows})
    payments_by_product: dict[str, list[payments.PaymentRow]] = {}
    for row in rows:
        product = agreed[row.agreement_id].product if row.agreement_id in agreed else ""
        payments_by_product.setdefault(product, []).append(row)
    return payments_by_product


def payments_of_product(session: Session, product: str) -> list[payments.PaymentRow]:
    """Return the payments of one product, oldest first."""
    return by_product(session).get(product, [])


def total(rows: Iterable[payments.PaymentRow]) -> Sum:
    """Return the sum of payments; one that has not settled yet counts as zero."""
    amounts = [row.amount_micro for row in rows]
    debts = [amount for amount in amounts if amount < 0]
    return Sum(len(amounts), sum(amounts), len(debts), sum(debts))
