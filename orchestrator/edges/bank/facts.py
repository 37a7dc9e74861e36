"""The content of a bank file: reports, balances, lines, and problems.

Amounts are integers in minor units of their currency, credits positive; a missing fact is "" or
None. `proofrail bank parse --json` prints `BankReading.as_json`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from datetime import date
from typing import Any

from orchestrator.edges.bank.types import BankReason, StatusReport

MAX_PROBLEMS = 10_000


@dataclass(frozen=True, slots=True)
class FileProblem:
    """A part of a file that is unreadable or does not add up; `line` counts from 1."""

    line: int | None
    path: str
    reason: BankReason
    detail: str = ""

    def sentence(self) -> str:
        """Return path and detail as one text."""
        return ": ".join(part for part in (self.path, self.detail) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """All references of a line.

    Attributes:
        reference: The structured creditor reference (ISO 11649 in canonical form; other schemes as
            printed).
        batch: PmtInfId.
        entry_reference: NtryRef.
        end_to_end_ids: Those of all orders that were booked as this line.
        other_references: Further structured creditor references.
        documents: Numbers of the invoices that it pays.
    """

    end_to_end_id: str = ""
    uetr: str = ""
    reference: str = ""
    bank_reference: str = ""
    instruction_id: str = ""
    mandate_id: str = ""
    batch: str = ""
    message_id: str = ""
    entry_reference: str = ""
    transaction_id: str = ""
    clearing_reference: str = ""
    customer_reference: str = ""  # MT940 :61: subfield 7, or KREF
    creditor_id: str = ""
    end_to_end_ids: tuple[str, ...] = ()
    other_references: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Counterparty:
    """The other party of a line."""

    name: str = ""
    account: str = ""  # IBAN, or another number as printed
    bic: str = ""


@dataclass(frozen=True, slots=True)
class BankCode:
    """A bank transaction code: ISO domain, family and sub-family; proprietary code and issuer."""

    domain: str = ""
    family: str = ""
    sub_family: str = ""
    proprietary: str = ""
    issuer: str = ""

    @property
    def iso(self) -> str:
        """The ISO parts, as in PMNT/RCDT/ESCT."""
        return "/".join(part for part in (self.domain, self.family, self.sub_family) if part)


NO_REFERENCES, NOBODY, NO_CODE = References(), Counterparty(), BankCode()


@dataclass(frozen=True, slots=True)
class Exchange:
    """The amount before conversion; `rate` is as printed and for information only."""

    amount_minor: int
    currency: str
    rate: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a report: an entry, or one detail of it.

    Attributes:
        status: BOOK, PDNG, INFO or FUTR.
        charges_minor: The bank's charges.
        charges_included: Whether amount_minor includes them.
        batch_count: How many orders were booked as this line, if the bank gives it.
        info: The bank's remark.
        path: Its place in the file.
    """

    amount_minor: int
    currency: str
    booking_date: date | None
    value_date: date | None
    status: str
    path: str
    line: int | None
    is_reversal: bool = False
    return_reason: str = ""
    references: References = NO_REFERENCES
    counterparty: Counterparty = NOBODY
    code: BankCode = NO_CODE
    text: str = ""
    info: str = ""
    charges_minor: int = 0
    charges_included: bool = False
    exchange: Exchange | None = None
    batch_count: int | None = None
    shares_reference: bool = False  # its bank reference is shared by all lines of the entry

    @property
    def is_booked(self) -> bool:
        """Whether the line is booked, not announced."""
        return self.status in ("BOOK", "")


@dataclass(frozen=True, slots=True)
class Balance:
    """A balance; `code` is of ISO 20022 (OPBD, CLBD, PRCD, ITBD, CLAV, FWAV...) or the bank's."""

    code: str
    date: date | None
    amount_minor: int
    currency: str
    path: str
    line: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReport:
    """One statement, report or notification of one account.

    Attributes:
        kind: Message and version, as in camt.053.001.08 or MT940.
        page: From 1 if the statement has several pages.
        last_page: Whether it is the last one; None if not given.
    """

    kind: str
    id: str
    account: str
    currency: str
    path: str
    line: int | None
    balances: tuple[Balance, ...] = ()
    lines: tuple[Line, ...] = ()
    servicer: str = ""  # BIC of the bank
    owner: str = ""
    created: date | None = None
    begins: date | None = None
    ends: date | None = None
    electronic_sequence: str = ""
    legal_sequence: str = ""
    page: int | None = None
    last_page: bool | None = None
    problems: tuple[FileProblem, ...] = ()

    @property
    def family(self) -> str:
        """The message without its version, as in camt.053."""
        return self.kind[:8]

    def opening(self, currency: str = "") -> Balance | None:
        """Return the booked balance before the first line; on a later page the interim one.

        Args:
            currency: For an account in several currencies; "": that of the first balance.
        """
        interim = self._of_code("ITBD", currency) if self.page else []
        return next(
            iter([*self._of_code("OPBD", currency), *self._of_code("PRCD", currency), *interim]),
            None,
        )

    def closing(self, currency: str = "") -> Balance | None:
        """Return the booked balance after the last line; before the last page the interim one."""
        interim = self._of_code("ITBD", currency)[::-1] if self.page else []
        if interim and interim[0] is self.opening(currency):
            interim = []
        return next(iter([*self._of_code("CLBD", currency), *interim]), None)

    @property
    def currencies(self) -> list[str]:
        """The currencies that have opening and closing balances."""
        currencies = dict.fromkeys(currency.currency for currency in self.balances)
        return [
            currency for currency in currencies if self.opening(currency) and self.closing(currency)
        ]

    def _of_code(self, code: str, currency: str) -> list[Balance]:
        return [
            balance
            for balance in self.balances
            if balance.code == code and currency in ("", balance.currency)
        ]


@dataclass(slots=True)
class BankReading:
    """The content of a file.

    Attributes:
        kind: "" if it is not a bank file.
        problems: What is unreadable or does not add up.
        notes: Oddities without loss.
    """

    kind: str = ""
    reports: list[AccountReport] = field(default_factory=list)
    statuses: list[StatusReport] = field(default_factory=list)
    problems: list[FileProblem] = field(default_factory=list)
    notes: list[FileProblem] = field(default_factory=list)

    def add_problem(self, problem: FileProblem) -> None:
        """Add a problem, at most MAX_PROBLEMS of them."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)

    def as_json(self) -> dict[str, Any]:
        """Return the JSON view of the file."""
        view: dict[str, Any] = {
            "kind": self.kind or None,
            "statements": [_report(report) for report in self.reports],
            "problems": [asdict(problem) for problem in sorted(self.problems, key=_place)],
            "notes": [asdict(note) for note in self.notes],
        }
        if self.statuses:
            view["status_reports"] = [_status_report(report) for report in self.statuses]
        return view


def _report(report: AccountReport) -> dict[str, Any]:
    paged = {"number": report.page, "is_last": report.last_page} if report.page else None
    return {
        "id": report.id or None,
        "kind": report.kind,
        "account": report.account or None,
        "currency": report.currency or None,
        "servicer": report.servicer or None,
        "owner": report.owner or None,
        "created": _day(report.created),
        "from": _day(report.begins),
        "to": _day(report.ends),
        "sequence": {
            "electronic": report.electronic_sequence or None,
            "legal": report.legal_sequence or None,
        },
        "page": paged,
        "path": report.path,
        "line": report.line,
        "balances": [asdict(balance) | {"date": _day(balance.date)} for balance in report.balances],
        "lines": [_line(line) for line in report.lines],
        "problems": [asdict(problem) for problem in report.problems],
    }


def _line(line: Line) -> dict[str, Any]:
    exchange = (
        asdict(line.exchange) | {"rate": line.exchange.rate or None} if line.exchange else None
    )
    return {
        "booking_date": _day(line.booking_date),
        "value_date": _day(line.value_date),
        "amount_minor": line.amount_minor,
        "currency": line.currency,
        "status": line.status or None,
        "is_reversal": line.is_reversal,
        "return_reason": line.return_reason or None,
        "references": _named(line.references),
        "counterparty": _named(line.counterparty),
        "code": _named(line.code),
        "text": line.text or None,
        "info": line.info or None,
        "charges_minor": line.charges_minor,
        "charges_included": line.charges_included,
        "exchange": exchange,
        "batch_count": line.batch_count,
        "path": line.path,
        "line": line.line,
    }


def _status_report(report: StatusReport) -> dict[str, Any]:
    return {
        "id": report.id,
        "original_message_id": report.original_message_id,
        "code": report.code or None,
        "reason": report.reason or None,
        "batches": [asdict(batch) for batch in report.batches],
        "statuses": [
            {key: value or None for key, value in asdict(status).items()}
            | {"reason": status.reason, "end_to_end_id": status.end_to_end_id}
            for status in report.statuses
        ],
        "unread": list(report.unread),
    }


def _named(facts: Any) -> dict[str, str | None]:
    return {item.name: getattr(facts, item.name) or None for item in fields(facts)}


def _place(problem: FileProblem) -> int:
    return problem.line or 0


def _day(day: date | None) -> str | None:
    return day.isoformat() if day else None
