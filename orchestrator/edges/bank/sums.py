"""Whether a report adds up: its balances with its lines, and its own summary with its entries."""

from __future__ import annotations

import re
from collections import defaultdict

from device_adapters.types import Rejected
from orchestrator.edges.bank.facts import AccountReport, FileProblem
from orchestrator.edges.bank.money import to_minor
from orchestrator.edges.bank.types import BankReason
from orchestrator.edges.bank.xml import XmlNode

_BELOW_ENTRY = re.compile(r"/(NtryDtls|TxDtls|Chrgs).*")
CLOSED = ("camt.053", "MT940")  # only these close a day; an interim report need not add up


def balance_problems(report: AccountReport) -> list[FileProblem]:
    """Opening balance plus booked lines must be the closing balance, in each currency."""
    if report.family not in CLOSED:
        return []
    several = report.currencies
    if len(several) > 1:
        return [each for currency in several for each in _closes(report, currency)]
    opening, closing = report.opening(), report.closing()
    if opening is None or closing is None:
        return []
    if opening.currency != closing.currency:
        told = f"{closing.currency}, not {opening.currency} as it opened"
        return [FileProblem(closing.line, closing.path, BankReason.CURRENCY_MISMATCH, told)]
    if opening.currency != report.currency:
        told = f"balances in {opening.currency}, the account in {report.currency}"
        return [FileProblem(report.line, report.path, BankReason.CURRENCY_MISMATCH, told)]
    if any(line.currency != report.currency for line in report.lines if line.is_booked):
        return []  # named already, at the entry
    return _closes(report, report.currency)


def _closes(report: AccountReport, currency: str) -> list[FileProblem]:
    opening, closing = report.opening(currency), report.closing(currency)
    total = sum(
        line.amount_minor for line in report.lines if line.is_booked and line.currency == currency
    )
    if not opening or not closing or opening.amount_minor + total == closing.amount_minor:
        return []
    return [
        FileProblem(
            report.line,
            report.path,
            BankReason.SUM_MISMATCH,
            f"{opening.amount_minor} + {total} is not {closing.amount_minor}",
        )
    ]


def check_summary(node: XmlNode, report: AccountReport) -> None:
    """Names each total of a TxsSummry that is neither that of all entries nor of the booked ones.

    A page is left out: some banks sum up the page, and some the statement. So are several
    currencies: their sum is none of a number of units.
    """
    if report.page or not report.currency or len(report.currencies) > 1:
        return
    every, booked = _entries(report, False), _entries(report, True)
    for summary in node.children("TxsSummry"):
        for element, sign in (("TtlNtries", 0), ("TtlCdtNtries", 1), ("TtlDbtNtries", -1)):
            count, total = summary.number(f"{element}/NbOfNtries"), summary.text(f"{element}/Sum")
            either = [_total(amounts, sign) for amounts in (every, booked)]
            if count is not None and all(count != each[0] for each in either):
                summary.say(
                    BankReason.SUM_MISMATCH,
                    f"says {count} entries, there are {either[0][0]}",
                    element,
                )
            try:
                minor = to_minor(total, report.currency) if total else None
            except Rejected as refusal:
                summary.say(BankReason(refusal.reason), refusal.detail, f"{element}/Sum")
                continue
            if minor is not None and all(minor != each[1] for each in either):
                summary.say(
                    BankReason.SUM_MISMATCH,
                    f"says {minor}, the entries make {either[0][1]}",
                    f"{element}/Sum",
                )


def _entries(report: AccountReport, only_booked: bool) -> list[int]:
    found: dict[str, int] = defaultdict(int)
    for line in report.lines:
        if line.is_booked or not only_booked:
            found[_BELOW_ENTRY.sub("", line.path)] += line.amount_minor
    return list(found.values())


def _total(amounts: list[int], sign: int) -> tuple[int, int]:
    """Number and unsigned sum of the entries of one sign; 0: of both."""
    chosen = [abs(each) for each in amounts if sign == 0 or (each >= 0) == (sign > 0)]
    return len(chosen), sum(chosen)
