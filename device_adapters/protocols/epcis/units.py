"""Counts the units that an EPCIS event reports: the one rule for `evidence check` and payment.

A number, every unit of the consignment, and "cannot be counted" are three different answers:

    a number       serials, or quantities without unit of measure or in pieces (EPCIS 2.0, 7.3.3)
    every unit     only where the event names one logistic unit (SSCC) and nothing inside it
    no number      for a reason with a name; such an event counts nothing
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from fractions import Fraction
from typing import Any, NamedTuple

from device_adapters.protocols.epcis.codes import IdentifierCode
from device_adapters.protocols.epcis.notes import EpcisCautionReason, Notes
from device_adapters.types import Reason

RECEIVED, ACCEPTED = "receiving", "accepting"
COUNTED_STEPS = (RECEIVED, ACCEPTED)  # the business steps whose units are paid for
PIECES = frozenset(("C62", "EA", "H87"))  # UN/ECE Rec. 20: one, each, piece
_COUNTED_TYPES = (
    "ObjectEvent",
    "AggregationEvent",
    "TransactionEvent",
    "AssociationEvent",
)
_ENDED = ("ObjectEvent", "TransactionEvent")  # their DELETE ends what it lists (7.4.2, 7.4.4)
_MAX_QUANTITY = 2**53


class UncountedReason(StrEnum):
    """Why an event's units cannot be counted. Stable codes; facts and reports contain them."""

    NO_OBJECTS = "no_objects"
    SENSOR_ONLY = "sensor_only"
    CLASS_WITHOUT_QUANTITY = "class_without_quantity"
    OTHER_UNIT = "quantity_in_other_unit"
    NOT_WHOLE = "quantity_not_whole"
    BELOW_ZERO = "quantity_below_zero"
    LOGISTIC_UNITS = "logistic_units_only"
    DELETED = "objects_deleted"
    TYPE_NOT_COUNTED = "event_type_not_counted"


_SENTENCES = {
    UncountedReason.NO_OBJECTS: "the event names no objects",
    UncountedReason.SENSOR_ONLY: "the event names no objects, only sensor reports",
    UncountedReason.CLASS_WITHOUT_QUANTITY: "the event names a class of objects without quantity",
    UncountedReason.OTHER_UNIT: "the quantity is in a unit of measure, not in pieces",
    UncountedReason.NOT_WHOLE: "the quantity is not a whole number of pieces",
    UncountedReason.BELOW_ZERO: "the quantity is below zero",
    UncountedReason.LOGISTIC_UNITS: "the event names several logistic units, not what is in them",
    UncountedReason.DELETED: "the action DELETE ends the objects, so none is received",
    UncountedReason.TYPE_NOT_COUNTED: "a transformation makes objects, so none is received",
}


class UnitCount(NamedTuple):
    """How many units an event reports.

    units: the number; None: every unit of the consignment. Where `reason` is not "", it is 0.
    detail: a sentence about the reason.
    """

    units: int | None
    reason: str = ""
    detail: str = ""


def count_units(event: Mapping[str, Any]) -> UnitCount:
    """Return the units of one event, from its facts. Pure.

    Facts that 0.4.0 stored have no "uncounted"; they are counted as 0.4.0 did.
    """
    reason = event.get("uncounted", "")
    if event["type"] not in _COUNTED_TYPES:
        reason = UncountedReason.TYPE_NOT_COUNTED
    if reason:
        return UnitCount(0, str(reason), _SENTENCES[UncountedReason(reason)])
    quantity = event["quantity"]
    return UnitCount(None if quantity is None else max(quantity, 0))


def uncounted(event: Mapping[str, Any]) -> tuple[UncountedReason, str] | None:
    """Return why an event that is paid by its units reports none that can be counted, or None."""
    count = count_units(event)
    if event["step"] not in COUNTED_STEPS or not count.reason:
        return None
    return UncountedReason(count.reason), f"{event['step']}: {count.detail}"


def read_units(
    fields: Mapping[str, Any],
    elements: Sequence[dict[str, Any]],
    epcs: Sequence[IdentifierCode],
    parent: IdentifierCode | None,
    notes: Notes,
) -> tuple[int | None, str]:
    """Return the facts "quantity" and "uncounted" of an event.

    Args:
        fields: the event. elements: its quantity list. epcs: its objects, each once.
    """
    kind = fields.get("type", fields.get("isA"))
    quantities, reason = _quantities(elements, notes)
    if not quantities:
        return _counted_identifiers(fields, elements, epcs, parent, reason, notes)
    if reason:
        notes.warn(EpcisCautionReason.UNITS_NOT_COUNTED, f"not all of it counts: {_why(reason)}")
    if any(code.is_instance for code in epcs):
        detail = "identifiers next to a quantity list are not added to its quantities"
        notes.warn(EpcisCautionReason.UNITS_NOT_COUNTED, detail)
    total = sum(quantities, Fraction(0))
    if total.denominator != 1:
        return None, UncountedReason.NOT_WHOLE
    if abs(total) > _MAX_QUANTITY:
        notes.out_of_range(f"a quantity of {total}")
        return None, UncountedReason.NOT_WHOLE
    if total < 0:
        return None, UncountedReason.BELOW_ZERO
    return int(total), _ended(kind, fields)


def _quantities(
    elements: Sequence[dict[str, Any]], notes: Notes
) -> tuple[list[Fraction], UncountedReason | None]:
    """Return the quantities in pieces, and why an element is not among them."""
    counted: list[Fraction] = []
    reason: UncountedReason | None = None
    for element in elements:
        number, uom = element.get("quantity"), notes.text(element, "uom")
        if number is None:
            reason = UncountedReason.CLASS_WITHOUT_QUANTITY
        elif isinstance(number, bool | str | list | dict):
            notes.error(Reason.WRONG_TYPE, "a quantity is not a number")
        elif uom and uom not in PIECES:
            reason = reason or UncountedReason.OTHER_UNIT
        else:
            counted.append(Fraction(number))
    return counted, reason


def _counted_identifiers(
    fields: Mapping[str, Any],
    elements: Sequence[dict[str, Any]],
    epcs: Sequence[IdentifierCode],
    parent: IdentifierCode | None,
    reason: UncountedReason | None,
    notes: Notes,
) -> tuple[int | None, str]:
    """Return the facts of an event whose quantity list counts nothing."""
    kind = fields.get("type", fields.get("isA"))
    items = sum(code.is_instance for code in epcs)
    classes = [code for code in epcs if not code.is_instance and code.key != "sscc"]
    if items:
        if reason or classes:
            why = _why(reason or UncountedReason.CLASS_WITHOUT_QUANTITY)
            notes.warn(EpcisCautionReason.UNITS_NOT_COUNTED, f"not all of it counts: {why}")
        return items, _ended(kind, fields)
    if reason or elements or classes:
        return None, reason or UncountedReason.CLASS_WITHOUT_QUANTITY
    logistic = {code.canonical for code in epcs}
    if parent is not None and (parent.key == "sscc" or logistic):
        logistic.add(parent.canonical)
    if not logistic:
        sensed = bool(fields.get("sensorElementList"))
        return None, UncountedReason.SENSOR_ONLY if sensed else UncountedReason.NO_OBJECTS
    if len(logistic) > 1:
        return None, UncountedReason.LOGISTIC_UNITS
    return None, _ended(kind, fields)


def _ended(kind: Any, fields: Mapping[str, Any]) -> str:
    deleted = kind in _ENDED and fields.get("action") == "DELETE"
    return UncountedReason.DELETED if deleted else ""


def _why(reason: UncountedReason) -> str:
    return _SENTENCES[reason]
