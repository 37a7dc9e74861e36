"""What the month must come to, reckoned from what was planned and from nothing the rail says.

Whoever makes a device speak, or a person pay, writes here what that is worth, by the terms that the
parties agreed to. No price, rule or table of the rail is used; amounts are integers throughout.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date

CENT = 10_000  # micro-euro
MILLION = 1_000_000
EUR, TEUR = "EUR/2", "tEUR/6"


@dataclass
class PlannedAgreement:
    """One agreement as planned. price: micro-euro per kWh of a meter; 0 for the other products.

    measured: mWh in all. extra: micro-euro that are owed for anything but energy. unbacked_cents:
    tokens in its escrow that no money came for.
    """

    name: str
    payee: str  # checksummed address; "" where each voucher names one
    price: int = 0
    funded_cents: int = 0
    measured: int = 0
    extra: int = 0
    unbacked_cents: int = 0
    identity: str = ""  # the id on chain, once it is open

    @property
    def charged(self) -> int:
        """Micro-euro: what a whole month of readings costs, rounded down once, and the rest."""
        return self.measured * self.price // MILLION + self.extra


@dataclass
class Plan:
    """All deals, and everything else that moves money. Amounts: cents, but where a name says micro.

    paid_by_voucher: merchant -> micro-euro; redeemed: (wearable, merchant) -> micro-euro.
    frozen_micro: payee -> disputed. strange: ledger account -> cents of lines that name nothing of
    ours. unbooked, refused, returned: (day, payee) -> cents of a payout that no line explains, that
    the bank refused (then it is unbooked, too), or that came back. owed: day -> what each payee was
    to be paid by its evening, in all.
    """

    deals: dict[str, PlannedAgreement] = field(default_factory=dict)
    paid_by_voucher: Counter[str] = field(default_factory=Counter)
    redeemed: Counter[tuple[str, str]] = field(default_factory=Counter)
    frozen_micro: Counter[str] = field(default_factory=Counter)
    strange: Counter[str] = field(default_factory=Counter)
    unbooked: Counter[tuple[date, str]] = field(default_factory=Counter)
    refused: Counter[tuple[date, str]] = field(default_factory=Counter)
    returned: Counter[tuple[date, str]] = field(default_factory=Counter)
    records: Counter[str] = field(default_factory=Counter)  # the rail's answer -> how many
    breaks: Counter[str] = field(default_factory=Counter)  # kind -> how many must be named
    owed: dict[date, dict[str, int]] = field(default_factory=dict)
    _later: list[tuple[date, str, int]] = field(default_factory=list)

    def add(self, deal: PlannedAgreement) -> PlannedAgreement:
        self.deals[deal.name] = deal
        return deal

    def later(self, day: date, deal: str, measured: int) -> None:
        """Energy that is charged no earlier than on that day, whenever it was measured."""
        self._later.append((day, deal, measured))

    def begin(self, day: date) -> None:
        """What was put off until this day counts from now on."""
        for due, name, measured in self._later:
            if due == day:
                self.deals[name].measured += measured

    def end(self, day: date) -> None:
        """All that was planned so far is paid out by the evening of this day."""
        self.owed[day] = self.paid_out

    def payout(self, day: date, payee: str) -> int:
        """Cents that are ordered for a payee on a day that has ended."""
        before = [found for ended, found in self.owed.items() if ended < day]
        return self.owed[day].get(payee, 0) - (before[-1].get(payee, 0) if before else 0)

    def earned(self) -> Counter[str]:
        """Payee -> micro-euro that all its agreements owe it over the month."""
        found = Counter(self.paid_by_voucher)
        for deal in self.deals.values():
            if deal.payee:
                found[deal.payee] += deal.charged
        return found

    @property
    def funded(self) -> int:
        return sum(deal.funded_cents for deal in self.deals.values())

    @property
    def paid_out(self) -> dict[str, int]:
        """Payee -> whole cents that were ordered for it by the end."""
        return {
            payee: (micro - self.frozen_micro[payee]) // CENT
            for payee, micro in self.earned().items()
        }

    def accounts(self) -> dict[tuple[str, str], int]:
        """{(ledger account, asset): minor units, debits positive} at the month's end; no zeros."""
        ordered = sum(self.paid_out.values())
        waiting = self.unbooked.total()  # ordered, and never booked
        unbacked = sum(deal.unbacked_cents for deal in self.deals.values())
        supply = self.funded + unbacked - ordered
        books = Counter[tuple[str, str]]()
        books["token:issued", TEUR] = supply * CENT
        books["bank:safeguarding", EUR] = (
            self.funded + self.strange.total() - ordered + waiting + self.returned.total()
        )
        books["customers:deposits", EUR] = -supply
        books["suspense:funding", EUR] = unbacked
        books["payouts:in_transit", EUR] = -waiting
        books["payouts:returned", EUR] = -self.returned.total()
        for account, cents in self.strange.items():
            books[account, EUR] -= cents
        for deal in self.deals.values():
            books[f"escrow:{deal.identity}", TEUR] = (
                deal.charged - (deal.funded_cents + deal.unbacked_cents) * CENT
            )
        for payee, micro in self.earned().items():
            frozen = self.frozen_micro[payee]
            books[f"withdrawable:{payee.lower()}", TEUR] = -((micro - frozen) % CENT)
            books["frozen", TEUR] -= frozen
        return {account: amount for account, amount in books.items() if amount}
