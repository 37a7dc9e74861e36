"""Tables: only what their first line declares is read, and nothing is guessed."""

from __future__ import annotations

import csv as csv_library
import io
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device_adapters.protocols import csv
from device_adapters.protocols.csv import CsvCautionReason, table
from device_adapters.protocols.csv.declaration import LINE
from device_adapters.types import Reason, Rejected

HEADER = "Meter;Time;OBIS;Value;Unit"


def table_of(*rows: str, line: str = LINE, header: str = HEADER) -> bytes:
    return "\n".join((line, header, *rows, "")).encode()


def row(at: str = "2026-11-30T00:00", value: str = "1234,567", register: str = "1-0:1.8.0") -> str:
    return f"M-1;{at};{register};{value};kWh"


def refusal(content: bytes) -> Rejected:
    with pytest.raises(Rejected) as caught:
        csv.read(content)
    return caught.value


def test_line__that_errors_show__reads_a_table():
    (reading,) = csv.read(table_of(row())).readings
    assert (reading.device, reading.value, reading.unit) == ("M-1", "1234.567", "kWh")
    moment = datetime(2026, 11, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    assert reading.at_ms == moment.timestamp() * 1_000
    assert LINE in refusal(f"{HEADER}\n{row()}\n".encode()).detail


@pytest.mark.parametrize("word", ["at", "register", "value", "unit", "zone", "decimal"])
def test_line__without_a_word__is_refused_with_the_word(word):
    parts = [part for part in LINE.split(";") if not part.startswith(f"{word}=")]
    error = refusal(table_of(row(), line=";".join(parts)))
    assert error.reason is Reason.MALFORMED and f"lacks {word}" in error.detail
    assert LINE in error.detail


@pytest.mark.parametrize(
    "change",
    [
        ("decimal=,", "decimal=;"),
        ("decimal=,", "decimal='"),
        ("separator=;", "separator=a"),
        ("separator=;", "separator=,"),
        ("zone=Europe/Berlin", "zone=../../etc/passwd"),
        ("zone=Europe/Berlin", "zone=Europe"),
        ("zone=Europe/Berlin", "zone=+25:00"),
        ("zone=Europe/Berlin", "zone=CET"),
        ("zone=Europe/Berlin", "zone=UTC;format=hh:mm"),
        ("zone=Europe/Berlin", "zone=UTC;format=DD.MM.YYYY hh:mm hh"),
        ("zone=Europe/Berlin", "zone=UTC;format=%d.%m.%Y %H:%M"),
        ("zone=Europe/Berlin", "zone=UTC;status=Unit"),
        ("zone=Europe/Berlin", "zone=UTC;good=kWh"),
        ("zone=Europe/Berlin", "zone=UTC;comment=x"),
        ("csv/1", "csv/01"),
    ],
)
def test_line__that_declares_what_is_not_known__is_refused(change):
    assert refusal(table_of(row(), line=LINE.replace(*change))).reason is Reason.MALFORMED


def test_line__with_one_sign_for_decimals_and_cells__is_refused():
    line = LINE.replace("separator=;", "separator=,")
    error = refusal(table_of(row().replace(";", ","), line=line, header=HEADER.replace(";", ",")))
    assert "another sign than separator" in error.detail


@pytest.mark.parametrize("quoted", ['device="M-9"', 'unit="kWh"'])
def test_line__with_a_value_in_quotes__gives_it_to_every_row(quoted):
    word = quoted.partition("=")[0]
    line = ";".join(quoted if p.partition("=")[0].endswith(word) else p for p in LINE.split(";"))
    line = line if line.startswith("#") else f"#proofrail csv/1 {line}"
    first, second = csv.read(table_of(row(), row(), line=line)).readings
    expected = "M-9" if word == "device" else "M-1"
    assert (first.device, second.device, first.unit) == (expected, expected, "kWh")


@settings(suppress_health_check=[HealthCheck.too_slow])  # of a loaded machine
@given(
    st.lists(
        st.tuples(
            st.decimals(-(10**9), 10**9, places=3),
            st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)),
            st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=9),
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([(",", ";"), (".", ","), (",", "\t"), (".", "|")]),
)
def test_table__written_and_read__is_the_same(rows, signs):
    decimal, separator = signs
    named = "tab" if separator == "\t" else separator
    line = LINE.replace("Europe/Berlin", "UTC").replace("decimal=,", f"decimal={decimal}")
    line = line.replace("separator=;", f"separator={named}")
    text = io.StringIO(newline="")
    writer = csv_library.writer(text, delimiter=separator)
    writer.writerow(["note", *HEADER.split(";")])
    for value, moment, name in rows:
        at = moment.isoformat(timespec="milliseconds")
        number = format(value, "f").replace(".", decimal)
        writer.writerow(["x", name, at, "1-0:1.8.0", number, "kWh"])
    content = csv.read(f"{line}\r\n{text.getvalue()}".encode())
    assert content.shown == {"columns_not_read": ["note"]}
    for reading, (value, moment, name) in zip(content.readings, rows, strict=True):
        since = moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
        assert reading.at_ms == since // timedelta(milliseconds=1)
        assert (reading.device, reading.value) == (name, format(value, "f"))


@pytest.mark.parametrize(
    ("at", "is_clear"),
    [
        ("2026-10-25T01:59:59", True),
        ("2026-10-25T02:00", False),
        ("2026-10-25T02:59", False),
        ("2026-10-25T03:00", True),
        ("2026-03-29T01:59", True),
        ("2026-03-29T02:30", False),
        ("2026-03-29T03:00", True),
    ],
)
def test_time__when_clocks_change__is_read_only_where_it_is_one_time(at, is_clear):
    content = csv.read(table_of(row(at=at)))
    (reading,) = content.readings
    assert (reading.at_ms is not None, reading.usable) == (is_clear, is_clear)
    ambiguous = (CsvCautionReason.TIME_AMBIGUOUS, "1 rows: lines 3")
    assert content.cautions == (() if is_clear else (ambiguous,))


@pytest.mark.parametrize(
    "value", ["1.234,567", "1 234", "1'234", "1234.567", "1e3", "NaN", "--1", ","]
)
def test_number__of_another_form__is_refused_with_its_line(value):
    error = refusal(table_of(row(), row(value=value)))
    assert error.reason is Reason.NUMBER_OUT_OF_RANGE and "line 4" in error.detail


@pytest.mark.parametrize(
    "at",
    ["30.11.2026 00:00", "2026-11-30", "2026-13-30T00:00", "2026-11-30T24:00", "1764460800", ""],
)
def test_time__of_another_form__is_refused_with_its_line(at):
    error = refusal(table_of(row(), row(at=at)))
    assert error.reason is Reason.TIME_MALFORMED and "line 4" in error.detail


def test_row__without_a_value__is_no_reading_and_named():
    content = csv.read(table_of(row(), row(value=""), "", ";;;;"))
    assert len(content.readings) == 1
    assert content.cautions == ((CsvCautionReason.VALUE_MISSING, "1 rows: lines 4"),)


def test_cell__with_a_line_end_of_unicode__stays_one_cell():
    (reading,) = csv.read(table_of(row(register="flow\u2028rate"))).readings
    assert reading.register == "flow\u2028rate"


def test_column__that_stands_twice__is_refused():
    error = refusal(table_of(row() + ";x", header=HEADER + ";Value"))
    assert error.reason is Reason.MALFORMED and "2 such columns" in error.detail


def test_register__of_a_quantity__has_its_name():
    temperature, energy = csv.read(table_of(row(register="temperature"), row())).readings
    assert (temperature.register, temperature.obis) == ("temperature", None)
    assert energy.obis.text == energy.register == "01-00:01.08.00*FF"


def test_limits__are_refused_by_name(monkeypatch):
    monkeypatch.setattr(table, "MAX_ROWS", 1)
    assert refusal(table_of(row(), row())).reason is Reason.TOO_MANY_RECORDS
    monkeypatch.setattr(table, "MAX_COLUMNS", 4)
    assert refusal(table_of(row())).reason is Reason.MALFORMED
    monkeypatch.setattr(table, "MAX_BYTES", 100)
    assert refusal(table_of(row())).reason is Reason.TOO_LARGE
