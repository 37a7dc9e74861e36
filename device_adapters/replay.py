"""The file and HTTP inlets: a file or a request becomes messages, as MQTT would bring them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from device_adapters.strict_json import RECORD_SEPARATOR
from device_adapters.types import MAX_MESSAGE_BYTES, MAX_RECORDS_PER_MESSAGE, Message


def message_of_request(protocol: str, body: bytes, device: str = "") -> Message:
    """An HTTP body as a message; `device` only where the caller's key vouches for one."""
    return Message(protocol, device, body, source="http")


def replay_file(path: Path | str, protocol: str, device: str = "") -> Iterator[list[Message]]:
    """A file as batches of messages: whole if it fits one message, else cut between records.

    Records are lines, or, in a file that begins with RS (0x1E), what each RS begins (RFC 7464). One
    longer than a message may be is cut one byte beyond the limit, so that it is named too_large and
    stops nothing behind it. Raises OSError.
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
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        full = size + len(piece) > MAX_MESSAGE_BYTES or len(held) == MAX_RECORDS_PER_MESSAGE
        if held and full:
            yield b"".join(held)
            held, size = [], 0
        held.append(piece)
        size += len(piece)
    if held:
        yield b"".join(held)


def _lines(handle: Any) -> Iterator[bytes]:
    """Lines with their line feeds; the rest of an overlong one is read and left out."""
    while line := handle.readline(MAX_MESSAGE_BYTES + 1):
        yield line
        while len(line) > MAX_MESSAGE_BYTES and not line.endswith(b"\n"):
            line = handle.readline(MAX_MESSAGE_BYTES + 1)


def _framed(handle: Any) -> Iterator[bytes]:
    """Records with the separator before them; the rest of an overlong one is left out."""
    rest = handle.read(1)[1:]  # the first separator
    while chunk := handle.read(MAX_MESSAGE_BYTES):
        *whole, rest = (rest + chunk).split(RECORD_SEPARATOR)
        yield from (RECORD_SEPARATOR + record[:MAX_MESSAGE_BYTES] for record in whole)
        rest = rest[:MAX_MESSAGE_BYTES]
    yield RECORD_SEPARATOR + rest
