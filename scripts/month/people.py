"""Who takes part: payers with accounts at the bank, payees with keys on the chain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.ethereum import Account, LocalAccount
from scripts.simulated_bank.orders import new_iban

_FIRST_PAYEE = 31  # development accounts before it are the rail's own; these hold ether
SAVINGS_CENTS = 100_000_000


@dataclass(frozen=True)
class MonthParty:
    """A payer or payee; `number` is that of the bank account."""

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
class MonthPeople:
    """Everybody of one month, as many as its size asks for."""

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


def gather(scale: float, households: int) -> MonthPeople:
    """Four utilities, five carriers and twenty merchants of a whole month; fewer of a small one."""
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
    return MonthPeople(
        payees[:4],
        payees[4],
        payees[5:10],
        payees[10:],
        [_payer(f"Markt {number}", 500 + number) for number in range(1, 6)],
        [_payer(f"Haushalt {number}", 1_000 + number) for number in range(1, households + 1)],
    )


def _payer(name: str, number: int) -> MonthParty:
    """Signs mandates and pays at the bank; on the chain it never sends anything."""
    return MonthParty(name, number, Account.from_key(sha256(f"month/{name}".encode()).digest()))
