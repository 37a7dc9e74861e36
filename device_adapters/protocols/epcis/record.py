"""From a document to its event: the steps that `epcis.decode` and the check of a file share."""

from __future__ import annotations

from typing import Any

from device_adapters.protocols.epcis.document import DecodedEvent, read_document
from device_adapters.protocols.epcis.facts import (
    cites_of,
    place_of,
    read_events,
    subject_of,
    times_of,
)
from device_adapters.protocols.epcis.notes import Notes
from device_adapters.protocols.epcis.seal import Sealed
from device_adapters.types import Event, Rejected

KIND = "epcis"


def read(document: bytes) -> tuple[list[DecodedEvent], list[dict[str, Any]], Notes]:
    """The events of a document, their facts, and what is to be said of them."""
    found = read_document(document)
    notes = Notes(several=len(found) > 1)
    return found, read_events(found, notes), notes


def event_from(
    sealed: Sealed,
    record: bytes,
    found: list[DecodedEvent],
    events: list[dict[str, Any]],
    notes: Notes,
) -> Event:
    """The event of a record whose document was read; Rejected as `epcis.decode` says."""
    cites, place = cites_of(found, notes), place_of(found, events, notes)
    if notes.errors:
        raise Rejected(*notes.errors[0])
    first, last = times_of(events)
    facts: dict[str, Any] = {"events": events, "from_ms": first}
    return Event(
        sealed.device,
        sealed.counter,
        last,
        KIND,
        facts,
        record,
        sealed.signed,
        "epcis",
        subject=subject_of(events),
        names=tuple(dict.fromkeys(event["hash"] for event in events)),
        cites=cites,
        place=place,
    )
