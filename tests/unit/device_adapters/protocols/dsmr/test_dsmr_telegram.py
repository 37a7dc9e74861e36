"""P1 telegrams: our reading against the maintained library's, and what is refused by name."""

from __future__ import annotations

from decimal import Decimal

import pytest
from dsmr_parser import telegram_specifications
from dsmr_parser.parsers import TelegramParser
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.protocols import dsmr
from device_adapters.protocols.dsmr import DsmrCautionReason
from device_adapters.types import Reason, Rejected

_LINES = """/ISK5\\2M550T-1012

1-3:0.2.8(50)
0-0:1.0.0({at})
0-0:96.1.1(4530303334303036303030303030303137)
1-0:1.8.1({day}*kWh)
1-0:1.8.2({night}*kWh)
1-0:2.8.1(000000.000*kWh)
1-0:2.8.2({back}*kWh)
0-0:96.14.0(0002)
1-0:1.7.0(00.244*kW)
!"""


def _crc(data: bytes) -> int:
    """CRC-16/ARC, bit by bit."""
    crc = 0
    for byte in data:
        for bit in range(8):
            crc = (crc >> 1) ^ (0xA001 * ((crc ^ (byte >> bit)) & 1))
    return crc


def _telegram(
    at: str = "260701120000S",
    day: str = "000100.001",
    night: str = "000200.02",
    back: str = "000003.5",
) -> bytes:
    body = _LINES.format(at=at, day=day, night=night, back=back).replace("\n", "\r\n").encode()
    return body + f"{_crc(body):04X}\r\n".encode()


@given(*[st.integers(0, 999_999_999)] * 2)
def test_telegram__read__then_as_the_library_reads_it(day: int, night: int) -> None:
    text = [f"{number // 1000:06}.{number % 1000:03}" for number in (day, night)]
    telegram = _telegram(day=text[0], night=text[1])
    theirs = TelegramParser(telegram_specifications.V5).parse(telegram.decode(), throw_ex=True)
    ours = {reading.register: reading for reading in dsmr.read(telegram).readings}
    assert Decimal(ours["01-00:01.08.01*FF"].value) == theirs.ELECTRICITY_USED_TARIFF_1.value
    assert Decimal(ours["01-00:01.08.02*FF"].value) == theirs.ELECTRICITY_USED_TARIFF_2.value
    assert Decimal(ours["01-00:01.08.00*FF"].value) * 1000 == day + night
    assert ours["01-00:01.08.00*FF"].at_ms == (theirs.P1_MESSAGE_TIMESTAMP.value.timestamp() * 1000)
    assert ours["01-00:01.08.00*FF"].device == "E0034006000000017"


def test_total__of_two_tariffs__then_with_a_caution() -> None:
    cautions = [code for code, _ in dsmr.read(_telegram()).cautions]
    assert cautions == [DsmrCautionReason.TOTAL_OF_TARIFFS] * 2


def test_total__printed_by_the_meter__then_no_sum() -> None:
    printed = b"1-0:1.8.0(000100.001*kWh)\r\n1-0:1.8.1("
    text = _telegram().replace(b"1-0:1.8.1(", printed).rpartition(b"!")[0] + b"!"
    content = dsmr.read(text)
    totals = [r for r in content.readings if r.register == "01-00:01.08.00*FF"]
    assert [reading.value for reading in totals] == ["100.001"]


@pytest.mark.parametrize(("zone", "hours"), [("S", 10), ("W", 11)])
def test_time__of_summer_and_winter__then_utc(zone: str, hours: int) -> None:
    reading = dsmr.read(_telegram(at=f"261025120000{zone}")).readings[0]
    assert reading.at_ms is not None and reading.at_ms // 3_600_000 % 24 == hours


@pytest.mark.parametrize(
    ("telegram", "reason"),
    [
        (_telegram()[:100], Reason.TRUNCATED),
        (_telegram()[50:], Reason.TRUNCATED),
        (_telegram().replace(b"100.001", b"100.002"), Reason.MALFORMED),
        (
            _telegram().replace(b"1-0:1.8.2", b"1-0:1.8.1").rpartition(b"!")[0] + b"!",
            Reason.DUPLICATE_KEY,
        ),
        (_telegram(at="261301120000W"), Reason.TIME_MALFORMED),
        (_telegram(at="260101120000X"), Reason.TIME_MALFORMED),
        (b"/ISK5\r\n1-0:1.8.1(1,5*kWh)\r\nrubbish\r\n!", Reason.MALFORMED),
        (b"/" + b"x" * 20_000, Reason.TOO_LARGE),
        (b" \r\n", Reason.EMPTY),
    ],
)
def test_broken_telegram__read__then_a_named_reason(telegram: bytes, reason: Reason) -> None:
    with pytest.raises(Rejected) as refused:
        dsmr.read(telegram)
    assert refused.value.reason is reason
