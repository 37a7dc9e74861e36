"""Facts of an EPCIS record (JSON-ready), with its subject, its citations and its place.

facts = {"events": [EVENT, ...], "from_ms": the first time in it, Unix milliseconds, "flaws":
[[code, sentence], ...]}: events in document order, and the structure that is required and missing
(`structure`; empty for a record that intake accepts). EVENT:

    "type"          ObjectEvent | AggregationEvent | TransactionEvent | TransformationEvent |
                    AssociationEvent
    "hash"          Event Hash ID: "ni:///sha-256;<hex>?ver=CBV2.0". An errorDeclaration is not
                    part of it, so a withdrawal has the hash of the event it withdraws.
    "id"            eventID as written, ""
    "time_ms"       eventTime, Unix milliseconds
    "action"        ADD | OBSERVE | DELETE, "" where the type has none
    "step"          bizStep: the bare CBV word ("departing"), or the URI of another vocabulary; ""
    "disposition"   the same for the disposition
    "epcs"          canonical identifiers of its objects, each once: epcList, childEPCs,
                    outputEPCList
    "parent"        canonical parentID, ""
    "quantity"      units it is about: the sum of its quantity list (elements in pieces), else the
                    number of `epcs` that are single objects and not SSCCs; null for no number
    "uncounted"     why it has no number (`units.UncountedReason`); "" where `quantity` is a number,
                    and where the event names one SSCC alone: then it is about all units in it
    "transactions"  [[type, id], ...]: type the bare CBV word ("po"), id canonical
    "read_point"    canonical id, ""
    "location"      canonical bizLocation, ""
    "error"         true where the event has an errorDeclaration
    "declared_ms"   its declarationTime, Unix milliseconds; null
    "sensors"       [{"type": bare word ("Temperature"), "unit", "min", "max", "value", "at_ms",
                    "device", "said"}, ...]: unit "centi_celsius" or "milli_g", with min, max and
                    value as whole numbers of it (null where not reported); for any other measure
                    unit is the uom as written and the three are null. "said": all values, as
                    strings as written, by their EPCIS names. at_ms: the report's time, else its
                    element's (endTime before time), else the event's.
    "ours"          the extensions in our namespace (below) by local name, each a list of texts

Canonical identifiers are GS1 Digital Link URIs of id.gs1.org with the finest key only
(https://id.gs1.org/00/<SSCC>, https://id.gs1.org/01/<GTIN>/21/<serial>, https://id.gs1.org/414/
<GLN>/254/<extension>), for every written form; URIs that are not GS1 keys are kept as written.

Subject (one rule): an event's units are the SSCC of its parentID, else the SSCCs among its EPCs.
If every event of the record has exactly one unit, the same one: "sscc:" + its 18 digits. Else, if
every event names exactly one bizTransaction of type po, the same one: "po:" + its canonical id.
Else the record is rejected: subject_missing where neither is named, subject_ambiguous otherwise.

Event.cites: the values of the extension `confirms` in the namespace urn:proofrail:voc: (the prefix
proofrail needs no declaration), in document order. Event.names: the hashes of its events.
Event.place: the last readPoint: its canonical id, or degrees where the id is a geo: URI (RFC 5870);
degrees also where sensor reports with the components latitude and longitude give them.
Event.observed_at_ms: the last eventTime or declarationTime, since the record was signed after it.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from device_adapters.protocols.epcis import text as words
from device_adapters.protocols.epcis.codes import ROOT, IdentifierCode
from device_adapters.protocols.epcis.document import TYPES, DecodedEvent
from device_adapters.protocols.epcis.hash import event_hash
from device_adapters.protocols.epcis.notes import EpcisCautionReason, Notes
from device_adapters.protocols.epcis.sensors import degrees_e7, read_position, read_sensors
from device_adapters.protocols.epcis.structure import check_event
from device_adapters.protocols.epcis.times import OFFSET
from device_adapters.protocols.epcis.units import read_units
from device_adapters.types import Place, Reason, Rejected

_ACTIONS = ("ADD", "OBSERVE", "DELETE")
_SSCC = f"{ROOT}/00/"
# event type -> (list of its objects, their quantity list)
_ABOUT = {
    "AggregationEvent": ("childEPCs", "childQuantityList"),
    "AssociationEvent": ("childEPCs", "childQuantityList"),
    "TransformationEvent": ("outputEPCList", "outputQuantityList"),
}
_INPUTS = ("inputEPCList", "inputQuantityList")
_GEO = re.compile(r"geo:(-?\d{1,3}(?:\.\d{1,12})?),(-?\d{1,3}(?:\.\d{1,12})?)(?:[,;].*)?", re.ASCII)
_HASH = re.compile(r"ni:///sha-256;[0-9a-f]{64}\?ver=CBV2\.0")


def read_events(decoded: list[DecodedEvent], notes: Notes) -> list[dict[str, Any]]:
    """Return the facts of every event; errors and warnings are added to the notes."""
    events = []
    for notes.event, event in enumerate(decoded, 1):
        events.append(_event(event, notes))
    notes.event = 0
    return events


def subject_of(events: list[dict[str, Any]]) -> str:
    """Return the subject by the rule above; Rejected where the record names none or several."""
    units = [_units(event) for event in events]
    if all(len(sscc) == 1 for sscc in units) and len(set.union(*units)) == 1:
        return "sscc:" + units[0].pop()
    orders = [{id_ for k, id_ in event["transactions"] if k == "po" and id_} for event in events]
    if all(len(ids) == 1 for ids in orders) and len(set.union(*orders)) == 1:
        return "po:" + orders[0].pop()
    if not any(units) and not any(orders):
        raise Rejected(Reason.SUBJECT_MISSING, "no event names an SSCC or a purchase order")
    detail = "its events do not name one and the same SSCC, nor one and the same purchase order"
    raise Rejected(Reason.SUBJECT_AMBIGUOUS, detail)


def cites_of(decoded: list[DecodedEvent], notes: Notes) -> tuple[str, ...]:
    """Return the ids in the extension `confirms` of all events, in document order, each once."""
    cited = [id_ for event in decoded for id_ in notes.texts(event.ours(), "confirms")]
    return tuple(dict.fromkeys(cited))


def place_of(
    decoded: list[DecodedEvent], events: list[dict[str, Any]], notes: Notes
) -> Place | None:
    """Return the place of the last event that has one, or None."""
    for source, event in zip(reversed(decoded), reversed(events), strict=True):
        name = event["read_point"]
        degrees = _geo(name) or read_position(source.fields, notes)
        if name or degrees:
            return Place("" if _geo(name) else name, *(degrees or (None, None)))
    return None


def times_of(events: list[dict[str, Any]]) -> tuple[int, int]:
    """Return the first and the last time in the record, Unix milliseconds."""
    optional = [event[name] for event in events for name in ("time_ms", "declared_ms")]
    times = [time for time in optional if time is not None]
    return min(times), max(times)


def _event(decoded: DecodedEvent, notes: Notes) -> dict[str, Any]:
    fields, kind = decoded.fields, decoded.kind
    if not isinstance(kind, str) or kind not in TYPES:
        notes.error(Reason.VOCABULARY_UNKNOWN, f"{str(kind)[:60]!r} is not a type of event")
        kind = ""
    if "isA" in fields:
        notes.warn(EpcisCautionReason.DRAFT_SYNTAX, "the type is called isA")
    at_ms = notes.time_ms(fields, "eventTime")
    if not OFFSET.fullmatch(notes.text(fields, "eventTimeZoneOffset")):
        notes.error(Reason.TIME_WITHOUT_ZONE, "eventTimeZoneOffset is not +hh:mm or -hh:mm")
    things, units = _ABOUT.get(kind, ("epcList", "quantityList"))
    epcs, parent = notes.codes(fields, things), _code(fields, "parentID", notes)
    elements = notes.objects(fields, units)
    for element in elements:
        _identifier(element, "epcClass", notes)
    quantity, uncounted = read_units(fields, elements, epcs, parent, notes)
    declared = notes.objects(fields, "errorDeclaration")
    hash_id = event_hash(fields, decoded.namespaces)
    check_event(kind, fields, notes)
    _check_rest(fields, hash_id, notes)
    return {
        "type": kind,
        "hash": hash_id,
        "id": notes.text(fields, "eventID"),
        "time_ms": at_ms,
        "action": _action(kind, fields, notes),
        "step": notes.word(words.STEPS, fields, "bizStep"),
        "disposition": notes.word(words.DISPOSITIONS, fields, "disposition"),
        "epcs": [code.canonical for code in epcs],
        "parent": parent.canonical if parent else "",
        "quantity": quantity,
        "uncounted": str(uncounted),
        "transactions": _transactions(fields, notes),
        "read_point": _location(fields, "readPoint", notes),
        "location": _location(fields, "bizLocation", notes),
        "error": bool(declared),
        "declared_ms": notes.time_ms(declared[0], "declarationTime") if declared else None,
        "sensors": read_sensors(fields, at_ms, notes),
        "ours": {name: notes.texts(decoded.ours(), name) for name in decoded.ours()},
    }


def _check_rest(fields: dict[str, Any], hash_id: str, notes: Notes) -> None:
    """Check the fields that are not facts: inputs, parties, dispositions, declaration, id."""
    notes.codes(fields, _INPUTS[0])
    for element in notes.objects(fields, _INPUTS[1]):
        _identifier(element, "epcClass", notes)
    for name, inner in (("sourceList", "source"), ("destinationList", "destination")):
        for party in notes.objects(fields, name):
            notes.word(words.PARTIES, party, "type")
            _identifier(party, inner, notes)
    for lasting in notes.objects(fields, "persistentDisposition"):
        for name in ("set", "unset"):
            for word in notes.texts(lasting, name):
                notes.word(words.DISPOSITIONS, {name: word}, name)
    for declaration in notes.objects(fields, "errorDeclaration"):
        notes.word(words.ERRORS, declaration, "reason")
    event_id = notes.text(fields, "eventID")
    if _HASH.fullmatch(event_id) and event_id != hash_id:
        notes.warn(EpcisCautionReason.EVENT_ID_DIFFERS, f"the Event Hash ID is {hash_id}")


def _action(kind: str, fields: dict[str, Any], notes: Notes) -> str:
    action = notes.text(fields, "action")
    if action not in _ACTIONS and not (kind == "TransformationEvent" and not action):
        notes.error(Reason.VOCABULARY_UNKNOWN, f"the action {action[:20]!r} is not one of EPCIS")
        return ""
    return action


def _code(fields: dict[str, Any], name: str, notes: Notes) -> IdentifierCode | None:
    text = notes.text(fields, name)
    return notes.code(name, text) if text else None


def _identifier(fields: dict[str, Any], name: str, notes: Notes) -> str:
    code = _code(fields, name, notes)
    return code.canonical if code else ""


def _location(fields: dict[str, Any], name: str, notes: Notes) -> str:
    places = notes.objects(fields, name)
    text = notes.text(places[0], "id") if places else ""
    return notes.code(name, text).canonical if text else ""


def _transactions(fields: dict[str, Any], notes: Notes) -> list[list[str]]:
    return [
        [
            notes.word(words.TRANSACTIONS, entry, "type"),
            _identifier(entry, "bizTransaction", notes),
        ]
        for entry in notes.objects(fields, "bizTransactionList")
    ]


def _units(event: dict[str, Any]) -> set[str]:
    """Return the SSCCs that an event is about: its parent, else those among its EPCs."""
    named = [event["parent"]] if event["parent"].startswith(_SSCC) else event["epcs"]
    return {code.removeprefix(_SSCC) for code in named if code.startswith(_SSCC)}


def _geo(name: str) -> tuple[int, int] | None:
    """Return degrees x 10^7 of a geo: URI (RFC 5870, WGS 84), or None."""
    match = _GEO.fullmatch(name)
    if match is None:
        return None
    return degrees_e7(*(round(Fraction(part) * 10**7) for part in match.groups()))
