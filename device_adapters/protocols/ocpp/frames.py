"""Takes the signed records out of OCPP messages, with the keys next to them.

Sources: OCPP 1.6 (SampledValue with format SignedData, in MeterValues and in transactionData of
StopTransaction), OCPP 2.0.1 and 2.1 (SignedMeterValueType), and OCA's application note on signed
meter values in OCPP 1.6. How records stand in JSON: `ocmf.containers`, which this shares.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import replace

from device_adapters.protocols.ocmf.containers import Item, find_records
from device_adapters.protocols.sealed.check import holds_sealed
from device_adapters.types import Reason, Rejected

_STARTS = (b"OCMF|", b"4f434d467c", b"T0NNRn")
_FRAME = re.compile(
    rb'\[\s*[23]\s*,\s*"'
    rb'|"format"\s*:\s*"SignedData"|"signedMeterValue"\s*:|"signedMeterData"\s*:'
)


def holds_frames(data: bytes) -> bool:
    """Return whether a file looks like OCPP with signed values: a frame, or a message in it."""
    return data.lstrip()[:1] in (b"[", b"{") and _FRAME.search(data) is not None


def find_signed(data: bytes) -> list[Item]:
    """Return the signed records of one or several OCPP messages, in order.

    Raises:
        Rejected: the bytes are no JSON, or hold no signed value.
    """
    if data.lstrip()[:1] not in (b"[", b"{"):
        raise Rejected(Reason.MALFORMED, "an OCPP message is JSON")
    try:
        items = find_records(data)
    except Rejected as refusal:
        if "no OCMF record" not in refusal.detail:
            raise
        raise Rejected(Reason.MALFORMED, "the message has no signed meter value") from None
    return [replace(item, record=_unwrapped(item.record)) for item in items]


def is_ocmf(record: bytes) -> bool:
    """Return whether a record begins as OCMF does, plain or wrapped in hex or base64."""
    return record.startswith(_STARTS) or record[:10].lower() == _STARTS[1]


def _unwrapped(record: bytes) -> bytes:
    """Return a record out of the base64 that OCPP 2.x asks for; OCMF is read in either form."""
    if is_ocmf(record) or holds_sealed(record):
        return record
    try:
        inner = base64.b64decode(record, validate=True)
    except (binascii.Error, ValueError):
        return record
    return inner if holds_sealed(inner) else record
