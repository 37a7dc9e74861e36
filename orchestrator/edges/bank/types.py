"""The nouns of the bank door: payouts out; statements, status reports and refusals in."""

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
    """Why a bank file (or a payout on its way into one) was not taken. Stable codes."""

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
    """Money to leave. payout_id: 32 bytes; end_to_end_id and uetr as core.references makes them."""

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

    lines: booked ones only; pending: announced and not booked, never to be acted on.
    balances: None in a notification.
    """

    id: str
    account: str
    currency: str
    balances: StatementBalances | None
    lines: tuple[StatementLine, ...]
    pending: tuple[StatementLine, ...] = ()


@dataclass(frozen=True, slots=True)
class OrderStatus:
    """What the bank says about one order. code: ACCP, ACSC, PDNG, RJCT...; reason: ISO code."""

    end_to_end_id: str
    code: str
    reason: str
    path: str

    @property
    def is_rejected(self) -> bool:
        return self.code == "RJCT"


@dataclass(frozen=True, slots=True)
class StatusReport:
    """A pain.002 about one message of ours; a group status stands for orders it does not list."""

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
        """Reason per EndToEndId refused, of all orders of the message it is about.

        A message of ours has one batch, so a refused batch or group refuses every order it does
        not list. A repetition (DU01, AM05...) refuses nothing: what was sent first decides.
        """
        listed = {status.end_to_end_id: status for status in self.statuses}
        whole = next(
            (each.reason for each in self.batches if each.is_rejected),
            self.reason if self.code == "RJCT" else None,
        )
        found = {key: status.reason for key, status in listed.items() if status.is_rejected}
        if whole is not None:
            found |= {key: whole for key in ordered if key not in listed}
        return {key: why for key, why in found.items() if why not in DUPLICATE_REASONS}
