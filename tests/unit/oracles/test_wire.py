"""The oracle's messages: they read back as written, and only the documented error is raised."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.types import Message, Rejected
from oracles.types import Claim, ClaimReason
from oracles.wire import (
    ClaimRefusal,
    OracleAnswer,
    Request,
    read_answer,
    read_request,
    write_answer,
    write_request,
)

words = st.binary(min_size=32, max_size=32)
counters = st.integers(0, 2**40 - 1)
claims = st.builds(
    Claim, words, st.integers(0, 2**32 - 1), counters, counters, words, st.binary(max_size=200)
)
messages = st.builds(
    Message, st.text(max_size=9), st.text(max_size=9), st.binary(), source=st.just("http")
)
requests = st.builds(
    Request,
    st.text(max_size=20),
    st.lists(claims, max_size=4).map(tuple),
    st.dictionaries(words, counters, max_size=3),
    st.lists(messages, max_size=3).map(tuple),
)
refusals = st.builds(
    ClaimRefusal, st.integers(0, 999), st.sampled_from(ClaimReason), st.text(max_size=20)
)
answers = st.builds(
    OracleAnswer,
    st.text(max_size=42),
    st.none() | st.binary(min_size=65, max_size=65),
    st.lists(refusals, max_size=3).map(tuple),
)
GOOD = json.loads(write_request(Request("p", (Claim(b"\1" * 32, 1, 2, 3, b"\2" * 32, b"\3"),))))


@given(requests)
def test_request__written_and_read__is_the_same(request):
    assert read_request(write_request(request)) == request


@given(answers)
def test_answer__written_and_read__is_the_same(answer):
    assert read_answer(write_answer(answer)) == answer


@given(st.binary() | st.text().map(str.encode))
def test_read__random_bytes__only_the_declared_error(body):
    for read in (read_request, read_answer):
        with pytest.raises(Rejected):
            read(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.sampled_from(sorted(GOOD["claims"][0])), json_values)
def test_read_request__a_claim_field_of_another_kind__only_the_declared_error(name, value):
    body = json.dumps(GOOD | {"claims": [GOOD["claims"][0] | {name: value}]}).encode()
    with contextlib.suppress(Rejected):
        read_request(body)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(GOOD | {"more": 1}),
        json.dumps({key: GOOD[key] for key in ("product", "claims")}),
        json.dumps(GOOD)[:-1] + ',"product":"q"}',
        json.dumps(GOOD).replace('"sequence": 1', '"sequence": 1.0'),
        json.dumps(GOOD).replace('"sequence": 1', '"sequence": true'),
        json.dumps(GOOD).replace('"sequence": 1', '"sequence": 4294967296'),
        json.dumps(GOOD).replace('"0x03"', '"03"'),
        json.dumps(GOOD).replace('"0x03"', '"0x0 3"'),
        json.dumps(GOOD | {"claims": GOOD["claims"] * 1_001}),
        json.dumps(GOOD | {"anchors": {"0x" + "00" * 32: -1}}),
        json.dumps(GOOD | {"evidence": [{"device": "", "protocol": "ocmf", "record": "a*b="}]}),
        "[" * 100_000,
    ],
)
def test_read_request__not_exactly_the_agreed_form__is_refused(body):
    assert read_request(json.dumps(GOOD).encode()).product == "p"
    with pytest.raises(Rejected):
        read_request(body.encode())
