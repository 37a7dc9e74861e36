"""EPCIS in XML for tests: documents of 1.0 to 2.0, written by hand or from an event in JSON."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from device_adapters.protocols import epcis
from services.simulated_devices.consignment import SimulatedConsignment, SimulatedTerminal

_SPACES = {"1": "urn:epcglobal:epcis:xsd:1", "2": "urn:epcglobal:epcis:xsd:2"}
# what 1.1 and 1.2 put into the extension of an event
_EXTENDED = ("quantityList", "childQuantityList", "sourceList", "destinationList", "ilmd")
_BASE = ("eventID", "errorDeclaration")
_TYPED = {
    "bizTransactionList": "bizTransaction",
    "sourceList": "source",
    "destinationList": "destination",
}


def xml_document(*events: str, version: str = "1.2", head: str = "", **spaces: str) -> bytes:
    """Return an EPCISDocument of these events, given as XML; `spaces` declares prefixes."""
    return _enclosed(
        "EPCISDocument", version, spaces, f"{head}<EPCISBody>{_listed(events)}</EPCISBody>"
    )


def xml_query(*events: str, version: str = "1.2", **spaces: str) -> bytes:
    """Return an EPCISQueryDocument with these events as its results."""
    results = f"<resultsBody>{_listed(events)}</resultsBody>"
    body = (
        "<EPCISBody><q:QueryResults><queryName>SimpleEventQuery</queryName>"
        f"{results}</q:QueryResults></EPCISBody>"
    )
    text = _enclosed("EPCISQueryDocument", version, spaces, body).decode()
    query = (
        'xmlns:epcis="urn:epcglobal:epcis-query:xsd:1" xmlns:q="urn:epcglobal:epcis-query:xsd:1"'
    )
    return text.replace(f'xmlns:epcis="{_SPACES[version[0]]}"', query).encode()


def xml_event(event: dict[str, Any], version: str = "1.2") -> str:
    """Return an event in JSON as XML, with `extension` and `baseExtension` where 1.x has them."""
    parts = {
        name: _member(name, _in_urn(name, value)) for name, value in event.items() if name[0] != "@"
    }
    kind = event["type"]
    del parts["type"]
    base = "".join(parts.pop(name, "") for name in _BASE)
    later = "".join(parts.pop(name, "") for name in _EXTENDED)
    if later and version[0] == "1" and kind != "TransformationEvent":
        later = f"<extension>{later}</extension>"
    if base and version[0] == "1":
        base = f"<baseExtension>{base}</baseExtension>"
    text = f"<{kind}>{base}{''.join(parts.values())}{later}</{kind}>"
    wrapped = kind == "TransformationEvent" and version[0] == "1"
    return f"<extension>{text}</extension>" if wrapped else text


def xml_receipt(
    dock: SimulatedTerminal,
    goods: SimulatedConsignment,
    at: int,
    units: int,
    seen: Iterable[bytes] = (),
) -> bytes:
    """Sign and journal a receipt in EPCIS 1.2, as `SimulatedTerminal.receive` does in JSON."""
    event = {
        "type": "ObjectEvent",
        "eventTime": datetime.fromtimestamp(at, UTC).isoformat(),
        "eventTimeZoneOffset": "+00:00",
        "epcList": [goods.epc],
        "action": "OBSERVE",
        "bizStep": "receiving",
        "quantityList": [{"epcClass": goods.lot, "quantity": units}],
        "proofrail:confirms": [name for record in seen for name in epcis.decode(record).names],
    }
    body = xml_document(xml_event(event), proofrail="urn:proofrail:voc:")
    record = dock.seal(body, dock.counter + 1)
    dock.keep([record], dock.counter + 1)
    return record


def _listed(events: tuple[str, ...]) -> str:
    return f"<EventList>{''.join(events)}</EventList>"


def _enclosed(name: str, version: str, spaces: dict[str, str], inside: str) -> bytes:
    declared = "".join(f" xmlns:{key}={quoteattr(uri)}" for key, uri in spaces.items())
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<epcis:{name} '
        f'xmlns:epcis="{_SPACES[version[0]]}"{declared} '
        f'schemaVersion="{version}" creationDate="2026-03-02T08:00:00Z">'
        f"{inside}</epcis:{name}>\n"
    ).encode()


def _member(name: str, value: Any) -> str:
    if name in _TYPED:
        return _element(name, "".join(_typed(_TYPED[name], entry) for entry in value))
    if name.endswith("QuantityList") or name == "quantityList":
        return _element(name, "".join(_member("quantityElement", entry) for entry in value))
    if name.endswith("EPCList") or name in ("epcList", "childEPCs"):
        return _element(name, "".join(_element("epc", escape(epc)) for epc in value))
    if name == "correctiveEventIDs":
        return _element(name, "".join(_element("correctiveEventID", escape(id_)) for id_ in value))
    if isinstance(value, list) and name.endswith("List"):
        return _element(name, "".join(_member(name.removesuffix("List"), item) for item in value))
    if isinstance(value, list):
        return "".join(_member(name, item) for item in value)
    if isinstance(value, dict):
        inside = "".join(_member(key, _in_urn(key, item)) for key, item in value.items())
        return _element(name, inside)
    return _element(name, escape(str(value)))


def _in_urn(name: str, value: Any) -> Any:
    """Return a word as the URN of CBV 1.x, since XML has no bare words."""
    kinds = {"bizStep": "bizstep", "reason": "er"}
    kinds |= dict.fromkeys(("disposition", "set", "unset"), "disp")
    if isinstance(value, list):
        return [_in_urn(name, item) for item in value]
    bare = name in kinds and ":" not in value
    return f"urn:epcglobal:cbv:{kinds[name]}:{value}" if bare else value


def _typed(name: str, entry: dict[str, str]) -> str:
    word, start = entry.get("type", ""), "btt" if name == "bizTransaction" else "sdt"
    word = word if ":" in word or not word else f"urn:epcglobal:cbv:{start}:{word}"
    kind = f" type={quoteattr(word)}" if word else ""
    return f"<{name}{kind}>{escape(entry[name])}</{name}>"


def _element(name: str, inside: str) -> str:
    return f"<{name}>{inside}</{name}>"
