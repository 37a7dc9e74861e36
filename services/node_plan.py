"""The plan of a deployment on any EVM node, made before anything is signed: `proofrail init --rpc`.

It asks the node which chain it is, and computes what the contracts cost and who lacks what.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.edges.chain.artifacts import Artifact, load_artifacts
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.deployment import Deployment, deploy, finished
from orchestrator.edges.chain.deployment_check import check_contracts
from orchestrator.edges.chain.deployment_steps import GAS_LIMIT, TIP_WEI
from orchestrator.edges.chain.keystore import LOCAL_CHAIN
from orchestrator.edges.chain.plan import DeploymentPlan
from orchestrator.errors import Halt
from orchestrator.settings import Settings

# what a creation costs (Yellow Paper, appendix G; EIP-2028, EIP-3860); the rest is the constructor
_CREATION, _PER_CODE_BYTE, _PER_DATA_BYTE, _CONSTRUCTOR = 53_000, 200, 16, 700_000
_CALL = 120_000  # an upper estimate: listing a product, closing the set-up
_MARGIN_FEES = 2  # the fee may double until the deployment is mined


@dataclass(frozen=True)
class NodePlan:
    """What would happen on a node.

    Attributes:
        contracts: name -> address of those that are there, "" for those to deploy.
        signers: role -> (address, wei that it needs, wei that it has); empty if nothing is sent.
        gas: an upper estimate of all transactions together.
    """

    url: str
    chain_id: int
    genesis: str
    contracts: dict[str, str]
    signers: dict[str, tuple[str, int, int]]
    gas: int

    @property
    def missing(self) -> dict[str, tuple[str, int]]:
        """Return role -> (address, wei that it lacks)."""
        return {
            role: (address, needs - has)
            for role, (address, needs, has) in self.signers.items()
            if needs > has
        }


def node_identity(url: str) -> tuple[int, str]:
    """Return chain id and genesis hash (0x-hex) of a node.

    Raises:
        Retry: no node answers.
    """
    chain_id, genesis = _node(url).rpc_many(
        [("eth_chainId", []), ("eth_getBlockByNumber", ["0x0", False])]
    )
    return int(chain_id, 16), genesis["hash"]


def refuse_development_profile(url: str, chain_id: int) -> None:
    """Raise Halt for profile `dev` outside the local chain: everybody knows its keys."""
    if chain_id != LOCAL_CHAIN:
        raise Halt(
            f"The node at {url} is chain {chain_id}, and profile dev uses keys that everybody "
            f"knows, which only the local chain {LOCAL_CHAIN} accepts. Nothing was written and "
            "nothing was sent. Use `proofrail init --profile server`, which makes keys of its own."
        )


def plan_deployment(settings: Settings, plan: DeploymentPlan) -> NodePlan:
    """Return what deploying would do; nothing is signed or sent.

    Args:
        settings: of the home.
        plan: what would be deployed; one with a token follows the home's finished deployment,
            and else the home has none.

    Raises:
        Retry: the node does not answer.
    """
    chain_id, genesis = node_identity(settings.rpc_url)
    artifacts = load_artifacts()
    names = plan.contracts
    creations = sum(creation_gas(artifacts[name]) for name in names)
    calls = _CALL * (len(plan.products) + 1)
    gas = creations + calls
    address = plan.deployer.address
    signers = {"deployer": (address, *gas_money(settings.rpc_url, address, gas))}
    contracts = dict.fromkeys(names, "")
    return NodePlan(settings.rpc_url, chain_id, genesis, contracts, signers, gas)


def deployed(settings: Settings) -> NodePlan:
    """Return where a home's contracts are, after a check that the node has them.

    Raises:
        Halt: the node is another chain, or the contracts are not those of this release.
        Retry: the node does not answer.
    """
    there = attach(settings, settings.deployment)
    return NodePlan(settings.rpc_url, there.chain_id, there.genesis, there.addresses, {}, 0)


def gas_money(url: str, address: str, gas: int) -> tuple[int, int]:
    """Return (wei that an address needs for some gas at most, wei that it has).

    Raises:
        Retry: the node does not answer.
    """
    block, balance = _node(url).rpc_many(
        [("eth_getBlockByNumber", ["latest", False]), ("eth_getBalance", [address, "latest"])]
    )
    price = _MARGIN_FEES * (int(block.get("baseFeePerGas") or "0x0", 16) + TIP_WEI)
    return gas * price, int(balance, 16)


def creation_gas(artifact: Artifact) -> int:
    """Return an upper estimate of the gas that creates a contract."""
    data = len(artifact.bytecode) // 2 + 512  # with the constructor's arguments
    gas = _CREATION + _CONSTRUCTOR + _PER_DATA_BYTE * data + _PER_CODE_BYTE * artifact.deployed_size
    return min(gas, GAS_LIMIT)


def carry_out(
    settings: Settings, plan: DeploymentPlan, node: NodePlan, say: Callable[[str], None]
) -> Deployment:
    """Deploy what the plan names, and return where the contracts are.

    Raises:
        Halt: an account lacks money for gas, or a step fails (as `deploy`).
        Retry: the node does not answer.
    """
    refuse_unpaid(node)
    return deploy(settings.rpc_url, load_artifacts(), plan, settings.deployment, say)


def refuse_unpaid(node: NodePlan) -> None:
    """Raise Halt where an account cannot pay the gas of a plan."""
    if node.missing:
        lacks = "; ".join(
            f"{role} {address} lacks {ether(wei)}" for role, (address, wei) in node.missing.items()
        )
        raise Halt(
            f"There is not enough for the gas on chain {node.chain_id}: {lacks}. Nothing was "
            "sent; the home and its keys stay. Send it there, then run the same command again."
        )


def attach(settings: Settings, file: Path) -> Deployment:
    """Take over contracts that are deployed already, after a check that the node has them.

    Args:
        file: the `deployment.json` that the deployment wrote.

    Raises:
        Halt: the file is none, the home has another deployment, the node is another chain, or the
            contracts are not those of this release or their set-up is open.
        Retry: the node does not answer.
    """
    if not file.is_file():
        raise Halt(f"There is no file {file}. Give the deployment.json of the contracts.")
    deployment = Deployment.load(file)
    if finished(settings.deployment) and Deployment.load(settings.deployment) != deployment:
        raise Halt(
            f"{settings.home} has contracts of its own in {settings.deployment.name}. Nothing was "
            "changed. To attach to others, make another home."
        )
    artifacts = load_artifacts()
    Chain(settings.rpc_url, deployment, artifacts).check_identity()
    if deployment.version > 1:
        check_contracts(settings.rpc_url, artifacts, deployment.addresses)
    if not finished(settings.deployment):
        deployment.save(settings.deployment)
    return deployment


def ether(wei: int) -> str:
    """Format wei as ETH, rounded up to six decimals."""
    millionths = -(-wei // 10**12)
    return f"{millionths // 10**6:,}.{millionths % 10**6:06} ETH"


def _node(url: str) -> Chain:
    """Return a client that knows no contract: enough to ask the node about itself."""
    return Chain(url, Deployment(0, "", {}, {}, False), {}, timeout_s=10)
