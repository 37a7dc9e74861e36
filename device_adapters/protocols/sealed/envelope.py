"""The envelope of version 1: a COSE_Sign1 that carries a CWT claims map, or a compact JWS.

Sources: RFC 9052 (COSE_Sign1, section 4.2; Sig_structure, 4.4), RFC 8392 (CWT), RFC 7515 (JWS),
RFC 8812 (ES256K). Both forms have the same claims; `NAMES` and `LABELS` are their names.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import cbor2

from device_adapters import strict_cbor, strict_json
from device_adapters.keys import ORDERS, raw_to_der
from device_adapters.types import Curve, Reason, Rejected, Signed

VERSION = 1
SIGN1, CWT = 18, 61  # CBOR tags; CWT around COSE_Sign1 may be left out (RFC 8392, section 6)
MARKS = (b"\xd2\x84", b"\xd8\x3d\xd2\x84")  # how a COSE record begins
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
ALGORITHMS = {
    -7: Curve.SECP256R1,
    "ES256": Curve.SECP256R1,
    -47: Curve.SECP256K1,
    "ES256K": Curve.SECP256K1,
}
_ALG, _KID = 1, 4  # labels of COSE header parameters
_JWS_HEADERS = {"alg", "typ", "cty", "kid"}
_MAX_KID = 128
_SIGNATURE_BYTES = 64


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
    return _open_cose(record) if record.startswith(MARKS) else _open_jws(record)


def split(body: bytes) -> list[bytes]:
    """Return the records in one message: a CBOR sequence (RFC 8742), or a JWS on each line."""
    if not body.startswith(MARKS):
        return [line.strip() for line in body.splitlines() if line.strip()]
    records, start = [], 0
    while start < len(body):
        try:
            end = strict_cbor.skip(body, start, (SIGN1, CWT))
        except Rejected:  # the rest is kept as a broken record
            end = len(body)
        records.append(body[start:end])
        start = end
    return records


def _open_cose(record: bytes) -> Envelope:
    message = strict_cbor.decode(record, (SIGN1, CWT))
    if message.tag == CWT:
        message = message.value
    protected, unprotected, payload, signature = message.value  # four, as MARKS ends with 84
    if not all(isinstance(part, bytes) for part in (protected, payload, signature)):
        detail = "protected header, payload and signature of a COSE_Sign1 are byte strings"
        raise Rejected(Reason.WRONG_TYPE, detail)
    header = strict_cbor.decode(protected) if protected else {}
    for fields, known in ((header, {_ALG, _KID}), (unprotected, {_KID})):
        if not isinstance(fields, dict):
            raise Rejected(Reason.WRONG_TYPE, "a COSE header is not a map")
        _refuse_headers(fields, known, _KID, bytes)
    content = cbor2.dumps(["Signature1", protected, b"", payload])
    signed = _signed(content, signature, header.get(_ALG))
    claims = strict_cbor.decode(payload)
    if not isinstance(claims, dict):
        raise Rejected(Reason.WRONG_TYPE, "the claims are not a map")
    _refuse_claims(claims, NAMES)
    return Envelope("COSE", _versioned({NAMES[k]: v for k, v in claims.items()}), signed)


def _open_jws(record: bytes) -> Envelope:
    parts = record.split(b".")
    if len(parts) != 3:
        detail = "neither a tagged COSE_Sign1 nor the three parts of a compact JWS"
        raise Rejected(Reason.MALFORMED, detail)
    header, claims = (_json_object(part) for part in parts[:2])
    _refuse_headers(header, _JWS_HEADERS, "kid", str)
    content = record[: record.rindex(b".")]
    signed = _signed(content, from_base64url(parts[2], "the signature"), header.get("alg"))
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


def _refuse_headers(fields: dict[Any, Any], known: set[Any], kid: Any, kind: type) -> None:
    if unknown := [label for label in fields if label not in known]:
        detail = f"the header has a parameter that is not read: {unknown[0]!r:.40}"
        raise Rejected(Reason.MALFORMED, detail)
    if kid in fields and (not isinstance(fields[kid], kind) or len(fields[kid]) > _MAX_KID):
        raise Rejected(Reason.WRONG_TYPE, f"the kid is not a {kind.__name__} of {_MAX_KID} at most")


def _signed(content: bytes, signature: bytes, algorithm: Any) -> Signed:
    known = isinstance(algorithm, int | str) and not isinstance(algorithm, bool)
    curve = ALGORITHMS.get(algorithm) if known else None
    if curve is None:
        detail = f"the algorithm is {algorithm!r:.40}, not ES256 or ES256K"
        raise Rejected(Reason.SIGNATURE_ALGORITHM_UNKNOWN, detail)
    if len(signature) != _SIGNATURE_BYTES:
        detail = f"{len(signature)} bytes, not r and s of 32 bytes each"
        raise Rejected(Reason.SIGNATURE_MALFORMED, detail)
    half = _SIGNATURE_BYTES // 2
    for number in (signature[:half], signature[half:]):
        if not 0 < int.from_bytes(number, "big") < ORDERS[curve]:
            raise Rejected(Reason.SIGNATURE_MALFORMED, "r or s is not between 1 and the order")
    return Signed(content, raw_to_der(signature), curve)


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
