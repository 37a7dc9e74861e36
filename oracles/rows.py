"""An event as a row of an oracle's book, and back again: nothing of it is lost on the way."""

from __future__ import annotations

import msgspec

from device_adapters.types import Curve, Event, Place, Signed

from .rules import content_id

COLUMNS = (
    "device, counter, observed_at_ms, kind, facts, not_billable, protocol, record, content, "
    "signature, curve, digest, subject, names, cites, place"
)
_place = msgspec.json.Decoder(Place | None)


def event_out(event: Event) -> tuple[object, ...]:
    """Its device id and content id, then its COLUMNS."""
    signed = event.signed
    return (
        event.device_id,
        content_id(event),
        event.device,
        event.counter,
        event.observed_at_ms,
        event.kind,
        _json(event.facts),
        _json(event.not_billable),
        event.protocol,
        event.evidence,
        signed.content,
        signed.signature_der,
        signed.curve.value,
        signed.digest,
        event.subject,
        _json(event.names) if event.names else "[]",
        _json(event.cites) if event.cites else "[]",
        _json(event.place) if event.place else "null",
    )


def event_in(row: tuple) -> Event:
    """The event of a row of COLUMNS."""
    device, counter, at, kind, facts, refusals, protocol, record, *rest = row
    content, signature, curve, digest, subject, names, cites, place = rest
    return Event(
        device,
        counter,
        at,
        kind,
        msgspec.json.decode(facts),
        record,
        Signed(content, signature, Curve(curve), digest),
        protocol,
        tuple(msgspec.json.decode(refusals)),
        subject,
        tuple(msgspec.json.decode(names)),
        tuple(msgspec.json.decode(cites)),
        _place.decode(place),
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
