"""The elements of SML's binary encoding: a type and length byte, then the value.

High nibble: 0 octet string, 4 boolean, 5 signed, 6 unsigned, 7 list; bit 7: another length byte
follows. The length counts its own bytes, except for a list, where it counts elements. A single 01
is an optional value that is left out, 00 the end of a message.
"""

from __future__ import annotations

from typing import Any

from device_adapters.types import Reason, Rejected

_OCTETS, _BOOLEAN, _SIGNED, _UNSIGNED, _LIST = 0, 4, 5, 6, 7
_MAX_DEPTH, _MAX_ELEMENTS = 8, 2_000


class Reader:
    """Reads elements from the bytes, one after the other; raises only Rejected."""

    def __init__(self, data: bytes) -> None:
        self.data, self.position, self._read = data, 0, 0

    def at_end(self) -> bool:
        """Return whether nothing is left but zero bytes between messages."""
        while self.data[self.position : self.position + 1] == b"\0":
            self.position += 1
        return self.position >= len(self.data)

    def list_of(self, length: int) -> None:
        """Read the head of a list; Rejected unless it has that many elements."""
        kind, elements = self._head()
        if (kind, elements) != (_LIST, length):
            raise Rejected(Reason.WRONG_TYPE, f"an SML list of {length} is missing")

    def end_of_message(self) -> None:
        """Read the end mark of a message."""
        if self._take(1) != b"\0":
            raise Rejected(Reason.MALFORMED, "an SML message has no end mark")

    def element(self, depth: int = 0) -> Any:
        """Return one element: bytes, bool, int, a list of them, or None where it is left out."""
        if depth > _MAX_DEPTH:
            raise Rejected(Reason.TOO_DEEP, f"SML lists within lists, more than {_MAX_DEPTH}")
        kind, length = self._head()
        if kind == _LIST:
            return [self.element(depth + 1) for _ in range(length)]
        if kind == _OCTETS:
            return self._take(length) if length else None
        if kind == _BOOLEAN and length == 1:
            return self._take(1) != b"\0"
        if kind in (_SIGNED, _UNSIGNED) and 1 <= length <= 8:
            return int.from_bytes(self._take(length), "big", signed=kind == _SIGNED)
        raise Rejected(Reason.WRONG_TYPE, f"an SML element of type {kind} and {length} bytes")

    def _head(self) -> tuple[int, int]:
        """Return the type, and the bytes (of a list: the elements) that follow."""
        self._read += 1
        if self._read > _MAX_ELEMENTS:
            raise Rejected(Reason.TOO_LARGE, f"more than {_MAX_ELEMENTS} SML elements")
        byte, heads = self._take(1)[0], 1
        kind, length = byte >> 4 & 7, byte & 0x0F
        while byte & 0x80:
            byte, heads = self._take(1)[0], heads + 1
            if byte & 0x70 or heads > 4:
                raise Rejected(Reason.MALFORMED, "a broken length of an SML element")
            length = length << 4 | byte & 0x0F
        if kind == _LIST:
            return kind, length
        if length < heads:
            raise Rejected(Reason.MALFORMED, "an SML element shorter than its head")
        return kind, length - heads

    def _take(self, count: int) -> bytes:
        taken = self.data[self.position : self.position + count]
        if len(taken) < count:
            raise Rejected(Reason.TRUNCATED, "the SML file ends within an element")
        self.position += count
        return taken
