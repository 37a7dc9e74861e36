"""Write what a bank answers: pain.002.001.10, camt.054.001.08 and camt.053.001.08."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from lxml import etree


@dataclass(frozen=True)
class Answer:
    """What the bank says about one order: ACCP, or RJCT with a reason."""

    end_to_end_id: str
    reason: str = ""


def status_report(number: int, original: str, answers: Sequence[tuple[str, Sequence[Answer]]],
                  refusal: str = "") -> bytes:
    """pain.002: the group's status, and each order's by batch; refusal refuses the whole file."""
    root, message = _document("pain.002.001.10", "CstmrPmtStsRpt")
    _header(message, f"PSR{number:09d}")
    every = [answer for _, batch in answers for answer in batch]
    refused = [answer for answer in every if answer.reason]
    status = "RJCT" if refusal or (refused and len(refused) == len(every)) else (
        "PART" if refused else "ACCP")
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


def notification(number: int, account: str, lines: Iterable[sqlite3.Row]) -> bytes:
    """camt.054: lines as they were booked."""
    root, message = _document("camt.054.001.08", "BkToCstmrDbtCdtNtfctn")
    _header(message, f"NTF{number:09d}")
    node = _add(message, "Ntfctn")
    _add(node, "Id", f"NTF{number:09d}")
    _account(node, account)
    _entries(node, lines)
    return _bytes(root)


def statement(number: int, account: str, day: str, opening: int, lines: Sequence[sqlite3.Row]
              ) -> bytes:
    """camt.053: the opening balance, every line of the day, the closing balance."""
    root, message = _document("camt.053.001.08", "BkToCstmrStmt")
    _header(message, f"STM{number:09d}")
    node = _add(message, "Stmt")
    _add(node, "Id", f"STM-{day}-{account[-8:]}")
    _add(node, "ElctrncSeqNb", str(number))
    _account(node, account)
    closing = opening + sum(line["cents"] for line in lines)
    for code, cents in (("OPBD", opening), ("CLBD", closing)):
        balance = _add(node, "Bal")
        _add(balance, "Tp/CdOrPrtry/Cd", code)
        _amount(balance, cents)
        _add(balance, "Dt/Dt", day)
    _entries(node, lines)
    return _bytes(root)


def _entries(node: etree._Element, lines: Iterable[sqlite3.Row]) -> None:
    for entry, group in groupby(lines, key=lambda line: line["entry"]):
        details = list(group)
        total, first = sum(line["cents"] for line in details), details[0]
        out = _add(node, "Ntry")
        _add(out, "NtryRef", entry)
        _amount(out, total)
        _add(out, "Sts/Cd", "BOOK")
        _add(out, "BookgDt/Dt", first["booking_date"])
        _add(out, "ValDt/Dt", first["booking_date"])
        _add(out, "AcctSvcrRef", entry)
        _code(out, total, bool(first["reason"]))
        box = _add(out, "NtryDtls")
        if len(details) > 1:
            batch = _add(box, "Btch")
            _add(batch, "PmtInfId", first["batch"])
            _add(batch, "NbOfTxs", str(len(details)))
        for line in details:
            _detail(box, line)


def _detail(box: etree._Element, line: sqlite3.Row) -> None:
    detail = _add(box, "TxDtls")
    refs = _add(detail, "Refs")
    _add(refs, "AcctSvcrRef", f"BK{line['id']:010d}")
    if line["batch"]:
        _add(refs, "PmtInfId", line["batch"])
    _add(refs, "EndToEndId", line["end_to_end_id"] or "NOTPROVIDED")
    if line["uetr"]:
        _add(refs, "UETR", line["uetr"])
    _amount(detail, line["cents"])
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


def _code(node: etree._Element, total: int, returned: bool) -> None:
    code = _add(node, "BkTxCd/Domn")
    _add(code, "Cd", "PMNT")
    _add(code, "Fmly/Cd", "RCDT" if total > 0 else "ICDT")
    _add(code, "Fmly/SubFmlyCd", "RRTN" if returned else "ESCT")


def _amount(node: etree._Element, cents: int) -> None:
    amount = _add(node, "Amt", f"{abs(cents) // 100}.{abs(cents) % 100:02d}")
    amount.set("Ccy", "EUR")
    _add(node, "CdtDbtInd", "DBIT" if cents < 0 else "CRDT")


def _account(node: etree._Element, iban: str) -> None:
    _add(node, "Acct/Id/IBAN", iban)
    _add(node, "Acct/Ccy", "EUR")


def _header(message: etree._Element, name: str) -> None:
    _add(message, "GrpHdr/MsgId", name)
    _add(message, "GrpHdr/CreDtTm", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


def _document(version: str, message: str) -> tuple[etree._Element, etree._Element]:
    namespace = f"urn:iso:std:iso:20022:tech:xsd:{version}"
    root = etree.Element(f"{{{namespace}}}Document", nsmap={None: namespace})
    return root, etree.SubElement(root, f"{{{namespace}}}{message}")


def _add(node: etree._Element, path: str, text: str = "") -> etree._Element:
    """Adds the element at a path; parents that are there already, last in line, are reused."""
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
