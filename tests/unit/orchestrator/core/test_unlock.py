"""Unlock tokens: the published vectors, another library, and a device that takes each once."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from orchestrator.core.effect import UnlockMode
from orchestrator.core.unlock import (
    MAX_COUNT,
    WINDOW,
    UnlockKey,
    count_of,
    digits_of,
    siphash,
    starting_code,
    token_of,
)
from tests.support.locked_device import LockedDevice, library_token

ADD, SET = UnlockMode.ADD_TIME, UnlockMode.SET_TIME
FIRST = UnlockKey(bytes.fromhex("bc41ec9530f6dac86b1a29ab82edc5fb"), 1, 516_959_010)
SECOND = UnlockKey(bytes.fromhex("dac86b1a29ab82edc5fbbc41ec9530f6"), 10, 432_435_255)
# the standard tokens among the published test vectors of OpenPAYGO Token
PUBLISHED = [
    (FIRST, 2, 1, "588224011"),
    (FIRST, 2, 2, "639704012"),
    (FIRST, 2, 5, "177073015"),
    (FIRST, 2, 995, "944829005"),
    (FIRST, 3, 1, "380589011"),
    (FIRST, 3, 2, "618165012"),
    (FIRST, 3, 5, "691966015"),
    (FIRST, 3, 995, "586420005"),
    (SECOND, 12, 1, "579194256"),
    (SECOND, 12, 2, "134447257"),
    (SECOND, 12, 5, "589568260"),
    (SECOND, 12, 995, "379163250"),
    (SECOND, 11, 1, "241554256"),
    (SECOND, 11, 2, "628716257"),
    (SECOND, 11, 5, "519034260"),
    (SECOND, 11, 995, "664193250"),
]


@pytest.mark.parametrize(("key", "count", "days", "digits"), PUBLISHED)
def test_digits__of_each_published_vector__are_the_published_ones(key, count, days, digits):
    assert digits_of(key, count, days) == digits


def test_siphash__of_the_published_vector__is_the_published_one():
    """Appendix A of Aumasson and Bernstein, SipHash: a fast short-input PRF."""
    assert siphash(bytes(range(16)), bytes(range(15))) == 0xA129CA6149BE45E5


def test_digits__of_random_keys_counts_and_days__are_those_of_the_other_library():
    chance = random.Random(11)
    for _ in range(300):
        key = chance.randbytes(16)
        code = chance.choice([None, chance.randrange(1, 10**9)])
        count, days = chance.randrange(1, 200), chance.randrange(1, 996)
        expected = library_token(key.hex(), count, days, count % 2 == 0, code)
        assert digits_of(UnlockKey(key, 0, code), count, days) == expected
    assert starting_code(FIRST.key) != FIRST.starting_code


@pytest.mark.parametrize("before", [0, 1, 2, 7, 64])
def test_count__of_each_number__rises_and_has_the_parity_of_its_mode(before):
    chance = random.Random(before)
    counts = [before]
    for number in range(1, 200):
        mode = chance.choice([ADD, SET])
        counts.append(count_of(before, number, mode))
        assert counts[-1] % 2 == (mode is SET)
    assert all(later > earlier for earlier, later in pairwise(counts))
    assert count_of(before, WINDOW // 2 - 1, ADD) - before <= WINDOW


@pytest.mark.parametrize("start", [1, 4])
def test_device__given_one_token_a_payment__takes_each_once_and_no_repeat(start):
    chance = random.Random(5)
    key = UnlockKey(bytes.fromhex("a1" * 8 + "b2" * 8), start)
    device, days = LockedDevice(key.key.hex(), start), 0
    for number in range(1, 60):
        mode, given = chance.choice([ADD, ADD, SET]), chance.randrange(1, 996)
        token = token_of(key, number, mode, given)
        assert device.enter(token.digits) == mode
        days = given + (days if mode is ADD else 0)
        assert device.enter(token_of(key, number, mode, given).digits) in ("used", "invalid")
        assert (device.days, device.count) == (days, token.count)


def test_device__whose_customer_lost_tokens__takes_the_31st_and_not_one_beyond_its_window():
    key = UnlockKey(bytes(range(16)), 1)
    tokens = [token_of(key, number, ADD, 7).digits for number in range(1, 34)]
    assert LockedDevice(key.key.hex()).enter(tokens[30]) == "add_time"
    assert LockedDevice(key.key.hex()).enter(tokens[32]) == "invalid"


@pytest.mark.parametrize(("count", "days"), [(0, 1), (MAX_COUNT + 1, 1), (1, 996), (1, -1)])
def test_digits__out_of_range__are_not_made(count, days):
    with pytest.raises(ValueError, match="out of range"):
        digits_of(FIRST, count, days)


def test_key__in_a_text__is_never_shown():
    shown = repr(FIRST) + repr(token_of(FIRST, 1, ADD, 1))
    for secret in (
        FIRST.key.hex(),
        repr(FIRST.key),
        "516959010",
        token_of(FIRST, 1, ADD, 1).digits,
    ):
        assert secret not in shown
