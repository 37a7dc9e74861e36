"""Finds the OCMF records, with their keys, in any file of a vendor or an auditor.

Known wrappings: plain records (one, several, pretty-printed, in hex or base64), the XML container
of the Transparenzsoftware, and JSON as OCPP and vendors nest it (OCPP 1.6 SampledValue, OCPP 2.x
SignedMeterValueType, lists and objects around them).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
from defusedxml.common import DefusedXmlException

from device_adapters import strict_json
from device_adapters.protocols.ocmf.sections import split
from device_adapters.types import Reason, Rejected

_STARTS = (b"OCMF|", b"4f434d467c", b"T0NNRn")
_DATA = ("signeddata", "encodeddata", "signedmeterdata", "encodedmeterdata", "signedmetervalue")
_KEYS = ("publickey", "public_key")
_SPACE = b" \t\r\n\0"
_MARKS = re.compile(
    rb"OCMF\||4f434d467c|T0NNRn|<values?\b|(signed|encoded)_?(data|meterdata|metervalue)",
    re.IGNORECASE,
)
_MAX_TAGS = 100_000  # some fifteen thousand records
_MAX_NESTING = 3  # JSON or XML within a string


@dataclass(frozen=True, slots=True)
class Item:
    """One record of a file. key: the text of the key given with it, or ""."""

    record: bytes
    key: str = ""
    transaction_id: str | None = None
    context: str | None = None


def holds_ocmf(data: bytes) -> bool:
    """Return whether a file has the beginning of a record or of a wrapping, even if broken."""
    return _MARKS.search(data) is not None


def find_records(data: bytes) -> list[Item]:
    """Return every record of a file in UTF-8, in order; Rejected if it is broken or not OCMF."""
    items = list(_from_text(data.strip(_SPACE), Item(b""), _MAX_NESTING))
    if not items:
        raise Rejected(Reason.MALFORMED, "it has no OCMF record")
    return items


def _from_text(text: bytes, around: Item, nesting: int) -> Iterator[Item]:
    """Yield the records in a text; `around` has the key, transaction and context so far."""
    if text.startswith(_STARTS) or text[:10].lower() == _STARTS[1]:
        for record in split(text):
            yield replace(around, record=record)
    elif nesting and text[:1] == b"<":
        yield from _from_xml(text, around, nesting)
    elif nesting and text[:1] in (b"{", b"[", b'"'):
        yield from _from_json(text, around, nesting)
    elif b"OCMF|" in text:  # text before the first record is kept as a broken record
        for record in split(text):
            yield replace(around, record=record)


def _from_json(text: bytes, around: Item, nesting: int) -> Iterator[Item]:
    try:
        plain = text.decode()
    except UnicodeDecodeError:
        raise Rejected(Reason.NOT_UTF8, "the JSON is not UTF-8") from None
    end = 0
    while plain[end:].strip():  # one document, or several in a row
        value, end = strict_json.scan(plain, end)
        yield from _walk(value, around, nesting)


def _walk(value: Any, around: Item, nesting: int) -> Iterator[Item]:
    """Yield each string that is a record, with the key and transaction of its neighbours."""
    if isinstance(value, dict):
        named = {key.lower(): item for key, item in value.items()}
        around = _enriched(around, named)
        signed = (*_DATA, "value") if named.get("format") == "SignedData" else _DATA  # OCPP 1.6
        for key, item in named.items():
            if key in signed and isinstance(item, str) and not _holds_record(item):
                yield replace(around, record=item.encode())  # kept as a broken record
            elif key not in _KEYS:
                yield from _walk(item, around, nesting)
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item, around, nesting)
    elif isinstance(value, str) and _holds_record(value):
        yield from _from_text(value.encode().strip(_SPACE), around, nesting - 1)


def _enriched(around: Item, named: dict[str, Any]) -> Item:
    keys = [named[key] for key in _KEYS if isinstance(named.get(key), str)]
    info = named.get("transactioninfo")  # OCPP 2.x TransactionEvent
    info = {key.lower(): item for key, item in info.items()} if isinstance(info, dict) else {}
    transaction = named.get("transactionid", named.get("transaction_id", info.get("transactionid")))
    context = named.get("context")
    return replace(
        around,
        key=next((key for key in keys if key.strip()), around.key),
        transaction_id=str(transaction)
        if isinstance(transaction, str | int)
        else around.transaction_id,
        context=context if isinstance(context, str) else around.context,
    )


def _holds_record(text: str) -> bool:
    start = text.strip()[:10]
    if start.lower().startswith(("ocmf|", "4f434d467c")) or start.startswith("T0NNRn"):
        return True
    return start[:1] in ("{", "<") and ("OCMF" in text or "igned" in text)


def _from_xml(text: bytes, around: Item, nesting: int) -> Iterator[Item]:
    if text.count(b"<") > _MAX_TAGS:
        raise Rejected(Reason.TOO_LARGE, f"more than {_MAX_TAGS} tags")
    try:
        root = defusedxml.ElementTree.fromstring(text, forbid_dtd=True)
    except DefusedXmlException:
        detail = "the XML declares a document type or entities, which is refused"
        raise Rejected(Reason.MALFORMED, detail) from None
    except (ParseError, ValueError, LookupError) as error:
        raise Rejected(Reason.MALFORMED, f"broken XML: {error}"[:200]) from None
    values = [element for element in root.iter() if _name(element) == "value"]
    shared = _key_in(root if values else root.iter())
    for value in values or [root]:
        parts = value if values else list(root.iter())
        item = Item(
            b"",
            _key_in(parts) or shared or around.key,
            value.get("transactionId", around.transaction_id),
            (value.get("context") or "").strip() or around.context,
        )
        for signed in _signed_texts(parts):
            items = list(_from_text(signed, item, nesting - 1))
            yield from items or [replace(item, record=signed)]


def _signed_texts(parts: Iterable[Element]) -> list[bytes]:
    """Return the signed data among the elements, else the encoded data."""
    for name in _DATA:
        texts = [part.text or "" for part in parts if _name(part) == name]
        if any(text.strip() for text in texts):
            return [text.encode().strip(_SPACE) for text in texts if text.strip()]
    return []


def _key_in(parts: Iterable[Element]) -> str:
    return next((p.text or "" for p in parts if _name(p) in _KEYS and (p.text or "").strip()), "")


def _name(element: Element) -> str:
    """Return the local name in lower case, in any namespace."""
    return element.tag.rsplit("}", 1)[-1].lower() if isinstance(element.tag, str) else ""
