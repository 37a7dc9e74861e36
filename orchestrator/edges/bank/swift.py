"""MT940 statements and MT942 interim reports, as banks write them: each field on its own.

Rules: SWIFT category 9 messages. The grammar of the fields :60:, :61: and :62: is the mt940
library's; it stops at the first field that it cannot read and moves impossible dates to the end of
February, so fields are taken apart here, and dates and amounts are read as everywhere in the rail.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from mt940 import tags

from device_adapters.types import Rejected
from orchestrator.core.references import normalise
from orchestrator.edges.bank.facts import Balance, Code, Exchange, Line, Problem, Reading, Report
from orchestrator.edges.bank.money import to_minor
from orchestrator.edges.bank.sums import balance_problems
from orchestrator.edges.bank.swift_details import Told, told_by
from orchestrator.edges.bank.types import BankReason

MAX_LINES = 100_000
_FIELD = re.compile(r"^(?:\{4:)?:(13D?|20|21|25P?|28C?|34F|60[FM]?|61|62[FM]?|64|65|86|90[CD]|NS):")
_END = re.compile(r"^\s*-\s*(\}.*)?$")  # closes block 4
_SHAPE = re.compile(r"^(?:\{4:)?:20:.*^(?:\{4:)?:25P?:", re.MULTILINE | re.DOTALL)
# the library's pattern with a reference of any length: banks exceed the 16 characters
_LINE = tags.StatementGLS().re
_BALANCE = tags.FinalClosingBalance().re
_BALANCES = {"60F": "OPBD", "60": "OPBD", "60M": "ITBD", "62F": "CLBD", "62": "CLBD",
             "62M": "ITBD", "64": "CLAV", "65": "FWAV"}  # fmt: skip
_SUM = re.compile(r"([0-9]{1,5})([A-Z]{3})([0-9]+,[0-9]*)")
_IBAN = re.compile(r"([A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}?)([A-Z]{3})?")
_BIC = re.compile(r"[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?")
_SUPPLEMENT = re.compile(r"/(OCMT|CHGS)/([A-Z]{3})([0-9]+,[0-9]*)")
_NOT_GIVEN = {"NONREF", "NOTPROVIDED", "KREF+",  # and pointers to the field :86:
              "EREF", "PREF", "KREF", "MARF"}  # fmt: skip


@dataclass(slots=True)
class _Field:
    tag: str
    rows: list[str]
    line: int

    @property
    def text(self) -> str:
        return "\n".join(self.rows).strip()


@dataclass(slots=True)
class _Draft:
    """One statement being read."""

    line: int
    number: int
    facts: dict[str, Any] = field(default_factory=dict)
    balances: list[Balance] = field(default_factory=list)
    entries: list[tuple[_Field, list[str]]] = field(default_factory=list)
    sums: list[_Field] = field(default_factory=list)
    currency: str = ""
    is_closed: bool = False

    @property
    def path(self) -> str:
        return f"Stmt[{self.number}]"


def is_swift(text: str) -> bool:
    return _SHAPE.search(text.replace("@@", "\n")) is not None


def read_reports(text: str, reading: Reading) -> None:
    """Adds the statements of a file to the reading."""
    if text.count("@@:") > text.count("\n:"):  # home banking sends line ends so
        text = text.replace("@@", "\n")
    drafts: list[_Draft] = []
    for each in _fields(text):
        starts = each.tag == "20" or (drafts and drafts[-1].is_closed and each.tag[:2] in
                                      ("25", "60"))  # fmt: skip
        if starts or not drafts:
            drafts.append(_Draft(each.line, len(drafts) + 1))
        _take(drafts[-1], each, reading)
    for draft in drafts:
        _finish(draft, reading)


def _fields(text: str) -> Iterator[_Field]:
    current: _Field | None = None
    for number, row in enumerate(text.splitlines(), 1):
        found = _FIELD.match(row)
        if found:
            if current:
                yield current
            current = _Field(found[1], [row[found.end():]], number)
        elif current and _END.match(row):
            yield current
            current = None
        elif current and not row.startswith(("{1:", ":940:")):
            current.rows.append(row.rstrip())
    if current:
        yield current


def _take(draft: _Draft, each: _Field, reading: Reading) -> None:
    tag, text = each.tag, each.text
    if tag in _BALANCES:
        draft.is_closed = draft.is_closed or tag.startswith("62")
        _take_balance(draft, each, reading)
    elif tag == "61":
        draft.entries.append((each, []))
    elif tag == "86" and draft.entries and not draft.is_closed:
        draft.entries[-1][1].extend(row.strip("\r\n") for row in each.rows)
    elif tag in ("90C", "90D"):
        draft.sums.append(each)
    elif tag == "34F":
        draft.facts["interim"] = True
        draft.currency = draft.currency or text[:3]
    elif tag in ("20", "25", "25P", "28", "28C", "13", "13D"):
        draft.facts.setdefault(tag[:2], text)


def _take_balance(draft: _Draft, each: _Field, reading: Reading) -> None:
    place = f"{draft.path}/:{each.tag}:"
    found = _BALANCE.fullmatch(each.text.replace(" ", ""))
    if not found:
        _say(reading, each.line, place, BankReason.VALUE_MALFORMED, f"{each.text!r:.60}")
        return
    draft.currency = draft.currency or found["currency"]
    minor = _minor(found["amount"], found["currency"], each.line, place, reading)
    day = _day(found["year"], found["month"], found["day"], each.line, place, reading)
    if minor is not None:
        draft.balances.append(Balance(
            _BALANCES[each.tag], day, -minor if found["status"].upper() == "D" else minor,
            found["currency"].upper(), place, each.line))  # fmt: skip


def _finish(draft: _Draft, reading: Reading) -> None:
    before = len(reading.problems)
    lines: list[Line] = []
    for number, (each, info) in enumerate(draft.entries, 1):
        if len(lines) >= MAX_LINES:
            _say(reading, each.line, draft.path, BankReason.TOO_MANY_LINES, f"{MAX_LINES} are read")
            break
        line = _line(draft, each, info, f"{draft.path}/:61:[{number}]", reading)
        if line:
            lines.append(line)
    facts = draft.facts
    kind = "MT942" if facts.get("interim") and not draft.balances else "MT940"
    reading.kind = reading.kind or kind
    account, servicer = _account(facts.get("25", ""))
    if not account:
        _say(reading, draft.line, f"{draft.path}/:25:", BankReason.MISSING_ELEMENT, "")
    sequence, _, page = facts.get("28", "").partition("/")
    interim = any(each.code == "ITBD" for each in draft.balances)
    report = Report(
        kind=kind, id=_id(facts, draft), account=account, currency=draft.currency,
        path=draft.path, line=draft.line, balances=tuple(draft.balances), lines=tuple(lines),
        servicer=servicer, legal_sequence=sequence.strip(),
        page=(int(page) if page.isascii() and page.isdigit() else 1) if interim else None,
        last_page=any(each.code == "CLBD" for each in draft.balances) if interim else None)
    reading.problems += [*balance_problems(report), *_sum_problems(draft, report)]
    problems = tuple(reading.problems[before:])
    reading.reports.append(replace(report, problems=problems) if problems else report)


def _id(facts: dict[str, Any], draft: _Draft) -> str:
    """Statement numbers begin anew each year and references repeat, so the day is part of it."""
    days = [each.date for each in draft.balances if each.date and each.code in ("CLBD", "ITBD")]
    number = facts.get("28", "").partition("/")[0]
    parts = (facts.get("20", ""), number, max(days).isoformat() if days else facts.get("13", ""))
    return "/".join(part for part in parts if part)


def _account(text: str) -> tuple[str, str]:
    """(IBAN, or the account as printed; BIC of the bank where it is told)."""
    compact = text.replace(" ", "").replace("\n", "").upper()
    bank, slash, number = compact.rpartition("/")
    if slash and number.isalpha() and len(number) == 3:  # a currency behind it
        bank, slash, number = bank.rpartition("/")
    found = _IBAN.fullmatch(number)
    servicer = bank if _BIC.fullmatch(bank) else ""
    if found:
        return normalise(found[1] if found[2] and _is_iban(found[1]) else number), servicer
    number = number[:-3] if number[-3:].isalpha() and number[:-3].isdigit() else number
    return (number if servicer else f"{bank}{slash}{number}"), servicer


def _is_iban(text: str) -> bool:
    from stdnum import iban

    return iban.is_valid(text)


def _line(draft: _Draft, each: _Field, info: list[str], path: str, reading: Reading) -> Line | None:
    first, *rest = each.text.split("\n")
    expected = re.match(r"[0-9]{6}(?:[0-9]{4})?E[CD]", first)  # MT942: announced, not booked
    if expected:
        first = first[:expected.end() - 2] + first[expected.end() - 1:]
    found = _LINE.fullmatch(first)
    if not found:
        _say(reading, each.line, path, BankReason.VALUE_MALFORMED, f"{each.text!r:.80}")
        return None
    minor = _minor(found["amount"], draft.currency, each.line, path, reading)
    if minor is None:
        return None
    mark = found["status"].upper()
    value = _day(found["year"], found["month"], found["day"], each.line, path, reading)
    booking = _entry_day(found, value, each.line, path, reading)
    told = told_by(info)
    supplement = " ".join(part.strip() for part in rest)
    charges, exchange = _supplement(supplement, draft.currency, each.line, path, reading)
    customer = told.references.customer_reference or _given(found["customer_reference"])
    references = replace(
        told.references, customer_reference=customer,
        bank_reference=_given(found["bank_reference"]) or told.references.bank_reference,
        # an order booked as a sum carries the batch's name where a single one has its own
        batch=told.references.batch or ("" if told.references.end_to_end_id else customer))
    return Line(
        amount_minor=-minor if mark in ("D", "RC") else minor, currency=draft.currency,
        booking_date=booking, value_date=value, status="PDNG" if expected else "BOOK",
        path=path, line=each.line, is_reversal=mark in ("RC", "RD"),
        return_reason=told.return_reason, references=references, counterparty=told.counterparty,
        code=_code(found["id"] or "", told), text=told.text, info=told.info or supplement,
        charges_minor=told.charges_minor or charges,
        charges_included=bool(told.charges_minor or charges), exchange=exchange)


def _code(kind: str, told: Told) -> Code:
    """As German camt writes it, "NTRF+166": SWIFT's type and the bank's own number."""
    parts = [part for part in (kind.strip(), told.number) if part]
    return Code(proprietary="+".join(parts), issuer="SWIFT" if parts else "")


def _supplement(text: str, currency: str, line: int, path: str, reading: Reading
                ) -> tuple[int, Exchange | None]:
    """Charges in the account's currency, and the original amount (:61: subfield 9)."""
    charges, exchange = 0, None
    for kind, other, amount in _SUPPLEMENT.findall(text):
        minor = _minor(amount, other, line, path, reading)
        if minor is None:
            continue
        if kind == "CHGS":
            charges += minor if other == currency else 0
        elif other != currency:
            exchange = Exchange(minor, other)
    return charges, exchange


def _entry_day(found: re.Match, value: date | None, line: int, path: str, reading: Reading
               ) -> date | None:
    """The entry date has no year: it is the one nearest to the value date."""
    month, day = (found["entry_month"] or "").strip(), (found["entry_day"] or "").strip()
    if not (month and day):
        return None
    year = value.year if value else 2000 + int(found["year"])
    if value and abs(int(month) - value.month) > 6:
        year += 1 if int(month) < value.month else -1
    return _day(str(year - 2000), month, day, line, path, reading)


def _day(year: str, month: str, day: str, line: int, path: str, reading: Reading) -> date | None:
    try:
        return date(2000 + int(year), int(month), int(day))
    except ValueError:
        _say(reading, line, path, BankReason.DATE_MALFORMED, f"{year}{month}{day}"[:20])
        return None


def _minor(amount: str, currency: str, line: int, path: str, reading: Reading) -> int | None:
    try:
        return to_minor(amount.replace(",", ".", 1), currency.upper())
    except Rejected as refusal:
        _say(reading, line, path, BankReason(refusal.reason), refusal.detail)
        return None


def _sum_problems(draft: _Draft, report: Report) -> list[Problem]:
    """:90D: and :90C: say how many debits and credits there are, and their sums."""
    found = []
    for each in draft.sums:
        match = _SUM.fullmatch(each.text)
        chosen = [abs(line.amount_minor) for line in report.lines
                  if (line.amount_minor < 0) == (each.tag == "90D")]
        try:
            told = match and (int(match[1]), to_minor(match[3].replace(",", "."), match[2]))
        except Rejected:
            told = None
        if told != (len(chosen), sum(chosen)):
            found.append(Problem(each.line, f"{draft.path}/:{each.tag}:", BankReason.SUM_MISMATCH,
                                 f"{each.text!r:.40}: there are {len(chosen)}, {sum(chosen)}"))
    return found


def _given(text: str | None) -> str:
    found = (text or "").strip()
    return "" if found.upper() in _NOT_GIVEN else found


def _say(reading: Reading, line: int, path: str, reason: BankReason, detail: str) -> None:
    reading.problems.append(Problem(line, path, reason, detail))
