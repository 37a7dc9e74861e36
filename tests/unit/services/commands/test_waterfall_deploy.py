"""The factory of waterfalls on a rail of an earlier release: by command, once, and checked.

waterfall deploy
├── given a rail without it: commands should say so; it should show the plan, and then create it
├── given a rail that has it: it should send nothing
└── given a factory over another token: the check of contracts should refuse it
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from web3 import Web3

from orchestrator.edges.chain.artifacts import load_artifacts
from orchestrator.edges.chain.deployment import deploy
from orchestrator.edges.chain.deployment_check import check_contracts
from orchestrator.errors import Halt
from services import anvil
from services.development import development_plan
from tests.support.contracts.onchain import Node, creation
from tests.support.growing_home import GrowingHome

pytestmark = pytest.mark.skipif(anvil.find() is None, reason="anvil is not installed")

NEW = "Waterfalls"


@pytest.fixture(scope="module")
def rail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GrowingHome]:
    """A home whose deployment does not know the factory, as those of earlier releases."""

    def earlier(url, file):
        deployment = deploy(url, load_artifacts(), development_plan(), file)
        content = json.loads(file.read_text())
        for part in ("addresses", "blocks", "releases"):
            del content["deployment"][part][NEW]
        file.write_text(json.dumps(content))
        return deployment

    home = GrowingHome(tmp_path_factory.mktemp("earlier") / "home", earlier)
    yield home
    home.close()


def test_waterfall__rail_of_an_earlier_release__gets_the_factory_once(rail):
    before = rail.deployment
    check_contracts(rail.testnet.url, load_artifacts(), before.addresses)  # it works without
    refused = rail.run("waterfall", "create", "Roof", "--holder", before.addresses["EuroToken"])
    assert refused.exit_code == 2
    assert "no factory of waterfalls" in refused.stderr and "waterfall deploy" in refused.stderr
    plan = rail.json("waterfall", "deploy", "--dry-run")
    at = before.addresses
    assert plan["constructor"] == {"rail": at["PaymentRail"], "token": at["EuroToken"]}
    assert (plan["state"], "listed_by" in plan, rail.deployment) == ("to_deploy", False, before)
    text = rail.run("waterfall", "deploy", "--dry-run").output
    assert "create Waterfalls(rail: " in text and "Nothing was sent yet." in text
    sent = rail.sent()
    made = rail.json("waterfall", "deploy", "--yes")
    assert (made["state"], made["sent"], rail.sent()) == ("deployed", True, sent + 1)
    became = rail.deployment
    assert became.addresses == before.addresses | {NEW: made["address"]}
    check_contracts(rail.testnet.url, load_artifacts(), became.addresses)
    again = rail.json("waterfall", "deploy", "--yes")
    assert (again["sent"], again["address"], rail.sent()) == (False, made["address"], sent + 1)
    refused = rail.run("waterfall", "create", "Roof", "--holder", at["EuroToken"])
    assert refused.exit_code == 2 and "does not read the factory's logs yet" in refused.stderr


@pytest.mark.parametrize(
    ("rail_name", "token_name", "problem"),
    [
        ("PaymentRail", "PaymentRail", "token of all waterfalls is"),
        ("EuroToken", "EuroToken", "rail of Waterfalls is"),
    ],
)
def test_check__factory_over_other_contracts__is_refused(rail, rail_name, token_name, problem):
    artifacts, at = load_artifacts(), rail.deployment.addresses
    data = creation(artifacts[NEW], [at[rail_name], at[token_name]])
    made = Node(rail.testnet.url).mined({"from": development_plan().deployer.address, "data": data})
    address = Web3.to_checksum_address(made["contractAddress"])
    with pytest.raises(Halt, match=problem):
        check_contracts(rail.testnet.url, artifacts, at | {NEW: address})
