"""Checks IBANs and BICs and returns them in canonical form.

schwifty checks each country's structure from the SWIFT registry. Bank codes are not looked up,
because lists of banks become outdated.
"""

from __future__ import annotations

from schwifty import BIC, IBAN
from schwifty.exceptions import SchwiftyException

from device_adapters.types import Rejected
from orchestrator.core.references import account_number
from orchestrator.edges.bank.types import BankReason


def iban(text: str, what: str = "account") -> str:
    """Return an IBAN (ISO 13616) without spaces, in capitals; raises Rejected(iban_invalid)."""
    try:
        return str(IBAN(account_number(text)))
    except SchwiftyException as error:
        raise Rejected(BankReason.IBAN_INVALID, f"{what}: {text!r:.40}: {error}") from None


def sepa_iban(text: str, what: str = "account") -> str:
    """Return an IBAN as `iban`; raises Rejected(iban_invalid) also outside SEPA."""
    if not IBAN(compact := iban(text, what)).in_sepa_zone:
        raise Rejected(BankReason.IBAN_INVALID, f"{what}: {compact} is outside the SEPA countries")
    return compact


def bic(text: str, what: str = "bank") -> str:
    """Return a BIC (ISO 9362) of 8 or 11 characters, in capitals; raises Rejected(bic_invalid)."""
    try:
        return str(BIC(text))
    except SchwiftyException as error:
        raise Rejected(BankReason.BIC_INVALID, f"{what}: {text!r:.20}: {error}") from None
