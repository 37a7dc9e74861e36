"""Reads GS1 EPCIS 2.0 in JSON-LD: one signed document gives one event about one consignment.

Sources: EPCIS 2.0 and CBV 2.0 (ISO/IEC 19987 and 19988), GS1 Tag Data Standard 2.0, GS1 Digital
Link 1.2, RFC 7515 (JWS). The evidence is the document as sent, with a detached JWS in front of it;
the signed form and the framing of several records: `_epcis_seal`. The shape of the facts, how the
subject is found, what `cites`, `names` and `place` are: `_epcis_facts`. What is an error and what
a warning: `_epcis_notes`.
"""

from __future__ import annotations

from typing import Any

from ..types import Event, Rejected
from ..verdicts import Report
from ._epcis_document import Found, read_document
from ._epcis_examples import EXAMPLES
from ._epcis_facts import cites_of, place_of, read_events, subject_of, times_of
from ._epcis_notes import Notes
from ._epcis_seal import Sealed, open_record, split

__all__ = ["EXAMPLES", "INLET", "check", "decode", "recognise", "split"]

INLET = "proofrail/+/evidence/epcis"  # the topic; + stands for the device's own name
KIND = "epcis"


def decode(record: bytes) -> Event:
    """The event of one signed EPCIS document. Pure.

    device and counter: kid and ctr of the protected header. observed_at_ms: the last time in it.
    Rejected: why the seal, the document or its subject cannot be taken, or the first error that
    `Notes` collects.
    """
    sealed = open_record(record)
    return event_from(sealed, record, *read(sealed.document))


def read(document: bytes) -> tuple[list[Found], list[dict[str, Any]], Notes]:
    """The events of a document, their facts, and what is to be said of them."""
    found = read_document(document)
    notes = Notes(several=len(found) > 1)
    return found, read_events(found, notes), notes


def event_from(
    sealed: Sealed, record: bytes, found: list[Found], events: list[dict[str, Any]], notes: Notes
) -> Event:
    """The event of a record whose document was read; Rejected as `decode` says."""
    cites, place = cites_of(found, notes), place_of(found, events, notes)
    if notes.errors:
        raise Rejected(*notes.errors[0])
    first, last = times_of(events)
    facts: dict[str, Any] = {"events": events, "from_ms": first}
    return Event(
        sealed.device, sealed.counter, last, KIND, facts,
        record, sealed.signed, "epcis", subject=subject_of(events),
        names=tuple(dict.fromkeys(event["hash"] for event in events)), cites=cites, place=place,
    )  # fmt: skip


def recognise(data: bytes) -> bool:
    """Whether a file is EPCIS, signed or not (see `verdicts`)."""
    from ._epcis_check import holds_epcis

    return holds_epcis(data)


def check(data: bytes, key: str | bytes | None) -> Report:
    """Judges every document in a file, signed or not (see `verdicts`)."""
    from ._epcis_check import check_epcis

    return check_epcis(data, key)
