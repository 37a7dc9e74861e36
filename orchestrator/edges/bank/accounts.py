"""Account numbers in their one canonical form, or a refusal by name.

schwifty knows each country's structure from the SWIFT registry, where stdnum knew only the check
digits' sum for many. Whether a bank has that bank code is not asked: lists of banks grow old.
"""

from __future__ import annotations

from schwifty import BIC, IBAN
from schwifty.exceptions import SchwiftyException

from device_adapters.types import Rejected
from orchestrator.edges.bank.types import BankReason


def iban(text: str, what: str = "account") -> str:
    """The IBAN (ISO 13616) without spaces, in capitals; Rejected(iban_invalid) otherwise."""
    try:
        return str(IBAN(text))
    except SchwiftyException as error:
        raise Rejected(BankReason.IBAN_INVALID, f"{what}: {text!r:.40}: {error}") from None


def sepa_iban(text: str, what: str = "account") -> str:
    """As `iban`; Rejected(iban_invalid) too where no SEPA credit transfer reaches the country."""
    if not IBAN(compact := iban(text, what)).in_sepa_zone:
        raise Rejected(BankReason.IBAN_INVALID, f"{what}: {compact} is outside the SEPA countries")
    return compact


def bic(text: str, what: str = "bank") -> str:
    """The BIC (ISO 9362) in capitals, 8 or 11 characters; Rejected(bic_invalid) otherwise."""
    try:
        return str(BIC(text))
    except SchwiftyException as error:
        raise Rejected(BankReason.BIC_INVALID, f"{what}: {text!r:.20}: {error}") from None
