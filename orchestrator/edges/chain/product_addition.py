"""One more product, or the factory of waterfalls, for a finished deployment.

It comes next to the version that it follows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from web3 import Web3

import orchestrator
from orchestrator.edges.chain.artifacts import Artifact
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.deployment_check import (
    DeployedContracts,
    check_product,
    role_holders,
)
from orchestrator.edges.chain.deployment_steps import DeploymentRun, DeploymentStep, creation
from orchestrator.edges.chain.ethereum import LocalAccount
from orchestrator.edges.chain.journal_file import write_journal
from orchestrator.edges.chain.plan import WATERFALLS, Role
from orchestrator.errors import Halt

_PARTS = ("PaymentRail", "DeviceRegistry")  # what each product is created with, in this order
_OTHER_PARTS = {WATERFALLS: ("PaymentRail", "EuroToken")}


@dataclass(frozen=True)
class ProductAddition:
    """A product's contract is created; listing it at the rail is the steward's call.

    Attributes:
        contract: Its name.
        deployment: What it is added to.
        deployer: Who signs and pays, and gets no power; None where it is only planned.
    """

    contract: str
    deployment: Deployment
    deployer: LocalAccount | None = None

    @property
    def title(self) -> str:
        """Return what the file calls it."""
        return f"product {self.contract}"

    @property
    def former(self) -> str | None:
        """Return the name that the version before it gets; None where it is the first."""
        if self.contract not in self.deployment.addresses:
            return None
        return f"{self.contract}@{self.deployment.release_of(self.contract)}"

    def addresses(self) -> list[str]:
        """Return who pays: nobody gets a role."""
        return [self.deployer.address] if self.deployer else []

    def arguments(self) -> tuple[str, ...]:
        """Return the addresses that its constructor gets."""
        return tuple(self.deployment.addresses[name] for name in self.parts)

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the names of the contracts that its constructor gets."""
        return _OTHER_PARTS.get(self.contract, _PARTS)

    def meaning(self, artifacts: Mapping[str, Artifact]) -> Any:
        """Return its code and what it is created with."""
        return [self.contract, artifacts[self.contract].bytecode, *self.arguments()]

    def begin(self, run: DeploymentRun, deployment: Deployment) -> None:
        """Record who holds which role before anything is sent."""
        refuse_former_contracts(deployment)
        if self.former in deployment.addresses:
            raise Halt(
                f"The deployment has {self.former} already, so a third version of release "
                f"{deployment.release_of(self.contract)} has no name. Nothing was sent. Next: "
                "give the changed software a release number of its own."
            )
        run.addresses.update(deployment.addresses)
        if "roles" not in run.part:
            run.part["roles"] = _roles(run, deployment)

    def steps(self, at: Mapping[str, str]) -> Iterator[DeploymentStep]:
        """Yield the one creation."""
        yield creation(self.deployer, self.contract, *self.arguments())

    def finish(self, run: DeploymentRun, deployment: Deployment) -> Deployment:
        """Check the product and that no role changed meanwhile; return both versions."""
        deployed = DeployedContracts(run.web3, run.artifacts, run.addresses)
        check_product(deployed, self.contract)
        roles = _roles(run, deployment)
        changes = [*_missing(run.part["roles"], roles, "lost")]
        changes += _missing(roles, run.part["roles"], "got")
        if changes:
            run.part["roles"] = roles
            write_journal(run.path, run.journal)
            raise Halt(
                f"Roles changed while {self.contract} was deployed: {'; '.join(changes)}. It is "
                "not listed and not used. Next: find out who changed them; if it was meant so, run "
                "the same command again."
            )
        return self._with_product(deployment, run)

    def _with_product(self, deployment: Deployment, run: DeploymentRun) -> Deployment:
        addresses, blocks = dict(deployment.addresses), dict(deployment.blocks)
        releases = dict(deployment.releases)
        if self.former:
            addresses[self.former] = addresses.pop(self.contract)
            blocks[self.former] = blocks.pop(self.contract)
            releases[self.former] = deployment.release_of(self.contract)
        addresses[self.contract] = run.addresses[self.contract]
        blocks |= run.blocks()
        releases[self.contract] = orchestrator.__version__
        return replace(deployment, addresses=addresses, blocks=blocks, releases=releases)


def refuse_former_contracts(deployment: Deployment) -> None:
    """Raise Halt for contracts of a release before RailAccess."""
    if deployment.version == 1:
        raise Halt(
            "The contracts of this rail are of release 0.5.0 or before, which take no products of "
            "this release. Nothing was sent. Next: `proofrail chain move --dry-run`."
        )


def is_there(web3: Web3, artifact: Artifact, deployment: Deployment) -> bool:
    """Return whether a deployment has a product with the very code of this release."""
    address = deployment.addresses.get(artifact.name)
    return address is not None and artifact.is_code(bytes(web3.eth.get_code(address)))


def _roles(run: DeploymentRun, deployment: Deployment) -> list[list[Any]]:
    deployed = DeployedContracts(run.web3, run.artifacts, deployment.addresses)
    return [list(holder) for holder in role_holders(deployed, deployment.block_number)]


def _missing(first: list[list[Any]], second: list[list[Any]], what: str) -> list[str]:
    """Return in words what the first list has and the second has not."""
    return [
        f"{account} {what} the role {Role(role).name} with {wait} s of delay"
        for role, account, wait in first
        if [role, account, wait] not in second
    ]
