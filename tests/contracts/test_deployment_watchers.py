"""The registry of a deployment reports changed devices to the rail, and to no other contract.

check
├── given a registry that does not report to the rail: it should be refused
└── given one that reports to another contract too: it should be refused when it is deployed
"""

from __future__ import annotations

import json

import pytest
from web3 import Web3

from orchestrator.edges.chain.deployment import deploy
from orchestrator.edges.chain.deployment_check import NO_ADDRESS, check_contracts
from orchestrator.errors import Halt
from scripts.deploy import development_plan
from services.testnet import Testnet
from tests.support.contracts.onchain import Node, OnChain, creation


@pytest.fixture
def chain():
    with Testnet() as running:
        yield running


def test_check__registry_that_does_not_report_to_the_rail__is_refused(chain, artifacts, tmp_path):
    """The rail would go on believing that a device is active which ended long ago."""
    deployment = deploy(chain.url, artifacts, development_plan(), tmp_path / "deployment.json")
    addresses = dict(deployment.addresses)
    check_contracts(chain.url, artifacts, addresses)
    registry = artifacts["DeviceRegistry"]
    data = creation(registry, [addresses["RailAccess"], addresses["OracleCommittee"], NO_ADDRESS])
    made = Node(chain.url).mined({"from": development_plan().deployer.address, "data": data})
    at = Web3.to_checksum_address(made["contractAddress"])
    problem = r"the registry reports changed devices to \[\], not PaymentRail"
    with pytest.raises(Halt, match=problem):
        check_contracts(chain.url, artifacts, addresses | {"DeviceRegistry": at})


def test_attack__another_watcher_in_the_set_up__is_refused(chain, artifacts, tmp_path):
    """A watcher that reverts would keep a stolen device from being suspended."""
    journal, plan = tmp_path / "deployment.json", development_plan()

    def watch(event: str) -> None:
        if event != "done OfficerRegistry":
            return
        at = {
            name: step["address"] for name, step in json.loads(journal.read_text())["steps"].items()
        }
        abi = artifacts["DeviceRegistry"].abi
        registry = OnChain(Node(chain.url), "DeviceRegistry", at["DeviceRegistry"], abi, {})
        registry.watch(at["OracleCommittee"], sender=plan.deployer.address)

    with pytest.raises(Halt, match=r"the registry also reports changed devices to \['0x.*'\]"):
        deploy(chain.url, artifacts, plan, journal, watch)
