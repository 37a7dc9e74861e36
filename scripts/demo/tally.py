"""Sums over payments, product by product."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from orchestrator.edges.store import Session, agreements, payments

_ALL = 100_000  # a demonstration has fewer


class Sum(NamedTuple):
    """How many payments, and the micro-euro they come to; of these the credits (below zero)."""

    payments: int
    amount_micro: int
    credits: int
    credited_micro: int


def by_product(session: Session) -> dict[str, list[payments.PaymentRow]]:
    """{product: its payments, oldest first}."""
    rows = payments.page(session, None, None, None, _ALL)
    deals = agreements.by_ids(session, {row.agreement_id for row in rows})
    found: dict[str, list[payments.PaymentRow]] = {}
    for row in rows:
        product = deals[row.agreement_id].product if row.agreement_id in deals else ""
        found.setdefault(product, []).append(row)
    return found


def of_product(session: Session, product: str) -> list[payments.PaymentRow]:
    return by_product(session).get(product, [])


def total(rows: Iterable[payments.PaymentRow]) -> Sum:
    """A payment that has not settled yet comes to nothing."""
    amounts = [row.amount_micro for row in rows]
    below = [amount for amount in amounts if amount < 0]
    return Sum(len(amounts), sum(amounts), len(below), sum(below))
