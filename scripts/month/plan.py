"""The expected result of the month, computed from the planned actions and never from the rail.

The code that makes a device report or a party pay adds the value here, by the agreed terms. No
price, rule or table of the rail is used. All amounts are integers.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date

CENT = 10_000  # micro-euro
MILLION = 1_000_000
EUR, TEUR = "EUR/2", "tEUR/6"
SENIOR_SHARE, SENIOR_LIMIT = 2_000, 5_000_000  # of a waterfall's income: a fifth, up to 5.00 EUR
SHARES = (6_250, 3_750)  # of the rest
FULL = 10_000  # basis points


@dataclass
class PlannedAgreement:
    """One agreement as planned.

    Attributes:
        price: micro-euro per kWh of a meter; 0 for the other products.
        begins: mWh that the meter showed when charging began.
        measured: mWh in total since then.
        extra: micro-euro owed for anything but energy.
        unbacked_cents: tokens in its escrow without money at the bank.
        payments: micro-euro of each period that is charged, in order; for measured numbers.
    """

    name: str
    payee: str  # checksummed address; "" if each voucher names its payee
    price: int = 0
    funded_cents: int = 0
    begins: int = 0
    measured: int = 0
    extra: int = 0
    unbacked_cents: int = 0
    identity: str = ""  # the id on chain, set when the agreement is open
    payments: list[int] = field(default_factory=list)

    def pay(self, micro: int) -> None:
        """Plan the payment of one period; below zero its payee owes it."""
        self.payments.append(micro)
        self.extra += micro

    @property
    def charged(self) -> int:
        """Micro-euro: what the register cost at the end less at the begin, plus `extra`.

        Both are rounded down, and energy alone counts: not where an exchange put the register.
        """
        before = self.begins * self.price // MILLION
        return (self.begins + self.measured) * self.price // MILLION - before + self.extra


@dataclass
class PlannedShare:
    """What holders of a waterfall are to get, micro-euro.

    Attributes:
        address: of the waterfall.
        holders: addresses; the first is served first.
        came_in: what the waterfall took in so far.
        paid: holder -> what went to its bank account.
        tokens: holder -> what it took as tokens.
    """

    address: str
    holders: tuple[str, str, str]
    came_in: int = 0
    paid: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)

    def parts(self) -> dict[str, int]:
        """Return what each holder has earned of what came in."""
        first = min(self.came_in * SENIOR_SHARE // FULL, SENIOR_LIMIT)
        rest = [(self.came_in - first) * share // FULL for share in SHARES]
        return dict(zip(self.holders, (first, *rest), strict=True))

    def left(self) -> dict[str, int]:
        """Return what each holder has not taken."""
        return {
            holder: part - self.paid[holder] - self.tokens[holder]
            for holder, part in self.parts().items()
        }

    def accounts(self, earned: int) -> dict[str, int]:
        """Return the ledger's token accounts of the waterfall.

        Args:
            earned: what the rail released to it.
        """
        own = self.address.lower()
        accounts = {f"share:{own}:{who.lower()}": -left for who, left in self.left().items()}
        accounts[f"share:{own}:undivided"] = sum(self.parts().values()) - self.came_in
        accounts |= {f"holder:{who.lower()}": -tokens for who, tokens in self.tokens.items()}
        return accounts | {f"withdrawable:{own}": self.came_in - earned}


@dataclass
class Plan:
    """All agreements, and everything else that moves money. Amounts are cents unless named micro.

    Attributes:
        paid_by_voucher: merchant -> micro-euro.
        redeemed: (wearable, merchant) -> micro-euro.
        frozen_micro: payee -> disputed micro-euro.
        unexplained: ledger account -> cents of bank lines that refer to nothing of the rail.
        unbooked: (day, payee) -> cents of a payout that no bank line explains.
        refused: (day, payee) -> cents of a payout that the bank refused; unbooked as well.
        returned: (day, payee) -> cents of a payout that came back.
        records: the rail's answer -> number of records.
        breaks: kind -> number of breaks that reconciliation must report.
        owed: day -> total that each payee must have been paid by its evening.
        share: the waterfall; None before it is created.
    """

    agreements: dict[str, PlannedAgreement] = field(default_factory=dict)
    paid_by_voucher: Counter[str] = field(default_factory=Counter)
    redeemed: Counter[tuple[str, str]] = field(default_factory=Counter)
    frozen_micro: Counter[str] = field(default_factory=Counter)
    unexplained: Counter[str] = field(default_factory=Counter)
    unbooked: Counter[tuple[date, str]] = field(default_factory=Counter)
    refused: Counter[tuple[date, str]] = field(default_factory=Counter)
    returned: Counter[tuple[date, str]] = field(default_factory=Counter)
    records: Counter[str] = field(default_factory=Counter)
    breaks: Counter[str] = field(default_factory=Counter)
    owed: dict[date, dict[str, int]] = field(default_factory=dict)
    share: PlannedShare | None = None
    _later: list[tuple[date, str, int]] = field(default_factory=list)

    def add(self, agreement: PlannedAgreement) -> PlannedAgreement:
        self.agreements[agreement.name] = agreement
        return agreement

    def later(self, day: date, agreement: str, measured: int) -> None:
        """Plan energy (mWh) that is charged no earlier than on that day."""
        self._later.append((day, agreement, measured))

    def begin(self, day: date) -> None:
        """Count the energy that `later` planned for this day."""
        for due, name, measured in self._later:
            if due == day:
                self.agreements[name].measured += measured

    def end(self, day: date) -> None:
        """Record that everything planned so far is paid out by the evening of this day."""
        self.owed[day] = self.paid_out

    def payout(self, day: date, payee: str) -> int:
        """Return the cents that are ordered for a payee on a day that has ended."""
        before = [totals for ended, totals in self.owed.items() if ended < day]
        return self.owed[day].get(payee, 0) - (before[-1].get(payee, 0) if before else 0)

    def earned(self) -> Counter[str]:
        """Return payee -> micro-euro that all its agreements owe it over the month."""
        earned = Counter(self.paid_by_voucher)
        for agreement in self.agreements.values():
            if agreement.payee:
                earned[agreement.payee] += agreement.charged
        return earned

    @property
    def funded(self) -> int:
        return sum(agreement.funded_cents for agreement in self.agreements.values())

    @property
    def paid_out(self) -> dict[str, int]:
        """Payee -> whole cents ordered for it by the end; holders of the waterfall are payees."""
        ordered = {
            payee: (micro - self.frozen_micro[payee]) // CENT
            for payee, micro in self.earned().items()
        }
        if self.share is not None:
            del ordered[self.share.address]  # it has no bank account
            ordered |= {holder: micro // CENT for holder, micro in self.share.paid.items()}
        return ordered

    def accounts(self) -> dict[tuple[str, str], int]:
        """Return the expected ledger at the end of the month, without zero balances.

        Returns:
            {(ledger account, asset): minor units, debits positive}.
        """
        ordered = sum(self.paid_out.values())
        waiting = self.unbooked.total()  # ordered but never booked
        unbacked = sum(agreement.unbacked_cents for agreement in self.agreements.values())
        supply = self.funded + unbacked - ordered
        books = Counter[tuple[str, str]]()
        books["token:issued", TEUR] = supply * CENT
        books["bank:safeguarding", EUR] = (
            self.funded + self.unexplained.total() - ordered + waiting + self.returned.total()
        )
        books["customers:deposits", EUR] = -supply
        books["suspense:funding", EUR] = unbacked
        books["payouts:in_transit", EUR] = -waiting
        books["payouts:returned", EUR] = -self.returned.total()
        for account, cents in self.unexplained.items():
            books[account, EUR] -= cents
        for agreement in self.agreements.values():
            books[f"escrow:{agreement.identity}", TEUR] = (
                agreement.charged - (agreement.funded_cents + agreement.unbacked_cents) * CENT
            )
        earned = self.earned()
        if self.share is not None:
            own = self.share.accounts(earned.pop(self.share.address))
            books.update({(account, TEUR): amount for account, amount in own.items()})
        for payee, micro in earned.items():
            frozen = self.frozen_micro[payee]
            books[f"withdrawable:{payee.lower()}", TEUR] = -((micro - frozen) % CENT)
            books["frozen", TEUR] -= frozen
        return {account: amount for account, amount in books.items() if amount}
