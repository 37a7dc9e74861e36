"""MSCONS files: several meters, intervals, statuses; what was cut or does not count is refused."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.protocols import mscons
from device_adapters.protocols.mscons import MsconsCautionReason, interchange, values
from device_adapters.protocols.mscons.examples import METER, REGISTER, TRUE
from device_adapters.protocols.mscons.examples import interchange as file_of
from device_adapters.types import Reason, Rejected

SECOND = "LOC+172+51238696781"
START = datetime(2026, 11, 29, 23, tzinfo=UTC)


def dtm(code: str, moment: datetime) -> str:
    return f"DTM+{code}:{moment:%Y%m%d%H%M}?+00:303"


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000


def refusal(content: bytes) -> Rejected:
    with pytest.raises(Rejected) as caught:
        mscons.read(content)
    return caught.value


def test_file__of_several_meters_and_intervals__has_each_value_where_it_belongs():
    quarter = timedelta(minutes=15)
    profile = [
        part
        for number in range(4)
        for part in (
            f"QTY+{'67' if number == 2 else '220'}:0.{number}25:KWH",
            dtm("163", START + number * quarter),
            dtm("164", START + (number + 1) * quarter),
        )
    ]
    content = mscons.read(
        file_of(*TRUE, SECOND, "RFF+MG:1EMH0012345678", "LIN+1", "PIA+5+1-0?:1.29.0:SRW", *profile)
    )
    first, *intervals = content.readings
    assert (first.device, first.value, first.obis.text) == (METER[8:], "1234.567", first.register)
    assert {reading.device for reading in intervals} == {"51238696781"}
    assert [reading.at_ms for reading in intervals] == [
        milliseconds(START + number * quarter) for number in range(1, 5)
    ]
    assert [reading.usable for reading in intervals] == [True, True, False, True]
    assert {reading.obis for reading in intervals} == {None}
    assert [reason for reason, _ in content.cautions] == [
        MsconsCautionReason.INTERVAL,
        MsconsCautionReason.NOT_A_TRUE_VALUE,
    ]
    assert content.shown["values"][0]["from"] == milliseconds(START)
    assert content.shown["values"][2]["status"] == "substitute value"
    assert content.shown["messages"][0]["meters"] == {"51238696781": "1EMH0012345678"}


@pytest.mark.parametrize("code", ["67", "201", "20", "187", "79", "Z18"])
def test_value__that_is_not_the_true_one__is_shown_and_not_usable(code):
    content = mscons.read(file_of(*(part.replace("QTY+220", f"QTY+{code}") for part in TRUE)))
    assert [reading.usable for reading in content.readings] == [False]
    assert [reason for reason, _ in content.cautions] == [MsconsCautionReason.NOT_A_TRUE_VALUE]


@given(
    st.lists(
        st.tuples(
            st.decimals(0, 10**12, places=3),
            st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)),
            st.integers(-12, 14),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_values__written_and_read__are_the_same(given_values):
    parts = []
    for value, moment, hours in given_values:
        offset = f"?{'-' if hours < 0 else '+'}{abs(hours):02}".replace("?-", "-")
        parts += [f"QTY+220:{value}:KWH", f"DTM+7:{moment:%Y%m%d%H%M}{offset}:303"]
    readings = mscons.read(file_of(METER, *REGISTER, *parts)).readings
    assert len(readings) == len(given_values)
    for reading, (value, moment, hours) in zip(readings, given_values, strict=True):
        minute = moment.replace(second=0, microsecond=0, tzinfo=UTC)
        assert reading.at_ms == milliseconds(minute - timedelta(hours=hours))
        assert reading.value == format(value, "f")


def test_time__of_the_location__counts_for_values_without_one():
    location = (METER, dtm("7", START))
    own = dtm("7", START + timedelta(hours=1))
    first, second = mscons.read(
        file_of(*location, *REGISTER, "QTY+220:1:KWH", "QTY+220:2:KWH", own)
    ).readings
    assert (first.at_ms, second.at_ms) == (
        milliseconds(START),
        milliseconds(START + timedelta(hours=1)),
    )
    period = (METER, dtm("163", START), dtm("164", START + timedelta(days=1)))
    (amount,) = mscons.read(file_of(*period, *REGISTER, "QTY+220:1:KWH")).readings
    assert amount.obis is None


def test_value__after_the_next_location__has_no_register_of_the_one_before():
    assert refusal(file_of(*TRUE, SECOND, "QTY+220:1:KWH")).reason is Reason.CODE_MALFORMED
    assert refusal(file_of(*TRUE, "NAD+DP", *TRUE[1:])).reason is Reason.DEVICE_MISSING


WHOLE = file_of(*TRUE, SECOND, *TRUE[1:])


@pytest.mark.parametrize("length", range(1, len(WHOLE) - 1, 7))
def test_file__cut_anywhere__is_refused(length):
    with pytest.raises(Rejected):
        mscons.read(WHOLE[:length])


@pytest.mark.parametrize("number", range(2, WHOLE.count(b"'") - 1))
def test_file__without_one_of_its_segments__is_refused(number):
    segments = WHOLE.split(b"'")
    with pytest.raises(Rejected):
        mscons.read(b"'".join(segments[:number] + segments[number + 1 :]))


def test_file__without_one_of_its_messages__is_refused():
    begin, end = WHOLE.index(b"UNH+"), WHOLE.index(b"UNZ+")
    second = WHOLE[begin:end].replace(b"UNH+1", b"UNH+2")
    second = re.sub(rb"(UNT\+[0-9]+)\+1", rb"\1+2", second)
    both = WHOLE[:end] + second + b"UNZ+2+REF1'"
    assert len(mscons.read(both).readings) == 4
    for lost in (WHOLE[:end] + b"UNZ+2+REF1'", both.replace(b"UNZ+2+REF1", b"UNZ+2+REF2")):
        assert "UNZ says otherwise" in refusal(lost).detail


def test_message__that_ends_with_another_segment__is_refused():
    assert "UNT says otherwise" in refusal(WHOLE.replace(b"UNT+", b"STS+")).detail


def test_separators__of_una__are_used():
    other = WHOLE[9:].replace(b"?+", b"\1").replace(b"?:", b"\2")
    other = other.replace(b"+", b"*").replace(b":", b"/").replace(b"'", b"~")
    other = b"UNA/*.! ~" + other.replace(b"\1", b"+").replace(b"\2", b":")
    assert mscons.read(other) == mscons.read(WHOLE)
    for una in (b"UNA::.? '", b"UNA:+.+ '", b"UNAA+.? '"):
        assert "UNA declares" in refusal(una + WHOLE[9:]).detail


def test_una__in_the_middle__hides_nothing():
    content = WHOLE.replace(b"'UNS+D'", b"'UNA:+.? 'UNS+D'")
    assert refusal(content).reason in (Reason.MALFORMED, Reason.TRUNCATED)


def test_limits__are_refused_by_name(monkeypatch):
    monkeypatch.setattr(values, "MAX_READINGS", 1)
    assert refusal(WHOLE).reason is Reason.TOO_MANY_RECORDS
    monkeypatch.setattr(interchange, "MAX_BYTES", 100)
    assert refusal(WHOLE).reason is Reason.TOO_LARGE


def test_replaced__message_function__is_not_read():
    assert "message function" in refusal(file_of(*TRUE, function="5")).detail


def test_recognise__needs_an_interchange_with_mscons():
    assert mscons.recognise(WHOLE) and mscons.recognise(b"\n" + WHOLE[9:])
    assert not mscons.recognise(re.sub(b"MSCONS", b"UTILMD", WHOLE))
    assert not mscons.recognise(b"MSCONS") and not mscons.recognise(b"")
