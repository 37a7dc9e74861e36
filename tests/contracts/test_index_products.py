"""Each leaf of Index: the worked values of its folder, by its contract.

price
└── given the worked cases of cases.json
    └── it should answer with the written amount or refusal, and remember what it charged
open
├── given terms that are not sound
│   └── it should revert by name
└── given the same tariff again
    └── it should keep it once
refunded
└── given a period that was refunded, stated again for less
    └── it should give back only what the refund did not
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator import products as package
from orchestrator.products import products
from orchestrator.products.index.leaf import IndexProduct
from orchestrator.products.index.tariff import IndexFacts
from tests.support.contracts.contract_rail import DEVICE
from tests.support.contracts.index_contract import FOR_EVER, IndexContract

LIMIT = 2**47 - 1
STEADY = bytes(32)  # no device in the quote: the rail vouches for it
LEAVES = {name: rules for name, rules in products().items() if isinstance(rules, IndexProduct)}


def _cases(name: str) -> list[dict]:
    return json.loads((Path(package.__file__).parent / name / "cases.json").read_text())["prices"]


@pytest.fixture(scope="module")
def leaves(deployed):
    return {name: IndexContract(deployed, rules.CONTRACT) for name, rules in LEAVES.items()}


@pytest.mark.parametrize("name", LEAVES)
def test_price__worked_cases__amount_or_refusal_as_written(leaves, name):
    rules, leaf = LEAVES[name], leaves[name]
    for case in _cases(name):
        terms = rules.parse_terms(case["terms"])
        claims, wanted = [], []
        for row in case["claims"]:
            *head, metrics = row["facts"]
            facts = rules.encode_facts(IndexFacts(*head, tuple(metrics)))
            claims.append((facts, row.get("limit", LIMIT)))
            wanted.append((row.get("amount", 0), row.get("refusal", "")))
        answers = leaf.answers(leaf.open(terms, 0), claims, device=STEADY)
        named = [(amount, rules.REFUSALS.get(refusal, "")) for amount, refusal in answers]
        assert named == wanted, case["case"]


@pytest.mark.parametrize("name", LEAVES)
def test_leaf__its_name_and_refusals__are_those_of_its_folder(leaves, name):
    rules, leaf = LEAVES[name], leaves[name].product
    assert leaf.name() == name
    assert [leaf.refusalName(number) for number in rules.REFUSALS] == list(rules.REFUSALS.values())
    assert leaf.refusalName(len(rules.REFUSALS) + 1) == ""


def test_open__terms_that_are_not_sound__revert_by_name(leaves):
    rules, leaf = LEAVES["usage_premium"], leaves["usage_premium"]
    terms = rules.parse_terms(_cases("usage_premium")[0]["terms"])
    bad = {
        "nothing": b"",
        "another version": b"\2" + terms[1:],
        "cut off": terms[:40],
        "no metric": terms[:3] + b"\0" + terms[4:],
        "about nothing": terms[: -1 - len("policy:1")] + b"\0",
        "an assurance that is none": terms[: -2 - len("policy:1")] + b"\3\1x",
    }
    for why, raw in bad.items():
        refusal = leaf.refusal("open", b"\1" * 32, DEVICE, 0, raw)
        assert refusal == "TermsMalformed", why
    assert leaf.refusal("open", b"\1" * 32, DEVICE, 2**32, terms) == "TermsMalformed"


def test_open__the_same_tariff_again__is_kept_once(leaves):
    rules, leaf = LEAVES["usage_premium"], leaves["usage_premium"]
    words = _cases("usage_premium")[1]["terms"] | {"ceiling": "2.99"}
    first, second = (rules.parse_terms(words | {"about": f"policy:{n}"}) for n in (1, 2))
    assert rules.shared_terms(first) == rules.shared_terms(second)
    used = [
        leaf.send("open", bytes([n]) * 32, DEVICE, 0, terms).gas_used
        for n, terms in ((98, first), (99, second))
    ]
    assert used[1] < used[0] - 30_000  # no contract is created the second time


def test_price__stated_again_after_a_refund__gives_back_what_was_not_given_back(leaves):
    rules, leaf = LEAVES["usage_premium"], leaves["usage_premium"]
    terms = rules.parse_terms(_cases("usage_premium")[1]["terms"])
    agreement, week = leaf.open(terms, 0), 7 * 86_400

    def claim(minutes: int) -> tuple[bytes, int]:
        return rules.encode_facts(IndexFacts(0, week, 10_000, 1, (minutes,))), LIMIT

    leaf.settle(agreement, [claim(300)], device=STEADY)
    leaf.send("refunded", agreement, 2_000_000)
    assert leaf.answers(agreement, [claim(90)], device=STEADY) == [(-1_000_000, 0)]
    leaf.settle(agreement, [claim(90)], device=STEADY)
    assert leaf.product.refundedOf(agreement) == 0


def test_price__of_a_device_that_was_not_active__is_refused(leaves):
    rules, leaf = LEAVES["usage_premium"], leaves["usage_premium"]
    terms = rules.parse_terms(_cases("usage_premium")[1]["terms"])
    agreement, week = leaf.open(terms, 0), 7 * 86_400
    before = rules.encode_facts(IndexFacts(0, week, 10_000, 1, (90,)))
    after = rules.encode_facts(IndexFacts(leaf.since, leaf.since + week, 10_000, 1, (90,)))
    answers = leaf.answers(agreement, [(before, LIMIT), (after, LIMIT)], until=FOR_EVER)
    assert [rules.REFUSALS.get(refusal) for _, refusal in answers] == ["DeviceNotActive", None]
