"""Frames and objects that the reader must read, or refuse with a reason."""

from __future__ import annotations

from typing import Any

from device_adapters.types import Reason

# an electricity meter ELS12345678: 12345678 kWh in BCD, 4200 Wh backward, an earlier value, power
_FRAME = "682626680801727856341293150102050000000c067856341204833c68100000440301000000022b2c014216"
_RAW = bytes.fromhex(_FRAME)
_WMBUS = (
    b'{"media":"electricity","meter":"amiplus","name":"hall","id":"10101010",'
    b'"total_energy_consumption_kwh":123.456,"total_energy_production_kwh":0.5,'
    b'"current_power_consumption_kw":0.251,"timestamp":"2026-11-01T11:00:00Z"}'
)

EXAMPLES: tuple[tuple[str, bytes, dict[str, Any] | Reason], ...] = (
    (
        "a frame of an electricity meter, raw",
        _RAW,
        {
            "device": "ELS12345678",
            "register": "01-00:01.08.00*FF",
            "value": "12345678000",
            "unit": "Wh",
            "at_ms": None,
        },
    ),
    ("the same as hex text", _FRAME.encode(), {"device": "ELS12345678"}),
    (
        "what wmbusmeters writes",
        _WMBUS,
        {"device": "10101010", "value": "123.456", "unit": "kWh", "at_ms": 1_793_530_800_000},
    ),
    ("a bit that flipped", _RAW[:30] + bytes([_RAW[30] ^ 1]) + _RAW[31:], Reason.MALFORMED),
    ("a frame that was cut", _RAW[:-5], Reason.TRUNCATED),
    ("no time zone", _WMBUS.replace(b'00Z"', b'00"'), Reason.TIME_WITHOUT_ZONE),
    (
        "no meter",
        b'{"meter":"x","id":"","timestamp":"2026-11-01T11:00:00Z"}',
        Reason.DEVICE_MISSING,
    ),
)
