"""Text form of a delivery's terms and facts: euro, percent, degrees Celsius, ISO 8601 times."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from device_adapters.types import Rejected, device_id, subject_id
from oracles.types import ClaimReason
from orchestrator.products.proof_of_delivery.abi import (
    NO_DEVICE,
    SHOCK,
    TEMPERATURE,
    DeliveryTerms,
    decode_facts,
    decode_terms,
    encode_terms,
    terms_flaw,
)

TERMS = (
    ("consignment", 'what is delivered: "sscc:" and 18 digits, or "po:" and the order'),
    ("carrier", "name of the device that scans the pick-up"),
    ("sensor", "name of the device that measures conditions (none: no conditions)"),
    ("price", "euro for the whole consignment, such as 1250.00"),
    ("quantity", "units in the consignment, such as 100"),
    ("shares", "percent for picked up, delivered and accepted, such as 20/50/30"),
    ("due", "when it is to be delivered, such as 2026-05-01T12:00Z"),
    ("deadline", "when nothing more is paid; the mandate should end later"),
    ("late", "percent off for each hour begun, and at most, such as 0.5/20 (none: 0/0)"),
    ("celsius", "the coldest and the hottest allowed, such as 2..8, for a sensor"),
    ("breach", "percent off where it was too cold, and again where too hot, such as 10"),
    ("shock", "the hardest shock allowed, in g, for a sensor"),
    ("shock_breach", "percent off for a harder shock, such as 10"),
    ("breach_max", "percent off for all conditions together, at most, such as 15"),
)
_NEEDED = ("consignment", "carrier", "price", "quantity", "shares", "due", "deadline")
_ID = re.compile("0x[0-9a-f]{64}")
_SUBJECT = re.compile(r"sscc:[0-9]{18}|po:.+")


def parse_terms(words: Mapping[str, str]) -> bytes:
    """Return the encoded terms for what a person typed.

    Args:
        words: text by the name of the term (see TERMS).

    Raises:
        Rejected: FACTS_MALFORMED; the detail names the term that is wrong.
    """
    help_texts = dict(TERMS)
    if unknown := [name for name in words if name not in help_texts]:
        raise _malformed(f"{unknown[0]} is not a term of a delivery. Use: {', '.join(help_texts)}")
    if missing := [name for name in _NEEDED if name not in words]:
        raise _malformed(f"{missing[0]} is missing: {help_texts[missing[0]]}")
    terms = DeliveryTerms(
        consignment=_consignment(words["consignment"]),
        carrier=_device(words["carrier"]),
        sensor=_device(words["sensor"]) if "sensor" in words else NO_DEVICE,
        price=_scaled("price", words["price"], 6),
        quantity=_scaled("quantity", words["quantity"], 0),
        **_several(
            "shares", words["shares"], "/", 2, "picked_up_bps", "delivered_bps", "accepted_bps"
        ),
        due_at=_time("due", words["due"]),
        deadline=_time("deadline", words["deadline"]),
        **_several("late", words.get("late", "0/0"), "/", 2, "late_bps_per_hour", "late_max_bps"),
        **_several("celsius", words.get("celsius", "0..0"), "..", 2, "min_centi_c", "max_centi_c"),
        breach_bps=_scaled("breach", words.get("breach", "0"), 2),
        shock_milli_g=_scaled("shock", words.get("shock", "0"), 3),
        shock_bps=_scaled("shock_breach", words.get("shock_breach", "0"), 2),
        breach_max_bps=_scaled("breach_max", words.get("breach_max", "0"), 2),
    )
    if flaw := terms_flaw(terms):
        raise _malformed(flaw)
    return encode_terms(terms)


def format_terms(raw: bytes) -> dict[str, str]:
    """Return the terms as text with units, by label."""
    terms = decode_terms(raw)
    shares = (terms.picked_up_bps, terms.delivered_bps, terms.accepted_bps)
    view = {
        "consignment": f"0x{terms.consignment.hex()}",
        "carrier": f"0x{terms.carrier.hex()}",
        "price": f"{_plain(terms.price, 6)} EUR for {terms.quantity} units",
        "shares": " / ".join(f"{_plain(share, 2)} %" for share in shares)
        + " (picked up / delivered / accepted)",
        "due": _moment(terms.due_at),
        "deadline": _moment(terms.deadline),
    }
    if terms.late_max_bps:
        rate, most = _plain(terms.late_bps_per_hour, 2), _plain(terms.late_max_bps, 2)
        view["late"] = f"{rate} % an hour, at most {most} %"
    return view | _format_conditions(terms)


def format_facts(raw: bytes) -> dict[str, str]:
    """Return the facts as text with units, by label."""
    facts = decode_facts(raw)
    view = {"event": f"0x{facts.event_hash.hex()}" + " withdrawn" * facts.withdrawn}
    if facts.picked_up_at:
        view["picked up"] = _moment(facts.picked_up_at)
    if facts.received:
        view["received"] = f"{facts.received} units at {_moment(facts.delivered_at)}"
    if facts.accepted:
        view["accepted"] = f"{facts.accepted} units at {_moment(facts.accepted_at)}"
    if facts.sensed & TEMPERATURE:
        low, high = _plain(facts.min_centi_c, 2), _plain(facts.max_centi_c, 2)
        view["temperature"] = f"{low} to {high} °C"
    if facts.sensed & SHOCK:
        view["shock"] = f"{_plain(facts.max_milli_g, 3)} g"
    return view | {"signed": _moment(facts.signed_at), "digest": f"0x{facts.digest.hex()}"}


def _format_conditions(terms: DeliveryTerms) -> dict[str, str]:
    view = {}
    if terms.breach_bps:
        low, high = _plain(terms.min_centi_c, 2), _plain(terms.max_centi_c, 2)
        view["temperature"] = f"{low} to {high} °C, else {_plain(terms.breach_bps, 2)} % off"
    if terms.shock_bps:
        bound, off = _plain(terms.shock_milli_g, 3), _plain(terms.shock_bps, 2)
        view["shock"] = f"at most {bound} g, else {off} % off"
    if view:
        view["sensor"] = f"0x{terms.sensor.hex()}"
        view["breaches"] = f"at most {_plain(terms.breach_max_bps, 2)} % off"
    return view


def _malformed(detail: str) -> Rejected:
    return Rejected(ClaimReason.FACTS_MALFORMED, detail)


def _consignment(text: str) -> bytes:
    if _ID.fullmatch(text):
        return bytes.fromhex(text[2:])
    if not _SUBJECT.fullmatch(text):
        raise _malformed(f"consignment is {text!r}, not sscc: with 18 digits, po:..., or an id")
    if text.startswith("sscc:") and not _has_check_digit(text[5:]):
        raise _malformed(f"consignment is {text!r}, which has a wrong check digit")
    return subject_id(text)


def _has_check_digit(number: str) -> bool:
    """Return whether the last digit is right (GS1 General Specifications, section 7.9)."""
    weighted = (int(digit) * (3 if at % 2 else 1) for at, digit in enumerate(reversed(number)))
    return sum(weighted) % 10 == 0


def _device(text: str) -> bytes:
    return bytes.fromhex(text[2:]) if _ID.fullmatch(text) else device_id(text)


def _several(name: str, text: str, separator: str, digits: int, *fields: str) -> dict[str, Any]:
    parts = text.split(separator)
    if len(parts) != len(fields):
        raise _malformed(
            f"{name} is {text!r}, not {len(fields)} numbers with {separator} between them"
        )
    return {field: _scaled(name, part, digits) for field, part in zip(fields, parts, strict=True)}


def _scaled(name: str, text: str, digits: int) -> int:
    """Return a decimal number times 10^digits; Rejected where that is not a whole number."""
    try:
        number = Decimal(text.strip()).scaleb(digits)
        if number == number.to_integral_value() and abs(number) < 1 << 47:
            return int(number)
    except ArithmeticError:
        pass
    raise _malformed(f"{name} is {text!r}, not a number with at most {digits} decimals")


def _time(name: str, text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _malformed(f"{name} is {text!r}, not a time such as 2026-05-01T12:00Z") from None
    if moment.tzinfo is None:
        raise _malformed(f"{name} is {text!r}, a time without its zone (Z, or +02:00)")
    return int(moment.timestamp())


def _plain(number: int, digits: int) -> str:
    text = f"{Decimal(number).scaleb(-digits):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _moment(at: int) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        return f"{at} s"
