"""Opens COSE_Sign1 messages with a map of claims, and raw ECDSA signatures, strictly.

Sources: RFC 9052 (COSE_Sign1, section 4.2; Sig_structure, 4.4), RFC 8392 (CWT), RFC 8812 (ES256K).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import cbor2

from device_adapters import strict_cbor
from device_adapters.keys import ORDERS, raw_to_der
from device_adapters.types import Curve, Reason, Rejected, Signed

SIGN1, CWT = 18, 61  # CBOR tags; CWT around COSE_Sign1 may be left out (RFC 8392, section 6)
_MARKS = (b"\xd2\x84", b"\xd8\x3d\xd2\x84")  # how a tagged COSE_Sign1 begins
_LIST_OF_FOUR, _BYTES = 0x84, 2
ALGORITHMS = {-7: Curve.SECP256R1, -47: Curve.SECP256K1}  # ES256, ES256K
SIGNATURE_BYTES = 64
_ALG, _KID = 1, 4  # labels of header parameters
_MAX_KID = 128


def is_sign1(data: bytes) -> bool:
    """Return whether bytes begin as a COSE_Sign1 does: tagged, or a list of four with a header."""
    bare = len(data) > 1 and data[0] == _LIST_OF_FOUR and data[1] >> 5 == _BYTES
    return bare or data.startswith(_MARKS)


def open_sign1(record: bytes) -> tuple[dict[Any, Any], Signed]:
    """Return (claims, signature) of a record that begins as a COSE_Sign1.

    Raises:
        Rejected: it is not one COSE_Sign1 with a map in it, has a header that is not read, or no
            signature by ES256 or ES256K.
    """
    message = strict_cbor.decode(record, (SIGN1, CWT))
    while isinstance(message, cbor2.CBORTag):
        message = message.value
    protected, unprotected, payload, signature = message  # four, as `is_sign1` has seen
    if not all(isinstance(part, bytes) for part in (protected, payload, signature)):
        detail = "protected header, payload and signature of a COSE_Sign1 are byte strings"
        raise Rejected(Reason.WRONG_TYPE, detail)
    header = strict_cbor.decode(protected) if protected else {}
    for fields, known in ((header, {_ALG, _KID}), (unprotected, {_KID})):
        if not isinstance(fields, dict):
            raise Rejected(Reason.WRONG_TYPE, "a COSE header is not a map")
        refuse_headers(fields, known, _KID, bytes)
    algorithm = header.get(_ALG)
    curve = ALGORITHMS.get(algorithm) if type(algorithm) is int else None
    content = cbor2.dumps(["Signature1", protected, b"", payload])
    signed = signed_raw(content, signature, curve, algorithm)
    claims = strict_cbor.decode(payload)
    if not isinstance(claims, dict):
        raise Rejected(Reason.WRONG_TYPE, "the claims are not a map")
    return claims, signed


def split_sequence(body: bytes) -> list[bytes]:
    """Return the items of a CBOR sequence (RFC 8742); a broken rest is kept as one record."""
    records, start = [], 0
    while start < len(body):
        try:
            end = strict_cbor.skip(body, start, (SIGN1, CWT))
        except Rejected:  # the decoder gives the reason
            end = len(body)
        records.append(body[start:end])
        start = end
    return records


def refuse_headers(fields: dict[Any, Any], known: Collection[Any], kid: Any, kind: type) -> None:
    """Reject header parameters that are not read, and a key id of another type."""
    if unknown := [label for label in fields if label not in known]:
        detail = f"the header has a parameter that is not read: {unknown[0]!r:.40}"
        raise Rejected(Reason.MALFORMED, detail)
    if kid in fields and (not isinstance(fields[kid], kind) or len(fields[kid]) > _MAX_KID):
        raise Rejected(Reason.WRONG_TYPE, f"the kid is not a {kind.__name__} of {_MAX_KID} at most")


def signed_raw(content: bytes, signature: bytes, curve: Curve | None, algorithm: Any) -> Signed:
    """Return a signature r||s of 32 bytes each over `content`; Rejected where it cannot be one.

    Args:
        curve: None where the algorithm is not known; `algorithm` is then named.
    """
    if curve is None:
        detail = f"the algorithm is {algorithm!r:.40}, not ES256 or ES256K"
        raise Rejected(Reason.SIGNATURE_ALGORITHM_UNKNOWN, detail)
    if len(signature) != SIGNATURE_BYTES:
        detail = f"{len(signature)} bytes, not r and s of 32 bytes each"
        raise Rejected(Reason.SIGNATURE_MALFORMED, detail)
    half = SIGNATURE_BYTES // 2
    for number in (signature[:half], signature[half:]):
        if not 0 < int.from_bytes(number, "big") < ORDERS[curve]:
            raise Rejected(Reason.SIGNATURE_MALFORMED, "r or s is not between 1 and the order")
    return Signed(content, raw_to_der(signature), curve)
