"""The types of the bank adapter: payment orders, statements, status reports and refusals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

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
    """The bank's status of one order; code is ACCP, ACSC, PDNG, RJCT..., reason an ISO code.

    Any of the three ids may be ""; each given one names the order.
    """

    end_to_end_id: str
    code: str
    reason: str
    path: str
    instruction_id: str = ""
    uetr: str = ""

    @property
    def is_rejected(self) -> bool:
        """Whether the bank refuses the order."""
        return self.code == "RJCT"

    def named(self, orders: Mapping[str, str]) -> set[str]:
        """Return the orders that the ids name: none if it is not ours, several if they contradict.

        Args:
            orders: EndToEndId of each order by its EndToEndId, InstrId and UETR.
        """
        ids = filter(None, (self.end_to_end_id, self.instruction_id, self.uetr))
        named = {orders.get(name, "") for name in ids}
        return named if named != {""} else set()


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
    unread: tuple[str, ...] = ()  # parts that could not be read: path and what is missing

    def refused(self, ordered: Iterable[str]) -> dict[str, str]:
        """Return {EndToEndId: reason} of the refused orders of a message, as `answers`.

        Args:
            ordered: EndToEndIds of all orders of the message.
        """
        answers = self.answers({reference: reference for reference in ordered})
        return {reference: why for reference, why in answers.items() if why is not None}

    def answers(self, orders: Mapping[str, str]) -> dict[str, str | None]:
        """Return {EndToEndId: reason of its refusal, None if accepted} of the orders answered.

        Our messages have one batch, so the status of a batch or group covers each order that is not
        listed. An acceptance does not, if a part of the report could not be read: it may be about
        such an order. Without such a status, only what is listed is answered. An order that two
        parts answer differently, or whose ids contradict each other, is not answered. A duplicate
        (DU01, AM05...) refuses nothing: the first sending decides.

        Args:
            orders: EndToEndId of each order of the message by its EndToEndId, InstrId and UETR.
        """
        listed: dict[str, str | None] = {}
        unclear: set[str] = set()
        for status in self.statuses:
            named = status.named(orders)
            why = status.reason if status.is_rejected else None
            for reference in named:
                earlier = listed.setdefault(reference, why)
                if len(named) > 1 or (earlier is None) != (why is None):
                    unclear.add(reference)
        answers = {ref: listed.get(ref, ...) for ref in set(orders.values())}
        if (whole := self._whole()) is not ...:
            answers = {ref: whole if why is ... else why for ref, why in answers.items()}
        return {
            ref: None if why in DUPLICATE_REASONS else why
            for ref, why in answers.items()
            if why is not ... and ref not in unclear
        }

    def _whole(self) -> Any:
        """Return the answer for unlisted orders: a reason, None: accepted, ...: not answered."""
        refused = [batch.reason for batch in self.batches if batch.is_rejected]
        if refused or self.code == "RJCT":
            return refused[0] if refused else self.reason
        return None if (self.code or self.batches) and not self.unread else ...
