"""Reads OCPP messages that carry signed meter values: OCPP 1.6, 2.0.1 and 2.1 in JSON.

The message itself is not signed: what counts is each signed record in it, which becomes an event of
its own format (OCMF, sealed). README.md says what is read and how a central system sends it.
"""

from __future__ import annotations

from device_adapters.protocols.ocmf import record as ocmf
from device_adapters.protocols.ocpp.check import check_frames
from device_adapters.protocols.ocpp.examples import EXAMPLES
from device_adapters.protocols.ocpp.frames import find_signed, holds_frames, is_ocmf
from device_adapters.protocols.sealed import record as sealed
from device_adapters.protocols.sealed.check import holds_sealed
from device_adapters.registers import Direction
from device_adapters.types import Event, Reason, Rejected
from device_adapters.verdicts import Report

__all__ = ["EXAMPLES", "INLET", "check", "decode", "recognise", "split"]

INLET = "proofrail/+/evidence/ocpp"  # the topic; + stands for the device's own name


def split(body: bytes) -> list[bytes]:
    """Return the signed records in one or several OCPP messages; a broken message as it is."""
    try:
        return [item.record for item in find_signed(body)]
    except Rejected:  # `decode` gives the reason
        return [body] if body.strip() else []


def decode(record: bytes) -> Event:
    """Return the event of one signed record that `split` returned. Pure.

    Raises:
        Rejected: as the decoder of its format does; MALFORMED for another format, or a message.
    """
    if is_ocmf(record):
        return ocmf.decode(record)
    if holds_sealed(record):
        return sealed.decode(record)
    if record.lstrip()[:1] in (b"[", b"{"):
        find_signed(record)
        raise Rejected(Reason.MALFORMED, "an OCPP message is no record: its signed values are")
    raise Rejected(Reason.MALFORMED, "the signed data is neither OCMF nor a sealed record")


def recognise(data: bytes) -> bool:
    """Return whether a file looks like OCPP with signed values (see `verdicts`)."""
    return holds_frames(data)


def check(data: bytes, key: str | bytes | None, direction: Direction = Direction.IMPORT) -> Report:
    """Check every signed value in a file of OCPP messages (see `verdicts`)."""
    return check_frames(data, key, direction)
