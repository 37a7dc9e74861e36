"""Reads our own order files (pain.001): batch, EndToEndId, amount and IBAN of each order."""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

from device_adapters.types import Rejected
from orchestrator.edges.bank.money import to_minor
from orchestrator.edges.bank.types import BankReason

_PARSER = {"resolve_entities": False, "no_network": True, "load_dtd": False}
_ANY = "{*}"


@dataclass(frozen=True, slots=True)
class Ordered:
    """One order of a pain.001; `batch` is its PmtInfId, `iban` the account that it pays.

    `other_names` has its InstrId and its UETR, where given.
    """

    message: str
    batch: str
    end_to_end_id: str
    cents: int
    iban: str
    other_names: tuple[str, ...] = ()


def read_orders(body: bytes) -> list[Ordered]:
    """Return all orders of a pain.001, in file order; raises Rejected if it is not one."""
    try:
        root = etree.fromstring(body, etree.XMLParser(**_PARSER))
    except etree.XMLSyntaxError as error:
        raise Rejected(BankReason.NOT_XML, str(error), body) from None
    message = root.findtext(f".//{_ANY}GrpHdr/{_ANY}MsgId") or ""
    return [
        _order(message, batch.findtext(f"{_ANY}PmtInfId") or "", order, body)
        for batch in root.iter(f"{_ANY}PmtInf")
        for order in batch.iter(f"{_ANY}CdtTrfTxInf")
    ]


def _order(message: str, batch: str, order: etree._Element, body: bytes) -> Ordered:
    amount = order.find(f"{_ANY}Amt/{_ANY}InstdAmt")
    if amount is None:
        raise Rejected(BankReason.MISSING_ELEMENT, "Amt/InstdAmt", body)
    return Ordered(
        message,
        batch,
        order.findtext(f"{_ANY}PmtId/{_ANY}EndToEndId") or "",
        to_minor(amount.text or "", amount.get("Ccy") or ""),
        order.findtext(f"{_ANY}CdtrAcct/{_ANY}Id/{_ANY}IBAN") or "",
        tuple(
            name
            for element in ("InstrId", "UETR")
            if (name := order.findtext(f"{_ANY}PmtId/{_ANY}{element}"))
        ),
    )
