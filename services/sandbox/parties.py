"""The parties of a development rail and their accounts at the simulated bank."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.ethereum import LocalAccount
from orchestrator.errors import Halt
from orchestrator.settings import Settings
from services.simulated_bank.orders import new_iban

ACCOUNTS_VERSION = 1  # of the file of accounts
SAVINGS_CENTS = 10_000_000_00
_SAFEGUARDING_NUMBER, _FIRST_NUMBER = 1, 100
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


@dataclass(frozen=True, slots=True)
class SandboxParty:
    """A party of the first agreement.

    Attributes:
        key: the name of its keystore and of its bank account.
        index: which development account it has; also the number of its IBAN.
    """

    key: str
    index: int
    name: str
    street: str
    post_code: str
    town: str

    @property
    def iban(self) -> str:
        return new_iban(self.index)

    def account(self, settings: Settings) -> LocalAccount:
        """Return its key, which is created at the first call."""
        development = keystore.development_account(self.index).key.hex()
        return keystore.create(settings.keys / "parties", self.key, development)


PAYER = SandboxParty("payer", 10, "Havel Fleet GmbH", "Werftstrasse", "10557", "Berlin")
PAYEE = SandboxParty("payee", 12, "Ladepunkt Nord eG", "Hafenstrasse", "24103", "Kiel")


def development_safeguarding() -> dict[str, str]:
    """Return the rail's own account at the simulated bank, in the form of `[safeguarding]`."""
    return {
        "name": "proofrail safeguarding",
        "iban": new_iban(_SAFEGUARDING_NUMBER),
        "bic": "",
        "street": "Am Kanal",
        "building": "1",
        "post_code": "14467",
        "town": "Potsdam",
        "country": "DE",
    }


def bank_accounts(settings: Settings) -> dict[str, str]:
    """Return the named accounts at the simulated bank: name -> IBAN."""
    try:
        content = json.loads(_file(settings).read_bytes())
    except FileNotFoundError:
        return {party.key: party.iban for party in (PAYER, PAYEE)}
    if content.get("version") != ACCOUNTS_VERSION:
        raise Halt(
            f"{_file(settings)} has version {content.get('version')}, and this program reads "
            f"version {ACCOUNTS_VERSION}. Use the version of proofrail that wrote it."
        )
    return content["accounts"]


def name_account(settings: Settings, name: str) -> str:
    """Return the IBAN of a named account; a new name gets the next free one.

    Raises:
        Halt: the name cannot be one.
    """
    if not _NAME.fullmatch(name):
        raise Halt(
            f"{name!r} cannot name a bank account. Nothing was done. Use up to 40 of a to z, 0 to "
            "9 and -, such as shop-1."
        )
    accounts = bank_accounts(settings)
    if name not in accounts:
        accounts[name] = new_iban(_FIRST_NUMBER + len(accounts))
        content = {"version": ACCOUNTS_VERSION, "accounts": accounts}
        keystore.write_private(_file(settings), json.dumps(content, indent=1).encode())
    return accounts[name]


def _file(settings: Settings) -> Any:
    return settings.home / "sandbox" / "accounts.json"
