"""A short campaign of forge: random calls of every function, and every invariant after each.

given some thousand calls of the contracts as they ship
└── every invariant should hold, and every call be accepted or refused as the model says
given a rail that pays the same release twice
└── the campaign should find it
"""

from __future__ import annotations

from scripts.assurance.invariants import functions, measure_campaign
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
