"""Read any file a bank sends, liberally: all that can be read is told, all else is named.

camt.052, 053, 054 and pain.002 of any version, bare or inside a bank's own envelope; MT940 and
MT942; and archives (ZIP) of those. Nothing of a file is obeyed, and its size is bounded.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from itertools import islice
from zipfile import BadZipFile, ZipFile

from lxml import etree

from orchestrator.edges.bank import swift
from orchestrator.edges.bank.facts import BankReading, FileProblem
from orchestrator.edges.bank.statements import ELEMENTS, kind_of, read_reports
from orchestrator.edges.bank.status import status_report
from orchestrator.edges.bank.text import decode
from orchestrator.edges.bank.types import BankReason
from orchestrator.edges.bank.xml import MAX_TAGS, XmlNode, local, root_of

MAX_FILE_BYTES = 32 * 1024 * 1024
MAX_MEMBERS = 1_000
MAX_DOCUMENTS = 50  # in one file, one behind the other
MAX_DEPTH = 6
_STATUS = "CstmrPmtStsRpt"
_OLD = {"pain.002.001.02": _STATUS, "pain.002.001.03": _STATUS}  # named by the message once
_PAGE = re.compile(r"\s*<!doctype\s+html\b", re.IGNORECASE)  # what a bank's site answers
_DECLARATION = re.compile(r"\ufeff?<\?xml\s[^>]{0,200}\?>")
_VERSIONED = re.compile(r"V[0-9]{2}$")


def read(data: bytes) -> BankReading:
    """All that the file says. Never raises for what is in it: see the reading's problems."""
    reading = BankReading()
    if not data.strip():
        _say(reading, BankReason.EMPTY, "no bytes")
    elif len(data) > MAX_FILE_BYTES:
        _say(reading, BankReason.TOO_LARGE, f"{len(data)} of {MAX_FILE_BYTES} bytes")
    elif data.startswith(b"PK\3\4"):
        _read_archive(data, reading)
    else:
        _read_one(data, sha256(data).digest(), reading)
    _name_repeated(reading)
    return reading


def _name_repeated(reading: BankReading) -> None:
    seen: set[tuple[str, str, int | None]] = set()
    for report in reading.reports:
        key = (report.account, report.id, report.page)
        if report.id and key in seen:
            reading.name(
                FileProblem(
                    report.line, report.path, BankReason.DUPLICATE_STATEMENT, report.id[:60]
                )
            )
        seen.add(key)


def _say(reading: BankReading, reason: BankReason, detail: str, path: str = "") -> None:
    reading.problems.append(FileProblem(None, path, reason, detail))


def _read_one(data: bytes, source: bytes, reading: BankReading) -> None:
    text, problem = decode(data)
    if not text.lstrip().startswith("<") and swift.is_swift(text):
        swift.read_reports(text, reading)  # these files never declare their encoding
        return
    if problem:
        reading.problems.append(problem)
    is_page = _PAGE.match(text)
    if is_page or not text.lstrip().startswith("<"):
        told = (
            "a web page (HTML)"
            if is_page
            else f"neither XML nor MT940: it begins {text.strip()[:20]!r}"
        )
        reading.problems.append(FileProblem(1, "", BankReason.NOT_XML, told))
        return
    roots = [root for part in _parts(text) if (root := root_of(part, reading)) is not None]
    if not roots:
        return
    root = roots[0]
    messages = [message for each in roots for message in _messages(each)]
    for number, (element, name) in enumerate(messages, 1):
        message = XmlNode(element, f"Document[{number}]" if number > 1 else "", reading)
        if name == _STATUS:
            reading.kind = kind_of(message, "pain.002")
            reading.statuses.append(status_report(message, source))
        else:
            read_reports(message, name, reading)
    if not (messages or reading.problems):  # what is broken is named already
        inner = next(root.iterchildren("*"), root) if local(root.tag) == "Document" else root
        what = "message" if inner is not root else "root element"
        reading.problems.append(
            FileProblem(
                inner.sourceline, "", BankReason.UNKNOWN_MESSAGE, f"{what} {local(inner.tag)!r:.60}"
            )
        )


def _parts(text: str) -> Iterator[str]:
    """The documents of a file without their declarations; each on the lines where it stands. Some
    banks write several into one file, one behind the other."""
    marks = list(islice(_DECLARATION.finditer(text), MAX_DOCUMENTS))
    if text.count("<") > MAX_TAGS or not marks or text[: marks[0].start()].strip():
        yield text
        return
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    for mark, end in zip(marks, ends, strict=True):
        yield "\n" * text.count("\n", 0, mark.end()) + text[mark.end() : end]


def _messages(element: etree._Element, depth: int = 0) -> Iterator[tuple[etree._Element, str]]:
    """The messages at or below an element, with their names; banks wrap them a few levels deep."""
    name = _message(local(element.tag))
    if name:
        yield element, name
    elif depth < MAX_DEPTH:
        for child in element.iterchildren("*"):
            yield from _messages(child, depth + 1)


def _message(name: str) -> str:
    name = _OLD.get(name) or _VERSIONED.sub("", name)
    return name if name in ELEMENTS or name == _STATUS else ""


def _read_archive(data: bytes, reading: BankReading) -> None:
    """Each file of a ZIP on its own: the paths of its facts begin with its name."""
    left = MAX_FILE_BYTES
    try:
        with ZipFile(BytesIO(data)) as archive:
            members = [each for each in archive.infolist() if not each.is_dir()]
            if len(members) > MAX_MEMBERS:
                _say(reading, BankReason.TOO_LARGE, f"{len(members)} of {MAX_MEMBERS} files")
                return
            for member in members:
                with archive.open(member) as opened:
                    body = opened.read(left + 1)
                if len(body) > left:
                    _say(reading, BankReason.TOO_LARGE, f"more than {MAX_FILE_BYTES} bytes")
                    return
                left -= len(body)
                _join(reading, _member(body), f"{member.filename!r:.80}".strip("'"))
    except (BadZipFile, RuntimeError, NotImplementedError, OSError, EOFError, zlib.error) as error:
        _say(reading, BankReason.ARCHIVE_MALFORMED, f"{error!s:.200}")


def _member(body: bytes) -> BankReading:
    found = BankReading()
    if body.strip():
        _read_one(body, sha256(body).digest(), found)
    else:
        _say(found, BankReason.EMPTY, "no bytes")
    return found


def _join(whole: BankReading, part: BankReading, name: str) -> None:
    """Adds a member's facts, each with the member's name in front of its path."""

    def named(each):
        return replace(each, path=f"{name}!{each.path}")

    whole.kind = whole.kind or part.kind
    whole.statuses += part.statuses
    whole.problems += map(named, part.problems)
    whole.notes += map(named, part.notes)
    for report in part.reports:
        whole.reports.append(
            replace(
                named(report),
                lines=tuple(map(named, report.lines)),
                balances=tuple(map(named, report.balances)),
                problems=tuple(map(named, report.problems)),
            )
        )
