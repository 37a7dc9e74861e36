"""Telegrams that the reader must read, or refuse with a reason."""

from __future__ import annotations

from typing import Any

from device_adapters.types import Reason

_LINES = """/PRF5\\253000001 A

1-3:0.2.8(50)
0-0:1.0.0(261101120000W)
0-0:96.1.1(50524630303031)
1-0:1.8.1(000123.456*kWh)
1-0:1.8.2(000076.544*kWh)
1-0:2.8.1(000001.000*kWh)
1-0:2.8.2(000002.500*kWh)
0-0:96.14.0(0002)
1-0:1.7.0(00.321*kW)
0-0:96.7.21(00004)
1-0:32.7.0(230.1*V)
0-1:24.1.0(003)
0-1:96.1.0(47415331)
0-1:24.2.1(261101115500W)(00012.345*m3)
!"""


def _telegram(lines: str, crc: str) -> bytes:
    return (lines.replace("\n", "\r\n") + crc + "\r\n").encode()


EXAMPLES: tuple[tuple[str, bytes, dict[str, Any] | Reason], ...] = (
    (
        "a telegram of version 5 with a gas meter behind it",
        _telegram(_LINES, "8679"),
        {"device": "PRF0001", "register": "01-00:01.08.01*FF", "value": "123.456"},
    ),
    (
        "a telegram before version 4 has no CRC",
        _telegram(_LINES, ""),
        {"device": "PRF0001", "unit": "kWh"},
    ),
    ("a wrong CRC", _telegram(_LINES, "0000"), Reason.MALFORMED),
    ("a telegram that was cut", _telegram(_LINES, "")[:200], Reason.TRUNCATED),
    ("no register", b"/PRF5\r\n\r\n1-3:0.2.8(50)\r\n!\r\n", Reason.READING_MISSING),
)
