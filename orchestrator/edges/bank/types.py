"""The types of the bank adapter: payment orders, statements, status reports and refusals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.core.reconcile import DUPLICATE_REASONS, StatementBalances, StatementLine

__all__ = [
    "Address",
    "BankReason",
    "BankStatement",
    "Debtor",
    "OrderStatus",
    "PaymentOrder",
    "StatementBalances",
    "StatementLine",
    "StatusReport",
]


class BankReason(StrEnum):
    """Why a bank file or a payout was refused. The codes are stable."""

    # the bytes
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    ENCODING_UNKNOWN = "encoding_unknown"
    NOT_XML = "not_xml"
    ARCHIVE_MALFORMED = "archive_malformed"
    DTD_FORBIDDEN = "dtd_forbidden"
    # the message
    UNKNOWN_MESSAGE = "unknown_message"
    NAMESPACE_UNKNOWN = "namespace_unknown"
    VERSION_UNKNOWN = "version_unknown"
    TOO_MANY_LINES = "too_many_lines"
    MISSING_ELEMENT = "missing_element"
    VALUE_MALFORMED = "value_malformed"
    DATE_MALFORMED = "date_malformed"
    AMOUNT_MALFORMED = "amount_malformed"
    CURRENCY_UNKNOWN = "currency_unknown"
    CURRENCY_MISMATCH = "currency_mismatch"
    SUM_MISMATCH = "sum_mismatch"
    NOT_SPLIT = "not_split"
    ACCOUNT_UNKNOWN = "account_unknown"
    DUPLICATE_STATEMENT = "duplicate_statement"
    # a payout
    NAME_NOT_LATIN = "name_not_latin"
    NAME_TOO_LONG = "name_too_long"
    IBAN_INVALID = "iban_invalid"
    BIC_INVALID = "bic_invalid"
    ADDRESS_INCOMPLETE = "address_incomplete"
    REFERENCE_INVALID = "reference_invalid"
    AMOUNT_NOT_POSITIVE = "amount_not_positive"
    NO_PAYOUTS = "no_payouts"
    DUPLICATE_PAYOUT = "duplicate_payout"
    FILE_LIMIT = "file_limit"
    FOUR_EYES = "four_eyes"


@dataclass(frozen=True, slots=True)
class Address:
    """A structured postal address; town and country (ISO 3166 alpha-2) are mandatory."""

    street: str
    building: str
    post_code: str
    town: str
    country: str


@dataclass(frozen=True, slots=True)
class Debtor:
    """The debtor of our orders: the holder of the safeguarding account."""

    name: str
    iban: str
    address: Address
    bic: str = ""


@dataclass(frozen=True, slots=True)
class PaymentOrder:
    """An order to pay; payout_id has 32 bytes, end_to_end_id and uetr are of core.references."""

    payout_id: bytes
    end_to_end_id: str
    uetr: str
    name: str
    iban: str
    address: Address
    amount_cents: int
    currency: str = "EUR"
    bic: str = ""
    text: str = ""  # unstructured remittance information for the payee, at most 140 characters


@dataclass(frozen=True, slots=True)
class BankStatement:
    """One statement (camt.053) or notification (camt.054) of one account.

    Attributes:
        balances: None in a notification.
        lines: Booked lines only.
        pending: Lines that are announced but not booked; no code may act on them.
    """

    id: str
    account: str
    currency: str
    balances: StatementBalances | None
    lines: tuple[StatementLine, ...]
    pending: tuple[StatementLine, ...] = ()


@dataclass(frozen=True, slots=True)
class OrderStatus:
    """The bank's status of one order; code is ACCP, ACSC, PDNG, RJCT..., reason an ISO code."""

    end_to_end_id: str
    code: str
    reason: str
    path: str

    @property
    def is_rejected(self) -> bool:
        """Whether the bank refuses the order."""
        return self.code == "RJCT"


@dataclass(frozen=True, slots=True)
class StatusReport:
    """A pain.002 about one of our messages; its group status covers the orders not listed."""

    id: str
    original_message_id: str
    code: str
    reason: str
    statuses: tuple[OrderStatus, ...]
    source: bytes
    batches: tuple[
        OrderStatus, ...
    ] = ()  # statuses of whole batches; end_to_end_id is the PmtInfId

    def refused(self, ordered: Iterable[str]) -> dict[str, str]:
        """Return {EndToEndId: reason} of the refused orders of a message.

        Our messages have one batch, so a refused batch or group refuses every order that it does
        not list. A duplicate (DU01, AM05...) refuses nothing: the first sending decides.

        Args:
            ordered: EndToEndIds of all orders of the message.
        """
        listed = {status.end_to_end_id: status for status in self.statuses}
        whole = next(
            (batch.reason for batch in self.batches if batch.is_rejected),
            self.reason if self.code == "RJCT" else None,
        )
        reasons = {key: status.reason for key, status in listed.items() if status.is_rejected}
        if whole is not None:
            reasons |= {key: whole for key in ordered if key not in listed}
        return {key: why for key, why in reasons.items() if why not in DUPLICATE_REASONS}
