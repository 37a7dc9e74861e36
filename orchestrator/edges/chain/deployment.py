"""Deploys the contracts exactly once, even if it is killed and run again, and finds them later."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import requests
from web3 import Web3
from web3.exceptions import Web3Exception

from orchestrator.edges.chain.artifacts import Artifact
from orchestrator.edges.chain.deployment_check import check_deployment
from orchestrator.edges.chain.ethereum import LocalAccount
from orchestrator.edges.chain.keystore import write_private
from orchestrator.edges.chain.plan import RAIL_PARTS, DeploymentPlan, Role, refuse_unsafe
from orchestrator.errors import Halt, Retry

GAS_LIMIT = 16_777_216  # EIP-7825
TIP_WEI = 10**9
RECEIPT_SECONDS = 120.0


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
    """

    chain_id: int
    genesis: str
    addresses: dict[str, str]
    blocks: dict[str, int]
    p256_precompile: bool
    rails: dict[str, str] = field(default_factory=dict)

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

    def save(self, path: Path) -> None:
        """Write it as JSON; `load` reads that, and a journal too."""
        _write(path, {"deployment": asdict(self)})

    @classmethod
    def load(cls, path: Path) -> Deployment:
        """Read a journal or a saved deployment; raise Halt if there is none or it is unfinished."""
        content = _read(path)
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
    return "deployment" in _read(path)


@dataclass(frozen=True, slots=True)
class DeploymentStep:
    """One transaction: a creation (`function` empty) or a call of an earlier contract."""

    name: str
    signer: LocalAccount
    contract: str
    function: str = ""
    args: tuple[Any, ...] = ()


@dataclass
class DeploymentRun:
    """A deployment in progress. `journal` always equals the content of the file."""

    web3: Web3
    artifacts: Mapping[str, Artifact]
    path: Path
    journal: dict[str, Any]
    watch: Callable[[str], None]
    addresses: dict[str, str] = field(default_factory=dict)

    def note(self, name: str, **values: Any) -> None:
        """Record a step in the journal, in memory and on disk."""
        self.journal["steps"].setdefault(name, {}).update(values)
        _write(self.path, self.journal)


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
    try:
        run = _begin(
            Web3(Web3.HTTPProvider(url, cache_allowed_requests=True)),
            artifacts,
            plan,
            journal,
            watch,
        )
        for step in _steps(plan, run.addresses):
            _take(run, step)
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
    chain_id, genesis = web3.eth.chain_id, Web3.to_hex(web3.eth.get_block(0)["hash"])
    refuse_unsafe(plan, chain_id)
    fresh = {"chain_id": chain_id, "genesis": genesis, "plan": _digest(artifacts, plan)}
    journal = _read(path) or {**fresh, "steps": {}}
    if (journal["chain_id"], journal["genesis"]) != (chain_id, genesis):
        raise Halt(
            f"{path} belongs to chain {journal['chain_id']} with genesis {journal['genesis']}, "
            f"but the node is chain {chain_id} with genesis {genesis}. Nothing was sent. Point to "
            "the right node. To deploy a second time on purpose, use another journal."
        )
    if journal["plan"] != fresh["plan"]:
        raise Halt(
            f"{path} was made from other contracts or other roles. Nothing was sent. "
            "Restore them. To deploy a second time on purpose, use another journal."
        )
    return DeploymentRun(web3, artifacts, path, journal, watch)


def _digest(artifacts: Mapping[str, Artifact], plan: DeploymentPlan) -> str:
    """Return what a journal is bound to: code and roles, so that a resumed run means the same."""
    codes = [artifacts[name].bytecode for name in plan.contracts]
    numbers = [plan.members, plan.min_domains, plan.delay_s]
    content = json.dumps([plan.contracts, codes, plan.addresses(), *numbers])
    return hashlib.sha256(content.encode()).hexdigest()


def _steps(plan: DeploymentPlan, at: Mapping[str, str]) -> Iterator[DeploymentStep]:
    """Yield the steps in order; each is made only when the addresses that it needs are known."""
    deployer = plan.deployer
    members, domains = [m for m, _ in plan.members], [d for _, d in plan.members]
    holders = (plan.steward, plan.guardian, plan.minter, plan.registrar, plan.warden)
    yield _creation(deployer, "RailAccess", deployer.address, plan.delay_s, holders)
    access = at["RailAccess"]
    yield _creation(deployer, "OracleCommittee", access, members, domains, plan.min_domains)
    yield _creation(deployer, "DeviceRegistry", access, at["OracleCommittee"])
    yield _creation(deployer, "EuroToken", access)
    parts = (at["EuroToken"], at["OracleCommittee"], at["DeviceRegistry"])
    yield _creation(deployer, "PaymentRail", access, *parts)
    yield _creation(deployer, "Challenges", at["PaymentRail"], *parts)
    named = (at["PaymentRail"], at["Challenges"])
    yield DeploymentStep("name challenges", deployer, "OracleCommittee", "setChallenges", named)
    for product in plan.products:
        yield _creation(deployer, product, at["PaymentRail"], at["DeviceRegistry"])
        yield DeploymentStep(
            f"allow {product}", deployer, "PaymentRail", "allowProduct", (at[product],)
        )
    yield _creation(deployer, "OfficerRegistry", access, plan.officers)
    renounced = (Role.STEWARD, deployer.address)
    yield DeploymentStep("close set-up", deployer, "RailAccess", "renounceRole", renounced)


def _creation(deployer: LocalAccount, contract: str, *args: Any) -> DeploymentStep:
    return DeploymentStep(contract, deployer, contract, args=args)


def _take(run: DeploymentRun, step: DeploymentStep) -> None:
    """Finish one step, from wherever it stopped."""
    noted = run.journal["steps"].get(step.name, {})
    if "block" not in noted:
        if "raw" not in noted:
            digest, raw = _sign(run, step)
            run.note(step.name, hash=digest, raw=raw)
            run.watch(f"signed {step.name}")
        _settle(run, step)
        run.watch(f"done {step.name}")
    noted = run.journal["steps"][step.name]
    if step.function:
        return
    run.addresses[step.contract] = noted["address"]
    if not run.web3.eth.get_code(noted["address"]):
        raise Halt(
            f"there is no code at {step.contract} {noted['address']}: the chain was rewound "
            f"or reset. Nothing was sent for it. Next: check the node; on a chain that was reset "
            "on purpose, use another journal."
        )


def _sign(run: DeploymentRun, step: DeploymentStep) -> tuple[str, str]:
    eth, artifact = run.web3.eth, run.artifacts[step.contract]
    sender = step.signer.address
    fees = {
        "maxFeePerGas": 2 * eth.get_block("latest")["baseFeePerGas"] + TIP_WEI,
        "maxPriorityFeePerGas": TIP_WEI,
    }
    common = {
        "from": sender,
        "nonce": eth.get_transaction_count(sender),
        "value": 0,
        "chainId": run.journal["chain_id"],
        **fees,
    }
    if step.function:
        target = eth.contract(address=run.addresses[step.contract], abi=artifact.abi)
        request = target.functions[step.function](*step.args)
    else:
        request = eth.contract(abi=artifact.abi, bytecode=artifact.bytecode).constructor(*step.args)
    gas = min(request.estimate_gas({"from": sender}) * 6 // 5, GAS_LIMIT)
    transaction = request.build_transaction({**common, "gas": gas})
    signed = step.signer.sign_transaction(transaction)
    return Web3.to_hex(signed.hash), Web3.to_hex(signed.raw_transaction)


def _settle(run: DeploymentRun, step: DeploymentStep) -> None:
    """Send the stored bytes (again) and wait; only a receipt decides, never an error answer."""
    noted = run.journal["steps"][step.name]
    refusal = ""
    if _receipt(run.web3, noted["hash"]) is None:
        try:
            run.web3.eth.send_raw_transaction(noted["raw"])
        except Web3Exception as error:
            refusal = str(error)  # "already known", or lost: the receipt decides
        run.watch(f"sent {step.name}")
    receipt = _wait(run.web3, noted["hash"], refusal)
    if receipt["status"] != 1:
        raise Halt(
            f"deployment step {step.name} reverted in block {receipt['blockNumber']} "
            f"({noted['hash']}). Nothing after it was sent. Next: see its receipt for the reason; "
            "to deploy again from the beginning, use another journal."
        )
    run.note(step.name, block=receipt["blockNumber"], address=receipt["contractAddress"])


def _wait(web3: Web3, digest: str, refusal: str) -> Any:
    deadline = time.monotonic() + (RECEIPT_SECONDS if not refusal else RECEIPT_SECONDS / 4)
    while True:
        receipt = _receipt(web3, digest)
        if receipt is not None:
            return receipt
        if time.monotonic() > deadline:
            raise Retry(
                f"transaction {digest} is in no block yet. {refusal} Run the deployment "
                "again with the same journal; it sends the same bytes."
            )
        time.sleep(0.05)


def _receipt(web3: Web3, digest: str) -> Any:
    answer = web3.provider.make_request("eth_getTransactionReceipt", [digest])
    receipt = answer.get("result")
    if not receipt:
        return None
    address = receipt["contractAddress"]
    return {
        "status": int(receipt["status"], 16),
        "blockNumber": int(receipt["blockNumber"], 16),
        "contractAddress": address and Web3.to_checksum_address(address),
    }


def _finish(run: DeploymentRun, plan: DeploymentPlan) -> Deployment:
    if "deployment" not in run.journal:
        blocks = {name: run.journal["steps"][name]["block"] for name in run.addresses}
        rail, addresses = _contract(run, "PaymentRail"), dict(run.addresses)
        for name, function in RAIL_PARTS.items():
            addresses[name] = rail.functions[function]().call()
            blocks[name] = blocks["PaymentRail"]  # the rail's constructor made it
        deployment = Deployment(
            run.journal["chain_id"],
            run.journal["genesis"],
            addresses,
            blocks,
            _contract(run, "DeviceRegistry").functions.hasPrecompile().call(),
        )
        check_deployment(run.web3, run.artifacts, addresses, plan, deployment.block_number)
        run.journal["deployment"] = asdict(deployment)
        _write(run.path, run.journal)
    return Deployment(**run.journal["deployment"])


def _contract(run: DeploymentRun, name: str) -> Any:
    return run.web3.eth.contract(address=run.addresses[name], abi=run.artifacts[name].abi)


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise Halt(f"{path} is not a deployment journal: {error}") from error


def _write(path: Path, content: dict[str, Any]) -> None:
    write_private(path, json.dumps(content, indent=1).encode())
