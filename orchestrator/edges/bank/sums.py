"""Checks that a report adds up: balances against lines, and its summary against its entries."""

from __future__ import annotations

import re
from collections import defaultdict

from device_adapters.types import Rejected
from orchestrator.edges.bank.facts import AccountReport, FileProblem
from orchestrator.edges.bank.money import amount_text, to_minor
from orchestrator.edges.bank.types import BankReason
from orchestrator.edges.bank.xml import XmlNode

_BELOW_ENTRY = re.compile(r"/(NtryDtls|TxDtls|Chrgs).*")
CLOSED = ("camt.053", "MT940")  # only these close a day; interim reports need not add up


def balance_problems(report: AccountReport) -> list[FileProblem]:
    """Return a problem per currency whose opening balance + booked lines != closing balance."""
    if report.family not in CLOSED:
        return []
    several = report.currencies
    if len(several) > 1:
        return [problem for currency in several for problem in _closes(report, currency)]
    opening, closing = report.opening(), report.closing()
    if opening is None or closing is None:
        return []
    if opening.currency != closing.currency:
        detail = f"{closing.currency}, not {opening.currency} as it opened"
        return [FileProblem(closing.line, closing.path, BankReason.CURRENCY_MISMATCH, detail)]
    if opening.currency != report.currency:
        detail = f"balances in {opening.currency}, the account in {report.currency}"
        return [FileProblem(report.line, report.path, BankReason.CURRENCY_MISMATCH, detail)]
    if any(line.currency != report.currency for line in report.lines if line.is_booked):
        return []  # reported already, at the entry
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
            f"opening {amount_text(opening.amount_minor, currency)} + lines "
            f"{amount_text(total, currency)} is not closing "
            f"{amount_text(closing.amount_minor, currency)}",
        )
    ]


def check_summary(node: XmlNode, report: AccountReport) -> None:
    """Report each total of a TxsSummry that matches neither all entries nor the booked ones.

    Pages are skipped, because some banks sum the page and others the statement. So are reports in
    several currencies, whose sum has no unit.
    """
    if report.page or not report.currency or len(report.currencies) > 1:
        return
    all_entries, booked = _entries(report, False), _entries(report, True)
    for summary in node.children("TxsSummry"):
        for element, sign in (("TtlNtries", 0), ("TtlCdtNtries", 1), ("TtlDbtNtries", -1)):
            count, total = summary.number(f"{element}/NbOfNtries"), summary.text(f"{element}/Sum")
            sums = [_total(amounts, sign) for amounts in (all_entries, booked)]
            if count is not None and all(count != pair[0] for pair in sums):
                summary.add_problem(
                    BankReason.SUM_MISMATCH,
                    f"states {count} entries, but there are {sums[0][0]}",
                    element,
                )
            try:
                minor = to_minor(total, report.currency) if total else None
            except Rejected as refusal:
                summary.add_problem(BankReason(refusal.reason), refusal.detail, f"{element}/Sum")
                continue
            if minor is not None and all(minor != pair[1] for pair in sums):
                summary.add_problem(
                    BankReason.SUM_MISMATCH,
                    f"states {amount_text(minor, report.currency)}, but the entries sum to "
                    f"{amount_text(sums[0][1], report.currency)}",
                    f"{element}/Sum",
                )


def _entries(report: AccountReport, only_booked: bool) -> list[int]:
    amounts: dict[str, int] = defaultdict(int)
    for line in report.lines:
        if line.is_booked or not only_booked:
            amounts[_BELOW_ENTRY.sub("", line.path)] += line.amount_minor
    return list(amounts.values())


def _total(amounts: list[int], sign: int) -> tuple[int, int]:
    """Return the count and absolute sum of the entries of one sign; 0: of both signs."""
    chosen = [abs(amount) for amount in amounts if sign == 0 or (amount >= 0) == (sign > 0)]
    return len(chosen), sum(chosen)
