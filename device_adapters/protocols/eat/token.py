"""One energy attestation token: its claims, its signature, and the event that it is.

Source: draft-chursin-rats-energy-attestation ("Hardware-Rooted Attestation Tokens for Electricity
Generation") with the claim numbers of its author's published version 0.1 (May 2026, section 4.1).
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, NamedTuple

import cbor2

from device_adapters import cose, strict_cbor
from device_adapters.registers import Register
from device_adapters.types import STREAM_BIT, Curve, Event, Reason, Rejected, Signed

METER, DELTA = "meter.reading", "energy.delta"
LABELS = {
    "iss": 1,  # serial number of the secure element
    "iat": 2,  # Unix seconds
    "wh": 3,  # energy since the previous token
    "seq": 4,  # from 1, rising by one
    "prev": 5,  # hash of the previous token, null in the first
    "fwv": 6,  # firmware version
    "mdl": 7,  # model
    "cfg": 8,  # hash of the configuration
    "register": -70_005,  # ours, for private use: all energy that the meter ever counted, Wh
}
NAMES = {label: name for name, label in LABELS.items()}
SIGNATURE = 9  # only in the plain form, after the claims it signs
GENERATED = Register(bytes([1, 0, 2, 8, 0, 0xFF]))  # energy fed into the grid
_MAPS = {bytes([head]) for head in range(0xA1, 0xB8)}  # the heads of a map of 1 to 23 claims
_SERIAL_BYTES, _HASH_BYTES = range(1, 33), 32
_WH, _LAST_SECOND = 1 << 53, 253_402_300_800
_MAX_TEXT = 100


class Token(NamedTuple):
    """The claims by name, and the signature over them."""

    claims: dict[str, Any]
    signed: Signed


def holds_token(data: bytes) -> bool:
    """Return whether a file begins with a token, in either form."""
    if cose.is_sign1(data):
        try:
            claims, _ = cose.open_sign1(cose.split_sequence(data)[0])
        except Rejected:
            return False
        return {1, 2, 3, 4} <= set(claims)
    return data[:1] in _MAPS and data[1:2] == bytes([LABELS["iss"]])


def split(body: bytes) -> list[bytes]:
    """Return the tokens of a message: a CBOR sequence (RFC 8742)."""
    return cose.split_sequence(body)


def token_hash(record: bytes) -> bytes:
    """Return SHA-256 of a token as encoded: what the next token names as `prev`."""
    return sha256(record).digest()


def open_token(record: bytes) -> Token:
    """Return the parts of one token. Pure; Rejected where its encoding or a claim is not valid."""
    if cose.is_sign1(record):
        claims, signed = cose.open_sign1(record)
        if signed.curve is not Curve.SECP256R1:
            raise Rejected(Reason.SIGNATURE_ALGORITHM_UNKNOWN, "a token is signed with ES256")
    else:
        claims, signed = _open_plain(record)
    if unknown := [label for label in claims if label not in NAMES]:
        raise Rejected(Reason.MALFORMED, f"a token has no claim {unknown[0]!r:.40}")
    named = {NAMES[label]: value for label, value in claims.items()}
    _check(named)
    return Token(named, signed)


def event_of(token: Token, record: bytes) -> Event:
    """Return the event of a token.

    Device: the serial number in hex, upper case. Counter: 2^39 + seq, as for every meter without
    sessions. Facts: {"delta" mWh, "sequence", "previous" hex or "", "firmware", "model",
    "configuration" hex}; with a register also "readings", and the kind "meter.reading".
    """
    claims = token.claims
    device, at = claims["iss"].hex().upper(), claims["iat"] * 1000
    facts: dict[str, Any] = {
        "delta": claims["wh"] * 1000,
        "sequence": claims["seq"],
        "previous": (claims["prev"] or b"").hex(),
        "firmware": claims.get("fwv", ""),
        "model": claims.get("mdl", ""),
        "configuration": claims.get("cfg", b"").hex(),
    }
    kind = DELTA
    if "register" in claims:
        kind = METER
        reading = {"at": at, "mark": "", "register": claims["register"] * 1000}
        reading |= {"obis": GENERATED.text, "clock": "S", "status": "G", "flags": ""}
        facts["readings"] = [reading]
    counter = claims["seq"] | 1 << STREAM_BIT
    return Event(device, counter, at, kind, facts, record, token.signed, "eat")


def _open_plain(record: bytes) -> tuple[dict[Any, Any], Signed]:
    """Open the map of claims with the signature as its last one, over the map without it."""
    if record[:1] not in _MAPS:
        raise Rejected(Reason.MALFORMED, "a token is a CBOR map, or a COSE_Sign1")
    fields = strict_cbor.decode(record)
    if cbor2.dumps(fields, canonical=True) != record:
        raise Rejected(Reason.MALFORMED, "the map is not in deterministic encoding")
    signature = fields.pop(SIGNATURE, None)
    if signature is None:
        raise Rejected(Reason.SIGNATURE_MISSING, "the token has no signature")
    if not isinstance(signature, bytes):
        raise Rejected(Reason.SIGNATURE_MALFORMED, "the signature is not bytes")
    content = cbor2.dumps(fields, canonical=True)
    return fields, cose.signed_raw(content, signature, Curve.SECP256R1, "ES256")


def _check(claims: dict[str, Any]) -> None:
    """Reject claims that are missing, of another type, or out of their range."""
    serial, sequence, previous = (claims.get(name) for name in ("iss", "seq", "prev"))
    if not isinstance(serial, bytes) or len(serial) not in _SERIAL_BYTES:
        raise Rejected(Reason.DEVICE_MISSING, "iss is not a serial number of 1 to 32 bytes")
    if type(sequence) is not int:
        raise Rejected(Reason.COUNTER_MISSING, "the token has no sequence number")
    if not 0 < sequence < 1 << STREAM_BIT:
        raise Rejected(Reason.NUMBER_OUT_OF_RANGE, f"the sequence number is {sequence}")
    at = claims.get("iat")
    if type(at) is not int or not 0 < at < _LAST_SECOND:
        raise Rejected(Reason.TIME_MALFORMED, "iat is not a whole number of Unix seconds")
    if type(claims.get("wh")) is not int:
        raise Rejected(Reason.READING_MISSING, "the token has no energy in watt-hours")
    for name in ("wh", "register"):
        value = claims.get(name, 0)
        if type(value) is not int or not 0 <= value < _WH:
            raise Rejected(Reason.NUMBER_OUT_OF_RANGE, f"{name} is {value!r:.40}")
    if "prev" not in claims or (previous is None) != (sequence == 1):
        detail = "the first token, and no other, has no previous hash (prev is null)"
        raise Rejected(Reason.MALFORMED, detail)
    for name, value in (("prev", previous), ("cfg", claims.get("cfg"))):
        if value is not None and (not isinstance(value, bytes) or len(value) != _HASH_BYTES):
            raise Rejected(Reason.WRONG_TYPE, f"{name} is not a hash of {_HASH_BYTES} bytes")
    for name in ("fwv", "mdl"):
        text = claims.get(name, "")
        if not isinstance(text, str) or len(text) > _MAX_TEXT:
            raise Rejected(Reason.WRONG_TYPE, f"{name} is not a text of at most {_MAX_TEXT}")
