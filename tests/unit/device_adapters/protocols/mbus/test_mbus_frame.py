"""M-Bus frames: exact values, only present totals, and broken frames refused by name."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.protocols import mbus
from device_adapters.types import Reason, Rejected

_IMPORT, _EXPORT = "01-00:01.08.00*FF", "01-00:02.08.00*FF"


def _frame(records: bytes, medium: int = 2, status: int = 0, signature: bytes = b"\0\0") -> bytes:
    maker = ((ord("E") - 64) << 10 | (ord("L") - 64) << 5 | (ord("S") - 64)).to_bytes(2, "little")
    header = bytes([8, 1, 0x72]) + bytes.fromhex("78563412") + maker
    body = header + bytes([1, medium, 9, status]) + signature + records
    size = bytes([len(body)])
    return b"\x68" + size + size + b"\x68" + body + bytes([sum(body) % 256, 0x16])


@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 7))
def test_energy__any_number_and_scale__then_the_exact_decimal(number: int, scale: int) -> None:
    record = bytes([0x04, scale]) + number.to_bytes(4, "little", signed=True)
    (reading,) = mbus.read(_frame(record)).readings
    whole, _, fraction = reading.value.partition(".")
    assert (reading.device, reading.register, reading.unit) == ("ELS12345678", _IMPORT, "Wh")
    assert int(whole + fraction.ljust(3, "0")) == number * 10**scale


@pytest.mark.parametrize(
    ("record", "medium", "register"),
    [
        ("0c0678563412", 2, _IMPORT),
        ("04833c68100000", 2, _EXPORT),
        ("04833b68100000", 2, _IMPORT),
        ("0c0678563412", 4, "energy_wh"),  # heat
        ("0c1378563412", 7, "volume"),
    ],
)
def test_record__counts_up__then_its_register(record: str, medium: int, register: str) -> None:
    (reading,) = mbus.read(_frame(bytes.fromhex(record), medium)).readings
    assert reading.register == register


@pytest.mark.parametrize(
    "record",
    [
        "4c0678563412",  # of an earlier day
        "8c100678563412",  # of one tariff
        "8c400678563412",  # of a sub-unit
        "1c0678563412",  # a maximum
        "04832068100000",  # per second
        "05060000803f",  # a real number is not exact
        "022b2c01",  # power
    ],
)
def test_record__no_present_total__then_shown_only(record: str) -> None:
    total = bytes.fromhex("0c0378563412")
    content = mbus.read(_frame(bytes.fromhex(record) + total))
    assert len(content.readings) == 1
    assert len(content.shown["records"]) == 1


@pytest.mark.parametrize(("status", "usable"), [(0, True), (4, True), (8, False), (16, False)])
def test_status__of_the_meter__then_an_error_makes_values_unusable(
    status: int, usable: bool
) -> None:
    (reading,) = mbus.read(_frame(bytes.fromhex("0c0378563412"), status=status)).readings
    assert reading.usable is usable


def test_record_with_an_error_mark__read__then_the_others_count() -> None:
    content = mbus.read(_frame(bytes.fromhex("0c037856341a" + "0c0378563412")))
    assert [reading.value for reading in content.readings] == ["12345678"]
    assert len(content.shown["records"]) == 1


def test_number__with_the_sign_mark_of_bcd__then_negative() -> None:
    (reading,) = mbus.read(_frame(bytes.fromhex("0c13180000f0"), medium=7)).readings
    assert reading.value == "-0.018"


_GOOD = _frame(bytes.fromhex("0c0378563412"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (_GOOD[:-1], Reason.TRUNCATED),
        (_GOOD + b"\x16", Reason.MALFORMED),
        (_GOOD[:-1] + b"\x17", Reason.MALFORMED),
        (_GOOD[:-2] + b"\x00\x16", Reason.MALFORMED),
        (_frame(bytes.fromhex("0c037856341a")), Reason.READING_MISSING),
        (_frame(bytes.fromhex("0c0378563412"), signature=b"\x10\x05"), Reason.MALFORMED),
        (_frame(b""), Reason.READING_MISSING),
        (b"\x68\x03\x03\x68\x08\x01\x72\x7b\x16", Reason.TRUNCATED),
        (b"\xe5", Reason.MALFORMED),
        (b'{"meter":"x","id":"1","timestamp":1}', Reason.TIME_MALFORMED),
        (b'{"meter":"x","id":"1","timestamp":"2026-11-01T11:00:00Z"}', Reason.READING_MISSING),
        (b"{" * 20_000, Reason.TOO_LARGE),
        (b"", Reason.EMPTY),
    ],
)
def test_broken_content__read__then_a_named_reason(content: bytes, reason: Reason) -> None:
    with pytest.raises(Rejected) as refused:
        mbus.read(content)
    assert refused.value.reason is reason


@given(st.binary(max_size=120))
def test_any_records_in_a_sound_frame__read__then_only_the_declared_error(records: bytes) -> None:
    with contextlib.suppress(Rejected):
        mbus.read(_frame(records))
