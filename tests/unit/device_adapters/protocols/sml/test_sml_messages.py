"""SML files of meters: exact values, directions, names; and what is no whole file is refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.protocols import sml
from device_adapters.protocols.sml import SmlCautionReason
from device_adapters.protocols.sml.transport import ESCAPE
from device_adapters.types import Reason, Rejected
from tests.support.sml_writer import Unsigned, message, write, x25
from tests.support.sml_writer import frame as framed

_SERVER = b"\x0a\x01EMH\x00" + (12345678).to_bytes(4, "big")
_IMPORT, _EXPORT = (bytes([1, 0, group, 8, 0, 255]) for group in (1, 2))
_WH = Unsigned(30)


@pytest.mark.parametrize(
    ("scaler", "value", "text"),
    [
        (-1, Unsigned(12345678), "1234567.8"),
        (-4, Unsigned(7), "0.0007"),
        (0, Unsigned(7), "7"),
        (3, Unsigned(7), "7000"),
        (None, Unsigned(7), "7"),
        (-1, Unsigned(2**64 - 1), "1844674407370955161.5"),
    ],
)
def test_value__scaled__then_the_exact_decimal(scaler: int, value: int, text: str) -> None:
    content = sml.read(write(_SERVER, [(_IMPORT, None, None, _WH, scaler, value)]))
    (reading,) = content.readings
    assert (reading.device, reading.value, reading.unit) == ("1EMH0012345678", text, "Wh")
    assert reading.obis is not None and reading.obis.code == _IMPORT


@given(st.integers(0, 2**63), st.sampled_from([_IMPORT, _EXPORT]), st.integers(-4, 3))
def test_file__written_and_read__then_the_same_value(value: int, code: bytes, scaler: int) -> None:
    (reading,) = sml.read(
        write(_SERVER, [(code, Unsigned(386), None, _WH, scaler, Unsigned(value))])
    ).readings
    whole, _, fraction = reading.value.partition(".")
    assert int(whole + fraction) == value * 10 ** max(scaler, 0)
    assert len(fraction) == max(-scaler, 0)


def test_data_with_an_escape_sequence__read__then_it_is_data() -> None:
    server = ESCAPE * 2 + b"\x01\x02"
    (reading,) = sml.read(write(server, [(_IMPORT, None, None, _WH, 0, Unsigned(5))])).readings
    assert reading.device == server.hex().upper()


def test_times__seconds_of_the_meter_or_unix__then_only_unix_is_a_time() -> None:
    relative, absolute = [Unsigned(1), Unsigned(5000)], [Unsigned(2), Unsigned(1_793_534_400)]
    entries = [
        (_IMPORT, None, relative, _WH, 0, Unsigned(5)),
        (_EXPORT, None, absolute, _WH, 0, Unsigned(6)),
    ]
    first, second = sml.read(write(_SERVER, entries)).readings
    assert (first.at_ms, second.at_ms) == (None, 1_793_534_400_000)


@pytest.mark.parametrize(
    ("sent", "counted"),
    [(0xF575FA - (1 << 24), 0xF575FA), (0x80 - 256, 0x80), (0xCD51E2 - (1 << 24), 0xCD51E2)],
)
def test_counter__signed_without_its_sign_octet__then_positive_with_a_caution(
    sent: int, counted: int
) -> None:
    content = sml.read(write(_SERVER, [(_IMPORT, None, None, _WH, 0, sent)]))
    assert content.readings[0].value == str(counted)
    assert [code for code, _ in content.cautions] == [SmlCautionReason.SIGN_OCTET_MISSING]


def test_power__negative__then_it_stays_negative() -> None:
    power = bytes([1, 0, 16, 7, 0, 255])
    content = sml.read(write(_SERVER, [(power, None, None, Unsigned(27), 0, -57)]))
    assert (content.readings[0].value, content.cautions) == ("-57", ())


def _message_crc_broken() -> bytes:
    body = [
        None,
        _SERVER,
        None,
        None,
        [[_IMPORT, None, None, _WH, 0, Unsigned(5), None]],
        None,
        None,
    ]
    sent = message(0, 0x0701, body)
    return framed(sent[:-3] + bytes([sent[-3] ^ 1]) + sent[-2:])


_GOOD = write(_SERVER, [(_IMPORT, None, None, _WH, 0, Unsigned(5))])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (_GOOD[:-1], Reason.TRUNCATED),
        (_GOOD[:60], Reason.TRUNCATED),
        (_GOOD + b"x", Reason.MALFORMED),
        (_GOOD + _GOOD, Reason.MALFORMED),  # two files: which one is the record?
        (_GOOD[:-1] + bytes([_GOOD[-1] ^ 1]), Reason.MALFORMED),
        (_message_crc_broken(), Reason.MALFORMED),
        (framed(message(0, 0x0500, [None])), Reason.MALFORMED),
        (framed(message(0, 0x0701, [None])), Reason.WRONG_TYPE),
        (framed(message(0, 0x0101, [None])), Reason.READING_MISSING),
        (framed(b"\x7f" * 40), Reason.WRONG_TYPE),
        (framed(b"\x7f"), Reason.WRONG_TYPE),
        (write(_SERVER, [(_IMPORT, None, None, _WH, 12, Unsigned(5))]), Reason.NUMBER_OUT_OF_RANGE),
        (b"\x1b" * 20_000, Reason.TOO_LARGE),
    ],
)
def test_broken_file__read__then_a_named_reason(content: bytes, reason: Reason) -> None:
    with pytest.raises(Rejected) as refused:
        sml.read(content)
    assert refused.value.reason is reason


@given(st.binary(max_size=300))
def test_any_data_in_a_sound_frame__read__then_only_the_declared_error(data: bytes) -> None:
    with contextlib.suppress(Rejected):
        sml.read(framed(data))


def test_crc__of_the_check_string__then_the_published_value() -> None:
    assert x25(b"123456789") == 0x906E  # the check value of CRC-16/X-25
