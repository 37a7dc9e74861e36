"""Reads sealed records: one signed envelope for every protocol that does not sign.

An envelope is a COSE_Sign1 with a CWT claims map (RFC 9052, RFC 8392) or a compact JWS (RFC 7515),
signed by a device or by a gateway for its devices. README.md is the page for partners: claims,
limits, how to connect. The event of a record: device = sub; gateway = iss where it is another;
counter: sub's own; kind "meter.reading", "sensor.reading", "epcis" or "report"; facts["content"]:
the inner protocol (`meter.facts_of`, `report.read_report`).
"""

from __future__ import annotations

from device_adapters.protocols.sealed.check import check_sealed, holds_sealed
from device_adapters.protocols.sealed.envelope import split
from device_adapters.protocols.sealed.examples import EXAMPLES
from device_adapters.protocols.sealed.record import decode
from device_adapters.registers import Direction
from device_adapters.verdicts import Report

__all__ = ["EXAMPLES", "INLET", "check", "decode", "recognise", "split"]

INLET = "proofrail/+/evidence/sealed"  # the topic; + stands for the device's or gateway's name


def recognise(data: bytes) -> bool:
    """Return whether a file begins like a sealed record (see `verdicts`)."""
    return holds_sealed(data)


def check(data: bytes, key: str | bytes | None, direction: Direction = Direction.IMPORT) -> Report:
    """Check every envelope in a file (see `verdicts`)."""
    return check_sealed(data, key, direction)
