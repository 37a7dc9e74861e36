"""Reads one field :61: of MT940 with its :86: as a line: dates, amount, references, charges.

Rules: SWIFT category 9 messages, field 61 (6!n[4!n]2a[1!a]15d1!a3!c16x[//16x]), with what banks
write in its place: blanks for the entry date, no type, references longer than 16 characters.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta

from device_adapters.types import Rejected
from orchestrator.core.references import account_number
from orchestrator.edges.bank.facts import (
    BankCode,
    BankReading,
    Counterparty,
    Exchange,
    FileProblem,
    Line,
    References,
)
from orchestrator.edges.bank.money import swift_minor
from orchestrator.edges.bank.swift_details import SwiftDetails, parse_details
from orchestrator.edges.bank.types import BankReason

_LINE = re.compile(
    r"""(?P<year>[0-9]{2})(?P<month>[0-9]{2})(?P<day>[0-9]{2})  # value date
    (?P<entry_month>[0-9]{2}|[ ]{2})?(?P<entry_day>[0-9]{2}|[ ]{2})?
    (?P<status>R?[DC])[A-Z]?[ ]?  # the letter is the currency's third (funds code)
    (?P<amount>[0-9.,]+)  # its end is where the type begins: never in the middle of a number
    (?:(?P<id>[A-Z][A-Z0-9 ]{3})|(?=//|\s*$))
    (?P<customer_reference>(?:(?!//).)*)  # of any length: banks exceed the 16 characters
    (?://(?P<bank_reference>.{0,23}).*)?""",
    re.ASCII | re.IGNORECASE | re.VERBOSE,
)
_EXPECTED = re.compile(r"([0-9]{6}(?:[0-9]{4})?)E([CD])")  # MT942: announced, not booked
_SUPPLEMENT = re.compile(r"/(OCMT|CHGS)/([A-Z]{3})([0-9.,]*[0-9,])")
_RATE = re.compile(r"/EXCH/([0-9.,]*[0-9])")
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
    """Return the line of a field; None if unreadable, which is reported.

    Args:
        text: The field's text.
        info: The lines of its :86:.
    """
    first, *rest = text.split("\n")
    expected = _EXPECTED.match(first)
    match = _LINE.fullmatch(_EXPECTED.sub(r"\1\2", first, count=1) if expected else first)
    if not match:
        add_problem(reading, line, path, BankReason.VALUE_MALFORMED, f"{text!r:.80}")
        return None
    minor = read_minor(match["amount"], currency, line, path, reading)
    if minor is None:
        return None
    mark = match["status"].upper()
    value = _value_day(match, line, path, reading)
    supplement = " ".join(part.strip() for part in rest)
    charges, exchange = _supplement(supplement, info, currency, line, path, reading)
    details = parse_details(info, is_debit=mark in ("D", "RD"))
    return Line(
        amount_minor=-minor if mark in ("D", "RC") else minor,
        currency=currency,
        booking_date=_entry_day(match, value, line, path, reading) or (None if expected else value),
        value_date=value,
        status="PDNG" if expected else "BOOK",
        path=path,
        line=line,
        is_reversal=mark in ("RC", "RD"),
        return_reason=details.return_reason,
        references=_references(match, details),
        counterparty=_counterparty(details, supplement),
        code=_code(match["id"] or "", details),
        text=details.text,
        info=details.info or supplement,
        charges_minor=charges,
        charges_included=charges > 0,
        exchange=exchange,
    )


def _references(match: re.Match, details: SwiftDetails) -> References:
    references = details.references
    customer = references.customer_reference or _given(match["customer_reference"])
    return replace(
        references,
        customer_reference=customer,
        bank_reference=_given(match["bank_reference"]) or references.bank_reference,
    )


def _counterparty(details: SwiftDetails, supplement: str) -> Counterparty:
    """Return the other party; some banks put only its IBAN after the :61:."""
    other = details.counterparty
    number = account_number(supplement)
    alone = not other.account and _IBAN.fullmatch(number)
    return replace(other, account=number) if alone else other


def _code(kind: str, details: SwiftDetails) -> BankCode:
    """Return the code as in German camt, "NTRF+166": SWIFT's type and the bank's number.

    Charges also get an ISO code, because the rail must recognise them.
    """
    parts = [part for part in (kind.strip(), details.number) if part]
    iso = ("ACMT", "MDOP", "CHRG") if kind[1:] in ("CHG", "COM") else ("", "", "")
    return BankCode(*iso, proprietary="+".join(parts), issuer="SWIFT" if parts else "")


def _supplement(
    text: str, info: list[str], currency: str, line: int, path: str, reading: BankReading
) -> tuple[int, Exchange | None]:
    """Return charges in the account's currency, and the original amount.

    They are in :61: (subfield 9), or in a :86: with slashed code words.
    """
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


def _value_day(match: re.Match, line: int, path: str, reading: BankReading) -> date | None:
    """Return the value date; 30 February becomes the last day of that month, with a note.

    German banks compute interest in months of 30 days.
    """
    year, month, day = match["year"], match["month"], match["day"]
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
    match: re.Match, value: date | None, line: int, path: str, reading: BankReading
) -> date | None:
    """Return the entry date with the year nearest to the value date; it has none of its own.

    Banks write it only if it differs from the value date (field 61, subfield 2).
    """
    month, day = (match["entry_month"] or "").strip(), (match["entry_day"] or "").strip()
    if not (month and day):
        return None
    year = value.year if value else 2000 + int(match["year"])
    if value and abs(int(month) - value.month) > 6:
        year += 1 if int(month) < value.month else -1
    return read_day(str(year - 2000), month, day, line, path, reading)


def read_day(
    year: str, month: str, day: str, line: int, path: str, reading: BankReading
) -> date | None:
    """Return the date of two-digit parts; None if impossible, which is reported."""
    try:
        return date(2000 + int(year), int(month), int(day))
    except ValueError:
        add_problem(reading, line, path, BankReason.DATE_MALFORMED, f"{year}{month}{day}"[:20])
        return None


def read_minor(
    amount: str, currency: str, line: int, path: str, reading: BankReading
) -> int | None:
    """Return the minor units of an amount; None if malformed, which is reported."""
    try:
        return swift_minor(amount, currency.upper())
    except Rejected as refusal:
        detail = f"{amount!r:.30} {currency!r:.10}"
        add_problem(reading, line, path, BankReason(refusal.reason), detail)
        return None


def _given(text: str | None) -> str:
    value = (text or "").strip()
    return "" if value.upper() in _NOT_GIVEN else value


def add_problem(
    reading: BankReading, line: int, path: str, reason: BankReason, detail: str
) -> None:
    reading.add_problem(FileProblem(line, path, reason, detail))
