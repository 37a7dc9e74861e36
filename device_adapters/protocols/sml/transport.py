"""The frame of an SML file: escape sequences, padding and two kinds of CRC-16.

    1b1b1b1b 01010101  data (1b1b1b1b doubled)  0 to 3 zero bytes  1b1b1b1b 1a <padding> <CRC>

The CRC covers everything before it (CRC-16/X-25, low byte first; TR-03109-1, annex SML, section 8).
"""

from __future__ import annotations

from device_adapters.types import Reason, Rejected

ESCAPE = b"\x1b\x1b\x1b\x1b"
START = ESCAPE + b"\x01\x01\x01\x01"
MAX_BYTES = 16 * 1024
_KERMIT_INIT, _X25_INIT = 0x0000, 0xFFFF


def as_bytes(content: bytes) -> bytes:
    """Return the raw bytes of a file: as they are, or from hex text with any white space."""
    if START in content:
        return content
    try:
        return bytes.fromhex(content.decode("ascii"))
    except (UnicodeDecodeError, ValueError):
        return content


def payload(content: bytes) -> bytes:
    """Return the data of one frame without its escapes and padding.

    Raises:
        Rejected: TOO_LARGE, MALFORMED (no start, a wrong CRC, a second frame) or TRUNCATED.
    """
    if len(content) > MAX_BYTES:
        raise Rejected(Reason.TOO_LARGE, f"a file of more than {MAX_BYTES} bytes")
    begin = content.find(START)
    if begin < 0:
        raise Rejected(Reason.MALFORMED, "no start of an SML file (1b1b1b1b01010101)")
    position, data = begin + len(START), bytearray()
    while True:
        block = content[position : position + 4]
        if len(block) < 4:
            raise Rejected(Reason.TRUNCATED, "the SML file has no end: a part of a file")
        position += 4
        if block != ESCAPE:
            data += block
            continue
        mark = content[position : position + 4]
        position += 4
        if len(mark) < 4:
            raise Rejected(Reason.TRUNCATED, "the SML file ends within its end mark")
        if mark == ESCAPE:
            data += ESCAPE
        elif mark[0] == 0x1A:
            return _checked(content, begin, position, bytes(data), mark)
        else:
            raise Rejected(Reason.MALFORMED, f"an unknown escape sequence {mark.hex()}")


def _checked(content: bytes, begin: int, end: int, data: bytes, mark: bytes) -> bytes:
    expected = int.from_bytes(mark[2:], "little")
    covered = content[begin : end - 2]
    if expected not in (crc16(covered), crc16_kermit(covered)):
        raise Rejected(Reason.MALFORMED, "the CRC of the SML file does not match its bytes")
    padding = mark[1]
    if padding > 3 or padding > len(data) or any(data[len(data) - padding :]):
        raise Rejected(Reason.MALFORMED, "the padding of the SML file is not 0 to 3 zero bytes")
    if content[end:].strip(b"\0\r\n\t "):
        raise Rejected(Reason.MALFORMED, "bytes follow the SML file: one file is one record")
    return data[: len(data) - padding]


def crc16(data: bytes) -> int:
    """Return CRC-16/X-25, as the specification has it."""
    return _crc(data, _X25_INIT) ^ 0xFFFF


def crc16_kermit(data: bytes) -> int:
    """Return CRC-16/KERMIT with its bytes swapped, as the meters of one maker (Holley) send it."""
    crc = _crc(data, _KERMIT_INIT)
    return (crc >> 8 | crc << 8) & 0xFFFF


def _crc(data: bytes, crc: int) -> int:
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x8408 if crc & 1 else 0)
    return crc
