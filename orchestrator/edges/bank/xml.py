"""Read XML from outside safely: no DTD, no entities, no network, bounded size, places by path.

Elements are found by local name, so every version of a message reads alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from lxml import etree

from device_adapters.types import Rejected
from orchestrator.edges.bank.types import BankReason

MAX_FILE_BYTES = 32 * 1024 * 1024
_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:T[0-9:.,]{5,25})?(?:Z|[+-][0-9]{2}:[0-9]{2})?")
_COUNTED = {"Stmt", "Ntfctn", "Ntry", "TxDtls", "TxInfAndSts", "OrgnlPmtInfAndSts"}


class Node:
    """An element and its path, such as Stmt[1]/Ntry[3]/NtryDtls/TxDtls[2]."""

    __slots__ = ("_element", "_names", "path")

    def __init__(self, element: etree._Element, path: str) -> None:
        self._element, self.path = element, path
        self._names: dict[str, list[etree._Element]] = {}
        for child in element.iterchildren(etree.Element):
            self._names.setdefault(_local(child), []).append(child)

    @property
    def name(self) -> str:
        return _local(self._element)

    def children(self, name: str) -> Iterator[Node]:
        """Each child of that name; counted in its path where there may be several."""
        elements = self._names.get(name, [])
        counted = name in _COUNTED or len(elements) > 1
        for number, element in enumerate(elements, 1):
            yield Node(element, self._below(f"{name}[{number}]" if counted else name))

    def find(self, path: str) -> Node | None:
        """The first element at a path of local names below this one."""
        node: Node | None = self
        for name in path.split("/"):
            node = next(node.children(name), None) if node else None
        return node

    def need(self, path: str) -> Node:
        """As `find`; raises Rejected(missing_element) naming the path."""
        node = self.find(path)
        if node is None:
            raise Rejected(BankReason.MISSING_ELEMENT, self._below(path))
        return node

    def text(self, *paths: str) -> str:
        """The text at the first of these paths that has any; "" where none has."""
        return next((found for path in paths
                     if (node := self.find(path)) and (found := node.value())), "")

    def need_text(self, path: str) -> str:
        """As `text`; raises Rejected(missing_element) where the element is absent or empty."""
        value = self.text(path)
        if not value:
            raise Rejected(BankReason.MISSING_ELEMENT, self._below(path))
        return value

    def value(self) -> str:
        return " ".join((self._element.text or "").split())

    def attribute(self, name: str) -> str:
        value = self._element.get(name)
        if value is None:
            raise Rejected(BankReason.MISSING_ELEMENT, f"{self.path}/@{name}")
        return value

    def day(self, *paths: str) -> date | None:
        """The date (of a date or a date and time) at the first of these paths; None if absent."""
        text = self.text(*paths)
        match = _DAY.fullmatch(text)
        if text and not match:
            raise Rejected(BankReason.DATE_MALFORMED, f"{self.path}: {text!r:.40}")
        try:
            return date.fromisoformat(match[1]) if match else None
        except ValueError:
            raise Rejected(BankReason.DATE_MALFORMED, f"{self.path}: {text!r:.40}") from None

    def _below(self, path: str) -> str:
        return f"{self.path}/{path}" if self.path else path


def read(data: bytes) -> Node:
    """The message element: the one child of Document. Raises Rejected with a BankReason."""
    if not data.strip():
        raise Rejected(BankReason.EMPTY, "no bytes", data)
    if len(data) > MAX_FILE_BYTES:
        raise Rejected(BankReason.TOO_LARGE, f"{len(data)} of {MAX_FILE_BYTES} bytes", data)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Rejected(BankReason.NOT_UTF8, f"at byte {error.start}", data) from None
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise Rejected(BankReason.DTD_FORBIDDEN, "a bank message needs no DTD", data)
    # The parser must read what was checked, so it decodes UTF-8 whatever the file declares.
    parser = etree.XMLParser(encoding="utf-8", resolve_entities=False, load_dtd=False,
                             no_network=True, huge_tree=False, remove_comments=True,
                             remove_pis=True, recover=False)
    try:
        root = etree.fromstring(text.encode(), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Rejected(BankReason.NOT_XML, f"{error!s:.200}", data) from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise Rejected(BankReason.DTD_FORBIDDEN, "a bank message needs no DTD", data)
    message = next(root.iterchildren(etree.Element), None)
    if _local(root) != "Document" or message is None:
        raise Rejected(BankReason.UNKNOWN_MESSAGE, f"root element {_local(root)!r:.60}", data)
    return Node(message, "")


def _local(element: etree._Element) -> str:
    return element.tag.rpartition("}")[2]
