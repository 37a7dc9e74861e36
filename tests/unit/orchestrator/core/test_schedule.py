"""When an agreement settles: typed, packed into the mandate, and in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.schedule import SettlementSchedule, describe, parse, unpack

SCHEDULES = st.builds(
    SettlementSchedule,
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**24 - 1),
    st.booleans(),
    st.booleans(),
)


@given(SCHEDULES)
def test_pack__any_schedule__is_unpacked_again(schedule):
    number = schedule.pack()
    assert number < 1 << 58  # KNOWN of contracts/libraries/Schedules.sol
    assert unpack(number) == schedule


@pytest.mark.parametrize(
    ("text", "number", "words"),
    [
        ("", 0, "at once"),
        ("records=10", 10, "after 10 records"),
        ("minutes=60", 60 << 16, "after 60 minutes"),
        ("amount=5.00", 500 << 32, "after 5.00 EUR"),
        ("session", 1 << 56, "after the end of a session"),
        ("records=2, day", 2 | 1 << 57, "after 2 records or the end of a day"),
    ],
)
def test_parse__each_part__is_its_bits_and_its_words(text, number, words):
    assert parse(text) == number
    assert describe(number) == words


@pytest.mark.parametrize(
    "text",
    ["records", "records=0", "records=65536", "day=1", "amount=0.001", "weeks=1", "day,day", "=1"],
)
def test_parse__wrong__is_refused(text):
    with pytest.raises(ValueError):
        parse(text)


def test_unpack__unknown_flag__is_refused():
    with pytest.raises(ValueError, match="not known"):
        unpack(1 << 58)
