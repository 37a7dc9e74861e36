"""The envelope of version 1: a COSE_Sign1 that carries a CWT claims map, or a compact JWS.

Sources: RFC 9052 (COSE_Sign1, section 4.2; Sig_structure, 4.4), RFC 8392 (CWT), RFC 7515 (JWS),
RFC 8812 (ES256K). Both forms have the same claims; `NAMES` and `LABELS` are their names.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from device_adapters import cose, strict_json
from device_adapters.types import Curve, Reason, Rejected, Signed

VERSION = 1
# Claims in a CWT. 1, 2 and 6 are registered; numbers below -65536 are for private use (RFC 8392).
LABELS = {
    "iss": 1,
    "sub": 2,
    "iat": 6,
    "version": -70_000,
    "counter": -70_001,
    "protocol": -70_002,
    "content": -70_003,
    "report": -70_004,
}
NAMES = {label: name for name, label in LABELS.items()}
_JWS_CURVES = {"ES256": Curve.SECP256R1, "ES256K": Curve.SECP256K1}
_JWS_HEADERS = {"alg", "typ", "cty", "kid"}


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope that was opened: its form ("COSE" or "JWS"), claims by name, and signature.

    `content` and `commitment` are bytes where the form has bytes, else their base64url text.
    """

    form: str
    claims: dict[str, Any]
    signed: Signed


def open_envelope(record: bytes) -> Envelope:
    """Return the parts of a record. Pure.

    Raises:
        Rejected: it is neither form, or breaks a rule of its form.
    """
    return _open_cose(record) if cose.is_sign1(record) else _open_jws(record)


def split(body: bytes) -> list[bytes]:
    """Return the records in one message: a CBOR sequence (RFC 8742), or a JWS on each line."""
    if cose.is_sign1(body):
        return cose.split_sequence(body)
    return [line.strip() for line in body.splitlines() if line.strip()]


def _open_cose(record: bytes) -> Envelope:
    claims, signed = cose.open_sign1(record)
    _refuse_claims(claims, NAMES)
    return Envelope("COSE", _versioned({NAMES[k]: v for k, v in claims.items()}), signed)


def _open_jws(record: bytes) -> Envelope:
    parts = record.split(b".")
    if len(parts) != 3:
        detail = "neither a tagged COSE_Sign1 nor the three parts of a compact JWS"
        raise Rejected(Reason.MALFORMED, detail)
    header, claims = (_json_object(part) for part in parts[:2])
    cose.refuse_headers(header, _JWS_HEADERS, "kid", str)
    algorithm = header.get("alg")
    curve = _JWS_CURVES.get(algorithm) if isinstance(algorithm, str) else None
    content = record[: record.rindex(b".")]
    signature = from_base64url(parts[2], "the signature")
    signed = cose.signed_raw(content, signature, curve, algorithm)
    _refuse_claims(claims, LABELS)
    return Envelope("JWS", _versioned(claims), signed)


def _refuse_claims(claims: dict[Any, Any], known: dict[Any, Any]) -> None:
    """Reject a claim that version 1 has not: it could change the meaning of the others."""
    if unknown := [claim for claim in claims if claim not in known]:
        detail = f"version {VERSION} of the envelope has no claim {unknown[0]!r:.40}"
        raise Rejected(Reason.MALFORMED, detail)


def _versioned(claims: dict[str, Any]) -> dict[str, Any]:
    version = claims.get("version")
    if type(version) is not int or version != VERSION:
        detail = f"the version is {version!r:.40}; this reader knows {VERSION}"
        raise Rejected(Reason.MALFORMED, detail)
    return claims


def from_base64url(text: bytes | str, name: str) -> bytes:
    """Return the bytes of base64url without padding (RFC 7515, section 2); one text for each."""
    try:
        raw = text.encode("ascii") if isinstance(text, str) else text
        data = base64.urlsafe_b64decode(raw + b"=" * (-len(raw) % 4))
    except (binascii.Error, ValueError):
        raise Rejected(Reason.MALFORMED, f"{name} is not base64url") from None
    if base64.urlsafe_b64encode(data).rstrip(b"=") != raw:
        raise Rejected(Reason.MALFORMED, f"{name} is not base64url in its one form")
    return data


def _json_object(part: bytes) -> dict[str, Any]:
    try:
        value = strict_json.decode(from_base64url(part, "a part of the JWS").decode())
    except UnicodeDecodeError:
        raise Rejected(Reason.NOT_UTF8, "a part of the JWS is not UTF-8") from None
    if not isinstance(value, dict):
        raise Rejected(Reason.WRONG_TYPE, "a part of the JWS is not a JSON object")
    return value
