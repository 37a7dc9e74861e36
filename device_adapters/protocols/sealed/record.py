"""From one sealed record to its event, shared by `sealed.decode` and the check of a file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from device_adapters.protocols.epcis import record as epcis
from device_adapters.protocols.epcis.seal import Sealed
from device_adapters.protocols.sealed.envelope import Envelope, from_base64url, open_envelope
from device_adapters.protocols.sealed.meter import facts_of
from device_adapters.protocols.sealed.report import KIND, is_name, number, read_report
from device_adapters.registry import load_unsigned
from device_adapters.types import (
    STREAM_BIT,
    Assurance,
    Event,
    Reason,
    Rejected,
    canonical_name,
)

PROTOCOL, EPCIS = "sealed", "epcis"
_LAST_SECOND = 253_402_300_800  # the year 10000


def decode(record: bytes) -> Event:
    """Return the event of one sealed record. Pure; see the package for what it holds.

    Raises:
        Rejected: the envelope, a claim, or the content is not valid.
    """
    return event_of(open_envelope(record), record)


def event_of(envelope: Envelope, record: bytes) -> Event:
    """Return the event of an envelope that was opened; Rejected as in `decode`."""
    claims = envelope.claims
    issuer, sub = _name(claims, "iss"), _name(claims, "sub")
    at = _sealed_at(claims)
    if "counter" not in claims:
        raise Rejected(Reason.COUNTER_MISSING, "the envelope has no counter")
    counter = number(claims, "counter", 1 << (STREAM_BIT + 1))
    event = Event(sub, counter, at * 1000, KIND, {}, record, envelope.signed, PROTOCOL)
    event = replace(event, gateway=issuer if issuer != sub else "")
    if ("report" in claims) == ("content" in claims or "protocol" in claims):
        raise Rejected(Reason.MALFORMED, "either a report, or a protocol with its content")
    if "report" in claims:
        facts = read_report(claims["report"], sub)
        return replace(
            event, facts=facts, observed_at_ms=facts["to"] * 1000, subject=facts["subject"]
        )
    return _event_of_content(event, claims)


def content_of(claims: dict[str, Any]) -> bytes:
    """Return the original bytes of the foreign protocol."""
    content = claims.get("content")
    if isinstance(content, str):
        content = from_base64url(content, "the content")
    if not isinstance(content, bytes):
        raise Rejected(Reason.WRONG_TYPE, "the content is not bytes")
    if not content:
        raise Rejected(Reason.EMPTY, "the content is empty")
    return content


def _event_of_content(event: Event, claims: dict[str, Any]) -> Event:
    name, content = claims.get("protocol"), content_of(claims)
    if name == EPCIS:
        return _epcis_event(event, content)
    protocol = load_unsigned(name) if isinstance(name, str) else None
    if protocol is None:
        detail = f"{name!r:.40} is not a protocol whose content can be sealed"
        raise Rejected(Reason.UNKNOWN_PROTOCOL, detail)
    inner = protocol.read(content)
    kind, facts, last_ms = facts_of(inner, event.device, event.observed_at_ms)
    return replace(
        event,
        kind=kind,
        facts=facts | {"content": name},
        observed_at_ms=last_ms,
        subject=inner.subject,
        assurance=Assurance.FILE if protocol.is_file else Assurance.DEVICE,
    )


def _epcis_event(event: Event, content: bytes) -> Event:
    """Return the event of an EPCIS document that the envelope signs in place of its own seal."""
    sealed = Sealed(event.device, event.counter, content, event.signed)
    inner = epcis.event_from(sealed, event.evidence, *epcis.read(content))
    return replace(inner, protocol=PROTOCOL, gateway=event.gateway)


def _name(claims: dict[str, Any], claim: str) -> str:
    value = claims.get(claim)
    if not is_name(value):
        detail = f"{claim} is not a name of 1 to 100 characters without outer spaces"
        raise Rejected(Reason.DEVICE_MISSING, detail)
    return canonical_name(value)


def _sealed_at(claims: dict[str, Any]) -> int:
    at = claims.get("iat")
    if type(at) is not int or not 0 < at < _LAST_SECOND:
        raise Rejected(Reason.TIME_MALFORMED, "iat is not a whole number of Unix seconds")
    return at
