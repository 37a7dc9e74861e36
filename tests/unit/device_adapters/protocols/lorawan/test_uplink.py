"""Uplinks of two network servers: declared registers, exact values, and what is shown only."""

from __future__ import annotations

import json
from typing import Any

import pytest

from device_adapters.protocols.lorawan import examples, read
from device_adapters.protocols.lorawan.uplink import FIELDS
from device_adapters.types import Reason, Rejected


def uplink(**fields: Any) -> bytes:
    return json.dumps(
        {
            "time": "2026-03-01T08:00:00.250+01:00",
            "deviceInfo": {"devEui": "70b3d57ed005a1b2"},
            "object": fields,
        }
    ).encode()


def test_read__both_servers__say_the_same_about_one_frame() -> None:
    first, second = (read(data) for data in (examples.CHIRPSTACK, examples.THINGS_STACK))
    assert first.readings[0].at_ms == second.readings[0].at_ms
    assert first.readings[0].device == second.readings[0].device
    for content in (first, second):
        shown = {name: content.shown[name] for name in ("fPort", "fCnt", "raw")}
        assert shown == {"fPort": 2, "fCnt": 4, "raw": "AAS14w=="}


def test_read__decoded_object__gives_registers_sensors_and_texts() -> None:
    content = read(examples.CHIRPSTACK)
    assert [(r.register, r.value, r.unit) for r in content.readings] == [
        ("01-00:01.08.00*FF", "1234.567", "kWh"),
        ("01-00:02.08.00*FF", "300", "Wh"),
        ("voltage/l1", "230.1", ""),
    ]
    assert content.shown["other_fields"] == {"valve": "open"}


@pytest.mark.parametrize("field", FIELDS)
def test_read__declared_field__is_its_register(field: str) -> None:
    (reading,) = read(uplink(**{field: 12})).readings
    assert (reading.obis, reading.unit) == FIELDS[field]
    (nested,) = read(uplink(meter={field: 12})).readings
    assert nested.obis is None


@pytest.mark.parametrize("field", ["energy", "totalActiveEnergy", "1-0:1.8.0", "1-0:1.8.0_kW"])
def test_read__any_other_name__is_no_register(field: str) -> None:
    (reading,) = read(uplink(**{field: 12})).readings
    assert (reading.obis, reading.register) == (None, field)


def test_read__truth_values_and_null__are_no_numbers() -> None:
    content = read(uplink(open=True, battery=None))
    assert content.readings == ()
    assert content.shown["other_fields"] == {"open": "True", "battery": None}


def test_read__no_codec__shows_the_raw_frame() -> None:
    data = examples.THINGS_STACK.replace(b"decoded_payload", b"not_decoded")
    content = read(data)
    assert (content.readings, content.shown["raw"]) == ((), "AAS14w==")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (uplink(**{f"f{i}": i for i in range(501)}), Reason.TOO_LARGE),
        (uplink(**{"x" * 101: 1}), Reason.TOO_LARGE),
        (b'{"deviceInfo":{"devEui":"cLPVftAFobI="},"object":{}}', Reason.DEVICE_MISSING),
        (b'{"deviceInfo":[],"object":{}}', Reason.MALFORMED),
        (b'{"deviceInfo":{"devEui":"70b3d57ed005a1b2"},"time":5}', Reason.TIME_MALFORMED),
        (b'{"deviceInfo":{},"x":"\xff"}', Reason.NOT_UTF8),
        (b"[" * 60_000, Reason.TOO_DEEP),
    ],
)
def test_read__what_is_no_uplink__is_refused_by_name(content: bytes, reason: Reason) -> None:
    with pytest.raises(Rejected) as caught:
        read(content)
    assert caught.value.reason is reason
