"""Reads EPCIS in XML (1.0, 1.1, 1.2 and 2.0) into the members that EPCIS 2.0 has in JSON.

So one path reads both, with the same facts and the same Event Hash ID. What 1.x puts into
`extension` and `baseExtension` (1.2, section 9.1) belongs to the event itself. Members of other
namespaces are called "{namespace}name", as the Event Hash ID writes them. Security: UTF-8 only,
no DTD, so no entities, nothing is loaded, and depth and number of elements are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lxml import etree

from device_adapters import strict_json
from device_adapters.types import Reason, Rejected

MAX_DEPTH = 32
MAX_ELEMENTS = 100_000
_EPCIS = re.compile(r"\{urn:epcglobal:epcis(?:-query)?:xsd:[12]\}")
_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_ROOTS = {
    "EPCISDocument": ("EPCISBody", "EventList"),
    "EPCISQueryDocument": ("EPCISBody", "QueryResults", "resultsBody", "EventList"),
}
_WRAPPERS = ("extension", "baseExtension")
_TEXTS = frozenset(
    (
        *("eventTime", "recordTime", "eventTimeZoneOffset", "eventID", "parentID", "action"),
        *("bizStep", "disposition", "transformationID"),
    )
)
_IDENTIFIERS = frozenset(("epcList", "childEPCs", "inputEPCList", "outputEPCList"))
_QUANTITIES = frozenset(
    ("quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList")
)
_TYPED = {
    "bizTransactionList": "bizTransaction",
    "sourceList": "source",
    "destinationList": "destination",
}
_NUMBERS = frozenset(
    ("value", "minValue", "maxValue", "meanValue", "sDev", "percRank", "percValue")
)
_DECIMAL = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_RESERVED = frozenset(("type", "isA"))  # members of JSON that no element may set
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


class ElementFields(dict[str, Any]):
    """The members of an element of another namespace, which may also have a text of its own."""

    text: str = ""


class ElementList(list[Any]):
    """The values of an element "xList" of another namespace that holds elements "x" only."""


def is_xml(data: bytes) -> bool:
    """Return whether bytes begin as XML does."""
    return data.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")[:1] == b"<"


def read_xml(data: bytes) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the document's own members and its events, in order, with their names in JSON.

    Raises:
        Rejected: NOT_UTF8, MALFORMED, TRUNCATED, TOO_DEEP, TOO_LARGE, VOCABULARY_UNKNOWN (not an
            EPCIS document), EVENT_MISSING, DUPLICATE_KEY, WRONG_TYPE or NUMBER_OUT_OF_RANGE.
    """
    root = _root(data)
    kind = _name(root)
    if kind not in _ROOTS or not _EPCIS.match(str(root.tag)):
        detail = f"{str(root.tag)[:60]!r} is not a document of EPCIS"
        raise Rejected(Reason.VOCABULARY_UNKNOWN, detail)
    document = {name: root.get(name) for name in ("schemaVersion", "creationDate")}
    element = root
    for name in _ROOTS[kind]:
        parts = [child for child in element if _name(child) == name]
        if len(parts) != 1:
            problem = "has several" if parts else "has no"
            raise Rejected(Reason.EVENT_MISSING, f"{_name(element)} {problem} {name}")
        element = parts[0]
    events = [_event(child) for child in _flat(element)]
    if not events:
        raise Rejected(Reason.EVENT_MISSING, "the document has no event")
    return {"type": kind, **document}, events


def _root(data: bytes) -> etree._Element:
    data = data.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n")
    try:
        data.decode()
    except UnicodeDecodeError:
        raise Rejected(Reason.NOT_UTF8, "the document is not UTF-8") from None
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise Rejected(Reason.MALFORMED, "an EPCIS document needs no DTD")
    try:
        root = etree.fromstring(data, etree.XMLParser(**_SAFE))
    except (etree.XMLSyntaxError, ValueError) as error:
        open_tag = getattr(error, "code", 0) == etree.ErrorTypes.ERR_TAG_NOT_FINISHED
        cut = open_tag or not data.endswith(b">")
        reason = Reason.TRUNCATED if cut else Reason.MALFORMED
        raise Rejected(reason, f"no XML: {str(error)[:120]}") from None
    level, count = [root], 0
    for _ in range(MAX_DEPTH):
        count += len(level)
        if count > MAX_ELEMENTS:
            raise Rejected(Reason.TOO_LARGE, f"more than {MAX_ELEMENTS} elements")
        level = [child for element in level for child in element]
        if not level:
            return root
    raise Rejected(Reason.TOO_DEEP, f"nested deeper than {MAX_DEPTH}")


def _name(element: etree._Element) -> str:
    """Return the name, without a namespace of EPCIS; other namespaces stay in braces."""
    return _EPCIS.sub("", str(element.tag))


def _flat(element: etree._Element) -> Iterator[etree._Element]:
    """Yield the children; those of `extension` and `baseExtension` as if they were children."""
    for child in element:
        if _name(child) in _WRAPPERS:
            yield from _flat(child)
        else:
            yield child


def _event(element: etree._Element) -> dict[str, Any]:
    fields: dict[str, Any] = {"type": _name(element)}
    for child in _flat(element):
        name = _name(child)
        if name in _TEXTS:
            _add(fields, name, _text(child))
        elif name in _IDENTIFIERS:
            _add(fields, name, [_text(item) for item in _items(child, "epc")])
        elif name in _QUANTITIES:
            _add(fields, name, [_members(item) for item in _items(child, "quantityElement")])
        elif name in _TYPED:
            items = _items(child, _TYPED[name])
            _add(fields, name, [_typed(item, _TYPED[name]) for item in items])
        elif name == "errorDeclaration":
            _add(fields, name, _declaration(child))
        elif name == "sensorElementList":
            _add(fields, name, [_sensor(item) for item in _items(child, "sensorElement")])
        elif name in ("readPoint", "bizLocation", "ilmd", "persistentDisposition"):
            _add(fields, name, _members(child))
        else:
            _extend(fields, _free(name), _value(child))
    for name, value in element.items():
        _extend(fields, _free(str(name)), value)
    return fields


def _free(name: str) -> str:
    """Return the name of an extension; Rejected where it would replace a member of the event."""
    if name in _RESERVED:
        raise Rejected(Reason.MALFORMED, f"{name!r} has no place in an EPCIS event")
    return name


def _add(fields: dict[str, Any], name: str, value: Any) -> None:
    if name in fields:
        raise Rejected(Reason.DUPLICATE_KEY, f"{name[:40]!r} is twice in one event")
    fields[name] = value


def _extend(fields: dict[str, Any], name: str, value: Any) -> None:
    """Add a member that may repeat: its values become a list, as in JSON."""
    if name not in fields:
        fields[name] = value
    elif isinstance(value, ElementList):
        raise Rejected(Reason.DUPLICATE_KEY, f"{name[:40]!r} is twice in one element")
    elif isinstance(fields[name], list):
        fields[name].append(value)
    else:
        fields[name] = [fields[name], value]


def _text(element: etree._Element) -> str:
    if len(element):
        raise Rejected(Reason.WRONG_TYPE, f"{_name(element)[:40]!r} is not a text")
    return (element.text or "").strip()


def _items(element: etree._Element, name: str) -> list[etree._Element]:
    """Return the elements of a list, all of which have one name."""
    for child in element:
        if _name(child) != name:
            detail = f"{_name(element)} holds {_name(child)[:40]!r}, not {name}"
            raise Rejected(Reason.MALFORMED, detail)
    return list(element)


def _typed(element: etree._Element, name: str) -> dict[str, Any]:
    kind = element.get("type")
    return ({} if kind is None else {"type": kind.strip()}) | {name: _text(element)}


def _members(element: etree._Element) -> dict[str, Any]:
    """Return the members of a place, a quantity or master data of a lot."""
    fields: dict[str, Any] = {}
    for child in _flat(element):
        name = _name(child)
        if name == "quantity":
            if child.get(_NIL) not in ("true", "1"):
                _add(fields, name, _number(_text(child)))
        elif name in ("id", "epcClass", "uom"):
            _add(fields, name, _text(child))
        else:
            _extend(fields, name, _value(child))
    return fields


def _declaration(element: etree._Element) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for child in _flat(element):
        name = _name(child)
        if name == "correctiveEventIDs":
            _add(fields, name, [_text(item) for item in _items(child, "correctiveEventID")])
        elif name in ("declarationTime", "reason"):
            _add(fields, name, _text(child))
        else:
            _extend(fields, name, _value(child))
    return fields


def _sensor(element: etree._Element) -> dict[str, Any]:
    """Return a sensor element of XML 2.0: its values are attributes."""
    fields: dict[str, Any] = {}
    for child in _flat(element):
        name = _name(child)
        if name == "sensorMetadata":
            _add(fields, name, dict(child.items()))
        elif name == "sensorReport":
            report = {key: _measured(str(key), value) for key, value in child.items()}
            fields.setdefault(name, []).append(report)
        else:
            _extend(fields, name, _value(child))
    return fields


def _measured(name: str, value: str) -> Any:
    if name in _NUMBERS:
        return _number(value.strip())
    truths = {"true": True, "1": True, "false": False, "0": False}
    return truths.get(value, value) if name == "booleanValue" else value


def _number(text: str) -> Any:
    """Return a number exactly; another text as it is, which is an error where it is read."""
    if not _DECIMAL.fullmatch(text):
        return text
    whole = text.lstrip("+-").isdecimal()
    return strict_json.exact_int(text) if whole else strict_json.exact_decimal(text)


def _value(element: etree._Element) -> Any:
    """Return an element of another namespace: its text, a list, or its members."""
    name, text = _name(element), (element.text or "").strip()
    children = list(element)
    if not children and not element.items() and not name.endswith("List"):
        return text
    plain = name.endswith("List") and not element.items() and not text
    if plain and children and all(_name(c) == name.removesuffix("List") for c in children):
        return ElementList(map(_value, children))
    fields = ElementFields()
    fields.text = text
    for key, value in element.items():
        _extend(fields, str(key), value)
    for child in _flat(element):
        _extend(fields, _name(child), _value(child))
    return fields
