"""A short campaign of forge: random calls of every function, and every invariant after each.

given some thousand calls of the contracts as they ship
└── every invariant should hold, and every call be accepted or refused as the model says
given contracts with one fault of tests/assurance/faults.toml
└── the campaign should say what is wrong
given a row of that table
└── it should change a source, or name itself where the source has its text no more
"""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from scripts.assurance.invariants import functions, measure_campaign
from scripts.assurance.planted import look_for, plant, read_faults
from scripts.solidity.sources import CONTRACTS, ROOT
from tests.support.contracts.forge import needs_forge

pytestmark = needs_forge
CALLS = 2_000


def test_campaign__some_thousand_calls__every_rule_holds():
    campaign, rules, _, _ = measure_campaign(CALLS)
    assert campaign.ok, campaign.note
    assert campaign.value.startswith(f"{CALLS:,} calls")
    assert rules.ok, rules.note
    assert int(rules.value.split()[0]) >= 60


def test_functions__of_the_shipped_contracts__are_all_wanted():
    assert len(functions()) >= 80
    assert {"PaymentRail.settle", "Disputes.rule", "RailAccess.schedule"} <= set(functions())


@pytest.mark.extended
@pytest.mark.parametrize("fault", read_faults(), ids=lambda fault: fault.name)
def test_campaign__contracts_with_a_fault__finds_it(fault, tmp_path):
    """A campaign that finds nothing in a faulty contract says nothing about a good one."""
    verdict = look_for(fault, tmp_path)
    assert verdict.ok, verdict.value


def test_fault__of_the_table__changes_what_the_contracts_say(tmp_path):
    faults = read_faults()
    assert len({fault.name for fault in faults}) == len(faults) >= 15
    for number, fault in enumerate(faults):
        home = tmp_path / str(number)
        shutil.copytree(ROOT / CONTRACTS, home / CONTRACTS)
        plant(fault, home)
        assert (home / fault.source).read_text() != (ROOT / fault.source).read_text()


def test_fault__whose_text_the_source_lacks__says_which_row_to_correct(tmp_path):
    shutil.copytree(ROOT / CONTRACTS, tmp_path / CONTRACTS)
    fault = replace(read_faults()[0], before="no contract has this text")
    with pytest.raises(ValueError, match="0 times, not once"):
        plant(fault, tmp_path)
