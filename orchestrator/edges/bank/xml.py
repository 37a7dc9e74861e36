"""Reads foreign XML safely: no DTD, no entities, no network, bounded size, places by path.

Elements are found by local name, so all versions of a message read alike. Problems are added to the
reading that all nodes of a file share; reading goes on after a problem.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from itertools import pairwise

from lxml import etree

from device_adapters.types import Rejected
from orchestrator.edges.bank.facts import BankReading, FileProblem
from orchestrator.edges.bank.money import to_minor
from orchestrator.edges.bank.types import BankReason

MAX_TAGS = 4_000_000  # bounds the memory for many small elements
_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:T[0-9:.,]{5,25})?(?:Z|[+-][0-9]{2}:[0-9]{2})?")
# counted in a path even if single, so that a place keeps its path
_COUNTED = {"Stmt", "Rpt", "Ntfctn", "Ntry", "TxDtls", "TxInfAndSts", "OrgnlPmtInfAndSts"}
# not indexed from above: each is its own node, or there may be thousands
_OWN = _COUNTED | {"NtryDtls", "Bal", "Chrgs", "Rcrd", "TxsSummry"}
_CONTAINERS = {"Document", "Stmt", "Rpt", "Ntfctn"}


class XmlNode:
    """An element and its path, as in Stmt[1]/Ntry[3]/NtryDtls/TxDtls[2]."""

    __slots__ = ("_below", "_element", "path", "reading")

    def __init__(self, element: etree._Element, path: str, reading: BankReading) -> None:
        self._element, self.path, self.reading = element, path, reading
        self._below: dict[str, list[etree._Element]] = {}
        _gather(element, "", self._below)

    @property
    def name(self) -> str:
        """The local name."""
        return local(self._element.tag)

    @property
    def namespace(self) -> str:
        """The namespace, "" without one."""
        return self._element.tag[1:].partition("}")[0] if self._element.tag[0] == "{" else ""

    @property
    def line(self) -> int | None:
        """The line in the file."""
        return self._element.sourceline

    def add_problem(self, reason: BankReason, detail: str = "", below: str = "") -> None:
        """Report a problem of this element, or of one that belongs below it."""
        self.reading.add_problem(self._problem(reason, detail, below))

    def add_note(self, reason: BankReason, detail: str = "", below: str = "") -> None:
        """Note an oddity without loss, as `add_problem`."""
        self.reading.notes.append(self._problem(reason, detail, below))

    def _problem(self, reason: BankReason, detail: str, below: str) -> FileProblem:
        element = self._below.get(below, (self._element,))[0]
        return FileProblem(element.sourceline, self._at(below) or "Document", reason, detail)

    def children(self, name: str) -> Iterator[XmlNode]:
        """Yield the children of that name; their paths are numbered if there may be several."""
        elements = self._below.get(name, ())
        counted = name in _COUNTED or len(elements) > 1
        for number, element in enumerate(elements, 1):
            yield XmlNode(element, self._at(f"{name}[{number}]" if counted else name), self.reading)

    def has(self, path: str) -> bool:
        """Return whether there is an element at a path."""
        return path in self._below

    def text(self, *paths: str) -> str:
        """Return the text at the first of these paths that has any; "" if none has."""
        for path in paths:
            for element in self._below.get(path, ()):
                if value := _value(element):
                    return value
        return ""

    def texts(self, path: str) -> list[str]:
        """Return the texts of all elements at a path, in file order."""
        return [value for element in self._below.get(path, ()) if (value := _value(element))]

    def need_text(self, *paths: str) -> str:
        """Return the text as `text`; report the first path as missing if there is none."""
        value = self.text(*paths)
        if not value:
            self.add_problem(BankReason.MISSING_ELEMENT, below=paths[0])
        return value

    def value(self) -> str:
        """Return the element's text."""
        return _value(self._element)

    def attribute(self, path: str, name: str) -> str:
        """Return an attribute of the first element at a path; "" if missing."""
        return next((element.get(name) or "" for element in self._below.get(path, ())), "")

    def money(self, path: str = "Amt", *, counts: bool = True) -> tuple[int, str] | None:
        """Return unsigned minor units and currency of an amount.

        Args:
            counts: Whether a problem is an error; if not, it is only noted.

        Returns:
            None if missing or unreadable; this is reported.
        """
        report = self.add_problem if counts else self.add_note
        if path not in self._below:
            report(BankReason.MISSING_ELEMENT, below=path)
            return None
        currency = self.attribute(path, "Ccy")
        if not currency:
            report(BankReason.MISSING_ELEMENT, below=f"{path}/@Ccy")
            return None
        try:
            return to_minor(self.text(path), currency), currency
        except Rejected as refusal:
            report(BankReason(refusal.reason), refusal.detail, path)
            return None

    def day(self, *paths: str) -> date | None:
        """Return the date at the first of these paths that has a text; times are cut off."""
        path = next((candidate for candidate in paths if self.text(candidate)), "")
        text = self.text(path) if path else ""
        match = _DAY.fullmatch(text)
        try:
            if text and not match:
                raise ValueError
            return date.fromisoformat(match[1]) if match else None
        except ValueError:
            self.add_problem(BankReason.DATE_MALFORMED, f"{text!r:.40}", path)
            return None

    def truth(self, path: str) -> bool:
        """Return an xs:boolean; false if missing, or malformed, which is reported."""
        text = self.text(path)
        if text not in ("", "true", "false", "1", "0"):
            self.add_problem(BankReason.VALUE_MALFORMED, f"{text!r:.20}", path)
        return text in ("true", "1")

    def number(self, path: str) -> int | None:
        """Return a whole number, None if missing, or malformed, which is reported."""
        text = self.text(path)
        if text.isascii() and text.isdigit() and len(text) < 19:
            return int(text)
        if text:
            self.add_problem(BankReason.VALUE_MALFORMED, f"{text!r:.20}", path)
        return None

    def _at(self, path: str) -> str:
        return f"{self.path}/{path}" if self.path and path else self.path or path


def _gather(element: etree._Element, prefix: str, by_path: dict[str, list[etree._Element]]) -> None:
    for child in element:
        name = local(child.tag)
        path = prefix + name
        by_path.setdefault(path, []).append(child)
        if name not in _OWN and len(child):
            _gather(child, path + "/", by_path)


def _value(element: etree._Element) -> str:
    return " ".join((element.text or "").split())


@lru_cache(maxsize=4096)
def local(tag: str) -> str:
    """Return the local name of a tag."""
    return tag.rpartition("}")[2]


def root_of(text: str, reading: BankReading) -> etree._Element | None:
    """Return the root element; None if there is none, which is reported.

    Of a broken file: all of it if only stray characters break it, else the complete part before the
    break; an incomplete entry is left out.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        line = text.count("\n", 0, text.find("<!")) + 1
        why = "a bank message needs no DTD"
        reading.problems.append(FileProblem(line, "", BankReason.DTD_FORBIDDEN, why))
        return None
    if text.count("<") > MAX_TAGS:
        reading.problems.append(
            FileProblem(None, "", BankReason.TOO_LARGE, f"over {MAX_TAGS} tags")
        )
        return None
    data = text.encode("utf-8", "surrogatepass")
    try:
        return etree.fromstring(data, etree.XMLParser(**_SAFE))
    except (etree.XMLSyntaxError, ValueError) as error:
        line, why = getattr(error, "lineno", None), getattr(error, "msg", None) or str(error)
    root, path = _whole_part(data)
    reading.problems.append(FileProblem(line, path, BankReason.NOT_XML, why[:200]))
    try:
        return etree.fromstring(
            _STRAY.sub(_repaired, text).encode("utf-8", "surrogatepass"), etree.XMLParser(**_SAFE)
        )
    except (etree.XMLSyntaxError, ValueError):
        return root


# stray characters, mostly from names, that break a complete file: a bare "&" and control characters
_STRAY = re.compile(
    r"&(?!(?:#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6}|amp|lt|gt|quot|apos);)|"
    r"[\x00-\x08\x0b\x0c\x0e-\x1f]"
)


def _repaired(match: re.Match) -> str:
    return "&amp;" if match[0] == "&" else " "


# the checked text is parsed, so the parser decodes UTF-8 and ignores the declaration
_SAFE = dict(
    encoding="utf-8",
    resolve_entities=False,
    load_dtd=False,
    no_network=True,
    huge_tree=False,
    remove_comments=True,
    remove_pis=True,
    recover=False,
)


def _whole_part(data: bytes) -> tuple[etree._Element | None, str]:
    """Return (root of the complete part, path of the innermost element with the break)."""
    puller = etree.XMLPullParser(events=("start", "end"), **_SAFE)
    opened: list[etree._Element] = []
    root = None
    try:
        puller.feed(data)
        puller.close()
    except (etree.XMLSyntaxError, ValueError):
        pass  # reported already; the events have the complete part
    try:
        for event, element in puller.read_events():
            root = element if root is None else root
            if event == "start":
                opened.append(element)
            else:
                opened.pop()
    except (etree.XMLSyntaxError, ValueError):
        pass
    path = _path(opened)
    for parent, child in pairwise(opened[1:]):  # the message itself stays, even if incomplete
        if local(child.tag) not in _CONTAINERS:
            parent.remove(child)
            break
    return root, path


def _path(opened: list[etree._Element]) -> str:
    """Return the path of the last of nested elements, numbered as in `XmlNode`."""
    names = [local(element.tag) for element in opened]
    first = next((index for index, name in enumerate(names) if name in _COUNTED), 0)
    parts = []
    for element, name in zip(opened[first:], names[first:], strict=True):
        number = 1 + sum(
            local(sibling.tag) == name for sibling in element.itersiblings(preceding=True)
        )
        parts.append(f"{name}[{number}]" if name in _COUNTED or number > 1 else name)
    return "/".join(parts)[:200]
