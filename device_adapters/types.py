"""The types of the device side: messages, events, keys and the reasons for a rejection."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from typing import Any
from unicodedata import normalize

import sha3

MAX_MESSAGE_BYTES = 256 * 1024  # of one inlet message; records are far smaller
MAX_RECORD_BYTES = 64 * 1024  # an EPCIS document with a day of sensor reports fits
MAX_RECORDS_PER_MESSAGE = 1_000
MAX_DEVICE_NAME = 64  # characters: the most that a certificate can name (X.520)
_NI = "ni:///sha-256;"  # RFC 6920: a name that is the SHA-256 of the named bytes
STREAM_BIT = 39  # counters are uint40 on chain; the top bit marks fiscal records


class Reason(StrEnum):
    """Why a record was rejected. Stable codes: receipts, the API and the store contain them."""

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
    CODE_MALFORMED = "code_malformed"  # an identifier with an error, such as a wrong check digit
    VOCABULARY_UNKNOWN = "vocabulary_unknown"  # a word that is not in its standard vocabulary
    EVENT_MISSING = "event_missing"
    FIELD_MISSING = "field_missing"  # its standard requires a field that is missing
    VERSION_UNKNOWN = "version_unknown"  # a version of its standard that is not read here
    SUBJECT_MISSING = "subject_missing"  # it names no subject of an agreement
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


class Assurance(StrEnum):
    """Who stands for a record, strongest first: its device, its gateway, the sender of a file."""

    DEVICE = "device"
    GATEWAY = "gateway"
    FILE = "file"

    @property
    def number(self) -> int:
        """Return 0, 1 or 2, as terms on chain have it: the least that they take."""
        return tuple(Assurance).index(self)

    def is_at_least(self, least: Assurance) -> bool:
        """Return whether a record of this assurance satisfies terms that take `least`."""
        return self.number <= least.number


class Rejected(Exception):
    """The only error that a decoder raises: a reason, a sentence, and the rejected bytes."""

    def __init__(self, reason: StrEnum, detail: str, raw: bytes = b"") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail, self.raw = reason, detail, raw


@dataclass(frozen=True, slots=True)
class LogPosition:
    """Where a message is in a broker's log.

    log: when the log was made, as the broker writes it; a new log has another time.
    sequence: number in the log, from 1, ascending.
    stored_at: when the broker stored the message, as it writes it.
    """

    log: str
    sequence: int
    stored_at: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of any inlet.

    device: the name that the inlet authenticated (the topic's owner); "" for none (HTTP, files).
    scope: how device names must begin, where the sender may send for several devices.
    protocol: the name of a file or folder in `protocols/`.
    """

    protocol: str
    device: str
    body: bytes
    retained: bool = False
    source: str = "mqtt"  # mqtt | http | file
    position: LogPosition | None = None  # in the broker's log; None for another inlet
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
        """Return whether a contract can check it (EIP-7951 precompile, or ecrecover)."""
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
    """Where a device reports to be: a name, or degrees times 10^7 (WGS 84), or both."""

    name: str = ""
    latitude_e7: int | None = None
    longitude_e7: int | None = None


@dataclass(frozen=True)
class Event:
    """One record, decoded.

    device: the device's own name (for OCMF the serial of the signing meter or gateway).
    counter: uint40; the device's own number (bit 39 set: OCMF's fiscal stream).
    observed_at_ms: Unix milliseconds, UTC, of the record's last reading.
    kind: the type of the facts, such as "meter.reading".
    facts: JSON-ready integers, strings and lists only; never a float.
    evidence: the record exactly as received; `evidence_hash` (SHA-256) is its name.
    subject: what the record is about, if not the device itself (a consignment), canonical text.
    names: ids of its protocol under which other records may cite it (EPCIS Event Hash IDs); every
        event bears `evidence_name` as well. cites: such ids.
    gateway: the name of the device that may have signed it for `device`; "" for the device alone.
    assurance: who stands for it. A decoder sets DEVICE, or FILE for the content of a file; who
        verifies it sets GATEWAY where a gateway's key signed (oracles.verify).
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
    gateway: str = ""
    assurance: Assurance = Assurance.DEVICE

    @cached_property
    def subject_id(self) -> bytes:
        """Return keccak256 of the subject in UTF-8, as in terms on chain; b"" for no subject."""
        return subject_id(self.subject) if self.subject else b""

    @cached_property
    def evidence_hash(self) -> bytes:
        """Return SHA-256 of the evidence (32 bytes)."""
        return sha256(self.evidence).digest()

    @cached_property
    def evidence_name(self) -> str:
        """Return the name that every event bears: its evidence hash as a URI (RFC 6920)."""
        return evidence_name(self.evidence_hash)

    @property
    def all_names(self) -> tuple[str, ...]:
        """Return all ids under which other records may cite it: its protocol's, then the hash's."""
        return *self.names, self.evidence_name

    @cached_property
    def device_id(self) -> bytes:
        """Return the device's id on chain (32 bytes)."""
        return device_id(self.device)

    @cached_property
    def event_id(self) -> bytes:
        """Return the replay key (32 bytes)."""
        return event_id(self.device_id, self.counter)


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """A device's public key: uncompressed point coordinates on a named curve."""

    curve: Curve
    x: int
    y: int


def canonical_name(name: str) -> str:
    """Return the one form of a device's name: trimmed, and in Unicode's composed form (NFC).

    Letters keep their case, because serial numbers may differ in it alone. A name that reaches the
    rail in two spellings of one form is one device; so every protocol calls this.
    """
    return normalize("NFC", name).strip()


def is_device_name(name: str) -> bool:
    """Return whether records may state a name: 1 to 64 printable characters in canonical form."""
    return 0 < len(name) <= MAX_DEVICE_NAME and name.isprintable() and name == canonical_name(name)


def device_id(name: str) -> bytes:
    """Return keccak256 of the device's name in UTF-8: its id on chain (32 bytes)."""
    return sha3.keccak_256(name.encode()).digest()


def subject_id(subject: str) -> bytes:
    """Return keccak256 of a subject in UTF-8: the id in an agreement's terms (32 bytes)."""
    return sha3.keccak_256(subject.encode()).digest()


def evidence_name(evidence_hash: bytes) -> str:
    """Return the `ni` URI of a SHA-256 (RFC 6920, section 3): base64url without padding."""
    return _NI + urlsafe_b64encode(evidence_hash).decode().rstrip("=")


def hash_in_name(name: str) -> bytes | None:
    """Return the SHA-256 that an `ni` URI names (32 bytes); None for any other name.

    Only the one form that `evidence_name` writes is read, so that a record has one such name.
    """
    if not name.startswith(_NI) or not name.isascii():
        return None
    try:
        evidence_hash = urlsafe_b64decode(name.removeprefix(_NI) + "=")
    except ValueError:
        return None
    is_one = len(evidence_hash) == 32 and evidence_name(evidence_hash) == name
    return evidence_hash if is_one else None


def event_id(device: bytes, counter: int) -> bytes:
    """Return keccak256(device_id, counter), the replay key; a signature has a twin."""
    return sha3.keccak_256(device + counter.to_bytes(32, "big")).digest()
