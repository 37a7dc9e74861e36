"""The skeleton of a protocol: copy it to a name without underscore, and it is found.

A protocol is this one file. It knows bytes and events; nothing of money, chains or databases.
"""

from __future__ import annotations

from device_adapters.strict_json import decode as decode_json
from device_adapters.types import Curve, Event, Reason, Rejected, Signed
from device_adapters.verdicts import RecordCheck, Report, as_finding

# The MQTT topic; + stands for the device's own name. The last part is this file's name.
INLET = "proofrail/+/evidence/blueprint"


def split(body: bytes) -> list[bytes]:
    """The records in one message. Cut only: judging a record is `decode`'s business."""
    return [line for line in body.splitlines() if line.strip()]


def decode(record: bytes) -> Event:
    """One record's event. Pure: no clock, no network, no state; raises only Rejected.

    Keep the signed bytes exactly as they came: a signature covers bytes, not meaning.
    """
    try:
        text = record.decode()
    except UnicodeDecodeError:
        raise Rejected(Reason.NOT_UTF8, "the record is not UTF-8", record) from None
    # The strict decoder gives exact numbers and names duplicate keys, NaN, bombs and the like.
    fields = decode_json(text)
    if not isinstance(fields, dict):
        raise Rejected(Reason.WRONG_TYPE, "the record is no object", record)
    device, counter, at = (fields.get(key) for key in ("device", "counter", "at"))
    if not isinstance(device, str) or not device.isprintable() or not device:
        raise Rejected(Reason.DEVICE_MISSING, "the record names no device", record)
    # The counter is the replay key: the device's own number, rising by one for each record.
    if type(counter) is not int or not 0 <= counter < 2**40:
        raise Rejected(Reason.COUNTER_MISSING, "the record has no counter", record)
    if type(at) is not int or at < 0:
        raise Rejected(Reason.TIME_MALFORMED, "the time is no number of milliseconds", record)
    # Facts are JSON-ready integers, strings and lists; never a float. The kind says what they are.
    facts = {"at": at}
    signed = Signed(content=record, signature_der=b"", curve=Curve.SECP256R1)
    return Event(device, counter, at, "blueprint.beat", facts, record, signed, "blueprint")


def recognise(data: bytes) -> bool:
    """Whether a file is this protocol's, for `proofrail evidence check`; a broken one still is."""
    return b'"device"' in data and b'"counter"' in data


def check(data: bytes, key: str | bytes | None) -> Report:
    """Judges every record in a file; `recognise` and `check` may be left out, together."""
    return Report(records=[_checked(*each, key) for each in enumerate(split(data))])


def _checked(index: int, record: bytes, key: str | bytes | None) -> RecordCheck:
    found = RecordCheck(index, record)
    try:
        found.event = decode(record)
        found.prove(found.event.signed, {"given": key})
    except Rejected as refusal:
        found.unreadable = found.event is None
        found.genuine_reasons.append(as_finding(refusal))
    found.conclude()
    return found


# Every record that this file must read, with the fields expected, or the reason of its rejection.
# tests/every runs them all, and throws mutations of them and random bytes at `split` and `decode`.
EXAMPLES = (
    ("a beat", b'{"device":"D-1","counter":7,"at":5}', {"device": "D-1", "counter": 7}),
    ("a beat without counter", b'{"device":"D-1","at":5}', Reason.COUNTER_MISSING),
)
