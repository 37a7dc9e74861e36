"""Make what a rail needs before its processes start: the contracts on its chain.

In profile `dev` also the first payer, payee, meter and agreement.

    python -m services.set_up --home .proofrail

It may run at every start: what is there already is found again and nothing is sent.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.artifacts import load_artifacts, product_contracts
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.deployment import Deployment, deploy, finished
from orchestrator.edges.chain.ethereum import LocalAccount
from orchestrator.edges.chain.plan import HOUR_S, DeploymentPlan, checksum
from orchestrator.errors import Halt, Retry
from orchestrator.settings import Settings, read_settings
from services.sandbox.set_up import set_up_sandbox

_FORMER_HOLDERS = {  # role -> contract of 0.5.0 that names its holder
    "steward": "PaymentRail",
    "guardian": "PaymentRail",
    "minter": "EuroToken",
    "registrar": "DeviceRegistry",
    "warden": "DeviceRegistry",
}
_NAMED_ROLES = tuple(_FORMER_HOLDERS)


def main(arguments: list[str] | None = None) -> int:
    """Return 0 when everything is there, 1 if it cannot be made (stderr says why)."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, help="default: PROOFRAIL_HOME or .proofrail")
    options = parser.parse_args(arguments)
    try:
        settings = read_settings(options.home)
        deployment = set_up(settings)
        if settings.profile == "dev":
            set_up_sandbox(settings, print)
    except (Halt, Retry) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"PaymentRail {deployment.addresses['PaymentRail']} on chain {deployment.chain_id}")
    return 0


def set_up(settings: Settings) -> Deployment:
    """Return the deployment of this home's rail; deploy the contracts if there is none.

    Raises:
        Halt: a key of the plan is missing in the home, or the chain is another one.
        Retry: the node does not answer.
    """
    artifacts = load_artifacts()
    if finished(settings.deployment):  # also where it was attached, and the plan's keys are away
        deployment = Deployment.load(settings.deployment)
        Chain(settings.rpc_url, deployment, artifacts).check_identity()
        return deployment
    return deploy(settings.rpc_url, artifacts, plan_of_home(settings), settings.deployment, print)


def plan_of_home(settings: Settings) -> DeploymentPlan:
    """Return the plan in which the home's own keys and its oracles have the roles."""
    named = {role: _address_of(settings, role) for role in _NAMED_ROLES}
    return plan_of(settings, keystore.load(settings.keys, "deployer"), named)


def plan_of_former_rail(settings: Settings, deployer: LocalAccount, chain: Chain) -> DeploymentPlan:
    """Return the plan in which those have the roles who have them on contracts of 0.5.0.

    Their keys may be elsewhere. Of the home's oracles those sit that the former committee seats.

    Args:
        settings: of the home.
        deployer: who signs and pays.
        chain: the former contracts, with their own interfaces.

    Raises:
        Retry: the node does not answer.
    """
    named = {role: chain.view(contract, role) for role, contract in _FORMER_HOLDERS.items()}
    plan = plan_of(settings, deployer, named)
    states = [(at, *chain.view("OracleCommittee", "memberOf", at)[:3]) for at, _ in plan.members]
    members = tuple((at, domain) for at, domain, seated, barred in states if seated and not barred)
    return replace(plan, members=members, min_domains=chain.view("OracleCommittee", "minDomains"))


def plan_of(settings: Settings, deployer: LocalAccount, named: Mapping[str, str]) -> DeploymentPlan:
    """Return the plan of a home's settings.

    Args:
        settings: of the home.
        deployer: who signs and pays.
        named: role -> address.
    """
    return DeploymentPlan(
        deployer=deployer,
        members=tuple((checksum(oracle.address), oracle.domain) for oracle in settings.oracles),
        products=product_contracts(),
        officers=tuple(map(checksum, settings.officers)),
        delay_s=settings.steward_delay_hours * HOUR_S,
        **named,
    )


def _address_of(settings: Settings, role: str) -> str:
    """Return the address of a role's key, which stays locked; raise Halt where there is none."""
    address = keystore.address(settings.keys, role)
    return checksum(address or keystore.load(settings.keys, role).address)


if __name__ == "__main__":
    sys.exit(main())
