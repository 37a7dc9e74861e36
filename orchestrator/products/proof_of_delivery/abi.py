"""Terms and facts of a delivery as the contract `ProofOfDelivery` encodes them."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from device_adapters.types import Rejected
from oracles.types import ClaimReason
from orchestrator.products.struct_codec import StructCodec

BPS = 10_000  # basis points of the whole
TEMPERATURE, SHOCK = 1, 2  # bits of DeliveryFacts.sensed
NO_DEVICE = bytes(32)
_SENSED = TEMPERATURE | SHOCK


class DeliveryTerms(NamedTuple):
    """Terms of an agreement: `ProofOfDelivery.Terms`.

    consignment: subject id; carrier, sensor: device ids (32 bytes each; sensor may be zero).
    price: token minor units. Shares and reductions: basis points. Times: Unix seconds.
    Temperatures: hundredths of a degree Celsius. Shock: thousandths of standard gravity.
    """

    consignment: bytes
    carrier: bytes
    sensor: bytes
    price: int
    quantity: int
    picked_up_bps: int
    delivered_bps: int
    accepted_bps: int
    due_at: int
    deadline: int
    late_bps_per_hour: int = 0
    late_max_bps: int = 0
    min_centi_c: int = 0
    max_centi_c: int = 0
    breach_bps: int = 0
    shock_milli_g: int = 0
    shock_bps: int = 0
    breach_max_bps: int = 0


class DeliveryFacts(NamedTuple):
    """Facts of a claim: what one record of the recipient reports or withdraws.

    `ProofOfDelivery.Facts`. Times are Unix seconds, 0 where nothing happened. event_hash: the
    SHA-256 in the event's Event Hash ID (`statement` in the contract). digest, r, s: what the
    recipient signed, and the signature (32 bytes each).
    """

    withdrawn: bool
    received: int
    accepted: int
    picked_up_at: int
    delivered_at: int
    accepted_at: int
    sensed: int
    min_centi_c: int
    max_centi_c: int
    max_milli_g: int
    signed_at: int
    event_hash: bytes
    digest: bytes
    r: bytes
    s: bytes


_TERMS = StructCodec(
    {
        "consignment": "bytes32",
        "carrier": "bytes32",
        "sensor": "bytes32",
        "price": "uint48",
        "quantity": "uint32",
        "picked_up_bps": "uint16",
        "delivered_bps": "uint16",
        "accepted_bps": "uint16",
        "due_at": "uint40",
        "deadline": "uint40",
        "late_bps_per_hour": "uint16",
        "late_max_bps": "uint16",
        "min_centi_c": "int32",
        "max_centi_c": "int32",
        "breach_bps": "uint16",
        "shock_milli_g": "uint32",
        "shock_bps": "uint16",
        "breach_max_bps": "uint16",
    }
)
_FACTS = StructCodec(
    {
        "withdrawn": "bool",
        "received": "uint32",
        "accepted": "uint32",
        "picked_up_at": "uint40",
        "delivered_at": "uint40",
        "accepted_at": "uint40",
        "sensed": "uint8",
        "min_centi_c": "int32",
        "max_centi_c": "int32",
        "max_milli_g": "uint32",
        "signed_at": "uint40",
        "event_hash": "bytes32",
        "digest": "bytes32",
        "r": "bytes32",
        "s": "bytes32",
    }
)


def encode_terms(terms: DeliveryTerms) -> bytes:
    """Return the ABI encoding of terms; Rejected (FACTS_MALFORMED) where a value does not fit."""
    return _TERMS.encode(terms)


@lru_cache(maxsize=4096)
def decode_terms(raw: bytes) -> DeliveryTerms:
    """Return the terms; Rejected (FACTS_MALFORMED) where the contract would not accept them."""
    terms = DeliveryTerms(*_TERMS.decode(raw))
    if flaw := terms_flaw(terms):
        raise Rejected(ClaimReason.FACTS_MALFORMED, f"terms of a delivery: {flaw}", raw)
    return terms


def encode_facts(facts: DeliveryFacts) -> bytes:
    """Return the ABI encoding of facts; Rejected (FACTS_MALFORMED) where a value does not fit."""
    if facts.sensed & ~_SENSED:
        detail = f"sensed is {facts.sensed}: only temperature (1) and shock (2) are known"
        raise Rejected(ClaimReason.FACTS_MALFORMED, detail)
    return _FACTS.encode(facts)


def decode_facts(raw: bytes) -> DeliveryFacts:
    """Return the facts of a claim; Rejected (FACTS_MALFORMED) where they contradict each other."""
    facts = DeliveryFacts(*_FACTS.decode(raw))
    coherent = (
        not facts.sensed & ~_SENSED
        and bool(facts.received) == bool(facts.delivered_at)
        and bool(facts.accepted) == bool(facts.accepted_at)
        and facts.min_centi_c <= facts.max_centi_c
        and (facts.sensed & TEMPERATURE or not (facts.min_centi_c or facts.max_centi_c))
        and (facts.sensed & SHOCK or not facts.max_milli_g)
    )
    if not coherent:
        raise Rejected(
            ClaimReason.FACTS_MALFORMED, "facts of a delivery contradict each other", raw
        )
    return facts


def terms_flaw(terms: DeliveryTerms) -> str:
    """Return what is wrong with the terms as a phrase, or "" if nothing is."""
    measured = bool(terms.breach_bps or terms.shock_bps)
    shares = terms.picked_up_bps + terms.delivered_bps + terms.accepted_bps
    bounds = terms.min_centi_c or terms.max_centi_c
    flaws = (
        (NO_DEVICE in (terms.consignment, terms.carrier), "consignment or carrier is missing"),
        (terms.carrier == terms.sensor, "the carrier cannot be the sensor"),
        (not 0 < terms.price < 1 << 47, "the price is zero or too high"),
        (not terms.quantity, "the quantity is zero"),
        (shares != BPS, "the shares are not 100 % together"),
        (not 0 < terms.due_at <= terms.deadline, "due after the deadline, or never"),
        (bool(terms.late_bps_per_hour) != bool(terms.late_max_bps), "lateness lacks rate or limit"),
        (max(terms.late_max_bps, terms.breach_max_bps) > BPS, "a reduction above 100 %"),
        (terms.min_centi_c > terms.max_centi_c, "the coldest is above the hottest"),
        (bool(bounds) and not terms.breach_bps, "a temperature without what its breach costs"),
        (bool(terms.shock_milli_g) != bool(terms.shock_bps), "shock lacks bound or cost"),
        (measured != (terms.sensor != NO_DEVICE), "conditions and sensor come together"),
        (measured != bool(terms.breach_max_bps), "conditions and their limit come together"),
    )
    return next((flaw for wrong, flaw in flaws if wrong), "")
