"""The home of a rail whose deployment grows: on a chain with a delay, or of release 0.5.0."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from typer.testing import CliRunner
from web3 import Web3

from orchestrator import cli
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.artifacts import Artifact, load_artifacts, masked_hash
from orchestrator.edges.chain.deployment import Deployment, deploy
from orchestrator.edges.store import Store
from orchestrator.settings import Settings
from services import new_home
from services.development import ROLES, development_plan
from services.testnet import Testnet
from tests.support.released import FOLDER

_METADATA = bytes.fromhex("a164736f6c6343000825000a")  # how deployed code ends: solc 0.8.37
DELAY_S = 48 * 3_600
PRODUCTS = ("MeteredEnergy", "WearableVoucher")  # of the growing home: one is still to come


class GrowingHome:
    """A home of profile `dev` on a chain of its own.

    Args:
        folder: Where the home is made.
        contracts: Deploys its contracts: (URL, file).
    """

    def __init__(self, folder: Path, contracts: Callable[[str, Path], Deployment]) -> None:
        self.testnet = Testnet(accounts=40).start()
        ports = new_home.FreePorts(lambda port: True)
        self.settings: Settings = new_home.make(
            new_home.development_home(folder, self.testnet.url, ports)
        )
        self.home, self.file = folder, self.settings.deployment
        contracts(self.testnet.url, self.file)
        (folder / "rail.json").write_text(json.dumps({"rpc_url": self.testnet.url}))
        Store(self.settings.database).close()
        self._empty = self.settings.database.read_bytes()

    @property
    def deployment(self) -> Deployment:
        return Deployment.load(self.file)

    def mark(self) -> tuple[str, bytes]:
        """Return what `back` needs to undo all that follows; commands have stored nothing yet."""
        return self.testnet.rpc("evm_snapshot"), self.file.read_bytes()

    def back(self, mark: tuple[str, bytes]) -> None:
        snapshot, content = mark
        assert self.testnet.rpc("evm_revert", snapshot)
        self.testnet.rpc("anvil_dropAllTransactions")
        self.file.write_bytes(content)
        for path in self.home.glob(f"{self.settings.database.name}*"):
            path.unlink()  # the nonces of sends that the chain has no more
        self.settings.database.write_bytes(self._empty)

    def run(self, *words: object) -> Any:
        return CliRunner().invoke(cli.app, ["--home", str(self.home), *map(str, words)])

    def json(self, *words: object) -> Any:
        result = self.run(*words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def sent(self, role: str = "deployer") -> int:
        address = keystore.development_account(ROLES[role]).address
        return int(self.testnet.rpc("eth_getTransactionCount", address, "latest"), 16)

    def close(self) -> None:
        self.testnet.stop()


def delayed_contracts(url: str, file: Path) -> Deployment:
    """Deploy a rail whose steward waits 48 hours, without one of the products."""
    plan = replace(development_plan(), delay_s=DELAY_S, products=PRODUCTS)
    return deploy(url, load_artifacts(), plan, file)


def former_contracts(url: str, file: Path) -> Deployment:
    """Deploy a rail of release 0.5.0 as that release did, and write its file."""
    sample = FOLDER / "0.5.0" / "contracts.json.gz"
    contracts = json.loads(gzip.decompress(sample.read_bytes()))
    web3, plan = Web3(Web3.HTTPProvider(url)), development_plan()
    at, blocks = {}, {}

    def create(name: str, *args: Any) -> None:
        made = web3.eth.contract(abi=contracts[name]["abi"], bytecode=contracts[name]["bytecode"])
        tx = made.constructor(*args).transact({"from": plan.deployer.address})
        receipt = web3.eth.wait_for_transaction_receipt(tx)
        at[name], blocks[name] = receipt["contractAddress"], receipt["blockNumber"]

    members, domains = zip(*plan.members, strict=True)
    create("DeviceRegistry", plan.registrar, plan.warden)
    create("OracleCommittee", plan.steward, members, domains, plan.min_domains)
    create("EuroToken", plan.minter)
    parts = (at["EuroToken"], at["OracleCommittee"], at["DeviceRegistry"])
    create("PaymentRail", plan.steward, plan.guardian, *parts)
    rail = web3.eth.contract(at["PaymentRail"], abi=contracts["PaymentRail"]["abi"])
    for product in ("MeteredEnergy", "ProofOfDelivery", "WearableVoucher"):
        create(product, at["PaymentRail"], at["DeviceRegistry"])
        rail.functions.allowProduct(at[product], True).transact({"from": plan.steward})
    genesis = Web3.to_hex(web3.eth.get_block(0)["hash"])
    content = {  # no version and no rails: so 0.5.0 wrote it
        "chain_id": web3.eth.chain_id,
        "genesis": genesis,
        "addresses": at,
        "blocks": blocks,
        "p256_precompile": True,
    }
    file.write_text(json.dumps({"deployment": content}))
    return Deployment.load(file)


def other_version(artifact: Artifact) -> Artifact:
    """Return a contract that does the same and has other code: one byte of its metadata."""
    raw = bytearray.fromhex(artifact.bytecode[2:])
    end = raw.rindex(_METADATA) + len(_METADATA)
    runtime = slice(end - artifact.deployed_size, end)
    assert masked_hash(bytes(raw[runtime]), artifact.immutables) == artifact.code_hash
    raw[end - 3] ^= 1  # the compiler's patch number, which nothing reads
    changed = masked_hash(bytes(raw[runtime]), artifact.immutables)
    return replace(artifact, bytecode="0x" + raw.hex(), code_hash=changed)
