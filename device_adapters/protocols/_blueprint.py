"""Template of a protocol: copy it to a name without underscore, and the registry finds it.

A protocol is one file, or a folder once it grows. It turns bytes into events, and has nothing to do
with money, chains or databases. For a protocol without signatures see `device_adapters.content`.
"""

from __future__ import annotations

from device_adapters.strict_json import decode as decode_json
from device_adapters.types import Curve, Event, Reason, Rejected, Signed
from device_adapters.verdicts import RecordCheck, Report, as_finding

# The MQTT topic; + stands for the device's own name. The last part is the name of this file.
INLET = "proofrail/+/evidence/blueprint"


def split(body: bytes) -> list[bytes]:
    """Return the records in one message. Only cut here; `decode` checks each record."""
    return [line for line in body.splitlines() if line.strip()]


def decode(record: bytes) -> Event:
    """Return the event in one record. Pure: no clock, no network, no state.

    Keep the signed bytes exactly as received: a signature covers bytes, not meaning.

    Raises:
        Rejected: with a `Reason`; never any other error.
    """
    try:
        text = record.decode()
    except UnicodeDecodeError:
        raise Rejected(Reason.NOT_UTF8, "the record is not UTF-8", record) from None
    # The strict decoder returns exact numbers; it rejects duplicate keys, NaN and deep nesting.
    fields = decode_json(text)
    if not isinstance(fields, dict):
        raise Rejected(Reason.WRONG_TYPE, "the record is not an object", record)
    device, counter, at = (fields.get(key) for key in ("device", "counter", "at"))
    if not isinstance(device, str) or not device.isprintable() or not device:
        raise Rejected(Reason.DEVICE_MISSING, "the record names no device", record)
    # The counter is the replay key: the device's own number, rising by one for each record.
    if type(counter) is not int or not 0 <= counter < 2**40:
        raise Rejected(Reason.COUNTER_MISSING, "the record has no counter", record)
    if type(at) is not int or at < 0:
        raise Rejected(Reason.TIME_MALFORMED, "the time is not a number of milliseconds", record)
    # Facts are JSON-ready integers, strings and lists; never a float. The kind names their type.
    facts = {"at": at}
    signed = Signed(content=record, signature_der=b"", curve=Curve.SECP256R1)
    return Event(device, counter, at, "blueprint.reading", facts, record, signed, "blueprint")


def recognise(data: bytes) -> bool:
    """Return whether a file is this protocol's, for `proofrail evidence check`, even if broken."""
    return b'"device"' in data and b'"counter"' in data


def check(data: bytes, key: str | bytes | None) -> Report:
    """Check every record in a file; leave out `recognise` and `check` together, or neither."""
    records = [_check(index, record, key) for index, record in enumerate(split(data))]
    return Report(records=records)


def _check(index: int, record: bytes, key: str | bytes | None) -> RecordCheck:
    result = RecordCheck(index, record)
    try:
        result.event = decode(record)
        result.prove(result.event.signed, {"given": key})
    except Rejected as refusal:
        result.unreadable = result.event is None
        result.genuine_reasons.append(as_finding(refusal))
    result.conclude()
    return result


# Records that this file must read, each with the expected fields or the reason of its rejection.
# tests/every runs them all, and feeds mutations of them and random bytes to `split` and `decode`.
EXAMPLES = (
    ("a reading", b'{"device":"D-1","counter":7,"at":5}', {"device": "D-1", "counter": 7}),
    ("a reading without counter", b'{"device":"D-1","at":5}', Reason.COUNTER_MISSING),
)
