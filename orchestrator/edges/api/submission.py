"""Reads a request body, one record or a JSON batch, as messages for the intake."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from hashlib import sha256

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from device_adapters import strict_json
from device_adapters.types import Message, Rejected
from orchestrator.edges.api.catalogue import ProblemCode
from orchestrator.edges.api.wire import EvidenceBatch, RecordEntry

RAW = ("text/plain", "application/octet-stream")
JSON = "application/json"
MAX_KEY = 255


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request's body and headers; `media` is the media type."""

    media: str
    body: bytes
    idempotency_key: str | None

    def fingerprint(self, protocol: str) -> str:
        """Return the hash that identifies a repeated request."""
        return sha256(f"{self.media}|{protocol}|".encode() + self.body).hexdigest()


async def arrival(request: Request) -> Arrival:
    """Read one record or a JSON batch; a body without media type is a record."""
    return await read_arrival(request, (*RAW, JSON), RAW[1])


async def read_arrival(request: Request, taken: tuple[str, ...], unnamed: str) -> Arrival:
    """Check the headers, then read the body; the middleware limits it.

    Args:
        taken: The media types of the route.
        unnamed: The media type of a body without one.

    Raises:
        Rejected: an unsupported media type or content coding, or a malformed Idempotency-Key.
    """
    headers = request.headers
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise Rejected(ProblemCode.CONTENT_CODING_UNSUPPORTED, f"content coding {coding[:40]!r}")
    media = headers.get("content-type", "").partition(";")[0].strip().lower() or unnamed
    if media not in taken:
        raise Rejected(ProblemCode.MEDIA_TYPE_UNSUPPORTED, f"media type {media[:80]!r}")
    return Arrival(media, await request.body(), _key(headers.getlist("idempotency-key")))


def _key(headers: list[str]) -> str | None:
    """Return the Idempotency-Key: quoted as in the draft, or bare as most clients send it."""
    if not headers:
        return None
    key = headers[0].strip()
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = key[1:-1]
    visible = all("!" <= char <= "~" for char in key)
    if len(headers) > 1 or not 0 < len(key) <= MAX_KEY or not visible:
        raise Rejected(ProblemCode.IDEMPOTENCY_KEY_MALFORMED, "not one key of 1 to 255 characters")
    return key


def messages_of(arrival: Arrival, protocol: str, scope: str) -> list[Message]:
    """Return one message per record of the request.

    Args:
        scope: Required prefix of device names.

    Raises:
        Rejected: json_unreadable.
        RequestValidationError: the JSON is not a batch.
    """
    if arrival.media != JSON:
        return [Message(protocol, "", arrival.body, source="http", scope=scope)]
    return [
        Message(record.protocol, "", _body(number, record), source="http", scope=scope)
        for number, record in enumerate(_batch(arrival.body).records)
    ]


def _batch(body: bytes) -> EvidenceBatch:
    try:
        decoded = strict_json.decode(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise Rejected(ProblemCode.JSON_UNREADABLE, "not UTF-8") from None
    except Rejected as error:
        detail = f"{error.reason}: {error.detail}"
        raise Rejected(ProblemCode.JSON_UNREADABLE, detail) from None
    try:
        return EvidenceBatch.model_validate(decoded, strict=True)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([e | {"loc": ("body", *e["loc"])} for e in problems]) from None


def _body(number: int, record: RecordEntry) -> bytes:
    if record.record is not None:
        return record.record.encode()
    try:
        return base64.b64decode(record.record_base64.encode(), validate=True)
    except (binascii.Error, ValueError):
        place = ("body", "records", number, "record_base64")
        raise RequestValidationError([{"loc": place, "msg": "not base64"}]) from None
