"""The libraries that read an OCMF record, against Python's own readers, at every boundary.

time, counter, register, energy, unit
├── given any value in any spelling that the contract takes: it should read what Python reads
└── given one character more, less or other than that: it should refuse it, or read no code
JSON
└── given any text: a value's end and an object's member should be where Python has them
"""

from __future__ import annotations

import json
import random
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest

from scripts.solidity.shipped import current_artifacts
from scripts.solidity.sources import ROOT
from services.testnet import Testnet
from tests.support.contracts.onchain import Node, OnChain, creation

SOURCES = ["tests/contracts/sources/FieldReader.sol"]
STREAM = 1 << 39  # the bit of the fiscal stream in a counter


class FieldsOnChain:
    """The libraries on a chain; each text stands among others, which must not be read."""

    def __init__(self, node: Node) -> None:
        artifacts = current_artifacts(SOURCES, ROOT / ".build" / "contracts")
        artifact = artifacts["FieldReader"]
        sender = node.rpc("eth_accounts")[0]
        receipt = node.mined({"from": sender, "data": creation(artifact, ())})
        self.contract = OnChain(node, "FieldReader", receipt["contractAddress"], artifact.abi, {})

    def read(self, name: str, text: str | bytes, *more: object, before="9", after="9"):
        """Return what a function reads, None where it refuses the text."""
        raw = text if isinstance(text, bytes) else text.encode()
        whole = before.encode() + raw + after.encode()
        first = len(before)
        return self.ask(name, whole, first, first + len(raw), *more)

    def ask(self, name: str, *args: object):
        try:
            return getattr(self.contract, name)(*args)
        except RuntimeError:
            return None


@pytest.fixture(scope="module")
def reader():
    with Testnet() as chain:
        yield FieldsOnChain(Node(chain.url))


# --- time


def seconds_of(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp())


def test_time__of_every_month_and_zone__is_what_the_calendar_says(reader):
    days = [
        datetime(year, month, 1, 23, 59, 58)
        for year in (1971, 1999, 2000, 2001, 2024, 2100, 2400)
        for month in range(1, 13)
    ]
    days += [day + timedelta(days=days_) for day in days[:36] for days_ in (-1, 27)]
    zones = ("Z", "+0000", "+01:00", "-0330", "+1400", "-12:00")
    for number, day in enumerate(day for day in days if day.year >= 1971):
        zone = zones[number % len(zones)]
        for tail in ("", ",000", ".999", ",1"):
            for mark in ("", " S"):
                text = f"{day:%Y-%m-%dT%H:%M:%S}{tail}{zone}{mark}"
                sign = -1 if zone[0] == "-" else 1
                digits = zone.replace(":", "").replace("Z", "+0000")
                ahead = sign * timedelta(hours=int(digits[1:3]), minutes=int(digits[3:5]))
                moment = day.replace(tzinfo=timezone(ahead))
                assert reader.read("time", text) == seconds_of(moment), text


BAD_TIMES = (
    *("2026-03-01T08:00:00", "2026-03-01T08:00:00S", "2026-03-01T08:00:00X", "", "2026"),
    *("2026-00-01T08:00:00Z", "2026-13-01T08:00:00Z", "2026-03-00T08:00:00Z"),
    *("2026-03-32T08:00:00Z", "1970-12-31T08:00:00Z", "0000-03-01T08:00:00Z"),
    *("2026-03-01T08:00:00Z  S", "2026-03-01T08:00:00ZS", "2026-03-01T08:00:00Z+S"),
    *("2026-03-01T08:00:00+01", "2026-03-01T08:00:00+010", "2026-03-01T08:00:00+01:0"),
    *("2026-03-01T08:00:00+0100 SS", "2026-03-01T08:00:00*0100", "2026-03-01T08:00:00,0x0Z"),
    *("2026-03-01T08:00:00Z ", "2026-03-01T08:00:00+01:00:00", "2026-03-01T08:00:00;000Z"),
)


@pytest.mark.parametrize("text", BAD_TIMES)
def test_time__in_another_spelling__is_refused(reader, text):
    for after in ("9", "0Z", "Z", " S"):
        assert reader.read("time", text, after=after) is None, after


def test_time__one_character_changed__is_refused(reader):
    text = "2026-03-01T08:00:00+01:00 S"
    for at in (*range(19), 20, 21, 23, 24, 25):
        for sign in "x/;:- ":
            if sign != text[at]:
                changed = text[:at] + sign + text[at + 1 :]
                assert reader.read("time", changed) is None, changed


# --- counter


@pytest.mark.parametrize(
    ("text", "counter"),
    [
        ("T0", 0),
        ("T1", 1),
        ("F0", STREAM),
        ("F1", STREAM + 1),
        (f"T{STREAM - 1}", STREAM - 1),
        (f"F{STREAM - 1}", 2 * STREAM - 1),
        ("T000000000000017", 17),
        ("T0000000000000017", None),
        (f"T{STREAM}", None),
        (f"F{STREAM}", None),
        ("T999999999999999", None),
        ("T", None),
        ("F", None),
        ("", None),
        ("X1", None),
        ("t1", None),
        ("G1", None),
        ("U1", None),
        ("11", None),
        ("T1x", None),
        ("T/", None),
        ("T:", None),
        ("T-1", None),
    ],
)
def test_counter__its_stream_and_number__is_what_the_record_names(reader, text, counter):
    assert reader.read("counter", text) == counter


# --- register

_HEX = "[0-9A-Fa-f]"
_CODE = re.compile(
    rf"(?:({_HEX}{{1,2}})-({_HEX}{{1,2}}):)?({_HEX}{{1,3}})\.({_HEX}{{1,3}})\.({_HEX}{{1,3}})"
    rf"(?:[*.&]({_HEX}{{1,3}}))?"
)


def register_of(text: str) -> int | None:
    """Return the code of a text, 0 where it is none, None where others might read one."""
    match = _CODE.fullmatch(text)
    if match:
        a, b, c, d, e, f = match.groups()
        last = {None: "ff", "255": "ff", "200": "0"}.get(f, f)
        groups = [int(group, 16) for group in (a or "1", b or "0", c, d, e, last)]
        if max(groups) < 256:
            return int.from_bytes(bytes(groups), "big")
    return 0 if all(0x20 < ord(sign) < 0x7F for sign in text) else None


def test_register__any_spelling__is_the_code_that_it_spells(reader):
    texts = [
        *("1-0:1.8.0*255", "1-0:1.8.0", "1.8.0", "1.8.0*FF", "01-00:B2.08.00*FF", "1.8.0.200"),
        *("1-0:1.8.0&ff", "1.8", "1", "", "1-0:", "-0:1.8.0", "1-:1.8.0", "100-0:1.8.0"),
        *("1-100:1.8.0", "1-0;1.8.0", "1-0:1.8.0+1", "1.8.0*", "1.8.0*100", "1.8.0*0ff"),
        *("100.8.0", "0ff.8.0", "1.100.0", "1.8.100", "1.8.0*1234", "1234.8.0", "g.8.0", "1.8.g"),
        *("1.8.0 ", " 1.8.0", "1.8.0*255x", "1.8.0~", "1.8.0\x7f", "x y", "x\x1fy", "x!y", "`.8.0"),
        *("@.8.0", "/.8.0", ":.8.0", "a.f.A", "F.G.0", "1-0:1-0:1.8.0", "1.8-0:0", "1.8.0.1.2"),
        *("ff-ff:ff.ff.ff*fe", "0-0:0.0.0*0", "1.8..0", ".8.0", "1..0", "1.8.*1"),
    ]
    random_ = random.Random(7)
    for _ in range(400):
        text = random_.choice(texts[:40])
        at = random_.randrange(len(text) + 1)
        texts.append(
            text[:at] + random_.choice("0127afgF.-:*&~") + text[at + random_.randrange(2) :]
        )
    for text in texts:
        assert reader.read("register", text) == register_of(text), text


def test_registers__of_energy_and_of_a_session__are_the_named_ones(reader):
    energy = {0x01, 0x02, 0x98, 0x9E, *range(0xB0, 0xB4), *range(0xC0, 0xC4)}
    codes = [
        (a, b, c, d, e, f)
        for a, b, d, e, f in (
            *((1, 0, 8, 0, 0xFF), (1, 0, 8, 0, 0), (1, 7, 8, 0, 0xFF), (0, 0, 8, 0, 0xFF)),
            *((2, 0, 8, 0, 0xFF), (1, 0, 7, 0, 0xFF), (1, 0, 9, 0, 0xFF), (1, 0, 8, 1, 0xFF)),
            *((1, 0, 8, 0, 1), (1, 0, 8, 0, 0xFE), (1, 0, 8, 1, 0)),
        )
        for c in range(256)
    ]
    numbers = [int.from_bytes(bytes(code), "big") for code in codes]
    energies, sessions = reader.contract.kinds(numbers)
    for (a, _, c, d, e, f), is_energy, is_session in zip(codes, energies, sessions, strict=True):
        counts = a == 1 and d == 8 and e == 0 and f in (0, 0xFF) and c in energy
        assert (is_energy, is_session) == (counts, c in (0xB2, 0xB3, 0xC2, 0xC3))


# --- energy and its unit


@pytest.mark.parametrize(
    ("text", "decimals", "value"),
    [
        ("0", 6, 0),
        ("1", 6, 1_000_000),
        ("1.5", 6, 1_500_000),
        ("1.2345678", 6, 1_234_567),
        ("0.0009999", 3, 0),
        ("10.", 3, 10_000),
        (".5", 3, 500),
        ("1.23", 3, 1_230),
        ("1.234", 3, 1_234),
        ("987654321.123456", 6, 987_654_321_123_456),
        ("1" * 40, 0, int("1" * 40)),
        ("1" * 41, 0, None),
        ("", 6, None),
        ("1.2.3", 6, None),
        ("-1", 6, None),
        ("1e2", 6, None),
        ("1/", 6, None),
        ("1:", 6, None),
        ("+1", 6, None),
    ],
)
def test_energy__plain_digits__is_rounded_down(reader, text, decimals, value):
    plain, read = reader.read("energy", text, decimals)
    assert (read if plain else None) == value


@pytest.mark.parametrize(
    ("text", "decimals"),
    [("kWh", 6), ("Wh", 3), ("kwh", None), ("WH", None), ("", None), ("kWhh", None), ("W", None)],
)
def test_unit__its_decimals__are_those_of_a_milliwatt_hour(reader, text, decimals):
    assert reader.read("unit", text) == decimals


# --- JSON

VALUES = (
    *("0", "-1.5e3", "true", "null", '""', '"a"', '"a\\"b"', '"\\\\"', "{}", "[]", "[1]", "[[]]"),
    *('{"a":1}', '{"a":{"b":[1,{"c":"}"}]}}', '[{"a":"]"},[2,[3]],"["]', "[ 1 , 2 ]", "12"),
    *('{ "a" : "b" }', "[1,2,3]", '[{},{},""]', '["a","b"]', '{"a":[],"b":{}}'),
)


@pytest.mark.parametrize("value", VALUES)
def test_value__with_anything_behind_it__ends_where_it_ends(reader, value):
    json.loads(value)
    for before in ("", "[", "{}"):
        for after in ("", ",", "}", "]", " ", "\n", "\r", "\t"):
            whole = f"{before}{value}{after}".encode()
            assert reader.ask("end", whole, len(before)) == len(before) + len(value), whole


@pytest.mark.parametrize(
    "text", ["", "}", "]", ",", " ", "[", "{", '"', '"a', '"a\\"', "[1", '{"a":1', "[[]", '["a]']
)
def test_value__that_is_none_or_does_not_end__is_refused(reader, text):
    assert reader.ask("end", text.encode(), 0) is None


OBJECTS = (
    *(
        '{"a":"1"}',
        '{"b":1,"a":"x"}',
        ' { "a" : "1" , "b" : [1, {"a":"9"}] } ',
        '{"ab":"2","a":"3"}',
    ),
    *('{"A":"2","a":"3"}', '{"b":{"a":"9"},"a":"4"}', '{"a":""}', '\t{"c":null,\n"a":"5"\r}'),
    *('{"a":"1","b":"2","c":"3"}', '{"b":"a","a":"b"}', '{"b":[],"a":"{}"}'),
)


@pytest.mark.parametrize("text", OBJECTS)
def test_member__of_an_object__is_what_python_reads(reader, text):
    assert reader.ask("member", text.encode(), b"a") == json.loads(text)["a"].encode()


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[]", '{"b":"1"}', '{"a":1}', '{"a":"1"', '{"a" "1"}', '{"a":"1";"b":"2"}'),
        *('{"a":"\\u0031"}', '{"\\u0061":"1"}', '{"a":"1"]', 'x{"a":"1"}', '"a":"1"', '{"aa":"1"}'),
    ],
)
def test_member__that_is_missing_or_unclear__is_refused(reader, text):
    assert reader.ask("member", text.encode(), b"a") is None


@pytest.mark.parametrize(
    ("text", "key"), [("RV", 0x5256), ("R", 0), ("RVx", 0), ("", 0), ("zz", 0x7A7A)]
)
def test_key__of_two_characters__is_a_number(reader, text, key):
    assert reader.read("key", text) == key
