"""Reads a request body into messages of the one path: a record as it is, or a JSON batch."""

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
    """A request's body with what its headers say: `media` is "" where they do not say."""

    media: str
    body: bytes
    idempotency_key: str | None

    def fingerprint(self, protocol: str) -> str:
        """What makes it the same request when it is sent again."""
        return sha256(f"{self.media}|{protocol}|".encode() + self.body).hexdigest()


async def arrival(request: Request) -> Arrival:
    """Records as they are, or a JSON batch; a body of unnamed type counts as a record."""
    return await read_arrival(request, (*RAW, JSON), RAW[1])


async def read_arrival(request: Request, taken: tuple[str, ...], unnamed: str) -> Arrival:
    """Reads the body, bounded by the middleware; headers are judged before it is read.

    taken: the media types of the route; unnamed: the one that a body without type is.
    """
    headers = request.headers
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise Rejected(ProblemCode.CONTENT_CODING_UNSUPPORTED, f"content coding {coding[:40]!r}")
    media = headers.get("content-type", "").partition(";")[0].strip().lower() or unnamed
    if media not in taken:
        raise Rejected(ProblemCode.MEDIA_TYPE_UNSUPPORTED, f"media type {media[:80]!r}")
    return Arrival(media, await request.body(), _key(headers.getlist("idempotency-key")))


def _key(given: list[str]) -> str | None:
    """The draft's quoted string, or the bare text that most clients send."""
    if not given:
        return None
    key = given[0].strip()
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = key[1:-1]
    visible = all("!" <= char <= "~" for char in key)
    if len(given) > 1 or not 0 < len(key) <= MAX_KEY or not visible:
        raise Rejected(ProblemCode.IDEMPOTENCY_KEY_MALFORMED, "not one key of 1 to 255 characters")
    return key


def messages_of(arrival: Arrival, protocol: str, scope: str) -> list[Message]:
    """One message per entry of the request. scope: how the device names must begin.

    Raises Rejected (json_unreadable) or RequestValidationError where the JSON is no batch.
    """
    if arrival.media != JSON:
        return [Message(protocol, "", arrival.body, source="http", scope=scope)]
    return [
        Message(entry.protocol, "", _body(number, entry), source="http", scope=scope)
        for number, entry in enumerate(_batch(arrival.body).records)
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
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([e | {"loc": ("body", *e["loc"])} for e in found]) from None


def _body(number: int, entry: RecordEntry) -> bytes:
    if entry.record is not None:
        return entry.record.encode()
    try:
        return base64.b64decode(entry.record_base64.encode(), validate=True)
    except (binascii.Error, ValueError):
        place = ("body", "records", number, "record_base64")
        raise RequestValidationError([{"loc": place, "msg": "not base64"}]) from None
