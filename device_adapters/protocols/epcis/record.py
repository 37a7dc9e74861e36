"""From a document to its event: steps shared by `epcis.decode` and the check of a file."""

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
    """Return the decoded events of a document, their facts, and the notes on them."""
    notes = Notes()
    decoded = read_document(document, notes)
    notes.several = len(decoded) > 1
    return decoded, read_events(decoded, notes), notes


def event_from(
    sealed: Sealed,
    record: bytes,
    decoded: list[DecodedEvent],
    events: list[dict[str, Any]],
    notes: Notes,
) -> Event:
    """Return the event of a record whose document was read; Rejected as in `epcis.decode`."""
    cites, place = cites_of(decoded, notes), place_of(decoded, events, notes)
    if notes.errors:
        raise Rejected(*notes.errors[0])
    first, last = times_of(events)
    flaws = [[reason.value, detail] for reason, detail in notes.flaws]
    facts: dict[str, Any] = {"events": events, "from_ms": first, "flaws": flaws}
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
