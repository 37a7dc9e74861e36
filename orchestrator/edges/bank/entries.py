"""Read the entries of one statement into lines: one per detail, or one per entry without any."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from device_adapters.types import Rejected
from orchestrator.core.references import find_reference, is_reference, normalise
from orchestrator.edges.bank.money import to_minor
from orchestrator.edges.bank.types import BankReason, StatementLine
from orchestrator.edges.bank.xml import Node

MAX_LINES = 100_000
_SIGNS = {"CRDT": 1, "DBIT": -1}


@dataclass(frozen=True, slots=True)
class Context:
    """What all entries of a statement share. created: the file's day, for undated entries."""

    account: str
    currency: str
    source: bytes
    kind: Any
    created: date | None


def read_entries(statement: Node, context: Context
                 ) -> tuple[list[StatementLine], list[StatementLine]]:
    """The booked lines and the pending ones, in the file's order."""
    booked: list[StatementLine] = []
    pending: list[StatementLine] = []
    for entry in statement.children("Ntry"):
        status = entry.text("Sts/Cd", "Sts")  # a bare code up to version 7
        if not status:
            raise Rejected(BankReason.MISSING_ELEMENT, f"{entry.path}/Sts")
        (booked if status == "BOOK" else pending).extend(_entry(entry, context))
        if len(booked) + len(pending) > MAX_LINES:
            raise Rejected(BankReason.TOO_MANY_LINES, entry.path)
    return booked, pending


def signed(node: Node, currency: str, otherwise: int = 0, amount: str = "Amt") -> int:
    """The amount of an entry, balance or detail: credits positive, debits negative.

    otherwise: the sign where the element has none of its own; 0 means it must have one.
    """
    found = node.need(amount)
    if found.attribute("Ccy") != currency:
        raise Rejected(BankReason.CURRENCY_MISMATCH,
                       f"{found.path}: {found.attribute('Ccy')!r:.20}, not {currency:.20}")
    indicator = node.text("CdtDbtInd")
    if not indicator and not otherwise:
        raise Rejected(BankReason.MISSING_ELEMENT, f"{node.path}/CdtDbtInd")
    if indicator and indicator not in _SIGNS:
        raise Rejected(BankReason.VALUE_MALFORMED, f"{node.path}/CdtDbtInd: {indicator!r:.20}")
    return _SIGNS.get(indicator, otherwise) * to_minor(found.value(), currency, found.path)


def _entry(entry: Node, context: Context) -> list[StatementLine]:
    total = signed(entry, context.currency)
    booking = entry.day("BookgDt/Dt", "BookgDt/DtTm")
    value = entry.day("ValDt/Dt", "ValDt/DtTm")
    booking = booking or value or context.created
    if booking is None:
        raise Rejected(BankReason.MISSING_ELEMENT, f"{entry.path}/BookgDt")
    shared = dict(
        account=context.account, booking_date=booking, value_date=value or booking,
        currency=context.currency, source=context.source, kind=context.kind,
        batch=entry.text("NtryDtls/Btch/PmtInfId"), is_reversal=_is_true(entry, "RvslInd"))
    reference = entry.text("AcctSvcrRef")
    details = [detail for group in entry.children("NtryDtls")
               for detail in group.children("TxDtls")]
    amounts = [_amount(detail, context.currency, total, len(details)) for detail in details]
    if not details or None in amounts:  # the bank booked a sum and keeps its parts to itself
        return [StatementLine(**shared, amount_minor=total, path=entry.path,
                              bank_reference=reference, text=entry.text("AddtlNtryInf"))]
    if sum(amounts) != total:
        raise Rejected(BankReason.SUM_MISMATCH,
                       f"{entry.path}: details make {sum(amounts)}, the entry says {total}")
    # An entry's reference names one line only where the entry has one.
    fallback = reference if len(details) == 1 else ""
    return [StatementLine(**{**shared, **_detail(detail, amount, shared, fallback)})
            for detail, amount in zip(details, amounts, strict=True)]


def _amount(detail: Node, currency: str, total: int, count: int) -> int | None:
    """A detail's own amount; None where several share the entry's and do not say how."""
    sign = 1 if total >= 0 else -1
    if detail.find("Amt"):
        return signed(detail, currency, sign)
    inner = detail.find("AmtDtls/TxAmt/Amt")
    if inner and inner.attribute("Ccy") == currency:
        return signed(detail, currency, sign, "AmtDtls/TxAmt/Amt")
    return total if count == 1 else None


def _detail(detail: Node, amount: int, shared: dict, fallback: str) -> dict[str, Any]:
    side, account = ("Dbtr", "DbtrAcct") if amount > 0 else ("Cdtr", "CdtrAcct")
    end_to_end_id = detail.text("Refs/EndToEndId")
    text = " ".join(node.value() for remittance in detail.children("RmtInf")
                    for node in remittance.children("Ustrd"))
    return dict(
        amount_minor=amount, path=detail.path,
        end_to_end_id="" if end_to_end_id == "NOTPROVIDED" else end_to_end_id,
        bank_reference=detail.text("Refs/AcctSvcrRef") or fallback,
        batch=detail.text("Refs/PmtInfId") or shared["batch"],
        reference=_reference(detail, text), text=text,
        counterparty_name=detail.text(f"RltdPties/{side}/Pty/Nm", f"RltdPties/{side}/Nm"),
        counterparty_iban=normalise(detail.text(f"RltdPties/{account}/Id/IBAN")),
        reason=detail.text("RtrInf/Rsn/Cd", "RtrInf/Rsn/Prtry"))


def _reference(detail: Node, text: str) -> str:
    """The structured creditor reference, else one of ours in the free text or the EndToEndId."""
    structured = detail.text("RmtInf/Strd/CdtrRefInf/Ref")
    if structured and is_reference(structured):
        return normalise(structured)
    return find_reference(text) or find_reference(detail.text("Refs/EndToEndId"))


def _is_true(node: Node, name: str) -> bool:
    text = node.text(name)
    if text not in ("", "true", "false", "1", "0"):
        raise Rejected(BankReason.VALUE_MALFORMED, f"{node.path}/{name}: {text!r:.20}")
    return text in ("true", "1")
