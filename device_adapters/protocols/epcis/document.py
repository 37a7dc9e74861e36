"""Splits an EPCIS document into its events, each with the namespaces declared around it.

It reads EPCISDocument, EPCISQueryDocument and a bare event (EPCIS 2.0 section 10, JSON-LD), and
uses the context only for declared prefixes: nothing is ever loaded. Documents in XML: `xml_events`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from device_adapters import strict_json
from device_adapters.protocols.epcis.notes import Notes
from device_adapters.protocols.epcis.structure import JSON_VERSION, XML_VERSION, check_document
from device_adapters.protocols.epcis.xml_events import is_xml, read_xml
from device_adapters.types import Reason, Rejected

TYPES = {
    "ObjectEvent",
    "AggregationEvent",
    "TransactionEvent",
    "TransformationEvent",
    "AssociationEvent",
}
_PATHS = {
    "EPCISDocument": ("epcisBody",),
    "EPCISQueryDocument": ("epcisBody", "queryResults", "resultsBody"),
}
VOC = "urn:proofrail:voc:"  # the namespace of our own extensions


@dataclass(frozen=True, slots=True)
class DecodedEvent:
    """One decoded event, with the prefixes that it and its document declare."""

    fields: dict[str, Any]
    namespaces: dict[str, str]

    @property
    def kind(self) -> Any:
        """Return the event's type; drafts of EPCIS 2.0 call it isA."""
        return self.fields.get("type", self.fields.get("isA"))

    def ours(self) -> dict[str, Any]:
        """Return the extensions in our namespace, by their local names."""
        extensions = {}
        for key, value in self.fields.items():
            prefix, _, name = key.partition(":")
            local_name = key.removeprefix(f"{{{VOC}}}").removeprefix(VOC)
            if name and self.namespaces.get(prefix, VOC if prefix == "proofrail" else "") == VOC:
                extensions[name] = value
            elif local_name != key:
                extensions[local_name] = value
        return extensions


def read_document(data: bytes, notes: Notes) -> list[DecodedEvent]:
    """Return the events of a document, in order; add what it lacks around them to the notes.

    Raises:
        Rejected: EVENT_MISSING, VOCABULARY_UNKNOWN (not a type of EPCIS), WRONG_TYPE, or the
            reason why it is neither JSON nor XML.
    """
    if is_xml(data):
        document, events = read_xml(data)
        check_document(document, XML_VERSION, notes)
        return [DecodedEvent(event, {}) for event in events]
    try:
        root = strict_json.decode(data.decode())
    except UnicodeDecodeError:
        raise Rejected(Reason.NOT_UTF8, "the document is not UTF-8") from None
    if not isinstance(root, dict):
        raise Rejected(Reason.WRONG_TYPE, "the document is not an object")
    kind = root.get("type", root.get("isA"))
    if isinstance(kind, str) and kind in _PATHS:
        events = _events(root, _PATHS[kind])
    elif isinstance(kind, str) and kind in TYPES:
        events = [root]
    else:
        raise Rejected(Reason.VOCABULARY_UNKNOWN, f"{str(kind)[:60]!r} is not a type of EPCIS 2.0")
    if not root.get("@context"):
        notes.flaw(Reason.FIELD_MISSING, "@context is missing (JSON schema)")
    check_document(root, JSON_VERSION, notes)
    declared = namespaces(root.get("@context"))
    return [DecodedEvent(event, declared | namespaces(event.get("@context"))) for event in events]


def namespaces(context: Any) -> dict[str, str]:
    """Return the prefixes that a context declares itself; contexts by reference add none."""
    prefixes: dict[str, str] = {}
    for entry in context if isinstance(context, list) else [context]:
        if isinstance(entry, dict):
            for prefix, meaning in entry.items():
                uri = meaning.get("@id") if isinstance(meaning, dict) else meaning
                if isinstance(uri, str) and not prefix.startswith("@"):
                    prefixes[prefix] = uri
    return prefixes


def _events(root: dict[str, Any], path: tuple[str, ...]) -> list[dict[str, Any]]:
    body: Any = root
    for name in path:
        body = body.get(name) if isinstance(body, dict) else None
    if not isinstance(body, dict):
        raise Rejected(Reason.EVENT_MISSING, f"the document has no {'.'.join(path)}")
    events = body.get("eventList", [body["event"]] if "event" in body else [])
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise Rejected(Reason.WRONG_TYPE, "the eventList is not a list of events")
    if not events:
        raise Rejected(Reason.EVENT_MISSING, "the document has no event")
    return events
