"""What settlements cost, written down in gas.json, so that a change of any figure shows in a diff.

gas.json
├── every figure is measured again: none rises by more than 3 hundredths, none falls by more than a
│   twentieth unnoticed (write the new one down: `python -m tests.support.contracts.gas_scenarios`)
├── "most": what a figure may never exceed, from the goals of the project
└── no settlement is above what a transaction may use (EIP-7825)

The daily run: every agreement has settled before, 20 payees, 3 of 4 signatures, each batch within
the quarter of the window of the one before. A record costs nothing by itself: a claim is about all
records of its device, so "a record" is the batch's gas by the records in it.
"""

from __future__ import annotations

import json

import pytest

from services.testnet import TX_GAS_LIMIT, Testnet
from tests.support.contracts.gas_scenarios import FILE, ScenarioRail, measured, table


@pytest.fixture(scope="module")
def figures(artifacts, tmp_path_factory):
    with Testnet() as chain:
        journal = tmp_path_factory.mktemp("gas") / "journal.json"
        yield measured(ScenarioRail(chain, artifacts, journal))


@pytest.mark.long
def test_gas__of_every_scenario__is_what_is_written_down(figures):
    written = json.loads(FILE.read_text())
    print("\n" + table(figures, written))
    assert figures.keys() == written.keys()
    for name, gas in figures.items():
        row = written[name]
        assert 0.95 * row["gas"] <= gas <= 1.03 * row["gas"], (name, gas)
        assert gas <= row.get("most", gas), (name, gas)


def test_gas__of_the_largest_settlement__is_within_a_transaction(figures):
    assert figures["a claim of 1000"] * 1_000 < TX_GAS_LIMIT
