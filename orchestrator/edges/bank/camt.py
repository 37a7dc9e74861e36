"""What the rail takes from the bank: statements and status reports, or a named refusal.

The strict side of `reading`: a file of which anything could not be read, or does not add up, is
refused whole, and so is one that our books cannot use. Nothing is guessed where money depends.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import date
from hashlib import sha256

from device_adapters.types import Rejected
from orchestrator.core.references import is_reference
from orchestrator.edges.bank.facts import AccountReport, BankReading, Line, References
from orchestrator.edges.bank.reading import read
from orchestrator.edges.bank.sums import CLOSED
from orchestrator.edges.bank.types import (
    BankReason,
    BankStatement,
    StatementBalances,
    StatementLine,
    StatusReport,
)

_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}")
_TAKEN = ("camt.052", "camt.053", "camt.054", "MT940")


def parse(
    data: bytes, *, accounts: Collection[str] | None = None, seen: Collection[tuple[str, str]] = ()
) -> list[BankStatement] | StatusReport:
    """Statements of a camt.052, 053, 054 or MT940, or the report of a pain.002.

    accounts: IBANs we hold (None: any). seen: (account, statement id) of statements already taken
    from other files. Raises Rejected with a BankReason; the caller keeps the bytes.
    """
    reading = read(data)
    try:
        _refuse_problems(reading)
        if reading.statuses:
            return reading.statuses[0]
        return _statements(reading, sha256(data).digest(), accounts, set(seen))
    except Rejected as refusal:
        raise Rejected(refusal.reason, refusal.detail, data) from None


def line_at(data: bytes, path: str) -> StatementLine | None:
    """The booked line at a path of a file, for whoever verifies one; Rejected as `parse`."""
    reports = parse(data)
    lines = (line for each in reports for line in each.lines) if isinstance(reports, list) else ()
    return next((line for line in lines if line.path == path), None)


def _refuse_problems(reading: BankReading) -> None:
    if reading.problems:
        first = reading.problems[0]
        raise Rejected(first.reason, first.sentence())
    if len(reading.statuses) > 1 or (reading.statuses and reading.reports):
        raise Rejected(BankReason.UNKNOWN_MESSAGE, "a pain.002 comes in a file of its own")


def _statements(
    reading: BankReading,
    source: bytes,
    accounts: Collection[str] | None,
    known: set[tuple[str, str]],
) -> list[BankStatement]:
    found: list[BankStatement] = []
    for pages in _paged(reading.reports):
        statement = _statement(pages, source, accounts)
        key = (statement.account, statement.id)
        if key in known:
            raise Rejected(BankReason.DUPLICATE_STATEMENT, f"{pages[0].path}: {statement.id:.60}")
        known.add(key)
        found.append(statement)
    return found


def _paged(reports: Iterable[AccountReport]) -> list[list[AccountReport]]:
    """Pages of one statement that follow each other in a file are one statement."""
    found: list[list[AccountReport]] = []
    for report in reports:
        last = found[-1][-1] if found else None
        follows = (
            last
            and report.page
            and last.page
            and report.page == last.page + 1
            and (last.account, last.id) == (report.account, report.id)
        )
        if follows:
            found[-1].append(report)
        else:
            found.append([report])
    return found


def _statement(
    pages: list[AccountReport], source: bytes, accounts: Collection[str] | None
) -> BankStatement:
    first = pages[0]
    if first.family not in _TAKEN:
        raise Rejected(BankReason.UNKNOWN_MESSAGE, f"{first.kind} is read, and not booked")
    account = _held(first.account, accounts)
    if accounts is not None and account not in accounts:
        raise Rejected(BankReason.ACCOUNT_UNKNOWN, f"{first.path}: {first.account:.40}")
    # the first of several pages in a file of its own keeps the statement's id
    name = first.id if (first.page or 1) == 1 else f"{first.id}/{first.page}"
    balances = _balances(pages, account, name) if first.family in CLOSED else None
    day = balances.day if balances else first.created
    lines = [
        (line.is_booked, _line(line, account, first, source, day))
        for page in pages
        for line in page.lines
    ]
    return BankStatement(
        name,
        account,
        first.currency or "EUR",
        balances,
        tuple(line for booked, line in lines if booked),
        tuple(line for booked, line in lines if not booked),
    )


def _held(account: str, accounts: Collection[str] | None) -> str:
    """The IBAN of ours that an MT940 may name by German bank code and account number."""
    bank, slash, number = account.partition("/")
    if not slash or not accounts:
        return account
    return next(
        (
            iban
            for iban in accounts
            if iban.startswith("DE") and iban[4:] == bank + number.zfill(10)
        ),
        account,
    )


def _balances(pages: list[AccountReport], account: str, statement: str) -> StatementBalances:
    currency = pages[0].currency if len(pages[0].currencies) > 1 else ""
    opening, closing = pages[0].opening(currency), pages[-1].closing(currency)
    if opening is None or closing is None:
        missing, page = ("OPBD", pages[0]) if opening is None else ("CLBD", pages[-1])
        raise Rejected(BankReason.MISSING_ELEMENT, f"{page.path}/Bal[{missing}]")
    if closing.date is None:
        raise Rejected(BankReason.MISSING_ELEMENT, f"{closing.path}/Dt")
    return StatementBalances(
        account,
        statement,
        closing.date,
        opening.amount_minor,
        closing.amount_minor,
        opening.currency,
    )


def _line(
    line: Line, account: str, report: AccountReport, source: bytes, otherwise: date | None
) -> StatementLine:
    """otherwise: the day of a line that has none of its own."""
    booking = line.booking_date or line.value_date or otherwise
    if booking is None:
        raise Rejected(BankReason.MISSING_ELEMENT, f"{line.path}/BookgDt")
    named, reference = line.references, line.references.reference
    return StatementLine(
        account=account,
        booking_date=booking,
        value_date=line.value_date or booking,
        amount_minor=line.amount_minor,
        currency=line.currency,
        source=source,
        path=line.path,
        kind=report.family,
        end_to_end_id=named.end_to_end_id,
        reference=reference if _is_the_one(named) else "",
        # an entry's reference names one line only where the entry has one
        bank_reference="" if line.shares_reference else named.bank_reference,
        batch=_batch(line, report),
        counterparty_name=line.counterparty.name,
        counterparty_iban=account if _IBAN.match(account := line.counterparty.account) else "",
        reason=line.return_reason,
        is_reversal=line.is_reversal,
        text=line.text or _remark(line),
        charges_minor=line.charges_minor if line.charges_included else 0,
        uetr=named.uetr,
        code=line.code.iso,
        proprietary_code=line.code.proprietary,
    )


def _is_the_one(named: References) -> bool:
    """Whether the creditor reference is one, and the only one: money is not divided by a guess."""
    others = any(is_reference(each) for each in named.other_references)
    return is_reference(named.reference) and not others


def _batch(line: Line, report: AccountReport) -> str:
    """In MT940 an order booked as a sum carries the batch's name where a single one has its own."""
    named = line.references
    is_sum = report.family == "MT940" and line.amount_minor < 0 and not named.end_to_end_id
    return named.batch or (named.customer_reference if is_sum else "")


def _remark(line: Line) -> str:
    """The bank's remark stands for the payer's words only where an entry has no detail."""
    return "" if "TxDtls" in line.path else line.info
