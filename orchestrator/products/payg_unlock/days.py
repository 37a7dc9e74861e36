"""From an order of days to a payment, and from a final payment to the token that unlocks them.

The device reports an order: `days`, for a period of its own. Days have one price. A final payment
unlocks what it paid for: days sold are days unlocked, even where an order says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

from device_adapters.types import Event
from oracles.types import ClaimReason
from orchestrator.core.effect import MAX_DAYS, Effect, EffectKind, FinalPayment, UnlockMode
from orchestrator.products.index import reports
from orchestrator.products.index.tariff import IndexTerms, decode_terms, malformed

DAYS = "days"
METRICS = (DAYS,)


def ways_of(terms: IndexTerms) -> int:
    """Return the price of a day (token minor units); Rejected where the terms give it none.

    Terms price days in proportion and nothing else: else a payment would not say how many it is.
    """
    (metric,) = terms.metrics
    if not 1 <= metric.least <= metric.most <= MAX_DAYS:
        raise malformed(f"days are 1 to {MAX_DAYS} in one order, not {metric.least}..{metric.most}")
    knots = terms.curves[0].knots if len(terms.curves) == 1 else ()
    plain = not terms.base and not terms.floor and not terms.curves[0].factor if knots else False
    if not plain or len(knots) != 2 or knots[0] != (0, 0) or knots[1][0] < metric.most:
        raise malformed(f"plus has to be one line from 0=0 to at least {metric.most}, and no more")
    price, rest = divmod(knots[1][1], knots[1][0])
    if rest or price <= 0 or terms.ceiling < price * metric.most:
        raise malformed("a day has a whole price, and the ceiling is not below the largest order")
    return price


def admit(
    terms: bytes, previous: Event | None, event: Event, earlier: Sequence[Event] = ()
) -> tuple[ClaimReason, str] | None:
    """Return why a report is no order, or None. An order is never stated again: it is used up."""
    refusal = reports.admit(terms, previous, event, earlier)
    if refusal or previous is None or event.facts["ordinal"] != previous.facts["ordinal"]:
        return refusal
    return ClaimReason.PERIOD_UNEXPECTED, "an order that was made cannot be changed"


complete = reports.complete
derive = reports.derive


def effects(terms: bytes, facts: bytes, payment: FinalPayment) -> tuple[Effect, ...]:
    """Return the token for what was paid; none where it is less than a day."""
    paid = min(payment.amount_micro // ways_of(decode_terms(terms)), MAX_DAYS)
    if paid <= 0:
        return ()
    content = {"device": payment.device, "mode": UnlockMode.ADD_TIME, "days": paid}
    return (Effect("unlock", EffectKind.UNLOCK_TOKEN, content),)
