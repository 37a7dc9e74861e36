"""Finds the protocols and reads messages into events or rejections.

MQTT, HTTP and file replay all use this one path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType, ModuleType
from typing import Any

from device_adapters import protocols as protocol_package
from device_adapters.content import Content
from device_adapters.types import (
    MAX_MESSAGE_BYTES,
    MAX_RECORD_BYTES,
    MAX_RECORDS_PER_MESSAGE,
    Event,
    Message,
    Reason,
    Rejected,
)

MAX_AHEAD_MS = 24 * 60 * 60 * 1000  # no time zone mistake reaches farther


@dataclass(frozen=True, slots=True)
class Protocol:
    """One file or folder in `protocols/`.

    inlet: the MQTT topic, with + for the device's name. split: body -> records. decode: record ->
    event, pure, raises only Rejected. examples: (title, record, expected fields of the event or
    the reason of its rejection). refuse: event -> why a new record is refused that is still read
    where it was settled before; a protocol may lack it. counted_by_signer: whether a gateway uses
    one counter for all the meters that it signs for (the module's COUNTED_BY_SIGNER, False where it
    has none).
    """

    name: str
    inlet: str
    split: Callable[[bytes], list[bytes]]
    decode: Callable[[bytes], Event]
    examples: tuple[tuple[str, bytes, dict[str, Any] | Reason], ...]
    refuse: Callable[[Event], Rejected | None] = lambda event: None
    counted_by_signer: bool = False


@dataclass(frozen=True, slots=True)
class UnsignedProtocol:
    """A protocol without signatures (see `content`): its bytes travel in the envelope `sealed`.

    is_file: whether the sender of a file stands for it, and no device (assurance `file`).
    """

    name: str
    formats: tuple[str, ...]
    recognise: Callable[[bytes], bool]
    read: Callable[[bytes], Content]
    is_file: bool
    examples: tuple[tuple[str, bytes, dict[str, Any] | Reason], ...]


@cache
def load(name: str) -> Protocol:
    """Return the protocol of that name, importing no other; also the blueprint, for a test."""
    module = load_module(name)
    return Protocol(
        name,
        module.INLET,
        module.split,
        module.decode,
        tuple(module.EXAMPLES),
        getattr(module, "refuse", lambda event: None),
        getattr(module, "COUNTED_BY_SIGNER", False),
    )


@cache
def load_unsigned(name: str) -> UnsignedProtocol | None:
    """Return the unsigned protocol of that name, importing no other; None where there is none."""
    if name not in protocol_names():
        return None
    module = load_module(name)
    if not is_unsigned(module):
        return None
    return UnsignedProtocol(
        name,
        tuple(module.FORMATS),
        module.recognise,
        module.read,
        getattr(module, "FILE", False),
        tuple(module.EXAMPLES),
    )


@cache
def protocols() -> dict[str, Protocol]:
    """Return every protocol whose records are signed, by its name."""
    return {name: load(name) for name in protocol_names() if not is_unsigned(load_module(name))}


@cache
def unsigned() -> dict[str, UnsignedProtocol]:
    """Return every protocol without signatures, by its name."""
    loaded = map(load_unsigned, protocol_names())
    return {protocol.name: protocol for protocol in loaded if protocol is not None}


def load_module(name: str) -> ModuleType:
    """Return the module of a protocol, or of the blueprint."""
    return import_module(f"{protocol_package.__name__}.{name}")


def is_unsigned(module: ModuleType) -> bool:
    """Return whether a protocol's module declares that its records have no signature."""
    return bool(getattr(module, "UNSIGNED", False))


def counted_by_signer(event: Event) -> bool:
    """Return whether a gateway signed an event with a counter that it uses for all its meters."""
    return bool(event.gateway) and load(event.protocol).counted_by_signer


def protocol_names() -> list[str]:
    """Return the names of all protocols, signed or not, sorted, without loading them.

    A device may publish under each: a record that needs an envelope is answered by name.
    """
    names = (module.name for module in iter_modules(protocol_package.__path__))
    return sorted(name for name in names if not name.startswith("_"))


def read(
    message: Message,
    now_ms: int | None = None,
    decoders: Mapping[str, Callable[[bytes], Event]] = MappingProxyType({}),
) -> list[Event | Rejected]:
    """Read each record of a message, in order; no bytes make it raise.

    Args:
        now_ms: Unix milliseconds; new records observed more than a day later are rejected, and
            those that their protocol refuses. None: no such checks, for records taken before.
        decoders: protocol -> what decodes its records in place of its own `decode`.

    Returns:
        For each record its event, or its rejection with the raw bytes.
    """
    refusal = _refuse_message(message)
    if refusal is not None:
        return [refusal]
    protocol = protocols()[message.protocol]
    if message.protocol in decoders:
        protocol = replace(protocol, decode=decoders[message.protocol])
    records = _guarded(protocol.split, message.body)
    if isinstance(records, Rejected):
        return [records]
    if len(records) > MAX_RECORDS_PER_MESSAGE:
        detail = f"{len(records)} records, at most {MAX_RECORDS_PER_MESSAGE} fit one message"
        return [Rejected(Reason.TOO_MANY_RECORDS, detail, message.body)]
    return [_read_record(protocol, message, record, now_ms) for record in records]


def from_the_future(event: Event, now_ms: int) -> Rejected | None:
    """Return the rejection of an event observed more than a day after `now_ms`, or None."""
    ahead = event.observed_at_ms - now_ms
    if ahead <= MAX_AHEAD_MS:
        return None
    return Rejected(Reason.TIME_IN_FUTURE, f"{ahead} ms ahead of this clock", event.evidence)


def _refuse_message(message: Message) -> Rejected | None:
    body = message.body
    if message.protocol == "" and message.source == "mqtt":
        return Rejected(
            Reason.UNKNOWN_TOPIC, "the topic is not an evidence topic of a device", body
        )
    if load_unsigned(message.protocol) is not None:
        detail = f"{message.protocol} has no signature: send it in an envelope (protocol sealed)"
        return Rejected(Reason.SIGNATURE_MISSING, detail, body)
    if message.protocol not in protocols():
        return Rejected(Reason.UNKNOWN_PROTOCOL, f"no protocol {message.protocol[:60]!r}", body)
    if message.retained:
        return Rejected(Reason.RETAINED, "a retained message is a replay by the broker", body)
    if len(body) > MAX_MESSAGE_BYTES:
        detail = f"{len(body)} bytes, a message has at most {MAX_MESSAGE_BYTES}"
        return Rejected(Reason.TOO_LARGE, detail, body)
    return None


def _read_record(
    protocol: Protocol, message: Message, record: bytes, now_ms: int | None
) -> Event | Rejected:
    if len(record) > MAX_RECORD_BYTES:
        detail = f"{len(record)} bytes, a record has at most {MAX_RECORD_BYTES}"
        return Rejected(Reason.TOO_LARGE, detail, record)
    event = _guarded(protocol.decode, record)
    if isinstance(event, Rejected):
        return event
    names = (event.device, event.gateway)  # a gateway sends for the devices behind it
    if message.device and message.device not in names:
        detail = f"the topic of {message.device[:60]!r} carried a record of {event.device[:60]!r}"
        return Rejected(Reason.DEVICE_NOT_OF_TOPIC, detail, record)
    if not any(name.startswith(message.scope) for name in names):
        detail = f"the sender may speak for {message.scope[:60]!r}, not for {event.device[:60]!r}"
        return Rejected(Reason.DEVICE_NOT_OF_TOPIC, detail, record)
    if now_ms is None:
        return event
    return from_the_future(event, now_ms) or protocol.refuse(event) or event


def _guarded(step: Callable[[bytes], Any], data: bytes) -> Any:
    """Return a decoder's result, or its failure as a value, so that other records are still read.

    Decoders raise only Rejected, and tests check that; after any other error the record is kept
    and rejected as malformed.
    """
    try:
        return step(data)
    except Rejected as refusal:
        return Rejected(refusal.reason, refusal.detail, data)
    except Exception as error:
        return Rejected(Reason.MALFORMED, f"the decoder failed: {type(error).__name__}", data)
