"""Example packs, each with fields of its first reading or the reason of its rejection."""

from __future__ import annotations

from typing import Any

from device_adapters.types import Reason

METER = (
    b'[{"bn":"urn:dev:mac:0024befffe804ff1:","bt":1772348400,"bu":"kWh","n":"1-0:1.8.0",'
    b'"v":1234.567},{"n":"1-0:2.8.0","v":3},{"n":"temperature","u":"Cel","v":23.1,"t":-5}]'
)
# the same in CBOR: integers, a decimal fraction (tag 4) and a double
METER_CBOR = bytes.fromhex(
    "83a5"
    "21781d75726e3a6465763a6d61633a303032346265666666653830346666313a"
    "221a69a3e3f0"
    "23636b5768"
    "0069312d303a312e382e30"
    "02c482221a0012d687"
    "a20069312d303a322e382e300203"
    "a4006b74656d7065726174757265016343656c02fb403719999999999a0624"
)
_READING = {"device": "urn:dev:mac:0024befffe804ff1", "at_ms": 1_772_348_400_000}
_ENERGY = {"register": "01-00:01.08.00*FF", "value": "1234.567", "unit": "kWh"}
EXAMPLES: tuple[tuple[str, bytes, dict[str, Any] | Reason], ...] = (
    ("a meter in JSON", METER, _READING | _ENERGY),
    ("a meter in CBOR", METER_CBOR, _READING | _ENERGY),
    (
        "a time relative to the reading, and a base value",
        b'[{"bn":"D1/","bv":20,"t":-10,"n":"temperature","u":"Cel","v":1.50}]',
        {"device": "D1", "at_ms": None, "register": "temperature", "value": "21.50"},
    ),
    (
        "no base name",
        b'[{"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23}]',
        {"device": "", "register": "urn:dev:ow:10e2073a01080063", "value": "23"},
    ),
    ("a record without value", b'[{"n":"a","u":"W"}]', Reason.READING_MISSING),
    ("two values", b'[{"n":"a","v":1,"vs":"x"}]', Reason.MALFORMED),
    ("another version", b'[{"bver":11,"n":"a","v":1}]', Reason.MALFORMED),
    ("a field that must be understood", b'[{"n":"a","v":1,"x_":1}]', Reason.MALFORMED),
    ("a name with a space", b'[{"n":"a b","v":1}]', Reason.DEVICE_MISSING),
    ("a value that is a text", b'[{"n":"a","v":"1"}]', Reason.WRONG_TYPE),
    ("no list", b'{"n":"a","v":1}', Reason.WRONG_TYPE),
    ("an empty pack", b"[]", Reason.EMPTY),
    ("cut off", METER[:-9], Reason.TRUNCATED),
    ("not a number in CBOR", bytes.fromhex("81a200616102f97e00"), Reason.NUMBER_OUT_OF_RANGE),
)
