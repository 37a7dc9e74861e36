"""One field :61: of MT940 with its :86: becomes a line: dates, amount, references, charges.

Rules: SWIFT category 9 messages, field 61 (6!n[4!n]2a[1!a]15d1!a3!c16x[//16x]), with what banks
write in its place: blanks for the entry date, no type, references longer than 16 characters.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta

from device_adapters.types import Rejected
from orchestrator.edges.bank.facts import (
    BankCode,
    BankReading,
    Counterparty,
    Exchange,
    FileProblem,
    Line,
    References,
)
from orchestrator.edges.bank.money import to_minor
from orchestrator.edges.bank.swift_details import SwiftDetails, told_by
from orchestrator.edges.bank.types import BankReason

_LINE = re.compile(
    r"""(?P<year>[0-9]{2})(?P<month>[0-9]{2})(?P<day>[0-9]{2})  # value date
    (?P<entry_month>[0-9]{2}|[ ]{2})?(?P<entry_day>[0-9]{2}|[ ]{2})?
    (?P<status>R?[DC])[A-Z]?[ ]?  # the letter is the currency's third (funds code)
    (?P<amount>[0-9,]{1,15})
    (?P<id>[A-Z][A-Z0-9 ]{3})?
    (?P<customer_reference>(?:(?!//).)*)  # of any length: banks exceed the 16 characters
    (?://(?P<bank_reference>.{0,23}).*)?""",
    re.ASCII | re.IGNORECASE | re.VERBOSE,
)
_EXPECTED = re.compile(r"([0-9]{6}(?:[0-9]{4})?)E([CD])")  # MT942: announced, not booked
_SUPPLEMENT = re.compile(r"/(OCMT|CHGS)/([A-Z]{3})([0-9]+,[0-9]*)")
_RATE = re.compile(r"/EXCH/([0-9]+,?[0-9]*)")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_NOT_GIVEN = {
    "NONREF",
    "NOTPROVIDED",
    "KREF+",  # and pointers to the field :86:
    "EREF",
    "PREF",
    "KREF",
    "MARF",
}


def read_line(
    text: str, info: list[str], currency: str, line: int, path: str, reading: BankReading
) -> Line | None:
    """text: of the field; info: the lines of its :86:. None, and named, if it cannot be read."""
    first, *rest = text.split("\n")
    expected = _EXPECTED.match(first)
    found = _LINE.fullmatch(_EXPECTED.sub(r"\1\2", first, count=1) if expected else first)
    if not found:
        say(reading, line, path, BankReason.VALUE_MALFORMED, f"{text!r:.80}")
        return None
    minor = read_minor(found["amount"], currency, line, path, reading)
    if minor is None:
        return None
    mark = found["status"].upper()
    value = _value_day(found, line, path, reading)
    supplement = " ".join(part.strip() for part in rest)
    charges, exchange = _supplement(supplement, info, currency, line, path, reading)
    told = told_by(info, is_debit=mark in ("D", "RD"))
    return Line(
        amount_minor=-minor if mark in ("D", "RC") else minor,
        currency=currency,
        booking_date=_entry_day(found, value, line, path, reading) or (None if expected else value),
        value_date=value,
        status="PDNG" if expected else "BOOK",
        path=path,
        line=line,
        is_reversal=mark in ("RC", "RD"),
        return_reason=told.return_reason,
        references=_references(found, told),
        counterparty=_counterparty(told, supplement),
        code=_code(found["id"] or "", told),
        text=told.text,
        info=told.info or supplement,
        charges_minor=charges,
        charges_included=charges > 0,
        exchange=exchange,
    )


def _references(found: re.Match, told: SwiftDetails) -> References:
    named = told.references
    customer = named.customer_reference or _given(found["customer_reference"])
    return replace(
        named,
        customer_reference=customer,
        bank_reference=_given(found["bank_reference"]) or named.bank_reference,
    )


def _counterparty(told: SwiftDetails, supplement: str) -> Counterparty:
    """Some banks put the other side's IBAN alone behind the :61:."""
    other = told.counterparty
    alone = not other.account and _IBAN.fullmatch(supplement)
    return replace(other, account=supplement) if alone else other


def _code(kind: str, told: SwiftDetails) -> BankCode:
    """As German camt writes it, "NTRF+166": SWIFT's type and the bank's own number. A charge is
    said in ISO words too: the rail must know it for one."""
    parts = [part for part in (kind.strip(), told.number) if part]
    iso = ("ACMT", "MDOP", "CHRG") if kind[1:] in ("CHG", "COM") else ("", "", "")
    return BankCode(*iso, proprietary="+".join(parts), issuer="SWIFT" if parts else "")


def _supplement(
    text: str, info: list[str], currency: str, line: int, path: str, reading: BankReading
) -> tuple[int, Exchange | None]:
    """Charges in the account's currency, and the original amount: in :61: (subfield 9), or in a
    :86: of slashed code words."""
    charges, exchange = 0, None
    slashed = "".join(row.strip() for row in info)
    if not _SUPPLEMENT.search(text) and slashed.startswith("/"):
        text = slashed
    rate = _RATE.search(text)
    for kind, other, amount in _SUPPLEMENT.findall(text):
        minor = read_minor(amount, other, line, path, reading)
        if minor is None:
            continue
        if kind == "CHGS":
            charges += minor if other == currency else 0
        elif other != currency:
            exchange = Exchange(minor, other, rate[1] if rate else "")
    return charges, exchange


def _value_day(found: re.Match, line: int, path: str, reading: BankReading) -> date | None:
    """German banks reckon interest in months of 30 days, so 30 February is a value date: it is
    told as the last day of that February, and noted."""
    year, month, day = found["year"], found["month"], found["day"]
    if month == "02" and day in ("29", "30"):
        last = date(2000 + int(year), 3, 1) - timedelta(days=1)
        if int(day) > last.day:
            reading.notes.append(
                FileProblem(
                    line, path, BankReason.DATE_MALFORMED, f"{year}{month}{day} is read as {last}"
                )
            )
            return last
    return read_day(year, month, day, line, path, reading)


def _entry_day(
    found: re.Match, value: date | None, line: int, path: str, reading: BankReading
) -> date | None:
    """The entry date has no year: it is the one nearest to the value date. Banks write it only
    where it is another day (field 61, subfield 2)."""
    month, day = (found["entry_month"] or "").strip(), (found["entry_day"] or "").strip()
    if not (month and day):
        return None
    year = value.year if value else 2000 + int(found["year"])
    if value and abs(int(month) - value.month) > 6:
        year += 1 if int(month) < value.month else -1
    return read_day(str(year - 2000), month, day, line, path, reading)


def read_day(
    year: str, month: str, day: str, line: int, path: str, reading: BankReading
) -> date | None:
    try:
        return date(2000 + int(year), int(month), int(day))
    except ValueError:
        say(reading, line, path, BankReason.DATE_MALFORMED, f"{year}{month}{day}"[:20])
        return None


def read_minor(
    amount: str, currency: str, line: int, path: str, reading: BankReading
) -> int | None:
    try:
        return to_minor(amount.replace(",", ".", 1), currency.upper())
    except Rejected as refusal:
        say(reading, line, path, BankReason(refusal.reason), f"{amount!r:.30} {currency!r:.10}")
        return None


def _given(text: str | None) -> str:
    found = (text or "").strip()
    return "" if found.upper() in _NOT_GIVEN else found


def say(reading: BankReading, line: int, path: str, reason: BankReason, detail: str) -> None:
    reading.name(FileProblem(line, path, reason, detail))
