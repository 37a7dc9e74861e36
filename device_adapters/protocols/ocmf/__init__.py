"""Reads OCMF (Open Charge Metering Format) 0.4 to 1.4: one signed record gives one meter reading.

Source: OCMF specification of the SAFE initiative. Decoding: `record`. The reasons why a record or
session may not be billed: `device_adapters.sessions`; the warnings for an auditor: `rules`. Which
field of a record decides what, limits and how to connect: README.md.
"""

from __future__ import annotations

from device_adapters.protocols.ocmf.check import check_ocmf
from device_adapters.protocols.ocmf.containers import holds_ocmf
from device_adapters.protocols.ocmf.examples import EXAMPLES
from device_adapters.protocols.ocmf.record import decode
from device_adapters.protocols.ocmf.rules import OcmfCautionReason
from device_adapters.protocols.ocmf.sections import split
from device_adapters.registers import Direction
from device_adapters.sessions import BillingReason
from device_adapters.verdicts import Report

__all__ = [
    "COUNTED_BY_SIGNER",
    "EXAMPLES",
    "INLET",
    "BillingReason",
    "OcmfCautionReason",
    "check",
    "decode",
    "recognise",
    "split",
]

INLET = "proofrail/+/evidence/ocmf"  # the topic; + stands for the device's own name
COUNTED_BY_SIGNER = True  # the pagination is that of the signing component (table 1)


def recognise(data: bytes) -> bool:
    """Return whether a file looks like OCMF (see `verdicts`)."""
    return holds_ocmf(data)


def check(data: bytes, key: str | bytes | None, direction: Direction = Direction.IMPORT) -> Report:
    """Check every record in a file of any wrapping (see `verdicts`)."""
    return check_ocmf(data, key, direction)
