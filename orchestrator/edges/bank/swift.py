"""MT940 statements and MT942 interim reports, as banks write them: each field on its own.

Rules: SWIFT category 9 messages. A field that cannot be read costs no other field, and each problem
has its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from device_adapters.types import Rejected
from orchestrator.edges.bank.facts import AccountReport, Balance, BankReading, FileProblem, Line
from orchestrator.edges.bank.money import EXPONENTS, to_minor
from orchestrator.edges.bank.sums import balance_problems
from orchestrator.edges.bank.swift_lines import read_day, read_line, read_minor, say
from orchestrator.edges.bank.types import BankReason

MAX_LINES, MAX_REPORTS = 100_000, 10_000
_FIELD = re.compile(r"^(?:\{4:)?:(13D?|20|21|25P?|28C?|34F|60[FM]?|61|62[FM]?|64|65|86|90[CD]|NS):")
_END = re.compile(r"^\s*-\s*(\}.*)?$")  # closes block 4
_SHAPE = tuple(re.compile(rf"^(?:\{{4:)?:{tag}:", re.MULTILINE) for tag in ("20", "25P?"))
_BALANCE = re.compile(  # 1!a6!n3!a15d; some systems write the letters small
    r"(?P<status>[DC])(?P<year>[0-9]{2})(?P<month>[0-9]{2})(?P<day>[0-9]{2})"
    r"(?P<currency>[A-Z]{3})(?P<amount>[0-9,]{1,16})",
    re.ASCII | re.IGNORECASE,
)
_BALANCES = {
    "60F": "OPBD",
    "60": "OPBD",
    "60M": "ITBD",
    "62F": "CLBD",
    "62": "CLBD",
    "62M": "ITBD",
    "64": "CLAV",
    "65": "FWAV",
}
_HEADS = {"13", "13D", "20", "21", "25", "25P", "28", "28C", "34F"}
_SUM = re.compile(r"([0-9]{1,5})([A-Z]{3})([0-9]+,[0-9]*)")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_BIC = re.compile(r"[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?")


@dataclass(slots=True)
class _Field:
    tag: str
    rows: list[str]
    line: int

    @property
    def text(self) -> str:
        return "\n".join(self.rows).strip()


@dataclass(slots=True)
class DraftStatement:
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
    text = _line_ends(text).replace("@@", "\n")
    return all(shape.search(text) for shape in _SHAPE)


def _line_ends(text: str) -> str:
    """Some systems end a line with a carriage return alone."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_reports(text: str, reading: BankReading) -> None:
    """Adds the statements of a file to the reading."""
    text = _line_ends(text)
    if text.count("@@:") > text.count("\n:"):  # home banking sends line ends so
        text = text.replace("@@", "\n")
    drafts: list[DraftStatement] = []
    for each in _fields(text):
        starts = each.tag == "20" or (
            drafts and drafts[-1].is_closed and each.tag[:2] in ("25", "60")
        )
        if (starts or not drafts) and len(drafts) >= MAX_REPORTS:
            say(reading, each.line, "", BankReason.TOO_MANY_LINES, f"{MAX_REPORTS} statements")
            break
        if starts or not drafts:
            drafts.append(DraftStatement(each.line, len(drafts) + 1))
        _take(drafts[-1], each, reading)
    for draft in drafts:
        _finish(draft, reading)


def _fields(text: str) -> Iterator[_Field]:
    current: _Field | None = None
    rows = text.split("\n")
    for number, row in enumerate(rows, 1):
        found = _FIELD.match(row)
        if found and not (current and _is_wrapped(current, found[1], rows[number : number + 1])):
            if current:
                yield current
            current = _Field(found[1], [row[found.end() :]], number)
        elif current and _END.match(row):
            yield current
            current = None
        elif current and not row.startswith(("{1:", ":940:")):
            current.rows.append(row)
    if current:
        yield current


def _is_wrapped(current: _Field, tag: str, following: list[str]) -> bool:
    """Whether what looks like a field is the wrapped text of a :86:, such as the time 16:20:37."""
    begins = any(row.startswith((":21:", ":25", ":28")) for row in following)
    return current.tag == "86" and tag in _HEADS and not (tag in ("20", "25P", "25") and begins)


def _take(draft: DraftStatement, each: _Field, reading: BankReading) -> None:
    tag, text = each.tag, each.text
    if tag in _BALANCES:
        draft.is_closed = draft.is_closed or tag.startswith("62")
        _take_balance(draft, each, reading)
    elif tag == "61":
        draft.entries.append((each, []))
    elif tag == "86" and draft.entries and not draft.is_closed:
        draft.entries[-1][1].extend(each.rows)
    elif tag in ("90C", "90D"):
        draft.sums.append(each)
    elif tag == "34F":
        draft.facts["interim"] = True
        draft.currency = draft.currency or text[:3]
    elif tag in ("20", "25", "25P", "28", "28C", "13", "13D"):
        draft.facts.setdefault(tag[:2], text)


def _take_balance(draft: DraftStatement, each: _Field, reading: BankReading) -> None:
    place = f"{draft.path}/:{each.tag}:"
    found = _BALANCE.fullmatch(each.text.replace(" ", ""))
    if not found:
        say(reading, each.line, place, BankReason.VALUE_MALFORMED, f"{each.text!r:.60}")
        return
    draft.currency = draft.currency or found["currency"]
    minor = read_minor(found["amount"], found["currency"], each.line, place, reading)
    day = read_day(found["year"], found["month"], found["day"], each.line, place, reading)
    if minor is not None:
        draft.balances.append(
            Balance(
                _BALANCES[each.tag],
                day,
                -minor if found["status"].upper() == "D" else minor,
                found["currency"].upper(),
                place,
                each.line,
            )
        )


def _finish(draft: DraftStatement, reading: BankReading) -> None:
    before = len(reading.problems)
    lines: list[Line] = []
    for number, (each, info) in enumerate(draft.entries, 1):
        if number > MAX_LINES:
            say(reading, each.line, draft.path, BankReason.TOO_MANY_LINES, f"{MAX_LINES} are read")
            break
        line = read_line(
            each.text, info, draft.currency, each.line, f"{draft.path}/:61:[{number}]", reading
        )
        if line:
            lines.append(line)
    facts = draft.facts
    kind = "MT942" if facts.get("interim") and not draft.balances else "MT940"
    reading.kind = reading.kind or kind
    account, servicer = _account(facts.get("25", ""))
    if not account:
        say(reading, draft.line, f"{draft.path}/:25:", BankReason.MISSING_ELEMENT, "")
    if kind == "MT940":
        for tag, place in (("60F", 0), ("62F", -1)):
            if not _has_balance(draft, place):
                say(reading, draft.line, f"{draft.path}/:{tag}:", BankReason.MISSING_ELEMENT, "")
    sequence, _, page = facts.get("28", "").partition("/")
    interim = any(each.code == "ITBD" for each in draft.balances)
    report = AccountReport(
        kind=kind,
        id=_id(facts, draft),
        account=account,
        currency=draft.currency,
        path=draft.path,
        line=draft.line,
        balances=tuple(draft.balances),
        lines=tuple(lines),
        servicer=servicer,
        created=_created(facts.get("13", "")),
        legal_sequence=sequence.strip(),
        page=(int(page) if page.isascii() and page.isdigit() else 1) if interim else None,
        last_page=any(each.code == "CLBD" for each in draft.balances) if interim else None,
    )
    for problem in (*balance_problems(report), *_sum_problems(draft, report)):
        reading.name(problem)
    problems = tuple(reading.problems[before:])
    reading.reports.append(replace(report, problems=problems) if problems else report)


def _has_balance(draft: DraftStatement, place: int) -> bool:
    """Whether it begins (0) or ends (-1) with a booked balance; the available ones come later."""
    booked = [each for each in draft.balances if each.code in ("OPBD", "CLBD", "ITBD")]
    return bool(booked) and booked[place].path.startswith(f"{draft.path}/:6{'2' if place else '0'}")


def _id(facts: dict[str, Any], draft: DraftStatement) -> str:
    """Statement numbers begin anew each year and references repeat, so the day is part of it."""
    days = [each.date for each in draft.balances if each.date and each.code in ("CLBD", "ITBD")]
    number = facts.get("28", "").partition("/")[0]
    pages = any(each.code == "ITBD" for each in draft.balances)  # each has another :20:
    day = max(days).isoformat() if days else facts.get("13", "")
    parts = ("" if pages else facts.get("20", ""), number, day)
    return "/".join(part for part in parts if part)


def _created(text: str) -> date | None:
    """Of an MT942: :13D: is YYMMDDhhmm and a zone."""
    try:
        return date(2000 + int(text[:2]), int(text[2:4]), int(text[4:6]))
    except ValueError:
        return None


def _account(text: str) -> tuple[str, str]:
    """(IBAN, or the account as printed; BIC of the bank where it is told)."""
    compact = text.replace(" ", "").replace("\n", "").upper()
    bank, slash, number = compact.rpartition("/")
    if slash and number.isalpha() and len(number) == 3:  # a currency behind it
        bank, slash, number = bank.rpartition("/")
    servicer = bank if _BIC.fullmatch(bank) else ""
    if number[-3:] in EXPONENTS and number[:-3].isalnum() and number[-4:-3].isdigit():
        number = number[:-3]  # a currency behind it
    is_whole = servicer or _IBAN.fullmatch(number)
    return (number if is_whole else f"{bank}{slash}{number}"), servicer


def _sum_problems(draft: DraftStatement, report: AccountReport) -> list[FileProblem]:
    """:90D: and :90C: say how many debits and credits there are, and their sums."""
    found = []
    for each in draft.sums:
        match = _SUM.fullmatch(each.text)
        chosen = [
            abs(line.amount_minor)
            for line in report.lines
            if (line.amount_minor < 0) == (each.tag == "90D")
        ]
        try:
            told = match and (int(match[1]), to_minor(match[3].replace(",", "."), match[2]))
        except Rejected:
            told = None
        if told != (len(chosen), sum(chosen)):
            found.append(
                FileProblem(
                    each.line,
                    f"{draft.path}/:{each.tag}:",
                    BankReason.SUM_MISMATCH,
                    f"{each.text!r:.40}: there are {len(chosen)}, {sum(chosen)}",
                )
            )
    return found
