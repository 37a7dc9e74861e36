"""SML files that the reader must read, or refuse with a reason."""

from __future__ import annotations

from typing import Any

from device_adapters.types import Reason

# a meter 1EMH0012345678: 1-0:1.8.0 of 1234567.8 Wh, 1-0:2.8.0 of 4.2 Wh, a power of -251 W
_FILE = (
    "1b1b1b1b010101017603050062006200726301017601010301020b0a01454d480000bc614e0101630d650076"
    "030501620062007263070177010b0a01454d480000bc614e070100620affff726202656ae729c07477078181"
    "c78203ff0101010104454d480177070100010800ff63018201621e52ff64bc614e0177070100020800ff0101"
    "621e52ff622a0177070100100700ff0101621b52ff53f63201010163fec20076030502620062007263020171"
    "01630f25000000001b1b1b1b1a03eed6"
)
_RAW = bytes.fromhex(_FILE)

EXAMPLES: tuple[tuple[str, bytes, dict[str, Any] | Reason], ...] = (
    (
        "a file of an EMH meter, raw",
        _RAW,
        {
            "device": "1EMH0012345678",
            "register": "01-00:01.08.00*FF",
            "value": "1234567.8",
            "unit": "Wh",
            "at_ms": 1_793_534_400_000,
        },
    ),
    ("the same as hex text", _FILE.encode(), {"device": "1EMH0012345678", "value": "1234567.8"}),
    ("a bit that flipped", _RAW[:40] + bytes([_RAW[40] ^ 1]) + _RAW[41:], Reason.MALFORMED),
    ("a file that was cut", _RAW[:-30], Reason.TRUNCATED),
    ("no SML at all", b"1b1b", Reason.MALFORMED),
)
