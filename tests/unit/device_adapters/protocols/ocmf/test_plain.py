"""The fast decoder for plain records returns the same as pyocmf, or nothing."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from device_adapters.protocols import ocmf
from device_adapters.protocols.ocmf.plain import plain
from device_adapters.protocols.ocmf.record import through_pyocmf
from device_adapters.types import Event, Rejected
from tests.support.signing_meter import PAYLOAD, SigningMeter

DER = SigningMeter().sign("any").hex()
ODD: list[Any] = [None, "", " ", 0, 1, True, [], {}, "x", "ä|", [""], {"a": 1}, "a" * 300, "\n"]


def _either(*good: Any) -> st.SearchStrategy[Any]:
    """Draw mostly values of the specification, sometimes anything."""
    return st.integers(0, 40).flatmap(lambda n: st.sampled_from(good if n else ODD))


_TIMES = st.one_of(
    st.builds(
        "{}-0{}-1{}T0{}:{}0:00,{}00{} {}".format,
        *(st.sampled_from(["2019", "2026", "9999"]), st.integers(1, 9), st.integers(0, 9)),
        *(st.integers(0, 9), st.integers(0, 5), st.integers(0, 9)),
        st.sampled_from(["+0100", "+0000", "-0730", "Z"]),
        st.sampled_from("SSSSIIURX"),
    ),
    _either("2026-03-01T08:00:00,000+0100 S", "2026-03-01T08:00:00+0100 S"),
)
_NUMBERS = st.one_of(
    *[st.decimals(0, 10**7, places=3).map(lambda value: f"RAW{value}")] * 5,
    *[st.integers(0, 10**14)] * 2,
    st.sampled_from(["RAW1e3", "RAW0.0000001", "RAW-1", "RAW1.50", " 3.5", "RAW1E400"]),
)
_READING = st.fixed_dictionaries(
    {},
    optional={
        "TM": _TIMES,
        "TX": _either("B", "C", "E", "L", "R", "A", "P", "S", "T", "X", " B "),
        "RV": st.one_of(_NUMBERS, _NUMBERS, _NUMBERS, _either(1)),
        "RI": _either(*["1-0:1.8.0"] * 6, *["1-1:1.8.0"] * 3, "01-00:98.08.00", "1-0:1.8.0*"),
        "RU": _either(*["kWh"] * 9, "Wh", "KWH"),
        "RT": _either("AC", "DC"),
        "EF": _either(*[""] * 9, "E", "t"),
        "ST": _either(*["G"] * 9, "M"),
    },
)
_ODD_READING = _READING.flatmap(
    lambda reading: st.fixed_dictionaries(
        {}, optional={"CL": _NUMBERS, "EI": st.integers(0, 2)}
    ).map(lambda more: reading | more)
)
_FIRST = _READING.map(
    lambda changes: (
        {"TM": "2026-03-01T08:00:00,000+0100 S", "RV": "RAW1.5", "RI": "1-0:1.8.0"}
        | {"RU": "kWh", "ST": "G"}
        | changes
    )
)
_FIELDS = {
    "FV": _either("1.0", "0.4", "1.4"),
    "GS": _either("GW-1"),
    "PG": _either(*["T1", "T41", "F7"] * 4, "T007", " T1", "F549755813888"),
    "MS": _either("EV-0001", " EV", "a/b", "GW-1"),
    "IS": _either(True, False),
    "IL": _either("VERIFIED", "NONE", "INVALID", " NONE"),
    "IF": _either([], ["RFID_PLAIN"], ["RFID_PLAIN"] * 5, ["?"], [[]]),
    "IT": _either("ISO14443", "EMAID", "LOCAL", "NONE"),
    "ID": _either("1F2D3A4F", "1F2D3A4F5506C7", "DETNME12345678X", ""),
    "TT": _either("day", " day "),
    "CF": _either("1.0"),
    "CT": _either("EVSEID", ""),
    "CI": _either("EV 1", "DE*ABC*E1*1", " E"),
}
_EXTRAS = {
    "LC": _either({"LN": "c", "LI": 1, "LR": 2, "LU": "mOhm"}),
    "XA": _either("vendor"),
    "QQ": _either("unknown"),
}


@st.composite
def _records(draw: st.DrawFn) -> bytes:
    payload = PAYLOAD | draw(st.fixed_dictionaries({}, optional=_FIELDS))
    if draw(st.integers(0, 9)) == 0:
        payload |= draw(st.fixed_dictionaries({}, optional=_EXTRAS))
    payload["RD"] = [
        draw(_FIRST),
        *draw(st.lists(st.one_of(_READING, _READING, _ODD_READING), max_size=2)),
    ]
    indent = draw(st.sampled_from([None, None, None, 1]))
    text = json.dumps(payload, ensure_ascii=draw(st.booleans()), indent=indent)
    text = re.sub('"RAW([^"]*)"', r"\1", text)
    seal = draw(
        st.sampled_from(
            [f'{{"SD":"{DER}"}}'] * 20
            + [f'{{"SD":"{DER}","SA":"ecdsa-secp256r1-SHA256","SM":"application/x-der"}}']
            + [f'{{"SD":"{DER}","SE":"base64"}}', f'{{"SD":"{DER}","SA":"?"}}', '{"SD":"00"}']
            + [f'{{"SD":"{DER}","SD":"{DER}"}}', f'{{"SD":"{DER}"}}|key', f'{{"SD":"{DER}"}} x']
        )
    )
    return f"OCMF|{text}|{seal}".encode()


@settings(max_examples=600, deadline=None)
@given(_records())
def test_decode__any_record__is_the_same_as_by_pyocmf(record: bytes) -> None:
    fast = plain(record)
    try:
        careful = through_pyocmf(record)
    except Rejected as refusal:
        assert fast is None, refusal
        return
    assert fast is None or _same(ocmf.decode(record), careful)


def _same(event: Event, other: Event) -> bool:
    names = [field.name for field in fields(Event)]
    return [getattr(event, name) for name in names] == [getattr(other, name) for name in names]


def test_plain__examples__are_decoded_fast_and_agree() -> None:
    fast = 0
    for _, record, expected in ocmf.EXAMPLES:
        if isinstance(expected, dict) and plain(record) is not None:
            assert _same(ocmf.decode(record), through_pyocmf(record))
            fast += 1
        elif not isinstance(expected, dict):
            assert plain(record) is None
    assert fast >= 3


def test_plain__several_registers_of_one_session__are_decoded_fast_and_agree() -> None:
    first = {"TM": "2026-03-01T08:00:00,000+0100 S", "TX": "B", "RV": 1, "RU": "kWh", "ST": "G"}
    last = first | {"TM": "2026-03-01T08:30:00,000+0100 S", "TX": "E", "RV": 2}
    for others, fast in ((["01-00:B1.08.00"], True), (["1-1:1.8.0"], False), (["1-0:2.8.0"], True)):
        codes = ["1-0:1.8.0", *others]
        readings = [item | {"RI": code} for code in codes for item in (first, last)]
        record = SigningMeter().record(
            json.dumps(PAYLOAD | {"RD": readings}, separators=(",", ":"))
        )
        assert (plain(record) is not None) == fast
        assert _same(ocmf.decode(record), through_pyocmf(record))


def test_plain__a_key_written_twice__is_not_a_plain_record() -> None:
    record = SigningMeter().record(json.dumps(PAYLOAD, separators=(",", ":")))
    assert plain(record) is not None
    for twice in (b'"GS":"GW-1",', b'"TX":"B",', b'"ST":"G"'):
        doubled = twice.strip(b",") + b"," + twice
        assert plain(record.replace(twice, doubled)) is None
