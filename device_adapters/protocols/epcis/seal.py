"""The signed form of an EPCIS document: a detached JWS in front of the document's exact bytes.

    record := protected-header ".." signature LF document

Protected header (base64url of JSON): alg "ES256" (RFC 7518, section 3.4), kid: the device's name,
ctr: its own rising number (uint40). The payload is detached as in RFC 7515, appendix F; with
"b64": false and "crit": ["b64"] it is signed unencoded (RFC 7797). Several records in one message
or file are each preceded by RS (0x1E) and ended by LF, as in RFC 7464: JSON, XML and JWS hold none.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from device_adapters import strict_json
from device_adapters.keys import raw_to_der
from device_adapters.strict_json import RECORD_SEPARATOR
from device_adapters.types import STREAM_BIT, Curve, Reason, Rejected, Signed

_MAX_HEADER = 2_048
_DOCUMENT_STARTS = (b"<", b"{", b"[", b"\xef")  # of XML, JSON and a byte order mark
_ALPHABET = bytes.maketrans(b"-_", b"+/")


@dataclass(frozen=True, slots=True)
class Sealed:
    """The parts of a record: device (kid), counter, document, and signature."""

    device: str
    counter: int
    document: bytes
    signed: Signed


def split(body: bytes) -> list[bytes]:
    """Return the records of a message: the whole body, or the parts after each RS, less one LF."""
    if not body.startswith(RECORD_SEPARATOR):
        return [body] if body.strip() else []
    return [part.removesuffix(b"\n") for part in body.split(RECORD_SEPARATOR) if part.strip()]


def join(jws: str, document: bytes) -> bytes:
    """Return the record of a detached JWS and its document."""
    return jws.encode("ascii", "replace") + b"\n" + document


def is_signed(record: bytes) -> bool:
    """Return whether the record begins with a signature, valid or not."""
    line = record[:_MAX_HEADER].partition(b"\n")[0]
    return b".." in line and line.lstrip()[:1] not in _DOCUMENT_STARTS


def open_record(record: bytes) -> Sealed:
    """Return the parts of a record. Pure.

    Raises:
        Rejected: SIGNATURE_MISSING, SIGNATURE_MALFORMED, SIGNATURE_ALGORITHM_UNKNOWN,
            DEVICE_MISSING, COUNTER_MISSING, or the reason why the header is not JSON.
    """
    if not is_signed(record):
        raise Rejected(
            Reason.SIGNATURE_MISSING,
            "the record does not begin with a detached JWS (header..signature)",
        )
    jws, _, document = record.partition(b"\n")
    head, payload, signature = _jws_parts(jws)
    fields = _header(_decoded(head))
    plain = _is_unencoded(fields)
    raw = _decoded(signature)
    if payload or len(raw) != 64:
        detail = "not a detached JWS with 64 bytes r||s (ES256)"
        raise Rejected(Reason.SIGNATURE_MALFORMED, detail)
    content = head + b"." + (document if plain else _encoded(document))
    signed = Signed(content, raw_to_der(raw), Curve.SECP256R1)
    return Sealed(_device(fields), _counter(fields), document, signed)


def _jws_parts(jws: bytes) -> tuple[bytes, bytes, bytes]:
    parts = jws.split(b".")
    if len(parts) != 3 or len(parts[0]) > _MAX_HEADER:
        raise Rejected(Reason.SIGNATURE_MALFORMED, "the first line is not a compact JWS")
    return parts[0], parts[1], parts[2]


def _header(text: bytes) -> dict[str, object]:
    try:
        fields = strict_json.decode(text.decode())
    except UnicodeDecodeError:
        raise Rejected(Reason.NOT_UTF8, "the protected header is not UTF-8") from None
    if not isinstance(fields, dict):
        raise Rejected(Reason.WRONG_TYPE, "the protected header is not an object")
    if fields.get("alg") != "ES256":
        detail = f"alg {str(fields.get('alg'))[:20]!r}, only ES256 is accepted"
        raise Rejected(Reason.SIGNATURE_ALGORITHM_UNKNOWN, detail)
    return fields


def _is_unencoded(fields: dict[str, object]) -> bool:
    """Return whether the payload is unencoded (RFC 7797); only b64 may be a critical parameter."""
    critical, encoded = fields.get("crit", []), fields.get("b64", True)
    fits = critical == (["b64"] if "b64" in fields else []) and isinstance(encoded, bool)
    if not fits or fields.get("crit") == []:
        detail = "critical header parameters other than b64, or b64 without crit"
        raise Rejected(Reason.SIGNATURE_MALFORMED, detail)
    return not encoded


def _device(fields: dict[str, object]) -> str:
    name = fields.get("kid")
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > 255:
        raise Rejected(Reason.DEVICE_MISSING, "kid does not name a device")
    return name


def _counter(fields: dict[str, object]) -> int:
    counter = fields.get("ctr")
    if type(counter) is not int or not 0 <= counter < 2 ** (STREAM_BIT + 1):
        raise Rejected(Reason.COUNTER_MISSING, "ctr is not a number below 2^40")
    return counter


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _decoded(text: bytes) -> bytes:
    """Decode strict base64url without padding: one text per value (RFC 7515, section 2)."""
    try:
        data = base64.b64decode(text.translate(_ALPHABET) + b"=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data or _encoded(data) != text:
        raise Rejected(Reason.SIGNATURE_MALFORMED, "not base64url without padding, as in a JWS")
    return data
