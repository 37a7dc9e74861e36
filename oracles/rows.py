"""Converts events to rows of an oracle's memory and back, without loss."""

from __future__ import annotations

import msgspec

from device_adapters.types import Assurance, Curve, Event, Place, Signed

from .rules import content_id

COLUMNS = (
    "device, counter, observed_at_ms, kind, facts, not_billable, protocol, record, content, "
    "signature, curve, digest, subject, names, cites, place, gateway, assurance"
)
_place = msgspec.json.Decoder(Place | None)


def event_out(event: Event) -> tuple[object, ...]:
    """Return the row of an event: device id, content id and evidence hash, then COLUMNS."""
    signed = event.signed
    return (
        event.device_id,
        content_id(event),
        event.evidence_hash,
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
        event.gateway,
        event.assurance.value,
    )


def event_in(row: tuple) -> Event:
    """Return the event that a row of COLUMNS stores."""
    device, counter, at, kind, facts, refusals, protocol, record, *rest = row
    content, signature, curve, digest, subject, names, cites, place, gateway, assurance = rest
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
        gateway,
        Assurance(assurance),
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
