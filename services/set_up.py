"""Make what a rail needs before its processes start: the contracts on its chain.

In profile `dev` also the first payer, payee, meter and agreement.

    python -m services.set_up --home .proofrail

It may run at every start: what is there already is found again and nothing is sent.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.artifacts import load_artifacts, product_contracts
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.deployment import Deployment, deploy, finished
from orchestrator.edges.chain.plan import HOUR_S, DeploymentPlan, checksum
from orchestrator.errors import Halt, Retry
from orchestrator.settings import Settings, read_settings
from services.sandbox.set_up import set_up_sandbox

_NAMED_ROLES = ("steward", "guardian", "minter", "registrar", "warden")


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
    return DeploymentPlan(
        deployer=keystore.load(settings.keys, "deployer"),
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
