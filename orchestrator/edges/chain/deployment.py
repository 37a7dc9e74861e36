"""Deploys the contracts exactly once, even if it is killed and run again, and finds them later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import requests
from web3 import Web3
from web3.exceptions import Web3Exception

import orchestrator
from orchestrator.edges.chain import ethereum  # noqa: F401 - web3 imports eth-account
from orchestrator.edges.chain.artifacts import Artifact
from orchestrator.edges.chain.deployment_check import NO_ADDRESS, check_deployment
from orchestrator.edges.chain.deployment_steps import DeploymentRun, DeploymentStep, creation, take
from orchestrator.edges.chain.journal_file import read_journal, write_journal
from orchestrator.edges.chain.plan import (
    RAIL_PARTS,
    WATERFALLS,
    DeploymentPlan,
    Role,
    refuse_unsafe,
)
from orchestrator.errors import Halt, Retry

_FIRST_RELEASES = {1: "0.5.0", 2: "0.6.0"}  # version of contracts -> release whose interfaces


def first_name(contract: str) -> str:
    """Return a contract's name without the release: `PaymentRail` of `PaymentRail@0.5.0`."""
    return contract.partition("@")[0]


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where the contracts are.

    A contract that a later one took the place of stays, under its name and the release whose
    interface it has: `PaymentRail@0.5.0`. Calls name it like any other.

    Attributes:
        chain_id: The chain's id.
        genesis: Hash of block 0, 0x-hex, since several chains may share an id.
        addresses: Contract name -> address.
        blocks: Contract name -> number of the block that created it.
        p256_precompile: The result of the registry's known-answer test at its deployment.
        rails: Name of a product -> name of its rail, where that is not `PaymentRail`.
        releases: Contract name -> release that created it, where that was recorded.
    """

    chain_id: int
    genesis: str
    addresses: dict[str, str]
    blocks: dict[str, int]
    p256_precompile: bool
    rails: dict[str, str] = field(default_factory=dict)
    releases: dict[str, str] = field(default_factory=dict)

    @property
    def version(self) -> int:
        """Return 2, or 1 for contracts of releases before RailAccess."""
        return 2 if "RailAccess" in self.addresses else 1

    @property
    def block_number(self) -> int:
        """Return the number of the first block with a contract, where logs begin."""
        return min(self.blocks.values())

    def named(self, contract: str) -> tuple[str, ...]:
        """Return the names of a contract and of those whose place it took, the present one
        first."""
        names = [name for name in self.addresses if first_name(name) == contract]
        return tuple(sorted(names, key=lambda name: (name != contract, name)))

    def rail_of(self, product: str) -> str:
        """Return the name of the rail that the product at an address belongs to.

        Raises:
            KeyError: No contract of this deployment is there.
        """
        at = {address.lower(): name for name, address in self.addresses.items()}
        return self.rails.get(at[product.lower()], "PaymentRail")

    def release_of(self, contract: str) -> str:
        """Return the release whose interface a contract has."""
        return self.releases.get(contract, _FIRST_RELEASES[self.version])

    def save(self, path: Path) -> None:
        """Write it as JSON; `load` reads that, and a journal too."""
        write_journal(path, {"deployment": asdict(self)})

    @classmethod
    def load(cls, path: Path) -> Deployment:
        """Read a journal or a saved deployment; raise Halt if there is none or it is unfinished."""
        content = read_journal(path)
        if not content:
            raise Halt(
                f"no deployment at {path}: `proofrail init` plans one and `proofrail up` makes it."
            )
        if "deployment" not in content:
            raise Halt(
                f"the deployment in {path} is unfinished: `proofrail up` goes on where it stopped."
            )
        return cls(**content["deployment"])


def finished(path: Path) -> bool:
    """Return whether a deployment is complete there."""
    return "deployment" in read_journal(path)


def deploy(
    url: str,
    artifacts: Mapping[str, Artifact],
    plan: DeploymentPlan,
    journal: Path,
    watch: Callable[[str], None] = lambda event: None,
) -> Deployment:
    """Deploy what the plan asks for, or find it already there and send nothing.

    Signed bytes are on disk before they are broadcast, and only those same bytes are ever sent
    again: if it is killed, a second call finishes the first.

    Args:
        url: The node.
        artifacts: The compiled contracts by name.
        plan: Who gets which role.
        journal: The file that records the progress.
        watch: Called with "signed NAME", "sent NAME" and "done NAME".

    Raises:
        Halt: The journal is of another chain or plan, the plan is unsafe (development keys, a
            short delay), a step reverted, or the contracts are not what the plan says at the end.
        Retry: The node does not answer.
    """
    web3 = Web3(Web3.HTTPProvider(url, cache_allowed_requests=True))
    try:
        run = _begin(web3, artifacts, plan, journal, watch)
        if "steps" in run.journal:  # not where it was attached to, or moved
            for step in rail_steps(plan, run.addresses):
                take(run, step)
        return _finish(run, plan)
    except (Web3Exception, requests.RequestException) as error:
        raise Retry(f"the node at {url} gave no usable answer: {error}") from error


def _begin(
    web3: Web3,
    artifacts: Mapping[str, Artifact],
    plan: DeploymentPlan,
    path: Path,
    watch: Callable[[str], None],
) -> DeploymentRun:
    chain_id, genesis = chain_identity(web3)
    refuse_unsafe(plan, chain_id)
    fresh = {"chain_id": chain_id, "genesis": genesis, "plan": plan_digest(artifacts, plan)}
    journal = read_journal(path) or {**fresh, "steps": {}}
    refuse_other_chain(path, journal.get("deployment", journal), chain_id, genesis)
    if "steps" in journal and journal["plan"] != fresh["plan"]:
        raise Halt(
            f"{path} was made from other contracts or other roles. Nothing was sent. Restore them. "
            "To add a product to a finished deployment: `proofrail product deploy`; to go on with "
            "this release's contracts: `proofrail chain move`. To deploy a second time on purpose, "
            "use another journal."
        )
    return DeploymentRun(web3, artifacts, path, journal, journal, watch)


def chain_identity(web3: Web3) -> tuple[int, str]:
    """Return (chain id, hash of block 0 as 0x-hex) of a node."""
    return web3.eth.chain_id, Web3.to_hex(web3.eth.get_block(0)["hash"])


def refuse_other_chain(path: Path, wanted: Mapping[str, Any], chain_id: int, genesis: str) -> None:
    """Raise Halt unless a file's chain is the node's."""
    if (wanted["chain_id"], wanted["genesis"]) != (chain_id, genesis):
        raise Halt(
            f"{path} belongs to chain {wanted['chain_id']} with genesis {wanted['genesis']}, "
            f"but the node is chain {chain_id} with genesis {genesis}. Nothing was sent. Point to "
            "the right node. To deploy a second time on purpose, use another journal."
        )


def plan_digest(artifacts: Mapping[str, Artifact], plan: DeploymentPlan) -> str:
    """Return what a journal is bound to: code and roles, so that a resumed run means the same."""
    codes = [artifacts[name].bytecode for name in plan.contracts]
    numbers = [plan.members, plan.min_domains, plan.delay_s, *plan.kept, *plan.follows]
    content = json.dumps([plan.contracts, codes, plan.addresses(), *numbers])
    return hashlib.sha256(content.encode()).hexdigest()


def rail_steps(plan: DeploymentPlan, at: Mapping[str, str]) -> Iterator[DeploymentStep]:
    """Yield the steps in order; each is made only when the addresses that it needs are known."""
    deployer = plan.deployer
    members, domains = [m for m, _ in plan.members], [d for _, d in plan.members]
    holders = (plan.steward, plan.guardian, plan.minter, plan.registrar, plan.warden)
    yield creation(deployer, "RailAccess", deployer.address, plan.delay_s, holders)
    access = at["RailAccess"]
    yield creation(deployer, "OracleCommittee", access, members, domains, plan.min_domains)
    predecessor = plan.registry or NO_ADDRESS
    yield creation(deployer, "DeviceRegistry", access, at["OracleCommittee"], predecessor)
    if not plan.token:
        yield creation(deployer, "EuroToken", access)
    token = plan.token or at["EuroToken"]
    parts = (token, at["OracleCommittee"], at["DeviceRegistry"])
    yield creation(deployer, "PaymentRail", access, *parts)
    rail = (at["PaymentRail"],)  # hears of devices, so that settlements need not ask
    yield DeploymentStep("watch devices", deployer, "DeviceRegistry", "watch", rail)
    yield creation(deployer, "Challenges", at["PaymentRail"], *parts)
    named = (at["PaymentRail"], at["Challenges"])
    yield DeploymentStep("name challenges", deployer, "OracleCommittee", "setChallenges", named)
    yield creation(deployer, WATERFALLS, at["PaymentRail"], token)
    for product in plan.products:
        yield creation(deployer, product, at["PaymentRail"], at["DeviceRegistry"])
        yield DeploymentStep(
            f"allow {product}", deployer, "PaymentRail", "allowProduct", (at[product],)
        )
    for product, former in plan.follows:
        yield DeploymentStep(f"link {product}", deployer, product, "setPredecessor", (former,))
    yield creation(deployer, "OfficerRegistry", access, plan.officers)
    renounced = (Role.STEWARD, deployer.address)
    yield DeploymentStep("close set-up", deployer, "RailAccess", "renounceRole", renounced)


def _finish(run: DeploymentRun, plan: DeploymentPlan) -> Deployment:
    if "deployment" not in run.journal:
        chain = (run.journal["chain_id"], run.journal["genesis"])
        deployment = new_rail(run, plan, *chain)
        run.journal["deployment"] = asdict(deployment)
        write_journal(run.path, run.journal)
    return Deployment(**run.journal["deployment"])


def new_rail(run: DeploymentRun, plan: DeploymentPlan, chain_id: int, genesis: str) -> Deployment:
    """Return the deployment that the steps of a rail made, after a check of all of it."""
    addresses = {name: run.addresses[name] for name in run.made}
    if plan.token:
        addresses["EuroToken"] = plan.token
    blocks, rail = run.blocks(), run.contract("PaymentRail")
    for name, function in RAIL_PARTS.items():
        addresses[name] = rail.functions[function]().call()
        blocks[name] = blocks["PaymentRail"]  # the rail's constructor made it
    precompile = run.contract("DeviceRegistry").functions.hasPrecompile().call()
    releases = dict.fromkeys(blocks, orchestrator.__version__)
    check_deployment(run.web3, run.artifacts, addresses, plan, min(blocks.values()))
    return Deployment(chain_id, genesis, addresses, blocks, precompile, releases=releases)
