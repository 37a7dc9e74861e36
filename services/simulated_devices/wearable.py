"""A simulated wearable: a secure element that signs vouchers and enforces its owner's limits.

The counter and the running totals are on disk before a voucher leaves, so no number is ever used
twice, even after a power failure. Vouchers go to a merchant's terminal, which sends them.

It has no clock: terminals give it the time. Its times do not fall while the terminals' clocks agree
within the grace. One that is farther ahead has no effect on later taps.
"""

from __future__ import annotations

import json
from pathlib import Path

from device_adapters.merchant.terminal import CLOCK_GRACE, DAY, TapReason
from device_adapters.protocols.voucher.typed import Domain, Voucher, digest_of, write_record
from device_adapters.types import Rejected, device_id
from orchestrator.products.wearable_voucher.abi import VoucherTerms
from services.simulated_devices.station import Station


class SimulatedWearable(Station):
    """A wearable in `folder` (created at first use) that spends under an agreement's terms.

    Counter, totals and cap go on when its agreement is renewed.

    Args:
        seed: see `Station`.
        cap: token minor units that it signs in all, over all payees.
    """

    PROTOCOL = "voucher"
    JOIN = b"\n"

    def __init__(
        self, folder: Path, name: str, seed: int | None, terms: VoucherTerms, cap: int
    ) -> None:
        super().__init__(folder, name, seed)
        self.terms, self.cap = terms, cap
        self.domain = Domain(terms.chain_id, terms.contract.lower())
        self._memory = {k: v for k, v in self.saved_state.items() if k != "counter"}

    @staticmethod
    def counter_of(record: bytes) -> int:
        """Return the counter in a voucher's record."""
        return json.loads(record)["message"]["counter"]

    def state(self) -> dict[str, int]:
        """Return counter, totals by payee, the day's sum, and the sum since it was last online."""
        return super().state() | self._memory

    def tap(self, payee: str, amount: int, merchant_class: int, now: int) -> bytes:
        """Sign a voucher that pays `amount` minor units more to `payee`, and return its record.

        Raises:
            Rejected: the owner's limits forbid it; with the terminal's `TapReason`.
        """
        payee, now = payee.lower(), self._not_before_last(now)
        self._check(amount, merchant_class, now)
        for name in ("spent", "offline_amount", f"day:{now // DAY}", f"total:{payee}"):
            self._add(name, amount)
        for name in ("offline_taps", f"taps:{payee}"):
            self._add(name, 1)
        self._memory["last"] = now
        self.keep([], self.counter + 1)
        return self.sign(self._voucher(payee, merchant_class, now))

    def online(self) -> None:
        """Reset the offline sums, because the rail was reached."""
        self._memory |= {"offline_taps": 0, "offline_amount": 0}
        self.keep([])

    def spend_twice(self, payee: str, amount: int, merchant_class: int, now: int) -> bytes:
        """Sign another voucher with the last counter, as a broken secure element does."""
        before = self._voucher(payee.lower(), merchant_class, now)
        return self.sign(before._replace(total=before.total + amount, taps=before.taps + 1))

    def sign(self, voucher: Voucher, domain: Domain | None = None) -> bytes:
        """Return the record of any voucher, for any contract, without changing the wearable."""
        target = domain or self.domain
        r, s = self.sign_digest(digest_of(target, voucher))
        return write_record(self.name, target, voucher, r, s)

    def _voucher(self, payee: str, merchant_class: int, now: int) -> Voucher:
        total, taps = self._sum(f"total:{payee}"), self._sum(f"taps:{payee}")
        expiry = now + self.terms.max_age
        wearable = device_id(self.name)
        return Voucher(
            wearable, payee, total, self.counter, taps, merchant_class, self.cap, now, expiry
        )

    def _not_before_last(self, now: int) -> int:
        """Return the time, or the last tap's where that lies within the grace after it."""
        last = self._sum("last")
        return last if now < last <= now + CLOCK_GRACE else now

    def _check(self, amount: int, merchant_class: int, now: int) -> None:
        terms = self.terms
        if terms.classes and merchant_class not in terms.classes:
            raise Rejected(TapReason.CLASS_NOT_AGREED, f"merchant class {merchant_class:04}")
        if not 0 < amount <= terms.per_tap:
            raise Rejected(TapReason.ABOVE_TAP_LIMIT, f"{amount} of {terms.per_tap}")
        if self._sum("last") and 0 <= now - self._sum("last") < terms.cool_off:
            raise Rejected(TapReason.COOL_OFF, f"{terms.cool_off} s must lie between two taps")
        if self._sum("spent") + amount > self.cap:
            raise Rejected(TapReason.ABOVE_CAP, f"{self._sum('spent')} of {self.cap} are spent")
        if terms.per_day and self._sum(f"day:{now // DAY}") + amount > terms.per_day:
            raise Rejected(TapReason.ABOVE_DAY_LIMIT, f"{terms.per_day} a day")
        if self._sum("offline_taps") >= terms.offline_taps:
            raise Rejected(TapReason.OFFLINE_TAPS, f"{terms.offline_taps} taps without the rail")
        if self._sum("offline_amount") + amount > terms.offline_amount:
            raise Rejected(TapReason.OFFLINE_AMOUNT, f"{terms.offline_amount} without the rail")

    def _sum(self, name: str) -> int:
        return self._memory.get(name, 0)

    def _add(self, name: str, number: int) -> None:
        self._memory[name] = self._sum(name) + number
