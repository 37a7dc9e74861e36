"""Count and add up payments by product."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from orchestrator.core.payment import Stage
from orchestrator.edges.store import Session, agreements, blocks, payments

_ALL = 100_000  # more than a demonstration has


class Sum(NamedTuple):
    """The number and total of payments; `debts` are the negative ones among them."""

    payments: int
    amount_micro: int
    debts: int
    debts_micro: int


def by_product(session: Session) -> dict[str, list[payments.PaymentRow]]:
    """Return {product: its payments, oldest first}."""
    rows = payments.page(session, None, None, None, _ALL)
    agreed = agreements.by_ids(session, {row.agreement_id for row in rows})
    payments_by_product: dict[str, list[payments.PaymentRow]] = {}
    for row in rows:
        product = agreed[row.agreement_id].product if row.agreement_id in agreed else ""
        payments_by_product.setdefault(product, []).append(row)
    return payments_by_product


def payments_of_product(session: Session, product: str) -> list[payments.PaymentRow]:
    """Return the payments of one product, oldest first."""
    return by_product(session).get(product, [])


def shared(session: Session) -> list[payments.PaymentRow]:
    """Return the payments that waterfalls took in: their holders' payouts are not theirs."""
    logs = blocks.logs_named(session, ("WaterfallCreated",))
    waterfalls = {json.loads(log.args)["waterfall"].lower() for log in logs}
    rows = [row for row in payments.page(session, Stage.POSTED, None, None, _ALL) if row.release_tx]
    agreed = agreements.by_ids(session, {row.agreement_id for row in rows})
    return [
        row
        for row in rows
        if payments.payee_of(row, agreed[row.agreement_id]).lower() in waterfalls
    ]


def total(rows: Iterable[payments.PaymentRow]) -> Sum:
    """Return the sum of payments; one that has not settled yet counts as zero."""
    amounts = [row.amount_micro for row in rows]
    debts = [amount for amount in amounts if amount < 0]
    return Sum(len(amounts), sum(amounts), len(debts), sum(debts))
