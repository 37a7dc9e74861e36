"""Checks the structure that EPCIS 2.0 requires: documents (section 10), events (section 7.4).

What the standard's text or its JSON schema requires, and a record lacks, is a *flaw*: a new record
with one is refused. It can still be read, so that what was settled before stays verifiable. What is
only expected is a warning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from device_adapters.protocols.epcis.notes import EpcisCautionReason, Notes
from device_adapters.protocols.epcis.times import read_time
from device_adapters.types import Reason, Rejected

JSON_VERSION = re.compile(r"2\.\d+(?:\.\d+)*", re.ASCII)  # JSON-LD exists since EPCIS 2.0
XML_VERSION = re.compile(r"1|1\.[0-2]|2\.\d+(?:\.\d+)*", re.ASCII)
_UOM = re.compile(r"[A-Z0-9]{2,3}", re.ASCII)  # UN/ECE Rec. 20, as the JSON schema has it
_LISTS = ("quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList")
_PARENTS = ("AggregationEvent", "AssociationEvent")


def check_document(root: Mapping[str, Any], versions: re.Pattern[str], notes: Notes) -> None:
    """Add what a document lacks around its events; `versions` are those of its syntax."""
    kind = root.get("type", root.get("isA"))
    if kind == "EPCISDocument":
        for name in ("schemaVersion", "creationDate"):
            if not root.get(name):
                notes.flaw(Reason.FIELD_MISSING, f"{name} is missing (JSON schema, XSD)")
    elif kind == "EPCISQueryDocument":
        for name in ("schemaVersion", "creationDate"):
            if not root.get(name):
                notes.warn(EpcisCautionReason.FIELD_EXPECTED, f"the query document has no {name}")
    version = root.get("schemaVersion")
    if version and not (isinstance(version, str) and versions.fullmatch(version.strip())):
        known = "2.0" if versions is JSON_VERSION else "1.0, 1.1, 1.2 or 2.0"
        detail = f"schemaVersion is {str(version)[:20]!r}, here it is the text {known}"
        notes.flaw(Reason.VERSION_UNKNOWN, detail)
    if created := root.get("creationDate"):
        try:
            read_time(created if isinstance(created, str) else "")
        except Rejected as refusal:
            notes.flaw(refusal.reason, f"creationDate: {refusal.detail}")


def check_event(kind: str, fields: Mapping[str, Any], notes: Notes) -> None:
    """Add what an event lacks by the rules of its type (section 7.4)."""
    action = fields.get("action")
    if kind in _PARENTS:
        _check_parent(kind, action, fields, notes)
    elif kind == "TransformationEvent":
        _check_transformation(fields, notes)
    elif kind == "TransactionEvent":
        if not fields.get("bizTransactionList"):
            notes.flaw(Reason.FIELD_MISSING, "bizTransactionList is missing (7.4.4)")
        if action != "DELETE" and not (fields.get("epcList") or fields.get("quantityList")):
            notes.warn(EpcisCautionReason.FIELD_EXPECTED, "it names no objects (7.4.4)")
    elif kind == "ObjectEvent":
        objects = ("epcList", "quantityList", "sensorElementList")
        if not any(fields.get(name) for name in objects):
            notes.warn(EpcisCautionReason.FIELD_EXPECTED, "it names no objects (7.4.2)")
    if fields.get("ilmd") and kind != "TransformationEvent" and action != "ADD":
        notes.warn(EpcisCautionReason.FIELD_MISPLACED, "ilmd belongs to objects that begin (ADD)")
    _check_parts(fields, notes)


def _check_parent(kind: str, action: Any, fields: Mapping[str, Any], notes: Notes) -> None:
    section = "7.4.3" if kind == "AggregationEvent" else "7.4.6"
    optional = kind == "AggregationEvent" and action == "OBSERVE"
    if not fields.get("parentID") and not optional:
        notes.flaw(Reason.FIELD_MISSING, f"parentID is missing ({section})")
    children = fields.get("childEPCs") or fields.get("childQuantityList")
    if not children and action != "DELETE":
        notes.flaw(Reason.FIELD_MISSING, f"childEPCs and childQuantityList are missing ({section})")


def _check_transformation(fields: Mapping[str, Any], notes: Notes) -> None:
    begins = fields.get("inputEPCList") or fields.get("inputQuantityList")
    ends = fields.get("outputEPCList") or fields.get("outputQuantityList")
    related = fields.get("transformationID")
    if not ((begins or ends) if related else (begins and ends)):
        notes.flaw(Reason.FIELD_MISSING, "it names no inputs or no outputs (7.4.5)")


def _check_parts(fields: Mapping[str, Any], notes: Notes) -> None:
    for name in _LISTS:
        for element in _objects(fields.get(name)):
            if not element.get("epcClass"):
                notes.flaw(Reason.FIELD_MISSING, f"an element of {name} has no epcClass")
            uom = element.get("uom")
            if isinstance(uom, str) and uom and not _UOM.fullmatch(uom.strip()):
                detail = f"uom {uom[:20]!r} is not a code of UN/ECE Recommendation 20"
                notes.flaw(Reason.UNIT_UNKNOWN, detail)
    for entry in _objects(fields.get("bizTransactionList")):
        if not entry.get("bizTransaction"):
            notes.flaw(Reason.FIELD_MISSING, "an element of bizTransactionList names none")
    for name in ("readPoint", "bizLocation"):
        if any(not place.get("id") for place in _objects(fields.get(name))):
            notes.warn(EpcisCautionReason.FIELD_EXPECTED, f"{name} has no id")
    for name, inner in (("sourceList", "source"), ("destinationList", "destination")):
        if any(not (e.get("type") and e.get(inner)) for e in _objects(fields.get(name))):
            notes.warn(EpcisCautionReason.FIELD_EXPECTED, f"{name} lacks a type or its {inner}")


def _objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a field; other types are reported where the field is read."""
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, dict)]
