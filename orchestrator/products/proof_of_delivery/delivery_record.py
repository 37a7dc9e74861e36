"""Rules for the recipient's delivery records: which ones count, and the facts they prove.

Pure and stateless: whether a record counts follows from the record, its citations and the terms
alone, so rail and oracles agree regardless of earlier records. Which records stand, and what they
are worth, only the contract knows.

Business steps (CBV 2.0, section 7.1): `receiving` reports units received, `accepting` units
accepted. Any other step of the recipient reports no units and only confirms the events it cites.
A pick-up is the carrier's event with the step `loading`, `shipping` or `departing`.
Units are counted by `epcis.units`, as `evidence check` counts them: all units of the consignment
only where the event names its SSCC alone; what cannot be counted is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from device_adapters.keys import read_der
from device_adapters.protocols.epcis.units import ACCEPTED, RECEIVED, count_units, uncounted
from device_adapters.types import Event, Rejected
from oracles.types import ClaimReason
from orchestrator.products.proof_of_delivery.abi import (
    SHOCK,
    TEMPERATURE,
    DeliveryFacts,
    DeliveryTerms,
    decode_terms,
    encode_facts,
)

KIND = "epcis"
PICKED_UP = frozenset(("loading", "shipping", "departing"))
_INT32, _UINT32, _UINT40 = 1 << 31, 1 << 32, 1 << 40


class Conditions(NamedTuple):
    """Extremes that the sensor measured; `sensed` has a bit for each quantity it measured."""

    sensed: int = 0
    min_centi_c: int = 0
    max_centi_c: int = 0
    max_milli_g: int = 0


def admit(
    terms: bytes, previous: Event | None, event: Event, earlier: Sequence[Event] = ()
) -> tuple[ClaimReason, str] | None:
    """Return why a record of the recipient cannot be priced, or None if it can.

    The contract does not refuse a record that passes. A record holds exactly one event, so that a
    withdrawal (the same event with an errorDeclaration, hence the same Event Hash ID) takes back
    exactly what the record reported.
    """
    epcis_events = event.facts["events"] if event.kind == KIND else []
    if len(epcis_events) != 1:
        detail = f"a delivery record holds one EPCIS event, not {len(epcis_events)}"
        return ClaimReason.KIND_NOT_PRICED, detail
    if refusal := _signature_refusal(event) or _form_refusal(epcis_events[0], event):
        return refusal
    return _content_refusal(decode_terms(terms), epcis_events[0], event)


def complete(terms: bytes, anchor: Event | None, events: Sequence[Event]) -> int:
    """Return 1: each record of the recipient is a claim of its own, with its own signature."""
    return min(len(events), 1)


def derive(
    terms: bytes,
    anchor: Event | None,
    events: Sequence[Event],
    cited: Mapping[str, Event],
    late: bool = False,
) -> bytes:
    """Return the ABI-encoded facts of one admitted record.

    Of the events it cites, only two kinds count: the pick-up by the carrier of the terms, and the
    readings of their sensor (its own readings, where the recipient's device is that sensor).
    Other cited events, and cited events that were declared erroneous, do not count.
    """
    delivery_terms, event = decode_terms(terms), events[0]
    epcis_event = event.facts["events"][0]
    units, at = _units(delivery_terms, epcis_event), epcis_event["time_ms"] // 1000
    received, accepted = (
        units if epcis_event["step"] == step else 0 for step in (RECEIVED, ACCEPTED)
    )
    conditions = _conditions(delivery_terms, list(_readings(delivery_terms, event, cited)))
    r, s = read_der(event.signed.signature_der)
    facts = DeliveryFacts(
        withdrawn=epcis_event["error"],
        received=received,
        accepted=accepted,
        picked_up_at=_picked_up_at(delivery_terms, event, cited),
        delivered_at=at if received else 0,
        accepted_at=at if accepted else 0,
        sensed=conditions.sensed,
        min_centi_c=conditions.min_centi_c,
        max_centi_c=conditions.max_centi_c,
        max_milli_g=conditions.max_milli_g,
        signed_at=event.observed_at_ms // 1000,
        event_hash=event_hash_bytes(epcis_event["hash"]),
        digest=sha256(event.signed.content).digest(),
        r=r.to_bytes(32, "big"),
        s=s.to_bytes(32, "big"),
    )
    return encode_facts(facts)


def event_hash_bytes(event_hash: str) -> bytes:
    """Return the 32 bytes of an Event Hash ID ("ni:///sha-256;<hex>?ver=CBV2.0", RFC 6920).

    Raises:
        Rejected: FACTS_MALFORMED where the text has another form.
    """
    try:
        digest = bytes.fromhex(event_hash.partition(";")[2].partition("?")[0])
    except ValueError:
        digest = b""
    if len(digest) != 32:
        detail = f"{event_hash[:80]} is not a SHA-256 Event Hash ID"
        raise Rejected(ClaimReason.FACTS_MALFORMED, detail)
    return digest


def _signature_refusal(event: Event) -> tuple[ClaimReason, str] | None:
    """Return why the contract could not check the signature (32 bytes, one of two curves)."""
    if not event.signed.curve.settles or event.signed.digest != "sha256":
        return ClaimReason.CURVE_NOT_SETTLED, f"{event.signed.curve} over {event.signed.digest}"
    try:
        numbers = read_der(event.signed.signature_der)
    except Rejected as refusal:
        return ClaimReason.SIGNATURE_FORGED, refusal.detail
    if not all(0 < number < 1 << 256 for number in numbers):
        return ClaimReason.SIGNATURE_FORGED, "r and s are not two numbers of 32 bytes"
    return None


def _form_refusal(epcis_event: Mapping[str, Any], event: Event) -> tuple[ClaimReason, str] | None:
    """Return what the record lacks by its standard, or why its units are no number."""
    if flaws := event.facts.get("flaws"):
        return ClaimReason.NOT_BILLABLE, f"{flaws[0][0]}: {flaws[0][1]}"
    if reason := uncounted(epcis_event):
        return ClaimReason.UNITS_UNCOUNTABLE, f"{reason[0]}: {reason[1]}"
    return None


def _content_refusal(
    terms: DeliveryTerms, epcis_event: Mapping[str, Any], event: Event
) -> tuple[ClaimReason, str] | None:
    at, units = epcis_event["time_ms"] // 1000, _units(terms, epcis_event)
    step = epcis_event["step"]
    if not (0 < at < _UINT40 and 0 < event.observed_at_ms // 1000 < _UINT40):
        return ClaimReason.IMPLAUSIBLE_READING, "a time that the contract cannot hold (uint40)"
    if units > terms.quantity:
        detail = f"{units} units of a consignment of {terms.quantity}"
        return ClaimReason.IMPLAUSIBLE_READING, detail
    if units and at > terms.deadline:
        return ClaimReason.AGREEMENT_NOT_LIVE, f"{step} after the deadline {terms.deadline}"
    measured = event.device_id == terms.sensor and epcis_event["sensors"]
    if not (units or event.cites or measured):
        detail = f"{step or 'no step'}: reports nothing that is paid for"
        return ClaimReason.KIND_NOT_PRICED, detail
    return None


def _units(terms: DeliveryTerms, epcis_event: Mapping[str, Any]) -> int:
    """Return how many units the event reports as received or accepted, or 0."""
    if epcis_event["step"] not in (RECEIVED, ACCEPTED):
        return 0
    units = count_units(epcis_event).units
    return terms.quantity if units is None else units


def _confirmed(
    device: bytes, event: Event, cited: Mapping[str, Event]
) -> Iterator[Mapping[str, Any]]:
    """Yield the EPCIS events of one device that the record cites: each once, not withdrawn."""
    for name in dict.fromkeys(event.cites):
        other = cited.get(name)
        if other is None or other.device_id != device or other.kind != KIND:
            continue
        yield from (e for e in other.facts["events"] if e["hash"] == name and not e["error"])


def _picked_up_at(terms: DeliveryTerms, event: Event, cited: Mapping[str, Event]) -> int:
    """Return when the carrier picked the goods up (Unix seconds); 0: no pick-up is confirmed."""
    times = [
        other["time_ms"] // 1000
        for other in _confirmed(terms.carrier, event, cited)
        if other["step"] in PICKED_UP
    ]
    return min((at for at in times if 0 < at < _UINT40), default=0)


def _readings(
    terms: DeliveryTerms, event: Event, cited: Mapping[str, Event]
) -> Iterator[Mapping[str, Any]]:
    """Yield the readings of the terms' sensor that this record makes or confirms."""
    if event.device_id == terms.sensor:
        yield from event.facts["events"][0]["sensors"]
    for other in _confirmed(terms.sensor, event, cited):
        yield from other["sensors"]


def _conditions(terms: DeliveryTerms, readings: Sequence[Mapping[str, Any]]) -> Conditions:
    """Return the extremes of the agreed conditions, limited to what their type can hold."""
    temperatures, shocks = [], []
    for reading in readings:
        if reading["unit"] == "centi_celsius" and reading["type"] == "Temperature":
            temperatures += _numbers(reading)
        elif reading["unit"] == "milli_g":
            shocks += [abs(number) for number in _numbers(reading)]
    temperatures = temperatures if terms.breach_bps else []
    shocks = shocks if terms.shock_bps else []
    return Conditions(
        (TEMPERATURE if temperatures else 0) | (SHOCK if shocks else 0),
        _clamp(-_INT32, min(temperatures, default=0), _INT32 - 1),
        _clamp(-_INT32, max(temperatures, default=0), _INT32 - 1),
        _clamp(0, max(shocks, default=0), _UINT32 - 1),
    )


def _clamp(least: int, number: int, most: int) -> int:
    return max(least, min(number, most))


def _numbers(reading: Mapping[str, Any]) -> list[int]:
    return [reading[name] for name in ("min", "max", "value") if reading[name] is not None]
