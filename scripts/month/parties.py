"""The parties of the month: payers with bank accounts, payees with keys on the chain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.ethereum import Account, LocalAccount
from services.simulated_bank.orders import new_iban

_FIRST_PAYEE = 31  # the development accounts below it belong to the rail; these hold ether
SAVINGS_CENTS = 100_000_000
CLIENTS = (
    *("Fahrerin Nord", "Fahrer West", "Sparbank Nauen", "Filiale Werder"),
    *("Wasserwerk Teltow", "Haus am Kanal", "Haus am Deich", "Haus am Wald"),
)


@dataclass(frozen=True)
class MonthParty:
    """A payer or payee; `number` is the number of its bank account."""

    name: str
    number: int
    account: LocalAccount

    @property
    def iban(self) -> str:
        return new_iban(self.number)

    @property
    def address(self) -> str:
        return self.account.address


@dataclass(frozen=True)
class MonthParties:
    """All parties of one month; their number follows the scale.

    Attributes:
        insurer, machinist, saver, farmer, mechanic: payees of what is measured.
        holders: a lender, who is served first, and two partners; they share what lamps earn.
        clients: payers of what is measured.
    """

    utilities: list[MonthParty]
    charging: MonthParty
    carriers: list[MonthParty]
    merchants: list[MonthParty]
    buyers: list[MonthParty]
    households: list[MonthParty]
    insurer: MonthParty
    machinist: MonthParty
    saver: MonthParty
    farmer: MonthParty
    mechanic: MonthParty
    holders: list[MonthParty]
    clients: list[MonthParty]

    @property
    def daily_payees(self) -> list[MonthParty]:
        """Return the payees whose payouts faults may hit: they earn on many days."""
        return [*self.utilities, self.charging, *self.carriers, *self.merchants]

    @property
    def payees(self) -> list[MonthParty]:
        measured = [self.insurer, self.machinist, self.saver, self.farmer, self.mechanic]
        return [*self.daily_payees, *measured, *self.holders]

    def __iter__(self) -> Iterator[MonthParty]:
        return iter([*self.payees, *self.buyers, *self.households, *self.clients])


def gather_parties(scale: float, households: int) -> MonthParties:
    """Return the parties: at scale 1 four utilities, five carriers and twenty merchants."""
    merchants = max(2, round(20 * scale))
    names = [
        *(f"Stadtwerke {town}" for town in ("Havelland", "Spree", "Oder", "Elbe")),
        "Ladepunkt Nord eG",
        *(f"Kurier {town} GmbH" for town in ("Brandenburg", "Teltow", "Nauen", "Ketzin", "Werder")),
        *(f"Laden {number}" for number in range(1, merchants + 1)),
        *("Havelversicherung AG", "Automatendienst GmbH", "Sparkraft eG", "Hof Ketzin"),
        *("Pumpen Kranz GmbH", "Lichtbank eG", "Sonnenlampen GmbH", "Dorfladen Roskow"),
    ]
    payees = [
        MonthParty(name, 100 + number, keystore.development_account(_FIRST_PAYEE + number))
        for number, name in enumerate(names)
    ]
    return MonthParties(
        payees[:4],
        payees[4],
        payees[5:10],
        payees[10 : 10 + merchants],
        [_payer(f"Markt {number}", 500 + number) for number in range(1, 6)],
        [_payer(f"Haushalt {number}", 1_000 + number) for number in range(1, households + 1)],
        *payees[-8:-3],
        payees[-3:],
        [_payer(name, 600 + number) for number, name in enumerate(CLIENTS)],
    )


def _payer(name: str, number: int) -> MonthParty:
    """Return a payer: it signs mandates and pays at the bank, but sends nothing on the chain."""
    return MonthParty(name, number, Account.from_key(sha256(f"month/{name}".encode()).digest()))
