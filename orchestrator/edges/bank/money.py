"""Amounts between ISO 20022 text and integer minor units, exactly, never through a float."""

from __future__ import annotations

import re

from device_adapters.types import Rejected
from orchestrator.edges.bank.types import BankReason

EXPONENTS = {"EUR": 2, "USD": 2, "GBP": 2, "CHF": 2, "SEK": 2, "NOK": 2, "DKK": 2, "PLN": 2,
             "CZK": 2, "HUF": 2, "RON": 2, "ISK": 0, "JPY": 0}  # ISO 4217
_AMOUNT = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,5}))?")


def to_minor(text: str, currency: str, where: str) -> int:
    """Minor units of an unsigned amount; digits beyond the currency's must be zeros."""
    if currency not in EXPONENTS:
        raise Rejected(BankReason.CURRENCY_UNKNOWN, f"{where}: {currency!r:.20}")
    exponent, match = EXPONENTS[currency], _AMOUNT.fullmatch(text)
    fraction = (match[2] or "") if match else ""
    if match is None or fraction[exponent:].strip("0"):
        raise Rejected(BankReason.AMOUNT_MALFORMED, f"{where}: {text!r:.40}")
    return int(match[1] + fraction[:exponent].ljust(exponent, "0"))


def from_minor(amount_minor: int, currency: str = "EUR") -> str:
    """The ISO 20022 text of an amount that is not negative."""
    if amount_minor < 0:
        raise ValueError(f"a sign has no place in an amount: {amount_minor}")
    exponent = EXPONENTS[currency]
    digits = str(amount_minor).rjust(exponent + 1, "0")
    return f"{digits[:-exponent]}.{digits[-exponent:]}" if exponent else digits
