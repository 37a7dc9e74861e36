"""The terms and facts of a delivery as ABI words: as many as agreed, each within its type."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from device_adapters.types import Rejected
from oracles.types import ClaimReason

BPS = 10_000  # basis points of the whole
TEMPERATURE, SHOCK = 1, 2  # bits of DeliveryFacts.sensed
NOBODY = bytes(32)


class DeliveryTerms(NamedTuple):
    """abi.encode of ProofOfDelivery.Terms.

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
    """abi.encode of ProofOfDelivery.Facts: what one record of the recipient states or withdraws.

    Times are Unix seconds, 0 where nothing happened. statement: the SHA-256 in the event's Event
    Hash ID. digest, r, s: what the recipient signed, and the signature (32 bytes each).
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
    statement: bytes
    digest: bytes
    r: bytes
    s: bytes


# bits of each word; 0: bytes32, negative: a signed number
_TERMS_BITS = (0, 0, 0, 48, 32, 16, 16, 16, 40, 40, 16, 16, -32, -32, 16, 32, 16, 16)
_FACTS_BITS = (1, 32, 32, 40, 40, 40, 2, -32, -32, 32, 40, 0, 0, 0, 0)


def encode_terms(terms: DeliveryTerms) -> bytes:
    return _pack(terms, _TERMS_BITS)


@lru_cache(maxsize=4096)
def decode_terms(raw: bytes) -> DeliveryTerms:
    """Rejected (FACTS_MALFORMED) where the contract would not open an agreement on them."""
    terms = DeliveryTerms(*_unpack(raw, _TERMS_BITS))
    if flaw := flaw_of(terms):
        raise Rejected(ClaimReason.FACTS_MALFORMED, f"terms of a delivery: {flaw}", raw)
    return terms


def encode_facts(facts: DeliveryFacts) -> bytes:
    return _pack(facts, _FACTS_BITS)


def decode_facts(raw: bytes) -> DeliveryFacts:
    facts = DeliveryFacts(*_unpack(raw, _FACTS_BITS))
    facts = facts._replace(withdrawn=bool(facts.withdrawn))
    coherent = (
        bool(facts.received) == bool(facts.delivered_at)
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


def flaw_of(terms: DeliveryTerms) -> str:
    """What is wrong with the terms, as far as they alone tell; "" where nothing is."""
    measured = bool(terms.breach_bps or terms.shock_bps)
    shares = terms.picked_up_bps + terms.delivered_bps + terms.accepted_bps
    bounds = terms.min_centi_c or terms.max_centi_c
    flaws = (
        (NOBODY in (terms.consignment, terms.carrier), "consignment or carrier is missing"),
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
        (measured != (terms.sensor != NOBODY), "conditions and sensor come together"),
        (measured != bool(terms.breach_max_bps), "conditions and their limit come together"),
    )
    return next((said for wrong, said in flaws if wrong), "")


def _pack(values: Sequence[int | bytes], bits: Sequence[int]) -> bytes:
    return b"".join(_word(value, width) for value, width in zip(values, bits, strict=True))


def _word(value: int | bytes, width: int) -> bytes:
    if isinstance(value, bytes):
        if width == 0 and len(value) == 32:
            return value
    elif width and _fits(value, width):
        return (value % (1 << 256)).to_bytes(32, "big")
    raise Rejected(ClaimReason.FACTS_MALFORMED, f"{value!r} is no word of {width} bits")


def _unpack(raw: bytes, bits: Sequence[int]) -> tuple[int | bytes, ...]:
    """ABI words, exactly as many as wanted, each within its type."""
    if len(raw) != 32 * len(bits):
        raise Rejected(ClaimReason.FACTS_MALFORMED, f"{len(raw)} bytes, not {32 * len(bits)}", raw)
    words = [raw[start : start + 32] for start in range(0, len(raw), 32)]
    return tuple(_value(word, width, raw) for word, width in zip(words, bits, strict=True))


def _value(word: bytes, width: int, raw: bytes) -> int | bytes:
    if width == 0:
        return word
    value = int.from_bytes(word, "big", signed=width < 0)
    if not _fits(value, width):
        raise Rejected(ClaimReason.FACTS_MALFORMED, f"{value} does not fit {abs(width)} bits", raw)
    return value


def _fits(value: int, width: int) -> bool:
    low, high = (0, 1 << width) if width > 0 else (-(1 << -width - 1), 1 << -width - 1)
    return low <= value < high
