"""A device registry without a rail on a chain of a chosen hardfork: for products tested alone."""

from __future__ import annotations

from web3 import Web3

from scripts.deploy import development_plan
from scripts.solidity.shipped import current_artifacts
from scripts.solidity.sources import ROOT
from services.testnet import Testnet
from tests.support.contracts.contract_rail import NO_REGISTRY
from tests.support.contracts.forks import Fork
from tests.support.contracts.onchain import Node, errors_of

REGISTRAR_ROLE = 4  # libraries/Roles.sol
_SOURCES = ("contracts/DeviceRegistry.sol", "tests/contracts/sources/RegistryDoubles.sol")


class RegistryFork(Fork):
    """What Fork says about calls and devices; `at` holds the registry and its access manager.

    sources: further files to compile, relative to the project's folder.
    """

    def __init__(self, hardfork: str, chain: Testnet, sources: tuple[str, ...]) -> None:
        self.hardfork, self.chain, self.plan = hardfork, chain, development_plan()
        self.artifacts = current_artifacts((*_SOURCES, *sources), ROOT / ".build" / "contracts")
        self.node = Node(chain.url)
        self.web3 = Web3(Web3.HTTPProvider(chain.url))
        self._errors, self._fast, self.at = errors_of(self.artifacts), {}, {}
        steward = self.plan.steward
        self.at["PlainAccess"] = access = self.create("PlainAccess", steward)
        grant = REGISTRAR_ROLE, self.plan.registrar, 0
        self.send(access, "grantRole", *grant, sender=steward)
        self.at["DeviceRegistry"] = self.create(
            "DeviceRegistry", access.address, steward, NO_REGISTRY
        )
