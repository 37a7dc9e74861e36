"""What a record of the recipient states, by the EPCIS event in it and by what that event cites.

Pure, and stateless: whether a record counts follows from it, its citations and the terms alone, so
rail and oracles agree whatever came before. What stands, and what it is worth, only the contract
knows.

Business steps (CBV 2.0, section 7.1): `receiving` states units received, `accepting` units
accepted; any other step of the recipient states nothing of its own and may only confirm what it
cites. A pick-up is the carrier's event with the step `loading`, `shipping` or `departing`.
An event without a quantity that names the consignment itself speaks of all its units.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from device_adapters.keys import read_der
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
RECEIVED, ACCEPTED = "receiving", "accepting"
PICKED_UP = frozenset(("loading", "shipping", "departing"))
_COUNTED = frozenset(("ObjectEvent", "AggregationEvent", "TransactionEvent", "AssociationEvent"))
_INT32, _UINT32, _UINT40 = 1 << 31, 1 << 32, 1 << 40


class Conditions(NamedTuple):
    """The extremes that a sensor saw; `sensed` tells which of them anybody measured."""

    sensed: int = 0
    min_centi_c: int = 0
    max_centi_c: int = 0
    max_milli_g: int = 0


def admit(terms: bytes, previous: Event | None, event: Event) -> tuple[ClaimReason, str] | None:
    """Whether the recipient's record can be priced: what passes here, the contract does not refuse.

    A record holds one event, so that a withdrawal (the same event with an errorDeclaration, hence
    under the same Event Hash ID) takes back exactly what was stated.
    """
    stated = event.facts["events"] if event.kind == KIND else []
    if len(stated) != 1:
        return ClaimReason.KIND_NOT_PRICED, f"a statement is one EPCIS event, not {len(stated)}"
    if refusal := _unsigned(event):
        return refusal
    return _judge(decode_terms(terms), stated[0], event)


def complete(terms: bytes, anchor: Event | None, events: Sequence[Event]) -> int:
    """Each record of the recipient is a claim of its own, with a signature of its own."""
    return min(len(events), 1)


def derive(
    terms: bytes,
    anchor: Event | None,
    events: Sequence[Event],
    cited: Mapping[str, Event],
    late: bool = False,
) -> bytes:
    """The ABI-encoded facts of one admitted record.

    Of what it cites, only this counts: the pick-up by the carrier of the terms, and the readings
    of their sensor (its own readings, where the recipient's device is that sensor). Anything else
    that is cited, and cited events that were declared erroneous, count for nothing.
    """
    wanted, event = decode_terms(terms), events[0]
    stated = event.facts["events"][0]
    units, at = _units(wanted, stated), stated["time_ms"] // 1000
    received, accepted = (units if stated["step"] == step else 0 for step in (RECEIVED, ACCEPTED))
    conditions = _conditions(wanted, list(_readings(wanted, event, cited)))
    r, s = read_der(event.signed.signature_der)
    facts = DeliveryFacts(
        withdrawn=stated["error"],
        received=received,
        accepted=accepted,
        picked_up_at=_picked_up_at(wanted, event, cited),
        delivered_at=at if received else 0,
        accepted_at=at if accepted else 0,
        sensed=conditions.sensed,
        min_centi_c=conditions.min_centi_c,
        max_centi_c=conditions.max_centi_c,
        max_milli_g=conditions.max_milli_g,
        signed_at=event.observed_at_ms // 1000,
        statement=statement_id(stated["hash"]),
        digest=sha256(event.signed.content).digest(),
        r=r.to_bytes(32, "big"),
        s=s.to_bytes(32, "big"),
    )
    return encode_facts(facts)


def statement_id(event_hash: str) -> bytes:
    """The 32 bytes in an Event Hash ID ("ni:///sha-256;<hex>?ver=CBV2.0", RFC 6920 form)."""
    try:
        found = bytes.fromhex(event_hash.partition(";")[2].partition("?")[0])
    except ValueError:
        found = b""
    if len(found) != 32:
        raise Rejected(
            ClaimReason.FACTS_MALFORMED, f"{event_hash[:80]} is no SHA-256 Event Hash ID"
        )
    return found


def _unsigned(event: Event) -> tuple[ClaimReason, str] | None:
    """The contract checks the signature itself, over 32 bytes and on one of two curves."""
    if not event.signed.curve.settles or event.signed.digest != "sha256":
        return ClaimReason.CURVE_NOT_SETTLED, f"{event.signed.curve} over {event.signed.digest}"
    try:
        numbers = read_der(event.signed.signature_der)
    except Rejected as refusal:
        return ClaimReason.SIGNATURE_FORGED, refusal.detail
    if not all(0 < number < 1 << 256 for number in numbers):
        return ClaimReason.SIGNATURE_FORGED, "r and s are not two numbers of 32 bytes"
    return None


def _judge(
    terms: DeliveryTerms, stated: Mapping[str, Any], event: Event
) -> tuple[ClaimReason, str] | None:
    at, units = stated["time_ms"] // 1000, _units(terms, stated)
    if not (0 < at < _UINT40 and 0 < event.observed_at_ms // 1000 < _UINT40):
        return ClaimReason.IMPLAUSIBLE_READING, "a time beyond what the contract can hold"
    if units > terms.quantity:
        return (
            ClaimReason.IMPLAUSIBLE_READING,
            f"{units} units of a consignment of {terms.quantity}",
        )
    if units and at > terms.deadline:
        return (
            ClaimReason.AGREEMENT_NOT_LIVE,
            f"{stated['step']} after the deadline {terms.deadline}",
        )
    measured = event.device_id == terms.sensor and stated["sensors"]
    if not (units or event.cites or measured):
        return (
            ClaimReason.KIND_NOT_PRICED,
            f"{stated['step'] or 'no step'}: nothing that is paid for",
        )
    return None


def _units(terms: DeliveryTerms, stated: Mapping[str, Any]) -> int:
    """How many units the event says were received or accepted; 0 where it says neither."""
    if stated["step"] not in (RECEIVED, ACCEPTED) or stated["type"] not in _COUNTED:
        return 0
    said = stated["quantity"]
    return terms.quantity if said is None else max(said, 0)


def _confirmed(
    device: bytes, event: Event, cited: Mapping[str, Event]
) -> Iterator[Mapping[str, Any]]:
    """The EPCIS events of one device that the record cites, each once, without withdrawn ones."""
    for name in dict.fromkeys(event.cites):
        other = cited.get(name)
        if other is None or other.device_id != device or other.kind != KIND:
            continue
        yield from (e for e in other.facts["events"] if e["hash"] == name and not e["error"])


def _picked_up_at(terms: DeliveryTerms, event: Event, cited: Mapping[str, Event]) -> int:
    """When the carrier took the consignment over (Unix seconds); 0: no pick-up is confirmed."""
    times = [
        other["time_ms"] // 1000
        for other in _confirmed(terms.carrier, event, cited)
        if other["step"] in PICKED_UP
    ]
    return min((at for at in times if 0 < at < _UINT40), default=0)


def _readings(
    terms: DeliveryTerms, event: Event, cited: Mapping[str, Event]
) -> Iterator[Mapping[str, Any]]:
    """What the sensor of the terms measured, as far as this record confirms it."""
    if event.device_id == terms.sensor:
        yield from event.facts["events"][0]["sensors"]
    for other in _confirmed(terms.sensor, event, cited):
        yield from other["sensors"]


def _conditions(terms: DeliveryTerms, readings: Sequence[Mapping[str, Any]]) -> Conditions:
    """The extremes of the conditions that are agreed; one beyond the word is its last value."""
    warm = (
        [
            number
            for reading in readings
            if reading["unit"] == "centi_celsius" and reading["type"] == "Temperature"
            for number in _numbers(reading)
        ]
        if terms.breach_bps
        else []
    )
    shaken = (
        [
            abs(number)
            for reading in readings
            if reading["unit"] == "milli_g"
            for number in _numbers(reading)
        ]
        if terms.shock_bps
        else []
    )
    return Conditions(
        (TEMPERATURE if warm else 0) | (SHOCK if shaken else 0),
        _within(-_INT32, min(warm, default=0), _INT32 - 1),
        _within(-_INT32, max(warm, default=0), _INT32 - 1),
        _within(0, max(shaken, default=0), _UINT32 - 1),
    )


def _within(least: int, number: int, most: int) -> int:
    return max(least, min(number, most))


def _numbers(reading: Mapping[str, Any]) -> list[int]:
    return [reading[name] for name in ("min", "max", "value") if reading[name] is not None]
