"""The name that every event bears: the SHA-256 of its bytes as a URI (RFC 6920)."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.registry import protocols
from device_adapters.types import Event, evidence_name, hash_in_name
from tests.support.meter_streams import session

# RFC 6920, section 8.1
VECTOR = "ni:///sha-256;f4OxZX_x_FO5LcGBSKHWXfwtSx-j1ncoSt3SABJtkGk"
HASH = sha256(b"Hello World!").digest()


def test_name__of_the_rfc_s_example__is_the_rfc_s():
    assert evidence_name(HASH) == VECTOR
    assert hash_in_name(VECTOR) == HASH


@pytest.mark.parametrize(
    "other",
    [
        VECTOR + "=",
        VECTOR[:-1],
        VECTOR[:-1] + "l",  # the same bytes, with bits that nobody reads
        VECTOR + "?ct=text/plain",
        VECTOR.replace("///", "//example.com/"),
        VECTOR.replace("_", "/"),
        VECTOR.replace("f4O", "f4\u00d6"),
        "ni:///sha-256;",
        "ni:///sha-256;" + HASH.hex() + "?ver=CBV2.0",
        HASH.hex(),
        "",
    ],
)
def test_name__in_any_other_form__is_no_name_of_a_record(other):
    assert hash_in_name(other) is None


@given(st.binary(min_size=32, max_size=32))
def test_name__of_any_hash__is_read_back(evidence_hash):
    assert hash_in_name(evidence_name(evidence_hash)) == evidence_hash


def test_event__of_every_protocol__bears_the_name_of_its_bytes():
    named = 0
    for name, protocol in protocols().items():
        for _, record, outcome in protocol.examples:
            if not isinstance(outcome, dict):
                continue
            event = protocol.decode(record)
            assert hash_in_name(event.all_names[-1]) == sha256(event.evidence).digest(), name
            named += 1
    assert named >= len(protocols())
    assert isinstance(session(1), Event) and session(1).all_names == (session(1).evidence_name,)
