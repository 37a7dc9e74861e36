"""Metered fleet: one payer pays one payee for many meters, in one claim a period.

The agreement's own device, the head, ends each period with a record of its own; the members that
the terms name are heard. The contract `MeteredFleet` checks each member's step. Rules: README.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from device_adapters.types import STREAM_BIT, Assurance, Curve, Event, Signed
from orchestrator.products.metered_fleet.abi import (
    MOST_MEMBERS,
    FleetFacts,
    FleetKind,
    FleetMember,
    FleetRow,
    FleetStep,
    FleetTerms,
    decode_facts,
    decode_terms,
    encode_facts,
    encode_terms,
    shared_terms,
)
from orchestrator.products.metered_fleet.pricing import (
    REFUSALS,
    FleetState,
    advance,
    open,
    price,
    refund,
    skip,
)
from orchestrator.products.metered_fleet.stream import (
    KIND,
    MOST_EVENTS,
    admit,
    complete,
    derive,
    heard_period,
    hears,
    reopened,
    rows_before,
)
from orchestrator.products.metered_fleet.table import meter_lines
from orchestrator.products.metered_fleet.text import (
    TERMS,
    format_facts,
    format_price,
    format_terms,
    parse_terms,
)

__all__ = [
    "CONTRACT",
    "GAPLESS",
    "LATE",
    "MOST_DEVICES",
    "MOST_EVENTS",
    "NAME",
    "REFUSALS",
    "TERMS",
    "FleetFacts",
    "FleetKind",
    "FleetMember",
    "FleetRow",
    "FleetState",
    "FleetStep",
    "FleetTerms",
    "admit",
    "advance",
    "case_event",
    "complete",
    "decode_facts",
    "decode_terms",
    "derive",
    "encode_facts",
    "encode_terms",
    "format_facts",
    "format_price",
    "format_terms",
    "heard_period",
    "hears",
    "meter_lines",
    "meters",
    "open",
    "parse_terms",
    "payee",
    "price",
    "proof_of_conflict",
    "refund",
    "reopened",
    "rows_before",
    "shared_terms",
    "skip",
    "subject",
]

NAME = "metered_fleet"
CONTRACT = "MeteredFleet"
GAPLESS = False  # a record of the head that is lost delays nobody: the next one ends the period
LATE = False
MOST_DEVICES = MOST_MEMBERS
meters = hears  # no other agreement may charge by their records


def subject(terms: bytes) -> bytes:
    """Return b"": the head's records are about itself."""
    return b""


def payee(facts: bytes) -> str | None:
    """Return None: the payee is always the mandate's."""
    return None


def proof_of_conflict(agreement: bytes, first: Event, second: Event) -> None:
    """Return None: the registry suspends the device, and the contract takes no proof."""
    return None


def case_event(record: Mapping[str, Any]) -> Event:
    """Return a record of cases.json as an event with a made-up signature.

    Args:
        record: {"device"? (the head without it), "counter", "at" (Unix seconds), "mwh"? (a register
            that is read at that time), "obis"?, "status"?, "mark"?, "read_at"?, "not_billable"?,
            "stream"? ("F" for fiscal), "assurance"?}.
    """
    evidence = json.dumps(record, sort_keys=True).encode()
    reading = {
        "at": record.get("read_at", record["at"]) * 1000,
        "mark": record.get("mark", ""),
        "register": record.get("mwh"),
        "obis": record.get("obis", "01-00:01.08.00*FF"),
        "status": record.get("status", "G"),
        "flags": "",
    }
    readings = [reading] if "mwh" in record else []
    return Event(
        device=record.get("device", "head"),
        counter=record["counter"] + ((record.get("stream") == "F") << STREAM_BIT),
        observed_at_ms=record["at"] * 1000,
        kind=KIND if readings else "report",
        facts={"readings": readings},
        evidence=evidence,
        signed=Signed(evidence, b"", Curve.SECP256R1),
        not_billable=tuple(record.get("not_billable", ())),
        assurance=Assurance(record.get("assurance", Assurance.DEVICE)),
    )
