"""Read what the bank sends: camt.053, camt.054 and pain.002 in any version, or a named refusal.

Rules: ISO 20022 bank-to-customer cash management; a statement closes at its opening balance plus
its booked lines, and a batch entry is the sum of its details, to the minor unit.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from hashlib import sha256

from device_adapters.types import Rejected
from orchestrator.core.references import normalise
from orchestrator.edges.bank.entries import Context, read_entries, signed
from orchestrator.edges.bank.types import (
    Balances,
    BankReason,
    Statement,
    StatementLine,
    Status,
    StatusReport,
)
from orchestrator.edges.bank.xml import Node, read

_REPORTS = {"BkToCstmrStmt": ("camt.053", "Stmt"),
            "BkToCstmrDbtCdtNtfctn": ("camt.054", "Ntfctn")}
_OPENING, _CLOSING = ("OPBD", "PRCD"), ("CLBD",)


def parse(data: bytes, *, accounts: Collection[str] | None = None,
          seen: Collection[tuple[str, str]] = ()) -> list[Statement] | StatusReport:
    """Statements of a camt.053 or camt.054, or the report of a pain.002.

    accounts: IBANs we hold (None: any). seen: (account, statement id) of statements already taken
    from other files. Raises Rejected with a BankReason; the caller keeps the bytes.
    """
    message = read(data)
    try:
        if message.name == "CstmrPmtStsRpt":
            return _status_report(message, sha256(data).digest())
        if message.name in _REPORTS:
            return _statements(message, sha256(data).digest(), accounts, seen)
    except Rejected as refusal:
        raise Rejected(refusal.reason, refusal.detail, data) from None
    raise Rejected(BankReason.UNKNOWN_MESSAGE, f"message {message.name!r:.60}", data)


def line_at(data: bytes, path: str) -> StatementLine | None:
    """The booked line at a path of a file, for whoever verifies one; Rejected as `parse`."""
    reports = parse(data)
    lines = (line for each in reports for line in each.lines) if isinstance(reports, list) else ()
    return next((line for line in lines if line.path == path), None)


def _statements(message: Node, source: bytes, accounts: Collection[str] | None,
                seen: Collection[tuple[str, str]]) -> list[Statement]:
    kind, element = _REPORTS[message.name]
    created = message.day("GrpHdr/CreDtTm")
    statements: list[Statement] = []
    known = set(seen)
    for node in message.children(element):
        statement = _statement(node, kind, source, created)
        if accounts is not None and statement.account not in accounts:
            raise Rejected(BankReason.ACCOUNT_UNKNOWN, f"{node.path}: {statement.account:.40}")
        if (statement.account, statement.id) in known:
            raise Rejected(BankReason.DUPLICATE_STATEMENT, f"{node.path}: {statement.id:.40}")
        known.add((statement.account, statement.id))
        statements.append(statement)
    if not statements:
        raise Rejected(BankReason.MISSING_ELEMENT, element)
    return statements


def _statement(node: Node, kind: str, source: bytes, created: date | None) -> Statement:
    account = normalise(node.text("Acct/Id/IBAN", "Acct/Id/Othr/Id"))
    if not account:
        raise Rejected(BankReason.MISSING_ELEMENT, f"{node.path}/Acct/Id/IBAN")
    name = node.need_text("Id")
    balances = _balances(node, account, name) if kind == "camt.053" else None
    currency = node.text("Acct/Ccy") or (balances.currency if balances else "")
    if not currency:  # optional in a notification: its entries then say it, and must agree
        entry = node.find("Ntry/Amt")
        currency = entry.attribute("Ccy") if entry else "EUR"
    context = Context(account, currency, source, kind, created)
    lines, pending = read_entries(node, context)
    if balances:
        _check_sums(node, balances, currency, sum(line.amount_minor for line in lines))
    return Statement(name, account, currency, balances, tuple(lines), tuple(pending))


def _balances(node: Node, account: str, statement: str) -> Balances:
    found = {}
    for balance in node.children("Bal"):
        code = balance.text("Tp/CdOrPrtry/Cd")
        currency = balance.need("Amt").attribute("Ccy")
        day = balance.day("Dt/Dt", "Dt/DtTm")
        found[code] = (signed(balance, currency), currency, day, balance.path)
    opening = next((found[code] for code in _OPENING if code in found), None)
    closing = next((found[code] for code in _CLOSING if code in found), None)
    if opening is None or closing is None:
        missing = "OPBD" if opening is None else "CLBD"
        raise Rejected(BankReason.MISSING_ELEMENT, f"{node.path}/Bal[{missing}]")
    if opening[1] != closing[1]:
        raise Rejected(BankReason.CURRENCY_MISMATCH, closing[3])
    if closing[2] is None:
        raise Rejected(BankReason.MISSING_ELEMENT, f"{closing[3]}/Dt")
    return Balances(account, statement, closing[2], opening[0], closing[0], opening[1])


def _check_sums(node: Node, balances: Balances, currency: str, lines_minor: int) -> None:
    if balances.currency != currency:
        raise Rejected(BankReason.CURRENCY_MISMATCH, f"{node.path}: balances and account differ")
    if balances.opening_minor + lines_minor != balances.closing_minor:
        raise Rejected(BankReason.SUM_MISMATCH,
                       f"{node.path}: {balances.opening_minor} + {lines_minor}"
                       f" is not {balances.closing_minor}")


def _status_report(message: Node, source: bytes) -> StatusReport:
    group = message.need("OrgnlGrpInfAndSts")
    batches, statuses = [], []
    for batch in message.children("OrgnlPmtInfAndSts"):
        code = batch.text("PmtInfSts")
        reason = _reason(batch)
        if code:
            batches.append(Status(batch.need_text("OrgnlPmtInfId"), code, reason, batch.path))
        for order in batch.children("TxInfAndSts"):
            statuses.append(Status(order.need_text("OrgnlEndToEndId"), order.need_text("TxSts"),
                                   _reason(order), order.path))
    report = StatusReport(
        message.need_text("GrpHdr/MsgId"), group.need_text("OrgnlMsgId"), group.text("GrpSts"),
        _reason(group), tuple(statuses), source, tuple(batches))
    if not (report.code or batches or statuses):
        raise Rejected(BankReason.MISSING_ELEMENT, "OrgnlGrpInfAndSts/GrpSts")
    return report


def _reason(node: Node) -> str:
    return node.text("StsRsnInf/Rsn/Cd", "StsRsnInf/Rsn/Prtry")
