"""Write the bank's messages: pain.002.001.10, and camt.052, 053 and 054 in version 001.08."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from lxml import etree


@dataclass(frozen=True)
class OrderAnswer:
    """The status of one order: ACCP, or RJCT with a reason."""

    end_to_end_id: str
    reason: str = ""


def status_report(
    number: int,
    original: str,
    answers: Sequence[tuple[str, Sequence[OrderAnswer]]],
    refusal: str = "",
) -> bytes:
    """Return a pain.002 with the status of the group and of each order.

    Args:
        original: the MsgId of the order file.
        answers: (batch id, answers) of each batch.
        refusal: the reason if the whole file is refused.
    """
    root, message = _document("pain.002.001.10", "CstmrPmtStsRpt")
    _header(message, f"PSR{number:09d}")
    all_answers = [answer for _, batch in answers for answer in batch]
    refused = [answer for answer in all_answers if answer.reason]
    status = (
        "RJCT"
        if refusal or (refused and len(refused) == len(all_answers))
        else ("PART" if refused else "ACCP")
    )
    group = _add(message, "OrgnlGrpInfAndSts")
    _add(group, "OrgnlMsgId", original or "NOTPROVIDED")
    _add(group, "OrgnlMsgNmId", "pain.001.001.09")
    _add(group, "GrpSts", status)
    if refusal:
        _add(group, "StsRsnInf/Rsn/Cd", refusal)
    for batch_id, batch in answers:
        node = _add(message, "OrgnlPmtInfAndSts")
        _add(node, "OrgnlPmtInfId", batch_id)
        for answer in batch:
            order = _add(node, "TxInfAndSts")
            _add(order, "OrgnlEndToEndId", answer.end_to_end_id)
            _add(order, "TxSts", "RJCT" if answer.reason else "ACCP")
            if answer.reason:
                _add(order, "StsRsnInf/Rsn/Cd", answer.reason)
    return _bytes(root)


def notification(
    number: int, account: str, lines: Sequence[sqlite3.Row], *, as_report: bool = False
) -> bytes:
    """Return a camt.054 (or a camt.052) about lines of one currency, as they were booked."""
    version, name, element = (
        ("camt.052.001.08", "BkToCstmrAcctRpt", "Rpt")
        if as_report
        else ("camt.054.001.08", "BkToCstmrDbtCdtNtfctn", "Ntfctn")
    )
    root, message = _document(version, name)
    _header(message, f"NTF{number:09d}")
    node = _add(message, element)
    _add(node, "Id", f"NTF{number:09d}")
    _account(node, account, lines[0]["currency"])
    _entries(node, lines)
    return _bytes(root)


def statement(
    number: int,
    account: str,
    day: str,
    opening: int,
    lines: Sequence[sqlite3.Row],
    *,
    name: str = "",
    mark: str = "",
) -> bytes:
    """Return a camt.053: the opening balance, every line of the day, the closing balance.

    Args:
        name: its id, if not `statement_id`.
        mark: a prefix of its references, if they must differ from those notified.
    """
    root, message = _document("camt.053.001.08", "BkToCstmrStmt")
    _header(message, f"STM{number:09d}")
    node = _add(message, "Stmt")
    _add(node, "Id", name or statement_id(account, day))
    _add(node, "ElctrncSeqNb", str(number))
    _account(node, account)
    closing = opening + sum(line["cents"] for line in lines)
    for code, cents in (("OPBD", opening), ("CLBD", closing)):
        balance = _add(node, "Bal")
        _add(balance, "Tp/CdOrPrtry/Cd", code)
        _amount(balance, cents)
        _add(balance, "Dt/Dt", day)
    _entries(node, lines, mark)
    return _bytes(root)


def statement_id(account: str, day: str) -> str:
    """Return the usual id of a statement."""
    return f"STM-{day}-{account[-8:]}"


def entries_of(lines: Iterable[sqlite3.Row]) -> dict[str, list[sqlite3.Row]]:
    """Return {entry: its lines}, in booking order."""
    entries: dict[str, list[sqlite3.Row]] = {}
    for line in lines:
        entries.setdefault(line["entry"], []).append(line)
    return entries


def _entries(node: etree._Element, lines: Iterable[sqlite3.Row], mark: str = "") -> None:
    for entry, details in entries_of(lines).items():
        total, first = sum(line["cents"] for line in details), details[0]
        out = _add(node, "Ntry")
        _add(out, "NtryRef", mark + entry)
        _amount(out, total, first["currency"])
        if first["reversal"]:
            _add(out, "RvslInd", "true")
        _add(out, "Sts/Cd", "BOOK")
        _add(out, "BookgDt/Dt", first["booking_date"])
        _add(out, "ValDt/Dt", first["booking_date"])
        _add(out, "AcctSvcrRef", mark + entry)
        _code(out, total, first)
        if first["shape"] == "batch_bare":
            continue
        details_node = _add(out, "NtryDtls")
        if len(details) > 1 or first["shape"] == "batch_sum":
            batch = _add(details_node, "Btch")
            _add(batch, "PmtInfId", first["batch"])
            _add(batch, "NbOfTxs", str(len(details)))
        for line in details if first["shape"] != "batch_sum" else ():
            _detail(details_node, line, mark)


def _detail(node: etree._Element, line: sqlite3.Row, mark: str) -> None:
    detail = _add(node, "TxDtls")
    refs = _add(detail, "Refs")
    _add(refs, "AcctSvcrRef", f"{mark}BK{line['id']:010d}")
    if line["batch"]:
        _add(refs, "PmtInfId", line["batch"])
    has_ids = line["shape"] != "batch_details"
    _add(
        refs,
        "EndToEndId",
        line["end_to_end_id"] if line["end_to_end_id"] and has_ids else "NOTPROVIDED",
    )
    if line["uetr"] and has_ids:
        _add(refs, "UETR", line["uetr"])
    _amount(detail, line["cents"], line["currency"])
    if line["charges"]:
        charges = _add(detail, "Chrgs/Rcrd")
        _amount(charges, -line["charges"], line["currency"])
        _add(charges, "ChrgInclInd", "true")
    side = "Dbtr" if line["cents"] > 0 else "Cdtr"
    parties = _add(detail, "RltdPties")
    if line["name"]:
        _add(parties, f"{side}/Pty/Nm", line["name"])
    if line["iban"]:
        _add(parties, f"{side}Acct/Id/IBAN", line["iban"])
    if line["reference"] or line["text"]:
        remittance = _add(detail, "RmtInf")
        if line["text"]:
            _add(remittance, "Ustrd", line["text"])
        if line["reference"]:
            creditor = _add(remittance, "Strd/CdtrRefInf")
            _add(creditor, "Tp/CdOrPrtry/Cd", "SCOR")
            _add(creditor, "Tp/Issr", "ISO")
            _add(creditor, "Ref", line["reference"])
    if line["reason"]:
        _add(detail, "RtrInf/Rsn/Cd", line["reason"])


def _code(node: etree._Element, total: int, line: sqlite3.Row) -> None:
    code = _add(node, "BkTxCd/Domn")
    _add(code, "Cd", "PMNT")
    _add(code, "Fmly/Cd", "RCDT" if total > 0 else "ICDT")
    _add(code, "Fmly/SubFmlyCd", line["code"] or ("RRTN" if line["reason"] else "ESCT"))


def _amount(node: etree._Element, cents: int, currency: str = "EUR") -> None:
    amount = _add(node, "Amt", f"{abs(cents) // 100}.{abs(cents) % 100:02d}")
    amount.set("Ccy", currency)
    _add(node, "CdtDbtInd", "DBIT" if cents < 0 else "CRDT")


def _account(node: etree._Element, iban: str, currency: str = "EUR") -> None:
    _add(node, "Acct/Id/IBAN", iban)
    _add(node, "Acct/Ccy", currency)


def _header(message: etree._Element, name: str) -> None:
    _add(message, "GrpHdr/MsgId", name)
    _add(message, "GrpHdr/CreDtTm", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


def _document(version: str, message: str) -> tuple[etree._Element, etree._Element]:
    namespace = f"urn:iso:std:iso:20022:tech:xsd:{version}"
    root = etree.Element(f"{{{namespace}}}Document", nsmap={None: namespace})
    return root, etree.SubElement(root, f"{{{namespace}}}{message}")


def _add(node: etree._Element, path: str, text: str = "") -> etree._Element:
    """Add the element at a path; the last child is reused as parent if it has the same name."""
    *parents, leaf = path.split("/")
    namespace = etree.QName(node).namespace
    for name in parents:
        last = node[-1] if len(node) else None
        reuse = last is not None and etree.QName(last).localname == name
        node = last if reuse else etree.SubElement(node, f"{{{namespace}}}{name}")
    element = etree.SubElement(node, f"{{{namespace}}}{leaf}")
    element.text = text or None
    return element


def _bytes(root: etree._Element) -> bytes:
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
