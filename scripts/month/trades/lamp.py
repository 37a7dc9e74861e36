"""Pay-as-you-go unlock: a lamp on credit orders days; a final payment is a token for them.

The payee of all lamps is a waterfall (shares.py), so that their payments are a revenue that a
lender and two partners share.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256

from scripts.month.days import at
from scripts.month.trades.trade import MonthTrade

_DAY_MICRO = 300_000
_MOST_DAYS = 60


@dataclass
class MonthLamp(MonthTrade):
    """A lamp that only tokens unlock.

    Attributes:
        orders: days on which it orders.
        sold: how many days each order is for, as ordered so far.
    """

    PRODUCT = "payg_unlock"
    orders: Sequence[date] = ()
    sold: list[int] = field(default_factory=list)

    @property
    def key(self) -> bytes:
        """Return the key of the lamp's lock (16 bytes)."""
        return sha256(f"{self.seed}/{self.device.name}/lock".encode()).digest()[:16]

    def terms(self) -> dict[str, str]:
        return {
            "about": self.about,
            "metrics": f"days 1..{_MOST_DAYS}",
            "plus": "days rising: 0=0, 60=18.00",
            "ceiling": "18.00",
            "period": "1..86400 seconds",
        }

    def morning(self, day: date) -> Iterator[bytes]:
        if day not in self.orders:
            return
        count = self.chance(self.device, day).randrange(1, _MOST_DAYS)
        self.sold.append(count)
        self.agreement.pay(count * _DAY_MICRO)
        period = at(day, 5), at(day, 5) + 60
        yield self.device.report(self.about, period, {"days": count}, len(self.sold))
