"""SenML packs: base fields, exact values, names and times, in JSON and CBOR alike."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.content import Content
from device_adapters.protocols.senml import read, recognise
from device_adapters.protocols.senml.pack import LABELS
from device_adapters.types import Reason, Rejected

_NUMBERS = {name: label for label, name in LABELS.items()}


def _cbor(*records: dict[str, Any]) -> bytes:
    return cbor2.dumps([{_NUMBERS.get(k, k): v for k, v in record.items()} for record in records])


def _values(content: Content) -> list[tuple[str, str, str, str]]:
    return [(r.device, r.register, r.value, r.unit) for r in content.readings]


def test_read__base_fields__hold_until_they_change() -> None:
    pack = read(
        b'[{"bn":"A:","bt":1000000000,"bu":"W","bv":0.1,"n":"p","v":0.2},'
        b'{"n":"q","u":"V","t":1.5,"v":-1},{"bn":"B/","n":"p","v":1e3,"t":-0.001}]'
    )
    assert _values(pack) == [
        ("A", "p", "0.3", "W"),
        ("A", "q", "-0.9", "V"),
        ("B", "p", "1000.1", "W"),
    ]
    assert [r.at_ms for r in pack.readings] == [10**12, 10**12 + 1500, 10**12 - 1]


def test_read__a_record_of_base_fields_only__is_no_reading() -> None:
    pack = read(b'[{"bn":"A:","bver":10},{"n":"p","v":1}]')
    assert _values(pack) == [("A", "p", "1", "")]


def test_read__a_time_in_a_record_of_its_own__holds_for_those_after_it() -> None:
    (reading,) = read(b'[{"bt":1720696276},{"n":"a","v":1}]').readings
    assert reading.at_ms == 1_720_696_276_000


def test_read__labels_written_as_texts_in_cbor__are_named() -> None:
    with pytest.raises(Rejected, match="-2, 3") as caught:
        read(cbor2.dumps([{"3": "hhh", "-2": "/3442/0/110"}]))
    assert caught.value.reason is Reason.READING_MISSING


def test_read__cbor_number__is_the_shortest_decimal_of_its_double() -> None:
    assert _values(read(_cbor({"n": "a", "v": 23.1})))[0][2] == "23.1"


def test_read__a_base_time_with_the_tag_of_times__is_a_time() -> None:
    tagged = cbor2.CBORTag(1, 1_720_696_276)
    (reading,) = read(_cbor({"bn": "A:", "bt": tagged, "n": "a", "v": 1})).readings
    assert reading.at_ms == 1_720_696_276_000
    with pytest.raises(Rejected) as caught:
        read(_cbor({"n": "a", "v": tagged}))
    assert caught.value.reason is Reason.WRONG_TYPE


def test_read__texts_sums_and_unknown_members__are_shown_only() -> None:
    pack = read(
        b'[{"n":"a","vs":"open"},{"n":"b","vb":false},{"n":"c","vd":"aGk"},'
        b'{"n":"d","u":"W","s":3600.5,"x":1},{"n":"e","v":1,"ut":5}]'
    )
    assert _values(pack) == [("", "e", "1", "")]
    assert [text["value"] for text in pack.shown["texts"]] == ["open", "False", "aGk"]
    assert pack.shown["sums"] == [{"device": "", "register": "d", "value": "3600.5", "unit": "W"}]
    assert pack.shown["fields_not_read"] == ["x"]


def test_read__a_name_that_is_no_obis_code__is_no_register() -> None:
    pack = read(
        b'[{"bu":"kWh","n":"energy","v":1},{"n":"1-0:1.8.0","v":2},{"n":"3331/0/5805","v":3}]'
    )
    assert [reading.obis is not None for reading in pack.readings] == [False, True, False]


def test_read__a_unit_that_is_not_registered__is_a_caution() -> None:
    pack = read(b'[{"n":"a","u":"kwh","v":1},{"n":"b","u":"kWh","v":1}]')
    assert [code.value for code, _ in pack.cautions] == ["unit_unregistered"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'[{"n":"a","v":true}]', Reason.WRONG_TYPE),
        (b'[{"n":"a","vb":1}]', Reason.WRONG_TYPE),
        (b'[{"n":1,"v":1}]', Reason.WRONG_TYPE),
        (b'[{"n":"a","v":1,"v":2}]', Reason.DUPLICATE_KEY),
        (b'[{"n":"a","v":1e400}]', Reason.NUMBER_OUT_OF_RANGE),
        (b'[{"bt":1e18,"n":"a","v":1}]', Reason.TIME_MALFORMED),
        (b'[{"bn":"_a","n":"b","v":1}]', Reason.DEVICE_MISSING),
        (b'[{"v":1}]', Reason.DEVICE_MISSING),
        (b"[1]", Reason.WRONG_TYPE),
        (b'[{"n":"\xff","v":1}]', Reason.NOT_UTF8),
        (_cbor({"n": "a", "v": float("inf")}), Reason.NUMBER_OUT_OF_RANGE),
        (b"\x81\xbf\xff", Reason.MALFORMED),
        (_cbor({"n": "a", "v": 1, "t": cbor2.CBORTag(1, 1 << 60)}), Reason.MALFORMED),
    ],
)
def test_read__a_broken_pack__is_refused_by_name(content: bytes, reason: Reason) -> None:
    with pytest.raises(Rejected) as caught:
        read(content)
    assert caught.value.reason is reason


@given(
    values=st.lists(
        st.decimals(-(10**9), 10**9, places=3, allow_nan=False), min_size=1, max_size=5
    ),
    base=st.integers(-1000, 1000),
)
def test_read__json_and_cbor__say_the_same_exactly(values: list, base: int) -> None:
    fields = [{"n": f"x{i}", "u": "Wh", "v": value} for i, value in enumerate(values)]
    fields[0] |= {"bn": "D-1:", "bv": base}
    text = [
        "{" + ",".join(f'"{k}":{v if k in ("v", "bv") else repr(v)}' for k, v in f.items()) + "}"
        for f in fields
    ]
    in_json = ("[" + ",".join(text) + "]").replace("'", '"').encode()
    in_cbor = _cbor(*fields)
    assert recognise(in_json) and recognise(in_cbor)
    assert _values(read(in_json)) == _values(read(in_cbor))
    assert [r.value for r in read(in_json).readings] == [format(v + base, "f") for v in values]
