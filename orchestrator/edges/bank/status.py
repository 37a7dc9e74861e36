"""Reads a pain.002 of any version as the status report of one of our messages."""

from __future__ import annotations

from orchestrator.edges.bank.types import BankReason, OrderStatus, StatusReport
from orchestrator.edges.bank.xml import XmlNode


def status_report(message: XmlNode, source: bytes) -> StatusReport:
    """Return the status report of a message; missing parts are added to the node's problems.

    Args:
        source: SHA-256 of the file.
    """
    batches = list(message.children("OrgnlPmtInfAndSts"))
    orders = [
        *message.children("TxInfAndSts"),  # version 2 has no batches
        *(order for batch in batches for order in batch.children("TxInfAndSts")),
    ]
    report = StatusReport(
        message.need_text("GrpHdr/MsgId"),
        message.need_text("OrgnlGrpInfAndSts/OrgnlMsgId", "OrgnlGrpInf/OrgnlMsgId"),
        message.text("OrgnlGrpInfAndSts/GrpSts", "OrgnlGrpInf/GrpSts"),
        _reason(message, "OrgnlGrpInfAndSts/"),
        tuple(
            OrderStatus(
                order.need_text("OrgnlEndToEndId"),
                order.need_text("TxSts"),
                _reason(order),
                order.path,
            )
            for order in orders
        ),
        source,
        tuple(
            OrderStatus(batch.need_text("OrgnlPmtInfId"), code, _reason(batch), batch.path)
            for batch in batches
            if (code := batch.text("PmtInfSts"))
        ),
    )
    if not (report.code or report.batches or report.statuses):
        message.add_problem(BankReason.MISSING_ELEMENT, below="OrgnlGrpInfAndSts/GrpSts")
    return report


def _reason(node: XmlNode, within: str = "") -> str:
    return node.text(
        f"{within}StsRsnInf/Rsn/Cd",
        f"{within}StsRsnInf/Rsn/Prtry",
        f"{within}StsRsnInf/StsRsn/Cd",
        f"{within}StsRsnInf/StsRsn/Prtry",
    )
