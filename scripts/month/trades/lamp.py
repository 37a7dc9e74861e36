"""Pay-as-you-go unlock: a lamp on credit orders days; a final payment is a token for them.

The payee of all lamps is a waterfall (shares.py), so that their payments are a revenue that a
lender and two partners share.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date

from scripts.month.days import at
from scripts.month.trades.reporter import MonthTrade, Records

_DAY_MICRO = 300_000
_MOST_DAYS = 60


class MonthLamp(MonthTrade):
    """A lamp that only tokens unlock.

    Attributes:
        orders: days on which it orders.
        sold: how many days each order is for, as ordered so far.
    """

    PRODUCT = "payg_unlock"
    orders: Sequence[date] = ()
    seed = 0

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.sold: list[int] = []

    def terms(self) -> dict[str, str]:
        return {
            "about": f"device:{self.device.name}",
            "metrics": f"days 1..{_MOST_DAYS}",
            "plus": "days rising: 0=0, 60=18.00",
            "ceiling": "18.00",
            "period": "1..86400 seconds",
        }

    def morning(self, day: date) -> Records:
        if day not in self.orders:
            return
        count = random.Random(f"{self.seed}/{self.device.name}/{day}").randrange(1, _MOST_DAYS)
        self.sold.append(count)
        self.agreement.pay(count * _DAY_MICRO)
        times = at(day, 5), at(day, 5) + 60
        subject = f"device:{self.device.name}"
        yield self.device.report(len(self.sold), *times, subject, {"days": count})
