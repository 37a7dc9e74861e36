"""Every protocol reads its own examples and raises only the declared error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import device_adapters.protocols as folder
from device_adapters.content import Content
from device_adapters.registry import (
    Protocol,
    UnsignedProtocol,
    load,
    protocol_names,
    protocols,
    read,
    unsigned,
)
from device_adapters.types import STREAM_BIT, Event, Message, Reason, Rejected

ALL = [*protocols().values(), load("_blueprint")]
EXAMPLES = [
    pytest.param(protocol, record, expected, id=f"{protocol.name}: {title}")
    for protocol in ALL
    for title, record, expected in protocol.examples
]
UNSIGNED_EXAMPLES = [
    pytest.param(protocol, content, expected, id=f"{protocol.name}: {title}")
    for protocol in unsigned().values()
    for title, content, expected in protocol.examples
]
_QUIET = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=150)


def test_protocols__files_without_underscore__are_in_the_registry() -> None:
    root = Path(folder.__path__[0])
    names = {path.stem for path in [*root.glob("*.py"), *root.glob("*/__init__.py")]}
    names |= {path.parent.name for path in root.glob("*/__init__.py")}
    listed = {name for name in names if not name.startswith("_")}
    assert set(protocols()) | set(unsigned()) == set(protocol_names()) == listed
    assert not set(protocols()) & set(unsigned())
    assert {"ocmf", "sealed"} <= set(protocols()) and "senml" in unsigned()


@pytest.mark.parametrize("protocol", ALL, ids=lambda protocol: protocol.name)
def test_protocol__its_topic__ends_with_its_name_and_names_the_device(protocol: Protocol) -> None:
    assert protocol.inlet == f"proofrail/+/evidence/{protocol.name.lstrip('_')}"


@pytest.mark.parametrize(("protocol", "record", "expected"), EXAMPLES)
def test_decode__example__gives_the_fields_or_the_reason(
    protocol: Protocol, record: bytes, expected: dict | Reason
) -> None:
    if isinstance(expected, dict):
        event = protocol.decode(record)
        assert {name: getattr(event, name) for name in expected} == expected
        assert event.evidence == record
        _assert_sound(event)
    else:
        with pytest.raises(Rejected) as caught:
            protocol.decode(record)
        assert caught.value.reason is expected


@pytest.mark.parametrize("protocol", ALL, ids=lambda protocol: protocol.name)
@_QUIET
@given(junk=st.binary(max_size=400))
def test_decode__random_bytes__only_the_declared_error(protocol: Protocol, junk: bytes) -> None:
    _decode_all(protocol, junk)


@pytest.mark.parametrize("protocol", ALL, ids=lambda protocol: protocol.name)
@_QUIET
@given(data=st.data())
def test_decode__mutated_examples__only_the_declared_error(
    protocol: Protocol, data: st.DataObject
) -> None:
    _decode_all(protocol, data.draw(_mutated(protocol.examples)))


_TOKENS = [
    *(b'"', b"{", b"}", b"|", b"[", b"]", b",", b":", b"\n", b"\\ud800", b"\\u0000", b"OCMF|"),
    *(b"null", b"true", b"{}", b"[]", b'""', b"NaN", b"-Infinity", b"1e400", b"9" * 5_000),
    *(b"[" * 20_000, b'{"a":' * 20_000, b'"RV":"1_0"', b'"TM":0', b'"RD":[{}]', b'"RD":[]'),
]


@pytest.mark.parametrize("protocol", protocols().values(), ids=lambda protocol: protocol.name)
@_QUIET
@given(data=st.data())
def test_read__any_body__gives_events_and_rejections_with_their_bytes(
    protocol: Protocol, data: st.DataObject
) -> None:
    good = [record for _, record, _ in protocol.examples]
    parts = data.draw(st.lists(st.one_of(st.sampled_from(good), st.binary(max_size=40))))
    body = data.draw(st.sampled_from([b"\n", b"", b"\r\n\r\n", b","])).join(parts)
    for outcome in read(Message(protocol.name, "", body)):
        assert isinstance(outcome, Event | Rejected)
        assert not isinstance(outcome, Rejected) or outcome.detail.find("decoder failed") < 0


@pytest.mark.parametrize(("protocol", "content", "expected"), UNSIGNED_EXAMPLES)
def test_unsigned__example__gives_the_first_reading_or_the_reason(
    protocol: UnsignedProtocol, content: bytes, expected: dict | Reason
) -> None:
    if isinstance(expected, dict):
        said = protocol.read(content)
        first = said.readings[0]
        assert {name: getattr(first, name) for name in expected} == expected
        assert protocol.recognise(content)
        _assert_readable(said)
    else:
        with pytest.raises(Rejected) as caught:
            protocol.read(content)
        assert caught.value.reason is expected


@pytest.mark.parametrize("protocol", unsigned().values(), ids=lambda protocol: protocol.name)
@_QUIET
@given(data=st.data())
def test_unsigned__random_and_mutated_bytes__only_the_declared_error(
    protocol: UnsignedProtocol, data: st.DataObject
) -> None:
    content = data.draw(st.one_of(st.binary(max_size=200), _mutated(protocol.examples)))
    assert protocol.recognise(content) in (True, False)
    try:
        _assert_readable(protocol.read(content))
    except Rejected as refusal:
        assert isinstance(refusal.reason, Reason) and refusal.detail


@pytest.mark.parametrize("protocol", unsigned().values(), ids=lambda protocol: protocol.name)
def test_unsigned__published_without_an_envelope__is_refused_by_name(
    protocol: UnsignedProtocol,
) -> None:
    content = protocol.examples[0][1]
    (refusal,) = read(Message(protocol.name, "M-1", content))
    assert isinstance(refusal, Rejected)
    assert (refusal.reason, refusal.raw) == (Reason.SIGNATURE_MISSING, content)
    assert "protocol sealed" in refusal.detail


@st.composite
def _mutated(draw: st.DrawFn, examples: tuple) -> bytes:
    content = draw(st.sampled_from([content for _, content, _ in examples]))
    junk = st.one_of(st.binary(max_size=6), st.sampled_from(_TOKENS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 12)))
        content = content[:start] + draw(junk) + content[end:]
    return content


def _assert_readable(said: Content) -> None:
    """Assert what the envelope and the check of a file need: JSON-ready texts, exact numbers."""
    for reading in said.readings:
        assert isinstance(reading.value, str) and isinstance(reading.unit, str)
        assert reading.device == reading.device.strip()
        assert not isinstance(reading.at_ms, float | bool)
        assert reading.obis is None or reading.register == reading.obis.text
        json.dumps(reading.as_json(), allow_nan=False).encode()
    json.dumps(said.shown, allow_nan=False)


def _decode_all(protocol: Protocol, body: bytes) -> None:
    for record in (body, *protocol.split(body)):
        try:
            _assert_sound(protocol.decode(record))
        except Rejected as refusal:
            assert isinstance(refusal.reason, Reason)
            assert refusal.detail


def _assert_sound(event: Event) -> None:
    """Assert what the rest of the project needs: a uint40, a time, JSON facts without floats."""
    assert 0 <= event.counter < 2 ** (STREAM_BIT + 1)
    assert event.observed_at_ms >= 0
    assert event.device and event.device_id and event.event_id and event.evidence_hash
    level = [event.facts]
    while level:
        item = level.pop()
        if item is None:
            continue
        assert isinstance(item, dict | list | str | int) and not isinstance(item, float)
        if isinstance(item, dict):
            level.extend([*item, *item.values()])
        elif isinstance(item, list):
            level.extend(item)
        elif isinstance(item, str):
            item.encode()
        else:
            assert abs(item) < 2**63
