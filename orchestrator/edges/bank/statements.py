"""Reads the reports of camt.052, camt.053 and camt.054 messages of any version.

Rules: ISO 20022 bank-to-customer cash management. The closing balance must be the opening balance
plus the booked lines. Arithmetic errors are reported; all lines are returned regardless.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date

from orchestrator.core.references import account_number, normalise
from orchestrator.edges.bank.entries import read_entry, signed
from orchestrator.edges.bank.facts import AccountReport, Balance, BankReading, Counterparty, Line
from orchestrator.edges.bank.sums import balance_problems, check_summary
from orchestrator.edges.bank.types import BankReason
from orchestrator.edges.bank.xml import XmlNode

MAX_LINES, MAX_REPORTS = 100_000, 10_000
ELEMENTS = {
    "BkToCstmrAcctRpt": ("camt.052", "Rpt"),
    "BkToCstmrStmt": ("camt.053", "Stmt"),
    "BkToCstmrDbtCdtNtfctn": ("camt.054", "Ntfctn"),
}
NEWEST = 14  # the newest known version; later ones are read the same and noted
_NAMED = re.compile(r"((?:camt|pain)\.[0-9]{3})\.001\.([0-9]{2})(?![0-9])")


def kind_of(message: XmlNode, family: str) -> str:
    """Return the message with its version from its namespace.

    Elements are read by their local names, so a missing or misspelt namespace is only noted. The
    namespace of another message is a problem.
    """
    match = _NAMED.search(message.namespace)
    if not match or match[1] != family:
        report = message.add_problem if match else message.add_note
        namespace = message.namespace or "no namespace"
        report(BankReason.NAMESPACE_UNKNOWN, f"{namespace!r:.90} on a {family}")
        return family
    if int(match[2]) > NEWEST:
        message.add_note(BankReason.VERSION_UNKNOWN, f"{match[0]}; read as version {NEWEST}")
    return match[0]


def read_reports(message: XmlNode, name: str, reading: BankReading) -> None:
    """Add a message's reports to the reading; `name` is the element's name without version."""
    family, element = ELEMENTS[name]
    reading.kind = kind = kind_of(message, family)
    created = message.day("GrpHdr/CreDtTm")
    alone = len(list(message.children(element))) == 1
    for number, node in enumerate(message.children(element), 1):
        if number > MAX_REPORTS:
            node.add_problem(BankReason.TOO_MANY_LINES, f"only the first {MAX_REPORTS} are read")
            break
        before = len(reading.problems)
        report = _report(node, kind, created, _page(message, "GrpHdr/MsgPgntn") if alone else None)
        problems = tuple(reading.problems[before:])
        reading.reports.append(replace(report, problems=problems) if problems else report)
    if not message.has(element):
        message.add_problem(BankReason.MISSING_ELEMENT, below=element)


def _page(node: XmlNode, path: str) -> tuple[int, bool | None] | None:
    """Return (page number, whether it is the last); None for a single page."""
    number = node.number(f"{path}/PgNb")
    last = node.truth(f"{path}/LastPgInd") if node.text(f"{path}/LastPgInd") else None
    return None if number is None or (number == 1 and last) else (number, last)


def _report(
    node: XmlNode, kind: str, created: date | None, message_page: tuple[int, bool | None] | None
) -> AccountReport:
    """Return a report; `message_page` is the page of a message of one statement (old versions)."""
    account = account_number(
        normalise(node.text("Acct/Id/IBAN"))
        or node.text("Acct/Id/Othr/Id", "Acct/Id/PrtryAcct/Id", "Acct/Id/BBAN")
    )
    if not account:
        node.add_problem(BankReason.MISSING_ELEMENT, below="Acct/Id/IBAN")
    balances = tuple(_balances(node))
    currency = _currency(node, balances)
    pages = (
        "StmtPgntn"
        if node.has("StmtPgntn")
        else "RptPgntn"
        if node.has("RptPgntn")
        else "NtfctnPgntn"
    )
    page, last = _page(node, pages) or message_page or (None, None)
    report = AccountReport(
        kind=kind,
        id=node.need_text("Id"),
        account=account,
        currency=currency,
        path=node.path,
        line=node.line,
        balances=balances,
        lines=(),
        servicer=node.text("Acct/Svcr/FinInstnId/BICFI", "Acct/Svcr/FinInstnId/BIC"),
        owner=node.text("Acct/Ownr/Pty/Nm", "Acct/Ownr/Nm", "Acct/Nm"),
        created=node.day("CreDtTm") or created,
        begins=node.day("FrToDt/FrDtTm", "FrToDt/FrDt"),
        ends=node.day("FrToDt/ToDtTm", "FrToDt/ToDt"),
        electronic_sequence=node.text("ElctrncSeqNb"),
        legal_sequence=node.text("LglSeqNb"),
        page=page,
        last_page=last,
    )
    report = replace(report, lines=tuple(_lines(node, report)))
    for problem in balance_problems(report):
        node.reading.add_problem(problem)
    check_summary(node, report)
    return report


def _currency(node: XmlNode, balances: tuple[Balance, ...]) -> str:
    """Return the account's currency (optional), else that of the balances or first entry."""
    currency = node.text("Acct/Ccy")
    if currency or balances:
        return currency or balances[0].currency
    first = next(node.children("Ntry"), None)
    return first.attribute("Amt", "Ccy") if first else ""


def _lines(node: XmlNode, report: AccountReport) -> list[Line]:
    lines: list[Line] = []
    own = Counterparty(report.owner, report.account)
    account_currencies = {report.currency} if node.has("Acct/Ccy") or report.balances else set()
    currencies = account_currencies | set(report.currencies)
    for number, entry in enumerate(node.children("Ntry"), 1):
        lines.extend(read_entry(entry, own, currencies))
        if max(number, len(lines)) > MAX_LINES:
            entry.add_problem(
                BankReason.TOO_MANY_LINES, f"only the first {MAX_LINES} lines are read"
            )
            return lines[:MAX_LINES]
    return lines


def _balances(node: XmlNode) -> Iterator[Balance]:
    for balance in node.children("Bal"):
        code = balance.text("Tp/CdOrPrtry/Cd", "Tp/CdOrPrtry/Prtry", "Tp/Cd", "Tp/Prtry")
        money = signed(balance)
        if money:
            yield Balance(
                code, balance.day("Dt/Dt", "Dt/DtTm", "Dt"), *money, balance.path, balance.line
            )
