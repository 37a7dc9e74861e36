"""Metered energy: charges kilowatt-hours by signed register readings, rounded cumulatively.

Registers and energy are mWh, prices token minor units per kWh, times Unix seconds: all integers.
The contract `MeteredEnergy` decides. `stream` applies the same rules beforehand, so that a bad
reading is dropped with a reason before it is part of a claim; `pricing` repeats the contract's
answers for tests. Rules: README.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from device_adapters.types import STREAM_BIT, Assurance, Curve, Event, Signed
from orchestrator.products.metered_energy.abi import (
    BandStep,
    DatedPrice,
    EnergyFacts,
    EnergyTerms,
    ReadingKind,
    TariffBand,
    decode_facts,
    decode_terms,
    encode_facts,
    encode_terms,
    shared_terms,
)
from orchestrator.products.metered_energy.gaps import open_gaps
from orchestrator.products.metered_energy.pricing import (
    REFUSALS,
    EnergyState,
    advance,
    open,
    price,
    refund,
    skip,
)
from orchestrator.products.metered_energy.stream import KIND, admit, complete, derive
from orchestrator.products.metered_energy.text import (
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
    "NAME",
    "REFUSALS",
    "TERMS",
    "BandStep",
    "DatedPrice",
    "EnergyFacts",
    "EnergyState",
    "EnergyTerms",
    "ReadingKind",
    "TariffBand",
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
    "open",
    "open_gaps",
    "parse_terms",
    "payee",
    "price",
    "proof_of_conflict",
    "refund",
    "reopened",
    "shared_terms",
    "skip",
    "subject",
]

NAME = "metered_energy"
CONTRACT = "MeteredEnergy"
GAPLESS = True
LATE = True


def subject(terms: bytes) -> bytes:
    """Return b"": a meter's records are about the meter itself."""
    return b""


def reopened(terms: bytes) -> bytes:
    """Return the terms behind records that were passed over: any register may come first."""
    agreed = decode_terms(terms)
    more_bands = tuple(band._replace(start_register=0) for band in agreed.more_bands)
    return encode_terms(agreed._replace(start_register=0, more_bands=more_bands))


def payee(facts: bytes) -> str | None:
    """Return None: the payee is always the mandate's."""
    return None


def proof_of_conflict(
    agreement: bytes, first: Event, second: Event
) -> tuple[str, tuple[Any, ...]] | None:
    """Return None: the registry suspends the device, and the contract takes no proof."""
    return None


def case_event(record: Mapping[str, Any]) -> Event:
    """Return a record of cases.json as an event with a made-up signature.

    Args:
        record: {"counter", "readings": [[mark, mWh, Unix seconds, status?, register?, flags?]],
            "stream"? ("F" for fiscal), "not_billable"?, "assurance"?}. A reading without register
            is of the total consumption (1.8.0).
    """
    stream = record.get("stream", "T")
    readings = [_case_reading(*reading) for reading in record["readings"]]
    evidence = json.dumps(record, sort_keys=True).encode()
    return Event(
        device="M1",
        counter=record["counter"] + ((stream == "F") << STREAM_BIT),
        observed_at_ms=readings[-1]["at"],
        kind=KIND,
        facts={"readings": readings, "pagination": stream},
        evidence=evidence,
        signed=Signed(evidence, b"", Curve.SECP256R1),
        not_billable=tuple(record.get("not_billable", ())),
        assurance=Assurance(record.get("assurance", Assurance.DEVICE)),
    )


def _case_reading(
    mark: str, register: int, at: int, status: str = "G", obis: str = "1.8.0", flags: str = ""
) -> dict[str, Any]:
    return {
        "at": at * 1000,
        "mark": mark,
        "register": register,
        "obis": obis,
        "clock": "S",
        "status": status,
        "flags": flags,
    }
