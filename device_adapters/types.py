"""The nouns of the device side: messages, evidence, events, keys and the reasons to reject."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from typing import Any

import sha3

MAX_MESSAGE_BYTES = 256 * 1024  # one inlet message; a record of its own stays far below
MAX_RECORD_BYTES = 64 * 1024  # an EPCIS document with a day of sensor reports fits
MAX_RECORDS_PER_MESSAGE = 1_000
STREAM_BIT = 39  # counters are uint40 on chain: the top bit tells fiscal from transaction records


class Reason(StrEnum):
    """Why a record was not taken. Stable codes: they stand in receipts, the API and the store."""

    # the bytes
    TOO_LARGE = "too_large"
    TOO_MANY_RECORDS = "too_many_records"
    NOT_UTF8 = "not_utf8"
    EMPTY = "empty"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    TOO_DEEP = "too_deep"
    DUPLICATE_KEY = "duplicate_key"
    WRONG_TYPE = "wrong_type"
    NUMBER_OUT_OF_RANGE = "number_out_of_range"
    # the record
    DEVICE_MISSING = "device_missing"
    COUNTER_MISSING = "counter_missing"
    TIME_WITHOUT_ZONE = "time_without_zone"
    TIME_IN_FUTURE = "time_in_future"
    TIME_MALFORMED = "time_malformed"
    UNIT_UNKNOWN = "unit_unknown"
    READING_MISSING = "reading_missing"
    SIGNATURE_MALFORMED = "signature_malformed"
    SIGNATURE_ALGORITHM_UNKNOWN = "signature_algorithm_unknown"
    TOO_PRECISE = "too_precise"  # finer than a milliwatt-hour: rounding would change the record
    SIGNATURE_MISSING = "signature_missing"
    CODE_MALFORMED = "code_malformed"  # an identifier breaks its rules, such as a check digit
    VOCABULARY_UNKNOWN = "vocabulary_unknown"  # a word that its standard vocabulary does not have
    EVENT_MISSING = "event_missing"
    SUBJECT_MISSING = "subject_missing"  # it names nothing that an agreement could be about
    SUBJECT_AMBIGUOUS = "subject_ambiguous"
    # a key
    KEY_MALFORMED = "key_malformed"
    KEY_NOT_PUBLIC = "key_not_public"
    KEY_OFF_CURVE = "key_off_curve"
    KEY_CURVE_UNKNOWN = "key_curve_unknown"
    # the inlet
    FILE_UNREADABLE = "file_unreadable"
    UNKNOWN_TOPIC = "unknown_topic"
    UNKNOWN_PROTOCOL = "unknown_protocol"
    DEVICE_NOT_OF_TOPIC = "device_not_of_topic"
    RETAINED = "retained"


class Rejected(Exception):
    """The one error a decoder raises: a named reason, a sentence, and the bytes it speaks of."""

    def __init__(self, reason: StrEnum, detail: str, raw: bytes = b"") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail, self.raw = reason, detail, raw


@dataclass(frozen=True, slots=True)
class Message:
    """What an inlet hands over, whichever inlet it is.

    `device` is the name the inlet vouches for (the topic owner); "" where it vouches for none
    (HTTP, files). `scope` is how device names must begin, where the sender may speak for several.
    `protocol` is the name of a file in `protocols/`.
    """

    protocol: str
    device: str
    body: bytes
    retained: bool = False
    source: str = "mqtt"  # mqtt | http | file
    token: Any = None  # the inlet's own handle for acknowledging after the commit
    scope: str = ""


class Curve(StrEnum):
    """Curves of device keys, by their SEC 2 / RFC 5639 names."""

    SECP256R1 = "secp256r1"
    SECP256K1 = "secp256k1"
    SECP192R1 = "secp192r1"
    SECP192K1 = "secp192k1"
    SECP384R1 = "secp384r1"
    SECP521R1 = "secp521r1"
    BRAINPOOLP256R1 = "brainpoolP256r1"
    BRAINPOOLP384R1 = "brainpoolP384r1"

    @property
    def settles(self) -> bool:
        """Whether a contract can check it (EIP-7951 precompile, or ecrecover)."""
        return self in (Curve.SECP256R1, Curve.SECP256K1)


@dataclass(frozen=True, slots=True)
class Signed:
    """The exact signed bytes with the signature over them (ECDSA)."""

    content: bytes
    signature_der: bytes
    curve: Curve
    digest: str = "sha256"  # sha256 | sha512 | keccak256


@dataclass(frozen=True, slots=True)
class Place:
    """Where a device says it was: a name, or degrees times 10^7 (WGS 84), or both."""

    name: str = ""
    latitude_e7: int | None = None
    longitude_e7: int | None = None


@dataclass(frozen=True)
class Event:
    """What an adapter read out of one piece of evidence.

    device: the device's own name (for OCMF the serial of the signing meter or gateway).
    counter: uint40; the device's own number (bit 39 set: OCMF's fiscal stream).
    observed_at_ms: Unix milliseconds, UTC, of the record's last reading.
    kind: what the facts are, such as "meter.reading".
    facts: JSON-ready integers, strings and lists only; never a float.
    evidence: the record exactly as received; `evidence_hash` (SHA-256) is its name.
    subject: what it speaks of where that is not the device itself (a consignment), canonical text.
    names: ids under which other records may cite it (EPCIS Event Hash IDs). cites: such ids.
    """

    device: str
    counter: int
    observed_at_ms: int
    kind: str
    facts: dict[str, Any]
    evidence: bytes
    signed: Signed
    protocol: str = "ocmf"
    not_billable: tuple[str, ...] = field(default=())  # reasons; empty means billable
    subject: str = ""
    names: tuple[str, ...] = ()
    cites: tuple[str, ...] = ()
    place: Place | None = None

    @cached_property
    def subject_id(self) -> bytes:
        """keccak256 of the subject in UTF-8, as terms on chain name it; b"" where there is none."""
        return subject_id(self.subject) if self.subject else b""

    @cached_property
    def evidence_hash(self) -> bytes:
        return sha256(self.evidence).digest()

    @cached_property
    def device_id(self) -> bytes:
        return device_id(self.device)

    @cached_property
    def event_id(self) -> bytes:
        return event_id(self.device_id, self.counter)


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """A device's public key: uncompressed point coordinates on a named curve."""

    curve: Curve
    x: int
    y: int


def device_id(name: str) -> bytes:
    """keccak256 of the device's name in UTF-8: its id on chain (32 bytes)."""
    return sha3.keccak_256(name.encode()).digest()


def subject_id(subject: str) -> bytes:
    """keccak256 of a subject in UTF-8: how an agreement's terms name what it is about."""
    return sha3.keccak_256(subject.encode()).digest()


def event_id(device: bytes, counter: int) -> bytes:
    """keccak256(device_id, counter): the replay key, never the signature (which has a twin)."""
    return sha3.keccak_256(device + counter.to_bytes(32, "big")).digest()
