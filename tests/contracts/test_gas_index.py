"""What an Index claim costs in a batch of a hundred, in its daily run: goal 35,000.

settle
├── given agreements with one tariff, and with tariffs of their own
│   └── a claim should cost 35,000 gas at most
└── given reports whose signature the contract checks
    └── a claim should cost less than two without: key, signature, and the bytes that were signed
"""

from __future__ import annotations

import pytest

from services.testnet import Testnet
from tests.support.contracts.gas_index import IndexGasRail, measured

GOAL = 35_000
MOST = {"one tariff": 29_500, "tariffs of their own": 35_000, "signed by the device": 68_500}


@pytest.fixture(scope="module")
def figures(artifacts, tmp_path_factory):
    with Testnet() as chain:
        journal = tmp_path_factory.mktemp("gas") / "journal.json"
        yield measured(IndexGasRail(chain, artifacts, journal))


@pytest.mark.long
def test_gas__of_an_index_claim_of_a_hundred__is_within_the_goal(figures):
    print("\ngas of an index claim:", figures)
    assert MOST["one tariff"] < MOST["tariffs of their own"] <= GOAL
    for name, gas in figures.items():
        assert 0.9 * MOST[name] < gas <= MOST[name], (name, gas)
