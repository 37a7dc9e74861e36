"""Reads the entries of a report as lines: one per detail, or one per entry without details."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.edges.bank import details
from orchestrator.edges.bank.facts import BankCode, Counterparty, Line, References
from orchestrator.edges.bank.money import amount_text
from orchestrator.edges.bank.types import BankReason
from orchestrator.edges.bank.xml import XmlNode

_SIGNS = {"CRDT": 1, "DBIT": -1}
_AMOUNTS = ("Amt", "AmtDtls/TxAmt/Amt", "AmtDtls/CntrValAmt/Amt")
_INSTRUCTED = "AmtDtls/InstdAmt/Amt"


@dataclass(frozen=True, slots=True)
class _EntryDetail:
    """One detail of an entry.

    Attributes:
        amount: Signed minor units; None if it gives none in the entry's currency.
        charges: The bank's charges for it.
        included: Whether the amount includes the charges.
    """

    node: XmlNode
    amount: int | None
    charges: int
    included: bool


def signed(node: XmlNode) -> tuple[int, str] | None:
    """Return minor units (credits positive) and currency of an entry or balance.

    None if unreadable; the problem is added to the reading.
    """
    money, indicator = node.money(), node.text("CdtDbtInd")
    if indicator not in _SIGNS:
        reason = BankReason.VALUE_MALFORMED if indicator else BankReason.MISSING_ELEMENT
        node.add_problem(reason, f"{indicator!r:.20}" if indicator else "", "CdtDbtInd")
        return None
    return (_SIGNS[indicator] * money[0], money[1]) if money else None


def read_entry(entry: XmlNode, own: Counterparty, currencies: Collection[str]) -> Iterator[Line]:
    """Yield the lines of one entry; none if its amount is unreadable, which is reported.

    Args:
        own: Our account and its holder.
        currencies: Currencies of the account; empty if the file does not give them.
    """
    money = signed(entry)
    if money is None:
        return
    total, currency = money
    if currencies and currency not in currencies:
        entry.add_problem(
            BankReason.CURRENCY_MISMATCH, f"{currency}, not {min(currencies):.20}", "Amt"
        )
    groups = list(entry.children("NtryDtls")) or [entry]  # version 1 has no NtryDtls
    nodes = [detail for group in groups for detail in group.children("TxDtls")]
    shared = _shared(entry, currency) | {"own": own, "total": total, "batch": _batch(groups)}
    parts = [_part(node, currency, total, len(nodes)) for node in nodes]
    taken, included = details.charges(entry, currency)
    _check_batches(groups, currency, total, {part.node.path: part for part in parts})
    if not parts or any(part.amount is None for part in parts):
        if len(nodes) > 1:
            entry.add_note(BankReason.NOT_SPLIT, f"{len(nodes)} details have no amounts")
        count = _count(groups) or len(nodes) or None
        line = _line(entry, entry, total, (taken, included), count, **shared)
        yield replace(
            line, references=replace(line.references, end_to_end_ids=details.end_to_end_ids(nodes))
        )
        return
    amounts, apart, netted = _split(entry, parts, (total, currency), taken)
    alone = len(parts) == 1
    for part, amount in zip(parts, amounts, strict=True):
        cost = (
            (part.charges + taken, included or part.included or netted)
            if alone
            else (part.charges, part.included or netted)
        )
        yield _line(
            part.node,
            entry,
            amount,
            cost,
            _count(groups) if alone else 1,
            shares=not alone,
            **shared,
        )
    if apart:
        yield _charge_line(entry, -apart, shared)


def _shared(entry: XmlNode, currency: str) -> dict[str, Any]:
    status = entry.text("Sts/Cd", "Sts/Prtry", "Sts")  # a bare code up to version 7
    if not status:
        entry.add_problem(BankReason.MISSING_ELEMENT, below="Sts")
    return {
        "currency": currency,
        "status": status,
        "is_reversal": entry.truth("RvslInd"),
        "booking_date": entry.day("BookgDt/Dt", "BookgDt/DtTm"),
        "value_date": entry.day("ValDt/Dt", "ValDt/DtTm"),
    }


def _batch(groups: list[XmlNode]) -> str:
    return next((batch for group in groups if (batch := group.text("Btch/PmtInfId"))), "")


def _count(groups: list[XmlNode]) -> int | None:
    """Return how many orders the bank booked together, None if not given."""
    return next(
        (count for group in groups if (count := group.number("Btch/NbOfTxs")) is not None), None
    )


def _check_batches(
    groups: list[XmlNode], currency: str, total: int, parts: dict[str, _EntryDetail]
) -> None:
    """Note a batch total that matches neither the entry nor the details of the batch.

    Some banks repeat the ordered total, so a difference is not an error.
    """
    for group in groups:
        if group.attribute("Btch/TtlAmt", "Ccy") != currency:
            continue
        batch_total = group.money("Btch/TtlAmt", counts=False)
        listed = [parts[detail.path].amount or 0 for detail in group.children("TxDtls")]
        if batch_total and batch_total[0] not in (abs(total), abs(sum(listed))):
            group.add_note(
                BankReason.SUM_MISMATCH,
                f"the batch total is {amount_text(batch_total[0], currency)}, the entry "
                f"{amount_text(abs(total), currency)}",
                "Btch/TtlAmt",
            )


def _part(node: XmlNode, currency: str, total: int, count: int) -> _EntryDetail:
    indicator = node.text("CdtDbtInd")
    if indicator and indicator not in _SIGNS:
        node.add_problem(BankReason.VALUE_MALFORMED, f"{indicator!r:.20}", "CdtDbtInd")
    sign = _SIGNS.get(indicator, 1 if total >= 0 else -1)  # optional: then it is the entry's
    places = _AMOUNTS if count == 1 else (*_AMOUNTS, _INSTRUCTED)
    place = next(
        (candidate for candidate in places if node.attribute(candidate, "Ccy") == currency), ""
    )
    money = node.money(place) if place else None
    if not place and node.has("Amt") and not node.attribute("Amt", "Ccy"):
        node.money()  # reports the missing currency
    amount = sign * money[0] if money else total if count == 1 else None
    taken, included = details.charges(node, currency)
    if not included and node.attribute(_INSTRUCTED, "Ccy") == currency and taken and money:
        gross = node.money(_INSTRUCTED)
        included = gross is not None and sign * gross[0] - taken == amount
    return _EntryDetail(node, amount, taken, included)


def _split(
    entry: XmlNode, parts: list[_EntryDetail], booked: tuple[int, str], taken: int
) -> tuple[list[int], int, bool]:
    """Return (booked amount of each part, charges added by the entry, whether parts were gross).

    Banks give details net or before charges; the entry's amount (`booked`) decides which.
    """
    total, currency = booked
    amounts = [part.amount or 0 for part in parts]
    net = [amount - part.charges for amount, part in zip(amounts, parts, strict=True)]
    if sum(amounts) == total:
        return amounts, 0, False
    if sum(net) == total:
        return net, 0, True
    if taken and total in (sum(amounts) - taken, sum(net) - taken):
        netted = sum(amounts) - taken != total
        return (
            ([total], 0, True) if len(parts) == 1 else (net if netted else amounts, taken, netted)
        )
    entry.add_problem(
        BankReason.SUM_MISMATCH,
        f"the details sum to {amount_text(sum(amounts), currency)}, but the entry is "
        f"{amount_text(total, currency)}",
    )
    return ([total] if len(parts) == 1 else amounts), 0, False


def _line(
    node: XmlNode,
    entry: XmlNode,
    amount: int,
    cost: tuple[int, bool],
    count: int | None,
    *,
    own: Counterparty,
    total: int,
    batch: str,
    shares: bool = False,
    **shared: Any,
) -> Line:
    return Line(
        amount_minor=amount,
        **shared,
        path=node.path,
        line=node.line,
        return_reason=details.return_reason(node),
        references=details.references(node, entry, batch),
        counterparty=details.counterparty(
            node,
            own,
            amount > 0,
            is_return=details.is_return(node, entry),
            is_opposite=(amount > 0) != (total > 0),
        ),
        code=details.code(node, entry),
        text=details.remittance(node),
        info=node.text("AddtlTxInf") or entry.text("AddtlNtryInf"),
        charges_minor=max(0, cost[0]),
        charges_included=cost[0] > 0 and cost[1],
        exchange=details.exchange(node, shared["currency"])
        or details.exchange(entry, shared["currency"]),
        batch_count=count,
        shares_reference=shares and not node.text("Refs/AcctSvcrRef"),
    )


def _charge_line(entry: XmlNode, amount: int, shared: dict[str, Any]) -> Line:
    """Return a separate line for charges that an entry adds to the sum of its details."""
    facts = {key: value for key, value in shared.items() if key not in ("own", "total", "batch")}
    return Line(
        amount_minor=amount,
        **facts,
        path=f"{entry.path}/Chrgs",
        line=entry.line,
        references=References(
            batch=shared["batch"], bank_reference="", entry_reference=entry.text("NtryRef")
        ),
        code=BankCode("PMNT", "MDOP", "CHRG"),
        info=entry.text("AddtlNtryInf"),
        charges_minor=max(0, -amount),
        charges_included=amount < 0,
    )
