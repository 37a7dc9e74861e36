"""What a bank's file says, as it says it: reports, balances, lines, and what could not be read.

Amounts are integers in minor units of their currency, credits positive; a fact that the file does
not give is "" or None. `Reading.as_json` is what `proofrail bank parse --json` prints.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from datetime import date
from typing import Any

from orchestrator.edges.bank.types import BankReason, StatusReport

MAX_PROBLEMS = 10_000


@dataclass(frozen=True, slots=True)
class FileProblem:
    """One thing of a file that was not read, or does not add up. line: of the file, from 1."""

    line: int | None
    path: str
    reason: BankReason
    detail: str = ""

    def sentence(self) -> str:
        return ": ".join(part for part in (self.path, self.detail) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """Every reference of a line. reference: the structured creditor reference (ISO 11649 in its
    canonical form; another scheme as printed). batch: PmtInfId. entry_reference: NtryRef.

    end_to_end_ids: of the orders that a line stands for together. other_references: structured
    ones behind the first. documents: numbers of invoices and the like that it pays."""

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
    name: str = ""
    account: str = ""  # IBAN, or another number as printed
    bic: str = ""


@dataclass(frozen=True, slots=True)
class BankCode:
    """Bank transaction code: ISO domain, family and sub-family; proprietary, and who issued it."""

    domain: str = ""
    family: str = ""
    sub_family: str = ""
    proprietary: str = ""
    issuer: str = ""

    @property
    def iso(self) -> str:
        return "/".join(part for part in (self.domain, self.family, self.sub_family) if part)


NO_REFERENCES, NOBODY, NO_CODE = References(), Counterparty(), BankCode()


@dataclass(frozen=True, slots=True)
class Exchange:
    """The amount before conversion. rate: as printed, never used to compute."""

    amount_minor: int
    currency: str
    rate: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a report: an entry, or one detail of it.

    status: BOOK | PDNG | INFO | FUTR. charges_minor: what the bank says it took for it;
    charges_included: whether that is inside amount_minor. batch_count: how many orders the line
    stands for, where the bank says so. info: the bank's own remark. path: where it stands.
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
    shares_reference: bool = False  # its bank reference is the entry's, of several lines

    @property
    def is_booked(self) -> bool:
        return self.status in ("BOOK", "")


@dataclass(frozen=True, slots=True)
class Balance:
    """code: ISO 20022 (OPBD, CLBD, PRCD, ITBD, CLAV, FWAV...) or the bank's own."""

    code: str
    date: date | None
    amount_minor: int
    currency: str
    path: str
    line: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReport:
    """One statement, report or notification of one account.

    kind: message with its version, such as camt.053.001.08 or MT940. page: from 1 where the
    statement has several; last_page: None where it does not say.
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
        return self.kind[:8]

    def opening(self, currency: str = "") -> Balance | None:
        """The booked balance before its first line; of a later page the interim one.

        currency: of an account in several; "": of the first balance there is."""
        interim = self._told("ITBD", currency) if self.page else []
        return next(
            iter([*self._told("OPBD", currency), *self._told("PRCD", currency), *interim]), None
        )

    def closing(self, currency: str = "") -> Balance | None:
        """The booked balance after its last line; of a page that is not the last the interim."""
        interim = self._told("ITBD", currency)[::-1] if self.page else []
        if interim and interim[0] is self.opening(currency):
            interim = []
        return next(iter([*self._told("CLBD", currency), *interim]), None)

    @property
    def currencies(self) -> list[str]:
        """Those that it opens and closes in; more than one where the account is kept in several."""
        told = dict.fromkeys(each.currency for each in self.balances)
        return [each for each in told if self.opening(each) and self.closing(each)]

    def _told(self, code: str, currency: str) -> list[Balance]:
        return [
            each for each in self.balances if each.code == code and currency in ("", each.currency)
        ]


@dataclass(slots=True)
class BankReading:
    """A whole file. kind: "" where it is no bank file; notes: said, and nothing was lost."""

    kind: str = ""
    reports: list[AccountReport] = field(default_factory=list)
    statuses: list[StatusReport] = field(default_factory=list)
    problems: list[FileProblem] = field(default_factory=list)
    notes: list[FileProblem] = field(default_factory=list)

    def name(self, problem: FileProblem) -> None:
        """Keeps a problem; of a file that is nothing but problems, the first ones are enough."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "kind": self.kind or None,
            "statements": [_report(each) for each in self.reports],
            "problems": [asdict(each) for each in sorted(self.problems, key=_place)],
            "notes": [asdict(each) for each in self.notes],
        }
        if self.statuses:
            told["status_reports"] = [_status_report(each) for each in self.statuses]
        return told


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
        "balances": [asdict(each) | {"date": _day(each.date)} for each in report.balances],
        "lines": [_line(each) for each in report.lines],
        "problems": [asdict(each) for each in report.problems],
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
        "batches": [asdict(each) for each in report.batches],
        "statuses": [asdict(each) for each in report.statuses],
    }


def _named(facts: Any) -> dict[str, str | None]:
    return {each.name: getattr(facts, each.name) or None for each in fields(facts)}


def _place(problem: FileProblem) -> int:
    return problem.line or 0


def _day(day: date | None) -> str | None:
    return day.isoformat() if day else None
