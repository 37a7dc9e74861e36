"""Reads a pain.002 of any version as the status report of one of our messages."""

from __future__ import annotations

from orchestrator.edges.bank.types import BankReason, OrderStatus, StatusReport
from orchestrator.edges.bank.xml import XmlNode

# ISO 20022 external payment group and transaction status: any other code decides nothing
_CODES = {
    "ACCC",
    "ACCP",
    "ACFC",
    "ACIS",
    "ACPT",
    "ACSC",
    "ACSP",
    "ACTC",
    "ACWC",
    "ACWP",
    "PART",
    "PATC",
    "PDNG",
    "PRES",
    "RCVD",
    "RJCT",
}
_NOT_GIVEN = {"NOTPROVIDED", "NONREF"}


def status_report(message: XmlNode, source: bytes) -> StatusReport:
    """Return the status report of a message.

    A part that cannot be read is noted and left out; it costs no other part. What identifies the
    report and its message must be there.

    Args:
        source: SHA-256 of the file.
    """
    unread: list[str] = []
    group = "OrgnlGrpInfAndSts" if message.has("OrgnlGrpInfAndSts") else "OrgnlGrpInf"
    batches = list(message.children("OrgnlPmtInfAndSts"))
    orders = [
        *message.children("TxInfAndSts"),  # version 2 has no batches
        *(order for batch in batches for order in batch.children("TxInfAndSts")),
    ]
    statuses = [_order(order, unread) for order in orders]
    whole = [_batch(batch, unread) for batch in batches if batch.has("PmtInfSts")]
    report = StatusReport(
        message.need_text("GrpHdr/MsgId"),
        message.need_text("OrgnlGrpInfAndSts/OrgnlMsgId", "OrgnlGrpInf/OrgnlMsgId"),
        _code(message, f"{group}/GrpSts", unread) if message.has(f"{group}/GrpSts") else "",
        _reason(message, f"{group}/"),
        tuple(status for status in statuses if status),
        source,
        tuple(status for status in whole if status),
        tuple(unread),
    )
    if not (report.code or report.batches or report.statuses):
        message.add_problem(BankReason.MISSING_ELEMENT, below="OrgnlGrpInfAndSts/GrpSts")
    return report


def _order(node: XmlNode, unread: list[str]) -> OrderStatus | None:
    code = _code(node, "TxSts", unread)
    ids = [_given(node, f"Orgnl{name}") for name in ("EndToEndId", "InstrId", "UETR")]
    if not any(ids):
        _leave_out(node, BankReason.MISSING_ELEMENT, "OrgnlEndToEndId", unread)
    if not code or not any(ids):
        return None
    return OrderStatus(ids[0], code, _reason(node), node.path, ids[1], ids[2].lower())


def _batch(node: XmlNode, unread: list[str]) -> OrderStatus | None:
    code, name = _code(node, "PmtInfSts", unread), node.text("OrgnlPmtInfId")
    if not name:
        _leave_out(node, BankReason.MISSING_ELEMENT, "OrgnlPmtInfId", unread)
    return OrderStatus(name, code, _reason(node), node.path) if code and name else None


def _code(node: XmlNode, path: str, unread: list[str]) -> str:
    code = node.text(path)
    if code in _CODES:
        return code
    reason = BankReason.VALUE_MALFORMED if code else BankReason.MISSING_ELEMENT
    _leave_out(node, reason, path, unread, f"{code!r:.20}" if code else "")
    return ""


def _leave_out(
    node: XmlNode, reason: BankReason, below: str, unread: list[str], detail: str = ""
) -> None:
    node.add_note(reason, detail, below)
    unread.append(f"{node.path}/{below}".lstrip("/") + f": {reason}")


def _given(node: XmlNode, path: str) -> str:
    text = node.text(path)
    return "" if text.upper() in _NOT_GIVEN else text


def _reason(node: XmlNode, within: str = "") -> str:
    return node.text(
        f"{within}StsRsnInf/Rsn/Cd",
        f"{within}StsRsnInf/Rsn/Prtry",
        f"{within}StsRsnInf/StsRsn/Cd",
        f"{within}StsRsnInf/StsRsn/Prtry",
    )
