"""Turns a bank file into statements or a status report, or refuses it as a whole.

The strict side of `reading`: a file with any problem is refused, and so is one that cannot be
posted. Nothing is guessed where money depends on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from hashlib import sha256

from device_adapters.types import Rejected
from orchestrator.core.references import account_number, is_reference
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

Taken = Callable[[str, str], str]  # account, statement id -> digest of its content

_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}")
_LINE_FACTS = [name for name in StatementLine.__slots__ if name not in ("source", "path")]
_TAKEN = ("camt.052", "camt.053", "camt.054", "MT940")


def _nothing_taken(account: str, statement: str) -> str:
    return ""


def parse(
    data: bytes, *, accounts: Collection[str] | None = None, taken: Taken = _nothing_taken
) -> list[BankStatement] | StatusReport:
    """Return the statements of a camt.052, 053, 054 or MT940, or the report of a pain.002.

    Args:
        accounts: Our IBANs; None: any.
        taken: Returns `content_digest` of the statement that was taken under an account and an id
            from another file; "" if none was.

    Raises:
        Rejected: with a BankReason and the bytes of the file.
    """
    reading = read(data)
    try:
        _refuse_problems(reading)
        if reading.statuses:
            return reading.statuses[0]
        return _statements(reading, sha256(data).digest(), accounts, taken)
    except Rejected as refusal:
        raise Rejected(refusal.reason, refusal.detail, data) from None


def _refuse_problems(reading: BankReading) -> None:
    if reading.problems:
        first = reading.problems[0]
        raise Rejected(first.reason, first.sentence())
    if len(reading.statuses) > 1 or (reading.statuses and reading.reports):
        raise Rejected(BankReason.UNKNOWN_MESSAGE, "a pain.002 must be alone in its file")


def _statements(
    reading: BankReading, source: bytes, accounts: Collection[str] | None, taken: Taken
) -> list[BankStatement]:
    """Return the statements, each under a name of its own.

    An id that was used before for another statement gets the digest of its content as a suffix;
    so the same statement has the same name each time.
    """
    statements: list[BankStatement] = []
    digests: dict[tuple[str, str], str] = {}
    for pages in _paged(reading.reports):
        statement = _statement(pages, source, accounts)
        digest = content_digest(statement)
        for name in (statement.id, f"{statement.id}/{digest[:16]}"):
            earlier = digests.get((statement.account, name)) or taken(statement.account, name)
            if earlier:
                if earlier == digest or name != statement.id:
                    detail = f"{pages[0].path}: {statement.id:.60}"
                    raise Rejected(BankReason.DUPLICATE_STATEMENT, detail)
                continue
            digests[statement.account, name] = digest
            statements.append(_renamed(statement, name))
            break
    return statements


def _renamed(statement: BankStatement, name: str) -> BankStatement:
    balances = statement.balances and replace(statement.balances, statement=name)
    return replace(statement, id=name, balances=balances)


def content_digest(statement: BankStatement) -> str:
    """Return the SHA-256 (hex) of a statement's balances and lines, without id, file and places."""
    balances = statement.balances
    facts = [
        statement.account,
        statement.currency,
        balances and (str(balances.day), balances.opening_minor, balances.closing_minor),
        *(
            [str(getattr(line, name)) for name in _LINE_FACTS]
            for line in (*statement.lines, *statement.pending)
        ),
    ]
    return sha256(repr(facts).encode()).hexdigest()


def _paged(reports: Iterable[AccountReport]) -> list[list[AccountReport]]:
    """Group consecutive pages of one statement."""
    statements: list[list[AccountReport]] = []
    for report in reports:
        last = statements[-1][-1] if statements else None
        follows = (
            last
            and report.page
            and last.page
            and report.page == last.page + 1
            and (last.account, last.id) == (report.account, report.id)
        )
        if follows:
            statements[-1].append(report)
        else:
            statements.append([report])
    return statements


def _statement(
    pages: list[AccountReport], source: bytes, accounts: Collection[str] | None
) -> BankStatement:
    first = pages[0]
    if first.family not in _TAKEN:
        raise Rejected(BankReason.UNKNOWN_MESSAGE, f"{first.kind} cannot be booked")
    own = None if accounts is None else {account_number(account) for account in accounts}
    account = _own_iban(first.account, own)
    if own is not None and account not in own:
        raise Rejected(BankReason.ACCOUNT_UNKNOWN, f"{first.path}: {first.account:.40}")
    # a first page in its own file keeps the statement's id
    name = first.id if (first.page or 1) == 1 else f"{first.id}/{first.page}"
    balances = _balances(pages, account, name) if first.family in CLOSED else None
    lines = [
        (line.is_booked, _line(line, account, first, source))
        for page in pages
        for line in page.lines
    ]
    return BankStatement(
        name,
        account,
        first.currency,
        balances,
        tuple(line for booked, line in lines if booked),
        tuple(line for booked, line in lines if not booked),
    )


def _own_iban(account: str, accounts: Collection[str] | None) -> str:
    """Return our IBAN if an MT940 gives German bank code and account number instead."""
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


def _line(line: Line, account: str, report: AccountReport, source: bytes) -> StatementLine:
    """Return a line for posting; raises Rejected(missing_element) if it has no date."""
    pending = report.created if not line.is_booked else None  # nothing acts on it
    booking = line.booking_date or line.value_date or pending
    if booking is None:
        raise Rejected(BankReason.MISSING_ELEMENT, f"{line.path}/BookgDt")
    references, reference = line.references, line.references.reference
    return StatementLine(
        account=account,
        booking_date=booking,
        value_date=line.value_date or booking,
        amount_minor=line.amount_minor,
        currency=line.currency,
        source=source,
        path=line.path,
        kind=report.family,
        end_to_end_id=references.end_to_end_id,
        reference=reference if _is_only_reference(references) else "",
        # an entry's reference identifies a line only if the entry has one line
        bank_reference="" if line.shares_reference else references.bank_reference,
        batch=_batch(line, report),
        counterparty_name=line.counterparty.name,
        counterparty_iban=account if _IBAN.match(account := line.counterparty.account) else "",
        reason=line.return_reason,
        is_reversal=line.is_reversal,
        text=line.text or _remark(line),
        charges_minor=line.charges_minor if line.charges_included else 0,
        uetr=references.uetr,
        code=line.code.iso,
        proprietary_code=line.code.proprietary,
    )


def _is_only_reference(references: References) -> bool:
    """Return whether there is exactly one creditor reference; money is never split by a guess."""
    others = any(is_reference(reference) for reference in references.other_references)
    return is_reference(references.reference) and not others


def _batch(line: Line, report: AccountReport) -> str:
    """Return the batch id; in MT940 a batch booking has it in place of the order's reference."""
    references = line.references
    is_sum = report.family == "MT940" and line.amount_minor < 0 and not references.end_to_end_id
    return references.batch or (references.customer_reference if is_sum else "")


def _remark(line: Line) -> str:
    """Return the bank's remark as text, for entries without details only."""
    return "" if "TxDtls" in line.path else line.info
