"""Writes SML files as a meter does: for tests, apart from the reader, from the same standard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_ESCAPE = b"\x1b" * 4


class Unsigned(int):
    """An unsigned number of SML."""


def write(server: bytes, entries: Sequence[Sequence[Any]], sensor_time: Any = None) -> bytes:
    """Return an SML file with open, one list of values, and close.

    Args:
        server: the server id.
        entries: (OBIS bytes, status, time, unit, scaler, value) each.
        sensor_time: the time of the list, or None.
    """
    opened = [None, None, b"\x01\x02", server, None, None]
    listed = [None, server, b"\x01\x00\x62\x0a\xff\xff", sensor_time, [], None, None]
    listed[4] = [[*entry, None] for entry in entries]
    bodies = [(0x0101, opened), (0x0701, listed), (0x0201, [None])]
    return frame(b"".join(message(n, tag, body) for n, (tag, body) in enumerate(bodies)))


def message(number: int, tag: int, body: list[Any]) -> bytes:
    """Return one message with its CRC."""
    head = b"\x76" + encode(bytes([5, number])) + encode(Unsigned(0)) + encode(Unsigned(0))
    covered = head + b"\x72" + encode(Unsigned(tag)) + encode(body)
    return covered + b"\x63" + x25(covered).to_bytes(2, "little") + b"\x00"


def frame(data: bytes) -> bytes:
    """Return data in the transport frame of version 1."""
    padding = -len(data) % 4
    padded = data + b"\0" * padding
    escaped = b"".join(
        block * 2 if block == _ESCAPE else block
        for block in (padded[i : i + 4] for i in range(0, len(padded), 4))
    )
    covered = _ESCAPE + b"\x01" * 4 + escaped + _ESCAPE + bytes([0x1A, padding])
    return covered + x25(covered).to_bytes(2, "little")


def encode(value: Any) -> bytes:
    """Return one element."""
    if value is None:
        return b"\x01"
    if isinstance(value, list | tuple):
        return _head(7, len(value), 0) + b"".join(encode(item) for item in value)
    if isinstance(value, bytes):
        return _head(0, len(value), 1) + value
    signed = not isinstance(value, Unsigned)
    size = next(n for n in range(1, 9) if _fits(int(value), n, signed))
    return _head(5 if signed else 6, size, 1) + int(value).to_bytes(size, "big", signed=signed)


def x25(data: bytes) -> int:
    """Return CRC-16/X-25, bit by bit from the polynomial x16+x12+x5+1."""
    crc = 0xFFFF
    for byte in data:
        for bit in range(8):
            mix = (crc ^ (byte >> bit)) & 1
            crc = (crc >> 1) ^ (0x8408 * mix)
    return crc ^ 0xFFFF


def _fits(value: int, size: int, signed: bool) -> bool:
    try:
        value.to_bytes(size, "big", signed=signed)
    except OverflowError:
        return False
    return True


def _head(kind: int, length: int, own: int) -> bytes:
    if length + own < 16:
        return bytes([kind << 4 | length + own])
    total = length + 2 * own
    return bytes([0x80 | kind << 4 | total >> 4, total & 15])
