"""Splits an OCMF record exactly as it was signed: payload, signature, appended key.

Source: OCMF specification, "Sections" and table 8. The signed content is the text between the
first pipe and the pipe after the payload's closing brace, with its white space (the
Transparenzsoftware hashes the same characters); a pipe inside a string does not count.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

from device_adapters import strict_json
from device_adapters.keys import ORDERS, is_high_s, raw_to_der, read_der, unsigned_to_der
from device_adapters.types import Curve, Reason, Rejected, Signed

HEADER = b"OCMF|"
_SPACE = b" \t\r\n\xef\xbb\xbf\0"  # with the byte order mark that editors add
_WRAPPED = (b"4f434d467c", b"4F434D467C", b"4f434d467C", b"4F434D467c", b"T0NNRn")
# a record starts a line, plain or wrapped in hex or base64
_START = re.compile(rb"(?:^|\n)[ \t\r]*(?=OCMF\||4[fF]434[dD]467[cC]|T0NNRn)")
_GAP, _BETWEEN = re.compile(r"\s*"), re.compile(r"[\s,\0]*")
_SYNONYMS = {
    "brainpool256r1": Curve.BRAINPOOLP256R1,
    "brainpool384r1": Curve.BRAINPOOLP384R1,
    "prime256v1": Curve.SECP256R1,
} | {curve.value.lower(): curve for curve in Curve}
ALGORITHMS = {
    f"ecdsa-{name}-{digest}": (curve, digest)
    for (name, curve), digest in product(_SYNONYMS.items(), ("sha256", "sha512"))
}
DEFAULT_ALGORITHM = "ECDSA-secp256r1-SHA256"


@dataclass(frozen=True, slots=True)
class Sections:
    """The parts of a record. content: the signed text. key: the appended fourth section, or ""."""

    wrapping: str  # plain | hex | base64: of the complete record
    content: str
    payload: dict[str, Any]
    signature: dict[str, Any]
    key: str


@dataclass(frozen=True, slots=True)
class Seal:
    """A record's signature: its declared algorithm, its text encoding and its form."""

    signed: Signed
    algorithm: str
    encoding: str  # hex | base64
    form: str  # der | der_unsigned | raw

    @property
    def high_s(self) -> bool:
        """Return whether s is above half the order of the curve."""
        return is_high_s(read_der(self.signed.signature_der)[1], self.signed.curve)


def split(body: bytes) -> list[bytes]:
    """Return the records of a body: one, or several on lines, pretty-printed or without breaks."""
    body = body.strip(_SPACE)
    if b"\n" not in body and body.count(HEADER) <= 1:
        return [body]
    lines = [line.rstrip(_SPACE) for line in body.split(b"\n")]
    if all(line.startswith(HEADER) and _is_single(line) for line in lines):
        return lines  # the usual batch
    starts = [match.end() for match in _START.finditer(body)]
    if not starts or starts[0] > 0:
        starts.insert(0, 0)
    pieces: list[bytes] = []
    for start, end in zip(starts, [*starts[1:], len(body)], strict=True):
        piece = body[start:end].strip(_SPACE)
        pieces.extend([piece] if _is_single(piece) else _cut_records(piece))
    return [piece for piece in pieces if piece]


def _is_single(piece: bytes) -> bool:
    """Return whether a piece is certainly a single record without text after it."""
    return piece[-1:] == b"}" and piece.count(HEADER) == 1 and b"\n" not in piece


def open_record(record: bytes) -> Sections:
    """Return the sections of one record in any wrapping; Rejected if it is not OCMF."""
    text, wrapping = _as_text(record)
    payload, end = strict_json.scan(text, len(HEADER))
    pipe = _next_pipe(text, end)
    signature, end_of_signature = strict_json.scan(text, pipe + 1)
    if not isinstance(payload, dict) or not isinstance(signature, dict):
        raise Rejected(Reason.WRONG_TYPE, "payload and signature must be JSON objects")
    tail = text[end_of_signature:].strip()
    if tail and not tail.startswith("|"):
        raise Rejected(Reason.MALFORMED, "text follows the signature")
    return Sections(wrapping, text[len(HEADER) : pipe], payload, signature, tail[1:].strip())


def read_seal(sections: Sections) -> Seal:
    """Return the signature as DER over the exact content.

    Without an algorithm it is ECDSA-secp256r1-SHA256, without an encoding hex (table 8). A raw
    r||s of exactly the curve's length, as some vendors send, is accepted and has the form "raw";
    so is DER whose integers lack the octet for the sign ("der_unsigned", see `unsigned_to_der`).

    Raises:
        Rejected: SIGNATURE_MALFORMED or SIGNATURE_ALGORITHM_UNKNOWN.
    """
    fields = sections.signature
    named, data = fields.get("SA"), fields.get("SD")
    if not isinstance(data, str):
        raise Rejected(Reason.SIGNATURE_MALFORMED, "the signature data (SD) is not a string")
    if not isinstance(named, str | None):
        raise Rejected(Reason.SIGNATURE_ALGORITHM_UNKNOWN, "the algorithm (SA) is not a string")
    name, curve, digest = _algorithm(named or DEFAULT_ALGORITHM)
    der, encoding, form = _signature_bytes(data, fields.get("SE"), curve)
    signed = Signed(sections.content.encode(), der, curve, digest)
    return Seal(signed, name, encoding, form)


@lru_cache(maxsize=256)
def _algorithm(named: str) -> tuple[str, Curve, str]:
    algorithm = ALGORITHMS.get(named.strip().lower())
    if algorithm is None:
        raise Rejected(Reason.SIGNATURE_ALGORITHM_UNKNOWN, f"{named[:60]!r} is not supported")
    return named.strip(), *algorithm


def _signature_bytes(data: str, encoding: object, curve: Curve) -> tuple[bytes, str, str]:
    declared = encoding.strip().lower() if isinstance(encoding, str) else ""
    compact = "".join(data.split())
    # a declared encoding is tried first; vendors forget to declare, and declare wrongly
    for name in ("base64", "hex") if declared == "base64" else ("hex", "base64"):
        try:
            raw = (
                bytes.fromhex(compact)
                if name == "hex"
                else base64.b64decode(compact, validate=True)
            )
        except ValueError:
            continue
        if signature := _as_der(raw, curve):
            return signature[0], name, signature[1]
    detail = f"{len(compact)} characters are not a signature on {curve}"
    raise Rejected(Reason.SIGNATURE_MALFORMED, detail)


def _as_der(raw: bytes, curve: Curve) -> tuple[bytes, str] | None:
    """Return a signature in DER and the form it came in, or None where it is no signature."""
    if raw[:1] == b"\x30":
        try:
            read_der(raw)
            return raw, "der"
        except Rejected:
            pass  # a raw signature may start with the same byte
    if len(raw) == 2 * ((ORDERS[curve].bit_length() + 7) // 8):
        return raw_to_der(raw), "raw"
    der = unsigned_to_der(raw, curve)
    return (der, "der_unsigned") if der else None


def _as_text(record: bytes) -> tuple[str, str]:
    """Return the plain text of a record and its wrapping."""
    bare = record.strip(_SPACE)
    if not bare:
        raise Rejected(Reason.EMPTY, "the record is empty")
    wrapping = "plain"
    if not bare.startswith(HEADER):
        bare, wrapping = _unwrap(bare)
    try:
        return bare.decode(), wrapping
    except UnicodeDecodeError as error:
        raise Rejected(Reason.NOT_UTF8, f"byte {error.start} is not UTF-8") from None


def _unwrap(bare: bytes) -> tuple[bytes, str]:
    compact = b"".join(bare.split())
    try:
        if compact[:10].lower() == _WRAPPED[0]:
            return binascii.unhexlify(compact).strip(_SPACE), "hex"
        if compact.startswith(_WRAPPED[-1]):
            return base64.b64decode(compact, validate=True).strip(_SPACE), "base64"
    except binascii.Error:
        raise Rejected(Reason.TRUNCATED, "the hex or base64 around the record is broken") from None
    if HEADER.startswith(bare):
        raise Rejected(Reason.TRUNCATED, "it ends within its header")
    raise Rejected(Reason.MALFORMED, "it does not begin with OCMF|, plain, in hex or in base64")


def _next_pipe(text: str, end: int) -> int:
    pipe = _GAP.match(text, end).end()
    if pipe == len(text):
        raise Rejected(Reason.TRUNCATED, "it ends before its signature")
    if text[pipe] != "|":
        raise Rejected(Reason.MALFORMED, "no pipe follows the payload")
    return pipe


def _cut_records(piece: bytes) -> list[bytes]:
    """Cut a piece after each record's signature (or appended key); other text stays a piece."""
    if not piece.startswith(HEADER):
        return [line.strip(_SPACE) for line in _lines(piece)]
    text = piece.decode("utf-8", "surrogateescape")
    cuts, start = [], 0
    while text.startswith("OCMF|", start):
        end = _end_of_record(text, start)
        cuts.append(text[start:end])
        start = _BETWEEN.match(text, end).end()
    pieces = [cut.encode("utf-8", "surrogateescape").strip(_SPACE) for cut in cuts]
    rest = text[start:].encode("utf-8", "surrogateescape")
    return [*pieces, *(line.strip(_SPACE) for line in rest.splitlines())]


def _lines(piece: bytes) -> list[bytes]:
    """Return the lines of a piece; a wrapped record may go over several lines and stays whole."""
    wrapped = piece.startswith(_WRAPPED)
    return [piece] if wrapped else piece.splitlines()


def _end_of_record(text: str, start: int) -> int:
    following = text.find("OCMF|", start + 1)
    following = len(text) if following < 0 else following
    try:
        _, end = strict_json.scan(text, start + len(HEADER))
        _, end = strict_json.scan(text, _next_pipe(text, end) + 1)
    except Rejected:
        return following
    if text.startswith("|", _GAP.match(text, end).end()):
        following = text.find("OCMF|", end)
        return len(text) if following < 0 else following
    return end
