"""A short campaign of forge: random calls of every function, and every invariant after each.

given some thousand calls of the contracts as they ship
└── every invariant should hold, and every call be accepted or refused as the model says
given a token that takes a bank credit twice
└── the campaign should find it
"""

from __future__ import annotations

import shutil

import pytest

from scripts.assurance.invariants import functions, measure_campaign
from scripts.solidity.compiler import build_file
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
def test_campaign__token_takes_a_credit_twice__finds_it(tmp_path):
    """A campaign that finds nothing in a faulty contract says nothing about a good one."""
    faulty = tmp_path / CONTRACTS
    shutil.copytree(ROOT / CONTRACTS, faulty)
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    source = faulty / "EuroToken.sol"
    text = source.read_text()
    source.write_text(text.replace("creditUsed[credit] = true;", ""))
    assert source.read_text() != text
    (token,) = build_file(tmp_path, tmp_path / "cache", f"{CONTRACTS}/EuroToken.sol")
    campaign, *_ = measure_campaign(CALLS, replaced={"EuroToken": token.bytecode})
    assert not campaign.ok
    assert "was accepted against the rules" in campaign.note
