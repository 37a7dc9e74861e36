"""Example tokens in both forms, each with the expected fields or the reason of its rejection.

Their signatures are made up; the tests sign tokens of their own.
"""

from __future__ import annotations

from typing import Any

import cbor2

from device_adapters.cose import SIGN1
from device_adapters.protocols.eat.token import LABELS, SIGNATURE
from device_adapters.types import STREAM_BIT, Reason

_SERIAL = bytes.fromhex("0123A1B2C3D4E5F6EE")
_CLAIMS: dict[str, Any] = {
    "iss": _SERIAL,
    "iat": 1_772_348_460,
    "wh": 250,
    "seq": 1,
    "prev": None,
    "fwv": "meter-1.2.0",
}
_MADE_UP = b"\1" * 64
_ABSENT = object()


def plain(signature: Any = _MADE_UP, **changes: Any) -> bytes:
    """Return a token as a map with some claims replaced; None for the signature leaves it out."""
    claims = _labelled(changes)
    if signature is not None:
        claims[SIGNATURE] = signature
    return cbor2.dumps(claims, canonical=True)


def cose(algorithm: int = -7, **changes: Any) -> bytes:
    """Return a token as a COSE_Sign1 likewise."""
    parts = [cbor2.dumps({1: algorithm}), {}, cbor2.dumps(_labelled(changes)), _MADE_UP]
    return cbor2.dumps(cbor2.CBORTag(SIGN1, parts))


def without(name: str) -> dict[str, Any]:
    """Return the change that removes a claim."""
    return {name: _ABSENT}


def _labelled(changes: dict[str, Any]) -> dict[Any, Any]:
    claims = _CLAIMS | changes
    return {LABELS.get(k, k): v for k, v in claims.items() if v is not _ABSENT}


_FIELDS = {
    "device": "0123A1B2C3D4E5F6EE",
    "counter": (1 << STREAM_BIT) + 1,
    "observed_at_ms": 1_772_348_460_000,
}
_NEXT = {"seq": 2, "prev": b"\7" * 32}
EXAMPLES: tuple[tuple[str, bytes, dict[str, Any] | Reason], ...] = (
    ("the first token of a device", plain(), _FIELDS | {"kind": "energy.delta"}),
    ("the same as COSE_Sign1", cose(), _FIELDS | {"kind": "energy.delta", "protocol": "eat"}),
    ("tagged as CWT", b"\xd8\x3d" + cose(), _FIELDS),
    ("a later token with a register", cose(register=9_000, **_NEXT), {"kind": "meter.reading"}),
    ("a later token without previous hash", cose(seq=2), Reason.MALFORMED),
    ("a first token with a previous hash", plain(prev=b"\7" * 32), Reason.MALFORMED),
    ("no previous hash at all", plain(**without("prev")), Reason.MALFORMED),
    ("a previous hash of 31 bytes", plain(seq=2, prev=b"\7" * 31), Reason.WRONG_TYPE),
    ("no serial number", cose(**without("iss")), Reason.DEVICE_MISSING),
    ("a serial number that is a text", plain(iss="0123"), Reason.DEVICE_MISSING),
    ("no sequence", cose(**without("seq")), Reason.COUNTER_MISSING),
    ("sequence zero", cose(seq=0), Reason.NUMBER_OUT_OF_RANGE),
    ("a sequence of 2^39", cose(seq=1 << STREAM_BIT, prev=b"\7" * 32), Reason.NUMBER_OUT_OF_RANGE),
    ("no time", cose(**without("iat")), Reason.TIME_MALFORMED),
    ("no energy", plain(**without("wh")), Reason.READING_MISSING),
    ("energy below zero", plain(wh=-1), Reason.NUMBER_OUT_OF_RANGE),
    ("a register that is a text", cose(register="9"), Reason.NUMBER_OUT_OF_RANGE),
    ("a firmware that is a number", plain(fwv=1), Reason.WRONG_TYPE),
    ("an unknown claim", cose(note=1), Reason.MALFORMED),
    ("no signature", plain(None), Reason.SIGNATURE_MISSING),
    ("a signature that is a text", plain("x"), Reason.SIGNATURE_MALFORMED),
    ("a signature cut off", plain(b"\1" * 63), Reason.SIGNATURE_MALFORMED),
    ("signed on secp256k1", cose(-47), Reason.SIGNATURE_ALGORITHM_UNKNOWN),
    ("not in deterministic encoding", b"\xa2\x02\x01\x01\x02", Reason.MALFORMED),
    ("no map", b"\x81\x01", Reason.MALFORMED),
    ("cut off", plain()[:-3], Reason.TRUNCATED),
)
