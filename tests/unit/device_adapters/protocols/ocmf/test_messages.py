"""Messages are split into their records; every failure is a rejection with its bytes."""

from __future__ import annotations

import json

import pytest

from device_adapters.protocols.ocmf import split
from device_adapters.registry import MAX_AHEAD_MS, from_the_future, read
from device_adapters.types import (
    MAX_MESSAGE_BYTES,
    MAX_RECORD_BYTES,
    MAX_RECORDS_PER_MESSAGE,
    Event,
    Message,
    Reason,
    Rejected,
)
from tests.support.signing_meter import SigningMeter, payload

METER = SigningMeter()
RECORDS = [METER.record(payload(PG=f"T{n}")) for n in range(1, 4)]
PRETTY = [METER.record(json.dumps(json.loads(payload(PG=f"T{n}")), indent=2)) for n in range(1, 4)]
KEY = METER.key.der.hex().encode()


def _outcomes(body: bytes, device: str = "", **more) -> list[int | str]:
    outcomes = read(Message("ocmf", device, body, **more))
    return [o.counter if isinstance(o, Event) else str(o.reason) for o in outcomes]


@pytest.mark.parametrize("between", [b"\n", b"\r\n", b"\n\n", b"", b" ", b",\n", b"\n \t"])
@pytest.mark.parametrize("records", [RECORDS, PRETTY], ids=["on a line", "pretty-printed"])
def test_split__records_on_lines_or_without_breaks__are_split_unchanged(
    records: list[bytes], between: bytes
) -> None:
    assert split(between.join(records)) == records
    assert split(b"\xef\xbb\xbf " + between.join(records) + b"\n\0") == records


def test_split__records_in_hex_on_lines__are_split_even_when_wrapped() -> None:
    wrapped = [b"\n".join([r.hex().encode()[:64], r.hex().encode()[64:]]) for r in RECORDS]
    assert split(b"\n".join(r.hex().encode() for r in RECORDS)) == [
        r.hex().encode() for r in RECORDS
    ]
    assert split(b"\n".join(wrapped)) == wrapped
    assert _outcomes(b"\n".join(wrapped)) == [1, 2, 3]


def test_split__records_with_appended_keys__keep_their_keys() -> None:
    keyed = [record + b"|" + KEY for record in RECORDS]
    assert split(b"\n".join(keyed)) == keyed
    assert split(b"".join(keyed)) == keyed
    assert _outcomes(b"".join(keyed)) == [1, 2, 3]


def test_split__header_within_a_string__cuts_nothing() -> None:
    tricky = METER.record(payload(TT='x OCMF|{"a":1}|{}'))
    assert split(tricky) == [tricky]
    assert split(tricky + tricky) == [tricky, tricky]


def test_read__bad_records_between_good_ones__do_not_affect_the_others() -> None:
    cut = RECORDS[0][:150]
    body = b"\n".join([b"junk", RECORDS[0], cut, RECORDS[1], b"more junk", RECORDS[2]])
    assert _outcomes(body) == ["malformed", 1, "truncated", 2, "malformed", 3]
    outcomes = read(Message("ocmf", "", body))
    assert [o.raw for o in outcomes if isinstance(o, Rejected)] == [b"junk", cut, b"more junk"]


def test_read__another_device_than_the_topics__is_named() -> None:
    assert _outcomes(RECORDS[0], "EV-0001") == [1]
    assert _outcomes(RECORDS[0], "EV-0002") == ["device_not_of_topic"]


def test_read__retained_unknown_or_oversized__are_named_as_a_whole() -> None:
    assert _outcomes(RECORDS[0], retained=True) == ["retained"]
    assert _outcomes(b"x" * (MAX_MESSAGE_BYTES + 1)) == ["too_large"]
    assert _outcomes(METER.record(payload(TT="x" * MAX_RECORD_BYTES))) == ["too_large"]
    assert _outcomes(b"OCMF|\n" * (MAX_RECORDS_PER_MESSAGE + 1)) == ["too_many_records"]
    assert _outcomes(b"") == ["empty"]
    assert [r.reason for r in read(Message("dlms", "", b"x"))] == [Reason.UNKNOWN_PROTOCOL]
    assert [r.reason for r in read(Message("_blueprint", "", b"{}"))] == [Reason.UNKNOWN_PROTOCOL]


@pytest.mark.parametrize(
    "bomb",
    [b"OCMF|" + b"[" * 16_000, b"OCMF|" + b'{"a":' * 3_000, b"OCMF|[1e9999999999999999999]|{}"],
)
def test_read__bombs__are_named(bomb: bytes) -> None:
    assert _outcomes(bomb)[0] in ("too_deep", "number_out_of_range")


def test_read__nesting__is_bounded_long_before_the_interpreter_gives_up() -> None:
    deep: object = "x"
    for _ in range(12):
        deep = [deep]
    assert _outcomes(METER.record(payload(XA=deep))) == [41]
    for _ in range(8):
        deep = [deep]
    assert _outcomes(METER.record(payload(XA=deep))) == ["too_deep"]


def test_read__far_future__is_named_only_when_a_time_is_given() -> None:
    event = read(Message("ocmf", "", RECORDS[0]))[0]
    assert isinstance(event, Event)
    edge = event.observed_at_ms - MAX_AHEAD_MS
    assert from_the_future(event, edge) is None
    (late,) = read(Message("ocmf", "", RECORDS[0]), now_ms=edge - 1)
    assert isinstance(late, Rejected)
    assert (late.reason, late.raw) == (Reason.TIME_IN_FUTURE, RECORDS[0])


def test_read__decoder_that_raises_another_error__gives_a_rejection(monkeypatch) -> None:
    from dataclasses import replace

    from device_adapters import registry

    def broken(record: bytes) -> Event:
        raise RecursionError

    table = {"ocmf": replace(registry.load("ocmf"), decode=broken)}
    monkeypatch.setattr(registry, "protocols", lambda: table)
    assert _outcomes(RECORDS[0]) == ["malformed"]
