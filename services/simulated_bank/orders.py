"""Read a pain.001 as a bank does: accept or refuse the file and each order, by ISO reason code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from lxml import etree

from device_adapters.types import Rejected

_AMOUNT = re.compile(r"([0-9]{1,12})\.([0-9]{2})")


class IsoReason(StrEnum):
    """The status reason codes (ISO 20022 external code sets) that this bank uses."""

    FF01 = "FF01"  # file format not valid
    DU01 = "DU01"  # message id used before
    DU04 = "DU04"  # EndToEndId used before
    AM10 = "AM10"  # control sum wrong
    AM18 = "AM18"  # number of transactions wrong
    AC01 = "AC01"  # creditor account malformed
    AC02 = "AC02"  # debtor account not this customer's
    AC04 = "AC04"  # account closed
    AM01 = "AM01"  # amount zero
    AM02 = "AM02"  # amount not allowed
    AM03 = "AM03"  # currency not allowed
    AM04 = "AM04"  # funds insufficient
    BE04 = "BE04"  # creditor address missing or not structured
    BE22 = "BE22"  # creditor name missing
    AM09 = "AM09"  # wrong amount (a return of something never paid)


@dataclass(frozen=True)
class Order:
    """One credit transfer.

    Attributes:
        refusal: why this order alone is refused; None if it is well formed.
    """

    end_to_end_id: str
    uetr: str
    cents: int
    name: str
    iban: str
    text: str
    reference: str
    refusal: IsoReason | None


@dataclass(frozen=True)
class OrderBatch:
    """One batch of orders (PmtInf)."""

    id: str
    one_booking: bool
    debtor_iban: str
    execution_date: date
    orders: tuple[Order, ...]


@dataclass(frozen=True)
class Initiation:
    """One pain.001 message."""

    id: str
    batches: tuple[OrderBatch, ...]


def valid_iban(iban: str) -> bool:
    """Return whether the check digits are right (ISO 13616: rearranged, 1 modulo 97)."""
    if not re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", iban):
        return False
    return int("".join(str(int(letter, 36)) for letter in iban[4:] + iban[:4])) % 97 == 1


def new_iban(number: int, country: str = "DE", bank_code: str = "90000000") -> str:
    """Return a valid German-style IBAN with a bank code that no bank has.

    Args:
        number: the account number.
    """
    account = f"{bank_code}{number:010d}"
    digits = int("".join(str(int(letter, 36)) for letter in f"{account}{country}00"))
    return f"{country}{98 - digits % 97:02d}{account}"


def read_initiation(data: bytes) -> Initiation:
    """Read one pain.001.

    Raises:
        Rejected: the whole file is refused; `reason` is an IsoReason, `raw` the MsgId.
    """
    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Rejected(IsoReason.FF01, f"{error!s:.100}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise Rejected(IsoReason.FF01, "DTD")
    message = root.find("{*}CstmrCdtTrfInitn")
    msg_id = _text(message, "GrpHdr/MsgId") if message is not None else ""
    try:
        if not msg_id or len(msg_id) > 35:
            raise Rejected(IsoReason.FF01, "no message id")
        batches = tuple(_batch(node) for node in message.findall("{*}PmtInf"))
        _control(message, [order for batch in batches for order in batch.orders], "GrpHdr/")
    except Rejected as refusal:
        raise Rejected(refusal.reason, refusal.detail, msg_id.encode()) from None
    return Initiation(msg_id, batches)


def _batch(node: etree._Element) -> OrderBatch:
    try:
        day = date.fromisoformat(_text(node, "ReqdExctnDt/Dt") or _text(node, "ReqdExctnDt"))
    except ValueError:
        raise Rejected(IsoReason.FF01, "execution date") from None
    orders = tuple(_order(child) for child in node.findall("{*}CdtTrfTxInf"))
    batch = OrderBatch(
        _text(node, "PmtInfId"),
        _text(node, "BtchBookg") == "true",
        _text(node, "DbtrAcct/Id/IBAN"),
        day,
        orders,
    )
    if not batch.id or not orders:
        raise Rejected(IsoReason.FF01, "batch without id or orders")
    if _text(node, "NbOfTxs"):
        _control(node, list(orders), "")
    return batch


def _order(node: etree._Element) -> Order:
    end_to_end_id = _text(node, "PmtId/EndToEndId")
    amount = node.find("{*}Amt/{*}InstdAmt")
    match = _AMOUNT.fullmatch(amount.text or "") if amount is not None else None
    if not end_to_end_id or len(end_to_end_id) > 35 or match is None:
        raise Rejected(IsoReason.FF01, "order without EndToEndId or amount")
    cents = int(match[1] + match[2])
    iban, name = _text(node, "CdtrAcct/Id/IBAN"), _text(node, "Cdtr/Nm")
    town, country = _text(node, "Cdtr/PstlAdr/TwnNm"), _text(node, "Cdtr/PstlAdr/Ctry")
    checks = [
        (amount.get("Ccy") != "EUR", IsoReason.AM03),
        (cents == 0, IsoReason.AM01),
        (cents > 99_999_999_999, IsoReason.AM02),
        (not valid_iban(iban), IsoReason.AC01),
        (not name, IsoReason.BE22),
        (not (town and country), IsoReason.BE04),
    ]
    refusal = next((reason for is_wrong, reason in checks if is_wrong), None)
    return Order(
        end_to_end_id,
        _text(node, "PmtId/UETR"),
        cents,
        name,
        iban,
        _text(node, "RmtInf/Ustrd"),
        _text(node, "RmtInf/Strd/CdtrRefInf/Ref"),
        refusal,
    )


def _control(node: etree._Element, orders: list[Order], at: str) -> None:
    if _text(node, f"{at}NbOfTxs") != str(len(orders)):
        raise Rejected(IsoReason.AM18, "number of transactions")
    total, stated = sum(order.cents for order in orders), _text(node, f"{at}CtrlSum")
    match = re.fullmatch(r"([0-9]+)(?:\.([0-9]{1,2}))?", stated)
    if stated and (not match or int(match[1] + (match[2] or "").ljust(2, "0")) != total):
        raise Rejected(IsoReason.AM10, "control sum")


def _text(node: etree._Element, path: str) -> str:
    return (node.findtext("/".join(f"{{*}}{name}" for name in path.split("/"))) or "").strip()
