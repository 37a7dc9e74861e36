"""Turns an HTTP request or a file into messages, as MQTT would bring them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from device_adapters.strict_json import RECORD_SEPARATOR
from device_adapters.types import MAX_MESSAGE_BYTES, MAX_RECORDS_PER_MESSAGE, Message


def message_of_request(protocol: str, body: bytes, device: str = "") -> Message:
    """Return an HTTP body as a message; `device` only where the caller's key is for one device."""
    return Message(protocol, device, body, source="http")


def replay_file(path: Path | str, protocol: str, device: str = "") -> Iterator[list[Message]]:
    """Yield a file as batches of messages, cut between records where it exceeds one message.

    Records are lines or, in a file that begins with RS (0x1E), the parts that begin with RS (RFC
    7464). A record above the size limit is cut one byte beyond it, so that it is rejected as
    too_large and the records after it are still read.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as handle:
        bodies = _bodies(handle)
        while batch := list(islice(bodies, 100)):
            yield [Message(protocol, device, body, source="file") for body in batch]


def _bodies(handle: Any) -> Iterator[bytes]:
    whole = handle.read(MAX_MESSAGE_BYTES + 1)
    if len(whole) <= MAX_MESSAGE_BYTES:
        yield whole
        return
    handle.seek(0)
    pieces = _framed(handle) if whole.startswith(RECORD_SEPARATOR) else _lines(handle)
    body: list[bytes] = []
    size = 0
    for piece in pieces:
        full = size + len(piece) > MAX_MESSAGE_BYTES or len(body) == MAX_RECORDS_PER_MESSAGE
        if body and full:
            yield b"".join(body)
            body, size = [], 0
        body.append(piece)
        size += len(piece)
    if body:
        yield b"".join(body)


def _lines(handle: Any) -> Iterator[bytes]:
    """Yield lines with their line feeds; the rest of an overlong line is skipped."""
    while line := handle.readline(MAX_MESSAGE_BYTES + 1):
        yield line
        while len(line) > MAX_MESSAGE_BYTES and not line.endswith(b"\n"):
            line = handle.readline(MAX_MESSAGE_BYTES + 1)


def _framed(handle: Any) -> Iterator[bytes]:
    """Yield records with the separator before them; the rest of an overlong one is skipped."""
    rest = handle.read(1)[1:]  # the first separator
    while chunk := handle.read(MAX_MESSAGE_BYTES):
        *whole, rest = (rest + chunk).split(RECORD_SEPARATOR)
        yield from (RECORD_SEPARATOR + record[:MAX_MESSAGE_BYTES] for record in whole)
        rest = rest[:MAX_MESSAGE_BYTES]
    yield RECORD_SEPARATOR + rest
