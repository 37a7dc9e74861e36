"""A rail of this release next to one of release 0.5.0: same token, known devices, new contracts.

The former contracts stay in the deployment under their names and release. What is on them is paid
out by them; agreements move one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.edges.chain.artifacts import Artifact
from orchestrator.edges.chain.deployment import (
    Deployment,
    new_rail,
    plan_digest,
    rail_steps,
)
from orchestrator.edges.chain.deployment_steps import DeploymentRun, DeploymentStep
from orchestrator.edges.chain.ethereum import LocalAccount
from orchestrator.edges.chain.plan import DeploymentPlan, refuse_unsafe
from orchestrator.errors import Halt

_LINK = "setPredecessor"  # of a product that asks the version before it what was used there
_NO_PRODUCTS = ("PaymentRail", "DeviceRegistry", "OracleCommittee", "EuroToken")


def succession_plan(
    plan: DeploymentPlan, former: Deployment, artifacts: Mapping[str, Artifact]
) -> DeploymentPlan:
    """Return the plan of the rail that follows: a plan of a new one, with what it goes on with."""
    at = former.addresses
    follows = tuple(
        (product, at[product])
        for product in plan.products
        if product in at and artifacts[product].has(_LINK)
    )
    return replace(plan, token=at["EuroToken"], registry=at["DeviceRegistry"], follows=follows)


@dataclass(frozen=True)
class RailSuccession:
    """New contracts take the place of those of release 0.5.0.

    Attributes:
        plan: Who gets which role, and the token and registry to go on with.
    """

    plan: DeploymentPlan

    @property
    def title(self) -> str:
        """Return what the file calls it."""
        return "the rail that follows"

    @property
    def deployer(self) -> LocalAccount:
        """Return who signs and pays."""
        return self.plan.deployer

    def addresses(self) -> list[str]:
        """Return every address that gets a role or pays."""
        return self.plan.addresses()

    def meaning(self, artifacts: Mapping[str, Artifact]) -> Any:
        """Return the digest of code and roles."""
        return plan_digest(artifacts, self.plan)

    def begin(self, run: DeploymentRun, deployment: Deployment) -> None:
        """Refuse an unsafe plan, and a minter that the token does not know."""
        refuse_unsafe(self.plan, deployment.chain_id)
        token = run.web3.eth.contract(self.plan.token, abi=run.artifacts["EuroToken@0.5.0"].abi)
        minter = token.functions.minter().call()
        if minter != self.plan.minter:
            raise Halt(
                f"The token {self.plan.token} knows one minter for ever, {minter}, and the plan "
                f"has {self.plan.minter}. Nothing was sent. Next: put the keystore of {minter} "
                "back as the minter of this home."
            )

    def steps(self, at: Mapping[str, str]) -> Iterator[DeploymentStep]:
        """Yield the steps of a new rail, without a token."""
        return rail_steps(self.plan, at)

    def finish(self, run: DeploymentRun, deployment: Deployment) -> Deployment:
        """Check all of the new rail, and return it with the former one."""
        new = new_rail(run, self.plan, deployment.chain_id, deployment.genesis)
        for product, former in self.plan.follows:
            if run.contract(product).functions.predecessor().call() != former:
                raise Halt(
                    f"{product} does not know its former contract {former}. The new contracts are "
                    "not used. Next: find out who else has the deployer's key; then deploy again "
                    "from the former file, which is kept next to this one."
                )
        return followed(deployment, new)


def followed(former: Deployment, new: Deployment) -> Deployment:
    """Return the deployment of both: the new contracts, and the former ones by release."""
    names = {
        name: f"{name}@{former.release_of(name)}"
        for name in former.addresses
        if name != "EuroToken"
    }
    kept = {names[name]: former.addresses[name] for name in names}
    rail = names["PaymentRail"]
    return replace(
        new,
        addresses=new.addresses | kept,
        blocks=new.blocks
        | {"EuroToken": former.blocks["EuroToken"]}
        | {names[name]: former.blocks[name] for name in names},
        rails={names[name]: rail for name in names if name not in _NO_PRODUCTS},
        releases=new.releases
        | {"EuroToken": former.release_of("EuroToken")}
        | {names[name]: former.release_of(name) for name in names},
    )
