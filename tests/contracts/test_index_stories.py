"""Whole agreements charged by reports, random: the contract lives through them as Python does.

`make fuzz` compares a million claims so; here are some thousand, always the same.

given random terms, sound and spoilt, and claims: in order, again, early, signed or forged
└── openings, refusals and amounts should be Python's, and every one of them is reached
given one answer that is wrong by the least
└── the comparison should find it
"""

from __future__ import annotations

import pytest

from tests.support.contracts import index_stories
from tests.support.contracts.index_fuzz import IndexFuzz, compare
from tests.support.contracts.index_stories import missing

CASES, SEED = 6_000, 11


@pytest.fixture(scope="module")
def fuzz(deployed):
    return IndexFuzz(deployed)


def test_stories__some_thousand_claims__contract_and_python_say_the_same(fuzz):
    seen, differences = compare(fuzz, CASES, SEED)
    assert differences == []
    assert missing(seen) == []


def test_stories__one_unit_differs__is_found(fuzz, monkeypatch):
    honest = index_stories.pricing.price

    def dearer(*arguments, **options):
        amount, refusal = honest(*arguments, **options)
        return amount + (not refusal), refusal

    monkeypatch.setattr(index_stories.pricing, "price", dearer)
    _, differences = compare(fuzz, 100, SEED)
    assert differences
