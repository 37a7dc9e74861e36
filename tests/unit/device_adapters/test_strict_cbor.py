"""The CBOR decoder takes one form of each value, and raises one type of error."""

from __future__ import annotations

from decimal import Decimal

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters import strict_cbor
from device_adapters.types import Reason, Rejected

_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.text(max_size=8),
    st.binary(max_size=8),
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.integers(-9, 9) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(value=_VALUES)
def test_decode__what_cbor2_wrote__is_the_value(value: object) -> None:
    assert strict_cbor.decode(cbor2.dumps(value)) == value
    assert strict_cbor.skip(cbor2.dumps(value) + b"\0", 0) == len(cbor2.dumps(value))


@given(junk=st.binary(max_size=200))
def test_decode__random_bytes__only_the_declared_error(junk: bytes) -> None:
    try:
        strict_cbor.decode(junk, tags=(4, 18, 61), floats=True)
    except Rejected as refusal:
        assert refusal.detail


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("a201010102", Reason.DUPLICATE_KEY),
        ("9f01ff", Reason.MALFORMED),
        ("5f4101ff", Reason.MALFORMED),
        ("1817", Reason.MALFORMED),
        ("190001", Reason.MALFORMED),
        ("1b7fffffffffffffff00", Reason.MALFORMED),
        ("1b8000000000000000", Reason.NUMBER_OUT_OF_RANGE),
        ("3b7fffffffffffffff", Reason.NUMBER_OUT_OF_RANGE),
        ("c24101", Reason.MALFORMED),
        ("d81c01", Reason.MALFORMED),
        ("f97e00", Reason.WRONG_TYPE),
        ("f7", Reason.WRONG_TYPE),
        ("f0", Reason.WRONG_TYPE),
        ("a1f501", Reason.WRONG_TYPE),
        ("a1c241010a", Reason.MALFORMED),
        ("a1410101", Reason.WRONG_TYPE),
        ("62c328", Reason.NOT_UTF8),
        ("43aabb", Reason.TRUNCATED),
        ("1a0001", Reason.TRUNCATED),
        ("9b7fffffffffffffff", Reason.TRUNCATED),
        ("", Reason.TRUNCATED),
        ("81" * 17 + "01", Reason.TOO_DEEP),
        ("81" * 60_000, Reason.TOO_DEEP),
    ],
)
def test_decode__broken_rule__is_named(data: str, reason: Reason) -> None:
    with pytest.raises(Rejected) as caught:
        strict_cbor.decode(bytes.fromhex(data))
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("c482211927 0f".replace(" ", ""), Decimal("99.99")),
        ("f93c00", 1.0),
        ("81" * 16 + "01", ...),
    ],
)
def test_decode__what_the_caller_allows__is_read(data: str, value: object) -> None:
    decoded = strict_cbor.decode(bytes.fromhex(data), tags=(4,), floats=True)
    assert value is ... or decoded == value


@pytest.mark.parametrize("data", ["c4821a7fffffff01", "c482390fffff01".replace("ffff", "ff")])
def test_decode__decimal_fraction_of_any_size__is_refused_before_it_is_built(data: str) -> None:
    with pytest.raises(Rejected) as caught:
        strict_cbor.decode(bytes.fromhex(data), tags=(4,))
    assert caught.value.reason is Reason.NUMBER_OUT_OF_RANGE
