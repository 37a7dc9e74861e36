"""Reads signatures that people type."""

from __future__ import annotations

from orchestrator.errors import Halt


def parse_signature(text: str, who: str) -> bytes:
    """Return the bytes of a typed signature.

    Args:
        text: Hex, with or without 0x.
        who: Whose signature it is, for the error text.

    Raises:
        Halt: It has not 65 bytes.
    """
    try:
        raw = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raw = b""
    if len(raw) != 65:
        raise Halt(f"A signature of the {who} has 65 bytes in hex. Nothing was sent.")
    return raw
