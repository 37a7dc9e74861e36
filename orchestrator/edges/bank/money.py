"""Converts amounts between bank text and integer minor units exactly, without floats."""

from __future__ import annotations

import re

from device_adapters.types import Rejected
from orchestrator.edges.bank.types import BankReason

# ISO 4217: how many digits the minor unit of each currency has
_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN"
    " BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD"
    " FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW"
    " KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN"
    " NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD"
    " SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU"
    " UZS VED VES WST XCD XCG YER ZAR ZMW ZWG ZWL"
    " ATS BEF CYP DEM EEK FIM FRF GRD IEP LTL LUF LVL MTL NLG PTE SIT SKK",  # withdrawn
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
EXPONENTS = {code: digits for digits, codes in _DIGITS.items() for code in codes.split()}
# xs:decimal of a positive amount; banks write "12", "12.5", "12." and ".5"
_AMOUNT = re.compile(r"\+?0{0,40}?([0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})")
_SWIFT_AMOUNT = re.compile(r"([0-9]*)([.,]?)([0-9]*)")
MAX_MINOR = 2**63 - 1  # what a database column holds


def to_minor(text: str, currency: str, where: str = "") -> int:
    """Return the minor units of an unsigned amount.

    Args:
        text: Digits beyond the currency's minor unit must be zeros.
        currency: ISO 4217 code.
        where: Prefix of the error detail.

    Raises:
        Rejected: currency_unknown, amount_malformed.
    """
    place = f"{where}: " if where else ""
    if currency not in EXPONENTS:
        raise Rejected(BankReason.CURRENCY_UNKNOWN, f"{place}{currency!r:.20}")
    exponent, match = EXPONENTS[currency], _AMOUNT.fullmatch(text)
    whole, _, fraction = (match[1] if match else "").partition(".")
    if match is None or fraction[exponent:].strip("0"):
        raise Rejected(BankReason.AMOUNT_MALFORMED, f"{place}{text!r:.40}")
    minor = int(whole + fraction[:exponent].ljust(exponent, "0") or "0")
    if minor > MAX_MINOR:
        raise Rejected(BankReason.AMOUNT_MALFORMED, f"{place}{text!r:.40} is too large")
    return minor


def swift_minor(text: str, currency: str) -> int:
    """Return the minor units of an amount in a SWIFT field (format 15d, decimal comma).

    Some banks write a point. Three digits after a separator may be thousands: such an amount is
    refused unless the currency has three decimals and the separator is the standard's comma.

    Raises:
        Rejected: currency_unknown, amount_malformed.
    """
    match = _SWIFT_AMOUNT.fullmatch(text)
    is_decimal = match and (
        len(match[3]) != 3 or (match[2] == "," and EXPONENTS.get(currency, 3) == 3)
    )
    if not is_decimal:
        detail = f"{text!r:.40}: thousands and decimals cannot be distinguished"
        raise Rejected(BankReason.AMOUNT_MALFORMED, detail)
    return to_minor(text.replace(",", "."), currency)


def from_minor(amount_minor: int, currency: str = "EUR") -> str:
    """Return the ISO 20022 text of an amount; raises ValueError if it is negative."""
    if amount_minor < 0:
        raise ValueError(f"an amount must not be negative: {amount_minor}")
    exponent = EXPONENTS[currency]
    digits = str(amount_minor).rjust(exponent + 1, "0")
    return f"{digits[:-exponent]}.{digits[-exponent:]}" if exponent else digits


def amount_text(amount_minor: int, currency: str = "EUR") -> str:
    """Return an amount for people, as in "-10,000.00 EUR"; minor units of an unknown currency."""
    if currency not in EXPONENTS:
        return f"{amount_minor} {currency}".rstrip()
    whole, point, fraction = from_minor(abs(amount_minor), currency).partition(".")
    sign = "-" if amount_minor < 0 else ""
    return f"{sign}{int(whole):,}{point}{fraction} {currency}"
