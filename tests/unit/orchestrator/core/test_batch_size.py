"""A batch that was too large makes the next ones smaller, and not for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.batch_size import after_fit, after_overflow

CHAIN, MOST = 16_777_216, 200


@pytest.mark.parametrize(("size", "next_size"), [(200, 100), (3, 1), (2, 1), (1, 1)])
def test_after_overflow__any_size__halves_and_never_reaches_zero(size, next_size):
    assert after_overflow(size) == next_size


@pytest.mark.parametrize(
    ("limit", "size", "gas", "expected"),
    [
        (None, 200, CHAIN, None),
        (50, 50, CHAIN // 4, 100),  # four times as many fit: at most twice as many are tried
        (50, 50, CHAIN * 5 // 7, 70),  # grows to what the estimate says, not beyond
        (50, 50, CHAIN, 50),
        (50, 2, CHAIN // 10, 50),  # a small batch says little: it never makes the limit fall
        (100, 100, CHAIN // 3, None),
        (1, 1, CHAIN // 100, 2),
    ],
)
def test_after_fit__the_limit__grows_by_the_estimate_and_ends(limit, size, gas, expected):
    assert after_fit(limit, size, gas, CHAIN, MOST) == expected


def _settled(claims: int, cost: int, limit: int | None, rounds: int) -> tuple[int | None, int]:
    """Settle `claims` in each round; return the last limit, and how many batches were too large."""
    overflows = 0
    for _ in range(rounds):
        left = claims
        while left:
            size = min(left, limit or MOST)
            if size * cost > CHAIN and size > 1:
                limit, overflows = after_overflow(size), overflows + 1
                continue
            limit = after_fit(limit, size, min(size * cost * 5 // 4, CHAIN), CHAIN, MOST)
            left -= size
    return limit, overflows


@given(st.integers(1, 400), st.integers(50_000, 16_000_000), st.integers(20_000, 60_000))
def test_attack__claims_made_expensive_for_a_while__batches_return_to_their_full_size(
    claims, dear, cheap
):
    """On 0.3.0 one expensive claim left the worker with small batches until it was restarted."""
    limit, overflows = _settled(claims, dear, None, rounds=3)
    assert overflows <= 8  # it halves down once, and stays where batches fit
    limit, more = _settled(200, cheap, limit, rounds=9)
    assert (limit, more) == (None, 0)
