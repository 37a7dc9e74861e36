"""Proof of delivery: a consignment is paid by milestones that the recipient's records prove.

The contract `ProofOfDelivery` decides what is owed. `delivery_record` reads a record beforehand, so
that one the contract would refuse is dropped with a reason before it is part of a claim.
README.md explains the rules.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from device_adapters.keys import raw_to_der
from device_adapters.types import Curve, Event, Signed, subject_id
from orchestrator.products.proof_of_delivery.abi import (
    DeliveryFacts,
    DeliveryTerms,
    decode_facts,
    decode_terms,
    encode_facts,
    encode_terms,
)
from orchestrator.products.proof_of_delivery.delivery_record import KIND, admit, complete, derive
from orchestrator.products.proof_of_delivery.text import (
    TERMS,
    format_facts,
    format_terms,
    parse_terms,
)

__all__ = [
    "CONTRACT",
    "GAPLESS",
    "LATE",
    "NAME",
    "REFUSALS",
    "TERMS",
    "DeliveryFacts",
    "DeliveryTerms",
    "admit",
    "case_event",
    "complete",
    "decode_facts",
    "decode_terms",
    "derive",
    "encode_facts",
    "encode_terms",
    "format_facts",
    "format_terms",
    "parse_terms",
    "payee",
    "proof_of_conflict",
    "subject",
]

NAME = "proof_of_delivery"
CONTRACT = "ProofOfDelivery"
GAPLESS = False  # the recipient's other counters are about other consignments
LATE = False
REFUSALS = {  # as ProofOfDelivery.refusalName has them
    1: "OverLimit",
    2: "FactsMalformed",
    3: "QuantityExceeded",
    4: "DeadlinePassed",
    5: "DeviceNotActive",
    6: "SignatureUsed",
    7: "SignatureInvalid",
    8: "TimeBackwards",
    9: "TimeAhead",
}


def subject(terms: bytes) -> bytes:
    """Return the subject id of the consignment that the terms name (32 bytes)."""
    return decode_terms(terms).consignment


def payee(facts: bytes) -> str | None:
    """Return None: the payee is always the mandate's."""
    return None


def proof_of_conflict(
    agreement: bytes, first: Event, second: Event
) -> tuple[str, tuple[Any, ...]] | None:
    """Return None: the registry suspends the device, and the contract keeps no counters."""
    return None


def case_event(record: Mapping[str, Any]) -> Event:
    """Return a record of cases.json as an event with a made-up signature.

    Args:
        record: device, counter, events (name, step, at in Unix seconds, and every other member
            that differs from a plain OBSERVE of the whole consignment), cites (names of events).
    """
    events = [_case_epcis(case) for case in record["events"]]
    evidence = json.dumps(record, sort_keys=True).encode()
    raw = sha256(b"r" + evidence).digest() + sha256(b"s" + evidence).digest()
    return Event(
        device=record.get("device", "dock-1"),
        counter=record["counter"],
        observed_at_ms=max(event["time_ms"] for event in events),
        kind=record.get("kind", KIND),
        facts={"events": events},
        evidence=evidence,
        signed=Signed(evidence, raw_to_der(raw), Curve.SECP256R1),
        protocol="epcis",
        subject=record.get("subject", "sscc:340123450000000017"),
        names=tuple(event["hash"] for event in events),
        cites=tuple(_case_hash(name) for name in record.get("cites", ())),
    )


def _case_epcis(case: Mapping[str, Any]) -> dict[str, Any]:
    """Return an EPCIS event as the protocol's facts have it."""
    blank = {"type": "", "unit": "", "min": None, "max": None, "value": None, "said": {}}
    return {
        "type": case.get("type", "ObjectEvent"),
        "hash": _case_hash(case["name"]),
        "time_ms": case["at"] * 1000,
        "action": "OBSERVE",
        "step": case.get("step", ""),
        "disposition": "",
        "epcs": [],
        "parent": "",
        "quantity": case.get("quantity"),
        "uncounted": case.get("uncounted", ""),
        "transactions": [],
        "read_point": "",
        "location": "",
        "error": case.get("error", False),
        "sensors": [blank | sensor for sensor in case.get("sensors", ())],
    }


def _case_hash(name: str) -> str:
    return f"ni:///sha-256;{subject_id(name).hex()}?ver=CBV2.0"  # any 32 bytes are valid
