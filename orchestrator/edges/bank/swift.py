"""Reads MT940 statements and MT942 interim reports field by field.

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
from orchestrator.edges.bank.money import EXPONENTS, amount_text, swift_minor
from orchestrator.edges.bank.sums import balance_problems
from orchestrator.edges.bank.swift_lines import add_problem, read_day, read_line, read_minor
from orchestrator.edges.bank.transport import swift_rows
from orchestrator.edges.bank.types import BankReason

MAX_LINES, MAX_REPORTS = 100_000, 10_000
_FIELD = re.compile(r"^:(13D?|20|21|25P?|28C?|34F|60[FM]?|61|62[FM]?|64|65|86|90[CD]|NS):")
_TYPE = re.compile(r":?(94[0-9]):?")  # a row of its own before the first field
_ACCOUNT = re.compile(r"(?:^|\{4:|[\x00-\x1f])(?::25P?:)", re.MULTILINE)
_OTHER = re.compile(r"(?:^|\{4:|[\x00-\x1f]):(?:20|28C?|60[FM]?|61|62[FM]?):", re.MULTILINE)
_BALANCE = re.compile(  # 1!a6!n3!a15d; some systems write the letters small
    r"(?P<status>[DC])(?P<year>[0-9]{2})(?P<month>[0-9]{2})(?P<day>[0-9]{2})"
    r"(?P<currency>[A-Z]{3})(?P<amount>[0-9.,]+)",
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
_SUM = re.compile(r"([0-9]{0,5})([A-Z]{3})([0-9.,]+)")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_BIC = re.compile(r"[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?")


@dataclass(slots=True)
class _Field:
    tag: str
    rows: list[str]
    line: int
    kind: str = ""  # "940", "941" or "942" from the header before it

    @property
    def text(self) -> str:
        return "\n".join(self.rows).strip()


@dataclass(slots=True)
class DraftStatement:
    """A statement while it is read."""

    line: int
    number: int
    facts: dict[str, Any] = field(default_factory=dict)
    balances: list[Balance] = field(default_factory=list)
    entries: list[tuple[_Field, list[str]]] = field(default_factory=list)
    sums: list[_Field] = field(default_factory=list)
    currency: str = ""
    kind: str = ""  # "940", "941" or "942" if a header gives it
    is_closed: bool = False

    @property
    def path(self) -> str:
        return f"Stmt[{self.number}]"


def is_swift(text: str) -> bool:
    """Return whether a text has the fields of an MT940 or MT942."""
    text = _line_ends(text).replace("@@", "\n")
    return bool(_ACCOUNT.search(text) and _OTHER.search(text))


def _line_ends(text: str) -> str:
    """Normalise line ends; some systems use carriage returns only."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_reports(text: str, reading: BankReading) -> None:
    """Add the statements of a file to the reading."""
    text = _line_ends(text)
    if text.count("@@:") > text.count("\n:"):  # home banking encodes line ends so
        text = text.replace("@@", "\n")
    drafts: list[DraftStatement] = []
    for swift_field in _fields(text):
        starts = swift_field.tag == "20" or (
            drafts and _is_next(drafts[-1], swift_field.tag, bool(swift_field.kind))
        )
        if (starts or not drafts) and len(drafts) >= MAX_REPORTS:
            add_problem(
                reading,
                swift_field.line,
                "",
                BankReason.TOO_MANY_LINES,
                f"{MAX_REPORTS} statements",
            )
            break
        if starts or not drafts:
            drafts.append(DraftStatement(swift_field.line, len(drafts) + 1))
        _take(drafts[-1], swift_field, reading)
    for draft in drafts:
        _finish(draft, reading)


def _is_next(draft: DraftStatement, tag: str, has_header: bool) -> bool:
    """Return whether a field other than :20: begins another statement."""
    if tag[:2] == "25":
        return draft.is_closed or has_header or "25" in draft.facts
    return draft.is_closed and tag[:2] == "60"


def _fields(text: str) -> Iterator[_Field]:
    """Yield the fields; the first one after a header has the message's type."""
    current: _Field | None = None
    rows, kind = list(swift_rows(text)), ""
    for index, (number, row, header) in enumerate(rows):
        if row is None:
            if current:
                yield current
            current, kind = None, header or kind
            continue
        match, alone = _FIELD.match(row), _TYPE.fullmatch(row)
        following = [other for _, other, _ in rows[index + 1 : index + 3] if other]
        if match and not (current and _is_wrapped(current, match[1], following)):
            if current:
                yield current
            current, kind = _Field(match[1], [row[match.end() :]], number, kind), ""
        elif alone and (current is None or row.startswith(":")):
            kind = alone[1]
        elif current:
            current.rows.append(row)
    if current:
        yield current


def _is_wrapped(current: _Field, tag: str, following: list[str]) -> bool:
    """Return whether a field is in fact wrapped text of a :86:, such as the time 16:20:37."""
    begins = any(row.startswith((":21:", ":25", ":28")) for row in following[:2])
    return current.tag == "86" and tag in _HEADS and not (tag in ("20", "25P", "25") and begins)


def _take(draft: DraftStatement, swift_field: _Field, reading: BankReading) -> None:
    tag, text = swift_field.tag, swift_field.text
    draft.kind = draft.kind or swift_field.kind
    if tag in _BALANCES:
        draft.is_closed = draft.is_closed or tag.startswith("62")
        _take_balance(draft, swift_field, reading)
    elif tag == "61":
        draft.entries.append((swift_field, []))
    elif tag == "86" and draft.entries and not draft.is_closed:
        draft.entries[-1][1].extend(swift_field.rows)
    elif tag in ("90C", "90D"):
        draft.sums.append(swift_field)
    elif tag == "34F":
        draft.facts["interim"] = True
        draft.currency = draft.currency or text[:3]
    elif tag in ("20", "25", "25P", "28", "28C", "13", "13D"):
        draft.facts.setdefault(tag[:2], text)


def _take_balance(draft: DraftStatement, swift_field: _Field, reading: BankReading) -> None:
    place = f"{draft.path}/:{swift_field.tag}:"
    first, *rest = swift_field.rows
    is_whole = not any(character.isalnum() for row in rest for character in row)
    match = _BALANCE.fullmatch(first.replace(" ", "")) if is_whole else None
    if not match:
        add_problem(
            reading,
            swift_field.line,
            place,
            BankReason.VALUE_MALFORMED,
            f"{swift_field.text!r:.60}",
        )
        return
    draft.currency = draft.currency or match["currency"]
    minor = read_minor(match["amount"], match["currency"], swift_field.line, place, reading)
    day = read_day(match["year"], match["month"], match["day"], swift_field.line, place, reading)
    if minor is not None:
        draft.balances.append(
            Balance(
                _BALANCES[swift_field.tag],
                day,
                -minor if match["status"].upper() == "D" else minor,
                match["currency"].upper(),
                place,
                swift_field.line,
            )
        )


def _finish(draft: DraftStatement, reading: BankReading) -> None:
    before = len(reading.problems)
    lines: list[Line] = []
    for number, (swift_field, info) in enumerate(draft.entries, 1):
        if number > MAX_LINES:
            add_problem(
                reading,
                swift_field.line,
                draft.path,
                BankReason.TOO_MANY_LINES,
                f"{MAX_LINES} are read",
            )
            break
        line = read_line(
            swift_field.text,
            info,
            draft.currency,
            swift_field.line,
            f"{draft.path}/:61:[{number}]",
            reading,
        )
        if line:
            lines.append(line)
    facts = draft.facts
    kind = _kind(draft)
    if "20" not in facts:
        reading.notes.append(
            FileProblem(draft.line, f"{draft.path}/:20:", BankReason.MISSING_ELEMENT)
        )
    reading.kind = reading.kind or kind
    account, servicer = _account(facts.get("25", ""))
    if not account:
        add_problem(reading, draft.line, f"{draft.path}/:25:", BankReason.MISSING_ELEMENT, "")
    if kind == "MT940":
        for tag, place in (("60F", 0), ("62F", -1)):
            if not _has_balance(draft, place):
                add_problem(
                    reading, draft.line, f"{draft.path}/:{tag}:", BankReason.MISSING_ELEMENT, ""
                )
    sequence, _, page = facts.get("28", "").partition("/")
    interim = any(swift_field.code == "ITBD" for swift_field in draft.balances)
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
        last_page=any(swift_field.code == "CLBD" for swift_field in draft.balances)
        if interim
        else None,
    )
    for problem in (*balance_problems(report), *_sum_problems(draft, report)):
        reading.add_problem(problem)
    problems = tuple(reading.problems[before:])
    reading.reports.append(replace(report, problems=problems) if problems else report)


def _kind(draft: DraftStatement) -> str:
    """Return the message type: from its header, else from its fields.

    An MT941 reports balances without the lines between them.
    """
    if draft.kind in ("940", "941", "942"):
        return f"MT{draft.kind}"
    if draft.facts.get("interim") and not draft.balances:
        return "MT942"
    counts = draft.sums or "13" in draft.facts
    return "MT941" if counts and draft.balances and not draft.entries else "MT940"


def _has_balance(draft: DraftStatement, place: int) -> bool:
    """Return whether the first (0) or last (-1) booked balance is an opening or closing one."""
    booked = [balance for balance in draft.balances if balance.code in ("OPBD", "CLBD", "ITBD")]
    return bool(booked) and booked[place].path.startswith(f"{draft.path}/:6{'2' if place else '0'}")


def _id(facts: dict[str, Any], draft: DraftStatement) -> str:
    """Return the id, with the day: numbers restart each year and references repeat."""
    days = [
        balance.date
        for balance in draft.balances
        if balance.date and balance.code in ("CLBD", "ITBD")
    ]
    number = facts.get("28", "").partition("/")[0]
    pages = any(balance.code == "ITBD" for balance in draft.balances)  # each has another :20:
    day = max(days).isoformat() if days else facts.get("13", "")
    parts = ("" if pages else facts.get("20", ""), number, day)
    return "/".join(part for part in parts if part)


def _created(text: str) -> date | None:
    """Return the day of an MT942; :13D: is YYMMDDhhmm and a zone."""
    try:
        return date(2000 + int(text[:2]), int(text[2:4]), int(text[4:6]))
    except ValueError:
        return None


def _account(text: str) -> tuple[str, str]:
    """Return (IBAN or account as printed, BIC of the bank or "")."""
    compact = text.replace(" ", "").replace("\n", "").upper()
    bank, slash, number = compact.rpartition("/")
    if slash and number.isalpha() and len(number) == 3:  # a currency follows
        bank, slash, number = bank.rpartition("/")
    servicer = bank if _BIC.fullmatch(bank) else ""
    printed = number[:-3].replace(".", "").replace("-", "")
    if number[-3:] in EXPONENTS and printed.isalnum() and printed[-1:].isdigit():
        number = number[:-3]  # a currency follows
    is_whole = servicer or _IBAN.fullmatch(number)
    return (number if is_whole else f"{bank}{slash}{number}"), servicer


def _sum_problems(draft: DraftStatement, report: AccountReport) -> list[FileProblem]:
    """Return a problem for each :90D: and :90C: with a wrong count or sum of lines."""
    problems = []
    for swift_field in draft.sums if report.kind != "MT941" else ():
        match = _SUM.fullmatch(swift_field.text)
        chosen = [
            abs(line.amount_minor)
            for line in report.lines
            if (line.amount_minor < 0) == (swift_field.tag == "90D")
        ]
        try:
            count = int(match[1]) if match and match[1] else len(chosen)  # banks leave it out
            stated = match and (count, swift_minor(match[3], match[2]))
        except Rejected:
            stated = None
        if stated != (len(chosen), sum(chosen)):
            problems.append(
                FileProblem(
                    swift_field.line,
                    f"{draft.path}/:{swift_field.tag}:",
                    BankReason.SUM_MISMATCH,
                    f"states {swift_field.text!r:.40}, but there are {len(chosen)}: "
                    f"{amount_text(sum(chosen), report.currency)}",
                )
            )
    return problems
