"""Reads any bank file leniently: returns everything readable and reports all problems.

Reads camt.052, 053, 054 and pain.002 of any version, with or without a bank's envelope, MT940 and
MT942, and ZIP archives of these. File sizes are bounded, and nothing in a file is executed.
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

from orchestrator.edges.bank import pages, swift
from orchestrator.edges.bank.facts import BankReading, FileProblem
from orchestrator.edges.bank.statements import ELEMENTS, kind_of, read_reports
from orchestrator.edges.bank.status import status_report
from orchestrator.edges.bank.text import decode
from orchestrator.edges.bank.transport import without_padding
from orchestrator.edges.bank.types import BankReason
from orchestrator.edges.bank.xml import MAX_TAGS, XmlNode, local, root_of

MAX_FILE_BYTES = 32 * 1024 * 1024
MAX_MEMBERS = 1_000
MAX_DOCUMENTS = 50  # concatenated in one file
MAX_DEPTH = 6
_STATUS = "CstmrPmtStsRpt"
_OLD = {
    "pain.002.001.02": _STATUS,
    "pain.002.001.03": _STATUS,
}  # old versions, called by the message's name
_PAGE = re.compile(r"\s*<!doctype\s+html\b", re.IGNORECASE)  # an error page of a bank's web site
_DECLARATION = re.compile(r"\ufeff?<\?xml\s[^>]{0,200}\?>")
_VERSIONED = re.compile(r"V[0-9]{2}$")


def read(data: bytes) -> BankReading:
    """Return the content of a file. Never raises for its content: see the reading's problems."""
    reading = BankReading()
    if not without_padding(data).strip():
        _add_problem(reading, BankReason.EMPTY, "no bytes")
    elif len(data) > MAX_FILE_BYTES:
        _add_problem(reading, BankReason.TOO_LARGE, f"{len(data)} of {MAX_FILE_BYTES} bytes")
    elif data.startswith(b"PK\3\4"):
        _read_archive(data, reading)
    else:
        _read_file(data, sha256(data).digest(), reading)
    for report in pages.repeated(reading.reports):
        reading.add_problem(
            FileProblem(report.line, report.path, BankReason.DUPLICATE_STATEMENT, report.id[:60])
        )
    reading.reports = pages.number_pages(reading.reports)
    return reading


def _add_problem(reading: BankReading, reason: BankReason, detail: str, path: str = "") -> None:
    reading.problems.append(FileProblem(None, path, reason, detail))


def _read_file(data: bytes, source: bytes, reading: BankReading) -> None:
    text, problem = decode(without_padding(data))
    if not text.lstrip().startswith("<") and swift.is_swift(text):
        swift.read_reports(
            text, reading
        )  # these files declare no encoding, so a problem with it is ignored
        return
    if problem:
        reading.problems.append(problem)
    is_page = _PAGE.match(text)
    if is_page or not text.lstrip().startswith("<"):
        detail = (
            "a web page (HTML)"
            if is_page
            else f"neither XML nor MT940: it begins with {text.strip()[:20]!r}"
        )
        reading.problems.append(FileProblem(1, "", BankReason.NOT_XML, detail))
        return
    roots = [root for part in _parts(text) if (root := root_of(part, reading)) is not None]
    if not roots:
        return
    root = roots[0]
    messages = [message for root_element in roots for message in _messages(root_element)]
    for number, (element, name) in enumerate(messages, 1):
        message = XmlNode(element, f"Document[{number}]" if number > 1 else "", reading)
        if name == _STATUS:
            reading.kind = kind_of(message, "pain.002")
            reading.statuses.append(status_report(message, source))
        else:
            read_reports(message, name, reading)
    if not (messages or reading.problems):  # a broken file is reported already
        inner = next(root.iterchildren("*"), root) if local(root.tag) == "Document" else root
        what = "message" if inner is not root else "root element"
        reading.problems.append(
            FileProblem(
                inner.sourceline, "", BankReason.UNKNOWN_MESSAGE, f"{what} {local(inner.tag)!r:.60}"
            )
        )


def _parts(text: str) -> Iterator[str]:
    """Yield the documents of a file without XML declarations, at their original lines.

    Some banks concatenate several documents in one file.
    """
    marks = list(islice(_DECLARATION.finditer(text), MAX_DOCUMENTS))
    if text.count("<") > MAX_TAGS or not marks or text[: marks[0].start()].strip():
        yield text
        return
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    for mark, end in zip(marks, ends, strict=True):
        yield "\n" * text.count("\n", 0, mark.end()) + text[mark.end() : end]


def _messages(element: etree._Element, depth: int = 0) -> Iterator[tuple[etree._Element, str]]:
    """Yield the messages at or below an element with their names; banks nest them some levels."""
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
    """Read each file of a ZIP; the paths of its facts begin with its name."""
    left = MAX_FILE_BYTES
    try:
        with ZipFile(BytesIO(data)) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) > MAX_MEMBERS:
                _add_problem(
                    reading, BankReason.TOO_LARGE, f"{len(members)} of {MAX_MEMBERS} files"
                )
                return
            for member in members:
                with archive.open(member) as opened:
                    body = opened.read(left + 1)
                if len(body) > left:
                    _add_problem(reading, BankReason.TOO_LARGE, f"more than {MAX_FILE_BYTES} bytes")
                    return
                left -= len(body)
                _join(reading, _member(body), f"{member.filename!r:.80}".strip("'"))
    except (BadZipFile, RuntimeError, NotImplementedError, OSError, EOFError, zlib.error) as error:
        _add_problem(reading, BankReason.ARCHIVE_MALFORMED, f"{error!s:.200}")


def _member(body: bytes) -> BankReading:
    reading = BankReading()
    if without_padding(body).strip():
        _read_file(body, sha256(body).digest(), reading)
    else:
        _add_problem(reading, BankReason.EMPTY, "no bytes")
    return reading


def _join(whole: BankReading, part: BankReading, name: str) -> None:
    """Add a member's facts, with its name as prefix of each path."""

    def with_name(fact):
        return replace(fact, path=f"{name}!{fact.path}")

    whole.kind = whole.kind or part.kind
    whole.statuses += part.statuses
    whole.problems += map(with_name, part.problems)
    whole.notes += map(with_name, part.notes)
    for report in part.reports:
        whole.reports.append(
            replace(
                with_name(report),
                lines=tuple(map(with_name, report.lines)),
                balances=tuple(map(with_name, report.balances)),
                problems=tuple(map(with_name, report.problems)),
            )
        )
