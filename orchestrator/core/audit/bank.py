"""Stages bank_file and bank_line: the order to the bank, and the bank's statement."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from typing import Any

from lxml import etree

from orchestrator.core.identity import payout_account
from orchestrator.core.references import attempted, end_to_end_id

from .blocks import unproven
from .case import Case
from .reading import unbase64, unhex
from .settlement import payout_entry

_PATH = re.compile(r"[A-Za-z]+(?:\[[1-9]\d{0,6}\])?(?:/[A-Za-z]+(?:\[[1-9]\d{0,6}\])?)*")
_STEP = re.compile(r"([A-Za-z]+)(?:\[(\d+)\])?")
_COUNTED = ("Stmt", "Ntfctn", "Ntry", "TxDtls")
_MOST_ATTEMPTS = 32
_AMOUNT = re.compile(r"\d{1,15}(?:\.\d{1,2})?")


def bank_file(case: Case) -> str:
    """Check that the order to the bank is this file, and asks once for exactly this payout."""
    order, reference = _ordered(case)
    amounts = _under(order, "Amt", "InstdAmt")
    if [_cents(amount) for amount in amounts] != [case.cents]:
        raise unproven("the order to the bank is not for the payout's amount")
    ibans = _texts(order, "CdtrAcct", "Id", "IBAN")
    if [payout_account(iban) for iban in ibans] != [case.account]:
        raise unproven("the order to the bank is not for the account named on chain")
    return f"{case.cents} cents to {ibans[0]}, EndToEndId {reference}"


def bank_line(case: Case) -> str:
    """Check that the line at the path is the payout's booked debit in this statement."""
    part = case.bundle["bank_line"]
    line = _at(_document(case, part, "the bank statement"), part["path"])
    entry = line if _name(line) == "Ntry" else _ancestor(line, "Ntry")
    _, wanted = _ordered(case)
    if _texts(line, "Refs", "EndToEndId") != [wanted]:
        raise unproven(f"the line does not carry EndToEndId {wanted}")
    amounts = _under(line, "Amt") or _under(line, "AmtDtls", "TxAmt", "Amt") or _under(entry, "Amt")
    if [_cents(amount) for amount in amounts] != [case.cents]:
        raise unproven("the line is not for the payout's amount")
    if {*_texts(entry, "CdtDbtInd"), *_texts(line, "CdtDbtInd")} != {"DBIT"}:
        raise unproven("the line is not a debit")
    if "BOOK" not in (_texts(entry, "Sts", "Cd") or _texts(entry, "Sts")):
        raise unproven("the line is not booked")
    if _texts(entry, "RvslInd") not in ([], ["false"], ["0"]) or _under(line, "RtrInf"):
        raise unproven("the line is a reversal or a return")
    payout_entry(case)
    return f"{case.cents} cents booked, {part['path']}"


def _ordered(case: Case) -> tuple[Any, str]:
    """Return the payout's one order in the file to the bank, and its EndToEndId.

    The EndToEndId is made from the payout id, or from a later attempt if an earlier order failed.
    """
    document = _document(case, case.bundle["bank_file"], "the bank order")
    wanted = [end_to_end_id(attempted(_order(case), attempt)) for attempt in range(_MOST_ATTEMPTS)]
    orders = [
        (order, reference)
        for order in _under(document, "CstmrCdtTrfInitn", "PmtInf", "CdtTrfTxInf")
        for reference in _texts(order, "PmtId", "EndToEndId")
        if reference in wanted
    ]
    if len(orders) != 1:
        raise unproven(f"the file holds {len(orders)} orders with EndToEndId {wanted[0]}")
    return orders[0]


def _document(case: Case, part: dict[str, str], what: str) -> Any:
    """Return the root element of a file whose SHA-256 is the stated one; raise Rejected."""
    content = unbase64(part["content"], what)
    if sha256(content).hexdigest() != unhex(part["sha256"], f"{what}'s SHA-256", 32).hex():
        raise unproven(f"{what} does not have the SHA-256 that is stated")
    case.file(part["sha256"].removeprefix("0x"), what)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        return etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise unproven(f"{what} is not XML") from error


def _order(case: Case) -> bytes:
    return unhex(case.bundle["payout"]["order"], "payout.order", 32)


def _name(element: Any) -> str:
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def _text(element: Any) -> str:
    return (element.text or "").strip()


def _under(element: Any, *names: str) -> list:
    """Return the elements that a row of local names leads to."""
    elements = [element]
    for name in names:
        elements = [child for parent in elements for child in parent if _name(child) == name]
    return elements


def _texts(element: Any, *names: str) -> list[str]:
    return [_text(child) for child in _under(element, *names)]


def _cents(amount: Any) -> int:
    """Return the cents of an amount element in euro; raise Rejected for other currencies."""
    if amount.get("Ccy") != "EUR" or not _AMOUNT.fullmatch(_text(amount)):
        raise unproven("an amount is not in euro and cents")
    try:
        return int(Decimal(_text(amount)) * 100)
    except InvalidOperation as error:
        raise unproven("an amount cannot be read") from error


def _ancestor(element: Any, name: str) -> Any:
    for ancestor in element.iterancestors():
        if _name(ancestor) == name:
            return ancestor
    raise unproven(f"the line does not stand within {name}")


def _at(document: Any, path: str) -> Any:
    """Return the element at a path below the message, such as Stmt[1]/Ntry[2]/NtryDtls/TxDtls[1].

    Paths are spelled as in edges/bank/xml.py: numbered from 1 where an element can or does repeat.
    """
    element = next(document.iterchildren(etree.Element), None)
    if element is None or not _PATH.fullmatch(path):
        raise unproven("the line's path is not a path of local names")
    for name, number in _STEP.findall(path):
        children = _under(element, name)
        counted = name in _COUNTED or len(children) > 1
        place = int(number or 1)
        if counted != bool(number) or place > len(children):
            raise unproven(f"the statement has no line at {path}")
        element = children[place - 1]
    return element
