"""Reads the texts of a bundle strictly: each value has one spelling, so every byte counts."""

from __future__ import annotations

import base64
import binascii
import re

from .blocks import unproven

_HEX = re.compile(r"0x(?:[0-9a-f]{2})*")


def unhex(text: str, what: str, size: int | None = None) -> bytes:
    """Return the bytes of lower-case 0x-hex; raise Rejected for other text or another size."""
    if not _HEX.fullmatch(text):
        raise unproven(f"{what} is not lower-case 0x-hex")
    data = bytes.fromhex(text[2:])
    if size is not None and len(data) != size:
        raise unproven(f"{what} has {len(data)} bytes, not {size}")
    return data


def unbase64(text: str, what: str) -> bytes:
    """Return the bytes of padded base64 in canonical spelling; raise Rejected for other text."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise unproven(f"{what} is not base64") from error
    if base64.b64encode(data).decode() != text:
        raise unproven(f"{what} is not canonical base64")
    return data


def signed(number: int, bits: int, what: str) -> int:
    """Return `number` if it fits into a signed integer of so many bits, or raise Rejected."""
    if not -1 << (bits - 1) <= number < 1 << (bits - 1):
        raise unproven(f"{what} does not fit into {bits} bits with a sign")
    return number


def whole(number: int, bits: int, what: str) -> int:
    """Return `number` if it fits into an unsigned integer of so many bits, or raise Rejected."""
    if not 0 <= number < 1 << bits:
        raise unproven(f"{what} does not fit into {bits} bits")
    return number
