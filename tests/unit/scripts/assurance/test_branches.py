"""Branches are found in the syntax tree, and marked sources report each one that is taken."""

from __future__ import annotations

import json
import re
import tomllib

import pytest
from web3 import Web3

from scripts.assurance.branches import PROBE, PROBE_FILE, Branch, find_and_mark
from scripts.assurance.coverage import REASONS, summarise
from scripts.solidity.compiler import build_file, syntax_trees
from scripts.solidity.sources import ROOT
from services.testnet import Testnet
from tests.support.contracts.branch_trace import BranchCollector
from tests.support.contracts.onchain import Node, creation

SOURCE = """\
// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

contract Sample {
    error Odd();

    function pick(uint256 n) external pure returns (uint256 sum) {
        if (n > 2 ? n % 2 == 1 : false) revert Odd();
        for (uint256 i; i < n; ++i) sum += i;
    }
}
"""
CONDITIONS = ["n > 2 ? n % 2 == 1 : false", "n > 2", "i < n"]


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    """A project with one contract, its marked text and its branches."""
    root = tmp_path_factory.mktemp("project")
    (root / "contracts/libraries").mkdir(parents=True)
    (root / "node_modules").symlink_to(ROOT / "node_modules")
    path = root / "contracts/Sample.sol"
    path.write_text(SOURCE)
    answer = syntax_trees(root, ROOT / ".build/trees-of-tests")
    tree = answer["sources"]["contracts/Sample.sol"]["ast"]
    text, found = find_and_mark("contracts/Sample.sol", SOURCE, tree, 10)
    path.write_text(text)
    (root / PROBE_FILE).write_text(PROBE)
    return root, text, found


def test_conditions__nested_and_in_loops__have_two_branches_each(marked):
    _, text, found = marked
    assert [branch.number for branch in found] == list(range(10, 16))
    assert sorted({branch.text for branch in found}) == sorted(CONDITIONS)
    assert [branch.taken for branch in found] == [True, False] * 3
    without = re.sub(r"branchTaken\(\d+, ", "", text)
    assert "(branchTaken(" in text and without.count("if (n > 2) ? n % 2") == 1


def test_marked_contract__called__shows_the_branches_that_it_took(marked, tmp_path):
    root, _, found = marked
    (artifact,) = build_file(root, ROOT / ".build/contracts", "contracts/Sample.sol")
    words = {branch.number: (branch.text, branch.taken) for branch in found}
    with Testnet() as chain:
        node, collector = Node(chain.url), BranchCollector(tmp_path)
        sender = node.rpc("eth_accounts")[0]
        sample = node.mined({"from": sender, "data": creation(artifact, [])})["contractAddress"]

        def taken(number):
            collector.numbers.clear()
            data = (
                "0x"
                + bytes(Web3.keccak(text="pick(uint256)")[:4]).hex()
                + number.to_bytes(32).hex()
            )
            call = {"from": sender, "to": sample, "data": data}
            collector.after(node.answer, "eth_call", (call, "latest"), {})
            return {words[branch] for branch in collector.numbers}

        whole, more, loop = CONDITIONS
        assert taken(0) == {(more, False), (whole, False), (loop, False)}
        assert taken(3) == {(more, True), (whole, True)}  # and reverts
        assert taken(4) == {(more, True), (whole, False), (loop, True), (loop, False)}
        collector.write()
    kept = [json.loads(path.read_text()) for path in tmp_path.glob("*.json")]
    assert sorted(collector.numbers) in kept


BOTH = [Branch(0, "a.sol", 7, "x == 0", True), Branch(1, "a.sol", 7, "x == 0", False)]
REASON = '[[branch]]\nsource = "a.sol"\ntext = "x == 0"\ntaken = false\nreason = "never"\n'


@pytest.mark.parametrize(
    ("taken", "reasons", "value", "ok"),
    [
        ({0, 1}, "branch = []", "2 of 2, 0 more with a reason", True),
        ({0}, "branch = []", "1 of 2, 0 more with a reason", False),
        ({0}, REASON, "1 of 2, 1 more with a reason", True),
        ({1}, REASON, "1 of 2, 0 more with a reason", False),
        ({0}, REASON.replace("never", ""), "1 of 2, 0 more with a reason", False),
    ],
    ids=["all", "one missing", "with a reason", "the other outcome", "an empty reason"],
)
def test_line__of_branches__fails_on_one_without_a_reason(taken, reasons, value, ok):
    line, _ = summarise(BOTH, taken, reasons)
    assert line.value == value and line.ok is ok
    assert ("a.sol:7 never" in line.note) is not ok


def test_line__of_reasons__fails_on_one_whose_branch_a_test_takes():
    _, needed = summarise(BOTH, {0}, REASON)
    _, idle = summarise(BOTH, {0, 1}, REASON)
    assert needed.ok and needed.value == "0"
    assert not idle.ok and idle.note == "a.sol is false in a test: x == 0"


def test_reasons__of_the_project__name_a_source_and_its_text():
    rows = tomllib.loads(REASONS.read_text())["branch"]
    assert rows and all(row["reason"] for row in rows)
    assert not [row for row in rows if row["text"] not in (ROOT / row["source"]).read_text()]
