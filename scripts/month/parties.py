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
    """All parties of one month; their number follows the scale."""

    utilities: list[MonthParty]
    charging: MonthParty
    carriers: list[MonthParty]
    merchants: list[MonthParty]
    buyers: list[MonthParty]
    households: list[MonthParty]

    @property
    def payees(self) -> list[MonthParty]:
        return [*self.utilities, self.charging, *self.carriers, *self.merchants]

    def __iter__(self) -> Iterator[MonthParty]:
        return iter([*self.payees, *self.buyers, *self.households])


def gather_parties(scale: float, households: int) -> MonthParties:
    """Return the parties: at scale 1 four utilities, five carriers and twenty merchants."""
    merchants = max(2, round(20 * scale))
    names = [
        *(f"Stadtwerke {town}" for town in ("Havelland", "Spree", "Oder", "Elbe")),
        "Ladepunkt Nord eG",
        *(f"Kurier {town} GmbH" for town in ("Brandenburg", "Teltow", "Nauen", "Ketzin", "Werder")),
        *(f"Laden {number}" for number in range(1, merchants + 1)),
    ]
    payees = [
        MonthParty(name, 100 + number, keystore.development_account(_FIRST_PAYEE + number))
        for number, name in enumerate(names)
    ]
    return MonthParties(
        payees[:4],
        payees[4],
        payees[5:10],
        payees[10:],
        [_payer(f"Markt {number}", 500 + number) for number in range(1, 6)],
        [_payer(f"Haushalt {number}", 1_000 + number) for number in range(1, households + 1)],
    )


def _payer(name: str, number: int) -> MonthParty:
    """Return a payer: it signs mandates and pays at the bank, but sends nothing on the chain."""
    return MonthParty(name, number, Account.from_key(sha256(f"month/{name}".encode()).digest()))
