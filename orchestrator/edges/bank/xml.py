"""Read XML from outside safely: no DTD, no entities, no network, bounded size, places by path.

Elements are found by local name, so every version of a message reads alike. What cannot be read
is named in the reading that all nodes of a file share; nothing here stops at the first mistake.
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

MAX_TAGS = 4_000_000  # bounds the memory that elements of a few bytes would take
_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:T[0-9:.,]{5,25})?(?:Z|[+-][0-9]{2}:[0-9]{2})?")
# Counted in a path even where there is one, so that a place keeps its name.
_COUNTED = {"Stmt", "Rpt", "Ntfctn", "Ntry", "TxDtls", "TxInfAndSts", "OrgnlPmtInfAndSts"}
# Not looked into from above: each is a node of its own, or there may be thousands.
_OWN = _COUNTED | {"NtryDtls", "Bal", "Chrgs", "Rcrd", "TxsSummry"}
_CONTAINERS = {"Document", "Stmt", "Rpt", "Ntfctn"}


class XmlNode:
    """An element and its path, such as Stmt[1]/Ntry[3]/NtryDtls/TxDtls[2]."""

    __slots__ = ("_below", "_element", "path", "reading")

    def __init__(self, element: etree._Element, path: str, reading: BankReading) -> None:
        self._element, self.path, self.reading = element, path, reading
        self._below: dict[str, list[etree._Element]] = {}
        _gather(element, "", self._below)

    @property
    def name(self) -> str:
        return local(self._element.tag)

    @property
    def namespace(self) -> str:
        return self._element.tag[1:].partition("}")[0] if self._element.tag[0] == "{" else ""

    @property
    def line(self) -> int | None:
        return self._element.sourceline

    def say(self, reason: BankReason, detail: str = "", below: str = "") -> None:
        """Names what is wrong with this element, or with one that should stand below it."""
        self.reading.name(self._problem(reason, detail, below))

    def note(self, reason: BankReason, detail: str = "", below: str = "") -> None:
        """As `say`, of what is odd and cost nothing."""
        self.reading.notes.append(self._problem(reason, detail, below))

    def _problem(self, reason: BankReason, detail: str, below: str) -> FileProblem:
        found = self._below.get(below, (self._element,))[0]
        return FileProblem(found.sourceline, self._at(below) or "Document", reason, detail)

    def children(self, name: str) -> Iterator[XmlNode]:
        """Each child of that name; counted in its path where there may be several."""
        elements = self._below.get(name, ())
        counted = name in _COUNTED or len(elements) > 1
        for number, element in enumerate(elements, 1):
            yield XmlNode(element, self._at(f"{name}[{number}]" if counted else name), self.reading)

    def has(self, path: str) -> bool:
        return path in self._below

    def text(self, *paths: str) -> str:
        """The text at the first of these paths that has any; "" where none has."""
        for path in paths:
            for element in self._below.get(path, ()):
                if found := _value(element):
                    return found
        return ""

    def texts(self, path: str) -> list[str]:
        """The texts of all elements at a path, in the file's order."""
        return [found for each in self._below.get(path, ()) if (found := _value(each))]

    def need_text(self, *paths: str) -> str:
        """As `text`; names the first path as missing where there is none."""
        value = self.text(*paths)
        if not value:
            self.say(BankReason.MISSING_ELEMENT, below=paths[0])
        return value

    def value(self) -> str:
        return _value(self._element)

    def attribute(self, path: str, name: str) -> str:
        """An attribute of the first element at a path; "" where it has none."""
        return next((each.get(name) or "" for each in self._below.get(path, ())), "")

    def money(self, path: str = "Amt", *, counts: bool = True) -> tuple[int, str] | None:
        """Unsigned minor units and currency of an amount; None, and named, if it has none.

        counts: whether anything is reckoned with it; what does not count is noted only."""
        say = self.say if counts else self.note
        if path not in self._below:
            say(BankReason.MISSING_ELEMENT, below=path)
            return None
        currency = self.attribute(path, "Ccy")
        if not currency:
            say(BankReason.MISSING_ELEMENT, below=f"{path}/@Ccy")
            return None
        try:
            return to_minor(self.text(path), currency), currency
        except Rejected as refusal:
            say(BankReason(refusal.reason), refusal.detail, path)
            return None

    def day(self, *paths: str) -> date | None:
        """The date (of a date or a date and time, as told) at the first of these paths."""
        path = next((each for each in paths if self.text(each)), "")
        text = self.text(path) if path else ""
        match = _DAY.fullmatch(text)
        try:
            if text and not match:
                raise ValueError
            return date.fromisoformat(match[1]) if match else None
        except ValueError:
            self.say(BankReason.DATE_MALFORMED, f"{text!r:.40}", path)
            return None

    def truth(self, path: str) -> bool:
        """An xs:boolean; false where it is absent or, named, neither."""
        text = self.text(path)
        if text not in ("", "true", "false", "1", "0"):
            self.say(BankReason.VALUE_MALFORMED, f"{text!r:.20}", path)
        return text in ("true", "1")

    def number(self, path: str) -> int | None:
        text = self.text(path)
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None

    def _at(self, path: str) -> str:
        return f"{self.path}/{path}" if self.path and path else self.path or path


def _gather(element: etree._Element, prefix: str, found: dict[str, list[etree._Element]]) -> None:
    for child in element:
        name = local(child.tag)
        path = prefix + name
        found.setdefault(path, []).append(child)
        if name not in _OWN and len(child):
            _gather(child, path + "/", found)


def _value(element: etree._Element) -> str:
    return " ".join((element.text or "").split())


@lru_cache(maxsize=4096)
def local(tag: str) -> str:
    return tag.rpartition("}")[2]


def root_of(text: str, reading: BankReading) -> etree._Element | None:
    """The root element; None, and named, if there is none. Of a broken file: all of it if but
    stray characters break it, else what was whole before: an entry that is cut is left out."""
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
            _STRAY.sub(_mended, text).encode("utf-8", "surrogatepass"), etree.XMLParser(**_SAFE)
        )
    except (etree.XMLSyntaxError, ValueError):
        return root


# What names bring along, and breaks a file that is whole: a bare "&", or control characters.
_STRAY = re.compile(
    r"&(?!(?:#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6}|amp|lt|gt|quot|apos);)|"
    r"[\x00-\x08\x0b\x0c\x0e-\x1f]"
)


def _mended(found: re.Match) -> str:
    return "&amp;" if found[0] == "&" else " "


# The parser must read what was checked, so it decodes UTF-8 whatever the file declares.
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
    """(the root of what is whole; the path of the innermost element that the file breaks in)."""
    puller = etree.XMLPullParser(events=("start", "end"), **_SAFE)
    opened: list[etree._Element] = []
    root = None
    try:
        puller.feed(data)
        puller.close()
    except (etree.XMLSyntaxError, ValueError):
        pass  # named already; what was whole before it is in the events
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
    for parent, child in pairwise(opened[1:]):  # the message itself stays, cut or not
        if local(child.tag) not in _CONTAINERS:
            parent.remove(child)
            break
    return root, path


def _path(opened: list[etree._Element]) -> str:
    """The path of the last of elements inside each other, as `XmlNode` counts them."""
    names = [local(each.tag) for each in opened]
    first = next((at for at, name in enumerate(names) if name in _COUNTED), 0)
    parts = []
    for element, name in zip(opened[first:], names[first:], strict=True):
        number = 1 + sum(local(each.tag) == name for each in element.itersiblings(preceding=True))
        parts.append(f"{name}[{number}]" if name in _COUNTED or number > 1 else name)
    return "/".join(parts)[:200]
