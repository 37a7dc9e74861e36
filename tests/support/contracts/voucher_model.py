"""What WearableVoucher pays, in Python, for active wearables and genuine vouchers.

Written from the rules in contracts/products/voucher/*.sol, as an auditor would check them: the
contract must answer the same, and taps of an honest wearable must be paid in any order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from device_adapters.protocols.voucher.typed import Voucher
from orchestrator.products.wearable_voucher.abi import VoucherTerms

DAY = 86_400
CLOCK_GRACE = 600
UINT48_MAX = 2**48 - 1


@dataclass
class VoucherModel:
    """One wearable: what was paid, over all its agreements.

    today: spent of the limit of the day of `signed_at`. carried: left of the days before.
    """

    start: int
    paid: int = 0
    counter: int = 0
    signed_at: int = 0
    today: int = 0
    carried: int = 0
    accounts: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.signed_at = self.start

    def pay(
        self, terms: VoucherTerms, voucher: Voucher, now: int, start: int = 0, until: int = 2**40
    ) -> tuple[int, str]:
        """Return (amount, cut) of a voucher at a block's time, and book it."""
        paid, paid_taps = self.accounts.get(voucher.payee, (0, 0))
        owed, taps = max(0, voucher.total - paid), max(0, voucher.taps - paid_taps)
        if cut := self._stop(terms, voucher, now, start or self.start, until, owed and taps):
            return 0, cut
        amount, cut = min(
            (owed, 0, ""),
            (max(0, voucher.cap - self.paid), 1, "CapSpent"),
            (self._limit_left(terms, voucher, taps), 2, "DaySpent"),
            (terms.offline_amount, 3, "OfflineAmount"),
            (owed * terms.offline_taps // taps, 4, "OfflineTaps"),
        )[::2]
        if amount:
            self._book(terms, voucher, amount, taps)
            self.accounts[voucher.payee] = paid + amount, paid_taps + taps * amount // owed
        return amount, cut

    def _stop(
        self, terms: VoucherTerms, voucher: Voucher, now: int, start: int, until: int, new: int
    ) -> str:
        at, last, newer = voucher.signed_at, self.signed_at, voucher.counter >= self.counter
        gap = at - last if newer else last - at
        reasons = {
            "Superseded": not new,
            "Expired": now > voucher.expiry,
            "TooOld": now > at + terms.max_age,
            "SignedAhead": at > now + CLOCK_GRACE or at > until,
            "BeforeStart": at < start,
            "TimeFell": gap < -CLOCK_GRACE,
            "CoolOff": bool(self.counter and terms.cool_off) and gap < terms.cool_off,
        }
        return next((name for name, holds in reasons.items() if holds), "")

    def _limit_left(self, terms: VoucherTerms, voucher: Voucher, taps: int) -> int:
        limit, days = terms.per_day, self._days(voucher)
        if not limit:
            return 2**60
        if taps == 1 and days:
            return limit
        left = max(0, limit - self.today)
        more = limit * days if voucher.counter >= self.counter else self.carried
        return min(left + more, limit * (terms.max_age // DAY + 2))

    def _days(self, voucher: Voucher) -> int:
        """Return the days that begin with a newer voucher; 0 for an older one."""
        passed = voucher.signed_at // DAY - self.signed_at // DAY
        return max(0, passed) if voucher.counter >= self.counter else 0

    def _book(self, terms: VoucherTerms, voucher: Voucher, amount: int, taps: int) -> None:
        limit, days, newer = terms.per_day, self._days(voucher), voucher.counter >= self.counter
        if limit and days:
            before = self._limit_left(terms, voucher, 0) - limit
            of_before = 0 if taps == 1 else min(before, amount)
            most = min(limit * (terms.max_age // DAY + 1), UINT48_MAX)
            self.carried = min(self.carried + before - of_before, most)
            self.today = amount - of_before
        elif limit:
            of_before = 0 if newer else min(self.carried, amount)
            self.carried -= of_before
            self.today += amount - of_before
        elif days:
            self.today = 0
        self.paid += amount
        if newer:
            self.counter, self.signed_at = voucher.counter, max(self.signed_at, voucher.signed_at)
