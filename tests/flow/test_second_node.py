"""Any EVM node by URL: the same contracts, client and payments on Hardhat's node as on anvil."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator.assembly import open_chain
from orchestrator.cli import app
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.client import TOO_MUCH_GAS, Call
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.proof import proofs
from orchestrator.errors import Halt, Retry
from orchestrator.settings import read_settings
from services import node_plan
from services.set_up import plan_of_home, set_up
from services.testnet import Testnet
from tests.support.second_node import SecondNode, development_addresses
from tests.support.small_rail import START, SmallRail

CHAIN_ID = 12_345


class SecondNodeRail(SmallRail):
    """The small rail on the second implementation."""

    def _node(self) -> SecondNode:
        return SecondNode(31337, development_addresses(), START)


@pytest.fixture(scope="module")
def rail(tmp_path_factory):
    rail = SecondNodeRail(tmp_path_factory.mktemp("second") / "home").start()
    yield rail
    rail.stop()


def test_second_node__a_record__is_settled_final_and_paid(rail):
    rail.fund("cp-0001", 20_000)
    rail.work(4)
    rail.clock = START + 100_000
    assert rail.take(*rail.fleet["cp-0001"].session("12.5")) == ["accepted"]
    rail.work(12, 20)
    rail.close_day()
    rail.close_day()  # the payout is booked on the bank's second day
    rail.work(3)
    assert list(rail.payments()) == ["cp-0001 reconciled"]


def test_second_node__a_call_that_reverts__is_refused_with_the_contracts_own_error(rail):
    stranger = rail.payer.address
    with pytest.raises(Retry, match=r"EuroToken\.mint would revert: NotInRole$"):
        rail.chain.quote(stranger, Call("EuroToken", "mint", (b"\1" * 32, stranger, 5)))


def test_second_node__a_call_that_no_transaction_can_hold__is_named_so(rail):
    huge = Call("EuroToken", "transfer", (rail.payer.address, 0))
    with pytest.raises(Retry, match=TOO_MUCH_GAS):  # EIP-7623 charges 40 gas for a byte
        rail.chain.quote(rail.payer.address, huge, suffix=b"\1" * 700_000)


def test_second_node__the_same_bytes_again__are_no_refusal(rail):
    call = Call("PaymentRail", "setPayoutAccount", (b"\1" * 32, 0))
    quote = rail.chain.quote(rail.payer.address, call)
    _, raw = rail.chain.sign(rail.payer, quote.nonce, quote)
    assert rail.chain.broadcast([raw]) == ["sent"]
    rail.mine()
    assert rail.chain.broadcast([raw]) == ["unknown"]  # its receipt decides


def test_second_node__a_transaction_in_a_block__is_proven_by_the_block_alone(rail):
    log = rail.chain.logs_between("PaymentRail", 1, rail.chain.head())[-1]
    assert list(proofs(rail.chain.reader, [log.tx_hash])) == [log.tx_hash]


# --- `proofrail init --rpc` with keys of its own, on a chain that is not the local one


@pytest.fixture(scope="module")
def node():
    with SecondNode(CHAIN_ID) as node:
        yield node


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def server(home: Path, url: str, *more: str) -> Any:
    """`proofrail init` with every answer as a flag."""
    oracles = [
        f"{name}:{domain}:0x{number:040x}:http://127.0.0.1:{9_000 + number}"
        for number, (name, domain) in enumerate((("north", 1), ("south", 2), ("west", 3)), 1)
    ]
    flags = [word for oracle in oracles for word in ("--oracle", oracle)]
    flags += ["--name", "Rail Ltd", "--iban", "DE89370400440532013000", "--street", "Weg"]
    flags += ["--building", "1", "--post-code", "10115", "--town", "Berlin", "--country", "DE"]
    return run("init", "--home", home, "--profile", "server", "--rpc", url, "--yes", *flags, *more)


def test_init__development_profile_on_another_chain__is_refused_before_anything_is_written(
    node, tmp_path
):
    home = tmp_path / "home"
    refused = run("init", "--home", home, "--profile", "dev", "--yes", "--rpc", node.url)
    assert refused.exit_code == 2 and f"is chain {CHAIN_ID}" in refused.stderr
    assert not home.exists()


def test_init__server_profile__names_what_each_key_lacks_then_deploys_then_changes_nothing(
    node, tmp_path
):
    home = tmp_path / "home"
    poor = server(home, node.url)
    assert poor.exit_code == 2, poor.stdout + poor.stderr
    deployer = keystore.load(home / "keys", "deployer").address  # it pays for everything
    assert f"deployer {deployer} lacks" in poor.stderr
    assert not (home / "deployment.json").exists()
    keys = {path: path.read_bytes() for path in (home / "keys").rglob("*") if path.is_file()}
    public = {keystore.development_account(index).address for index in range(40)}
    named = plan_of_home(read_settings(home)).addresses()
    assert deployer in named and not public & set(named)  # keys of its own

    lacking = node_plan.plan_deployment(read_settings(home), plan_of_home(read_settings(home)))
    for address, wei in lacking.missing.values():
        node.give(address, wei)  # exactly what the message asks for
    deployed = server(home, node.url)
    assert deployed.exit_code == 0, deployed.stderr
    assert "\n1. create RailAccess\n" in deployed.stdout and "\\n" not in deployed.stdout
    assert "to be deployed" in deployed.stdout and "gas: at most" in deployed.stdout
    deployment = Deployment.load(home / "deployment.json")
    assert deployment.chain_id == CHAIN_ID and deployment.p256_precompile
    used = _gas_used(home, node)
    assert used <= lacking.gas <= 2 * used
    assert {path: path.read_bytes() for path in keys} == keys

    blocks = node.rpc("eth_blockNumber")
    again = server(home, node.url)
    assert again.exit_code == 0 and "nothing was changed" in again.stdout
    assert node.rpc("eth_blockNumber") == blocks
    _keys_elsewhere(node, home, deployment)
    _attach(tmp_path, node, home)


def _keys_elsewhere(node: SecondNode, home: Path, deployment: Deployment) -> None:
    """The keys that no process needs have left: the same command still only looks."""
    (home / "keys" / "deployer.json").unlink()
    for role in ("steward", "guardian"):
        shutil.rmtree(home / "keys" / role)
    blocks = node.rpc("eth_blockNumber")
    again = server(home, node.url)
    assert again.exit_code == 0, again.stderr
    assert "The contracts are there already; nothing was sent." in again.stdout
    assert deployment.addresses["PaymentRail"] in again.stdout
    assert "/keys/steward" not in again.stdout and node.rpc("eth_blockNumber") == blocks


def _gas_used(home: Path, node: SecondNode) -> int:
    steps = json.loads((home / "deployment.json").read_text())["steps"]
    receipts = [node.rpc("eth_getTransactionReceipt", step["hash"]) for step in steps.values()]
    return sum(int(receipt["gasUsed"], 16) for receipt in receipts)


def _attach(tmp_path: Path, node: SecondNode, first: Path) -> None:
    """A second home uses the contracts of the first, and only on their chain."""
    attached = server(tmp_path / "second", node.url, "--attach", str(first / "deployment.json"))
    assert attached.exit_code == 0, attached.stderr
    deployment = Deployment.load(tmp_path / "second" / "deployment.json")
    assert deployment == Deployment.load(first / "deployment.json")
    open_chain(node.url, deployment).check_identity()
    with SecondNode(CHAIN_ID, genesis_at=START) as stranger:
        other = server(tmp_path / "third", stranger.url, "--attach", str(first / "deployment.json"))
        assert other.exit_code == 2 and "is another chain" in other.stderr


# --- and on anvil, whose chain outlives its process


def test_init__a_node_that_was_restarted_with_its_chain__is_found_again(tmp_path):
    home, state = tmp_path / "home", tmp_path / "chain.json"
    with Testnet(state=state) as first:
        url = first.url
        made = run("init", "--home", home, "--profile", "dev", "--yes", "--rpc", url)
        assert made.exit_code == 0, made.output
        blocks = first.rpc("eth_blockNumber")
    with Testnet(state=state, port=int(url.rpartition(":")[2])) as second:
        again = run("init", "--home", home, "--yes", "--rpc", url)
        assert again.exit_code == 0, again.output
        assert "nothing was changed" in again.stdout and "to be deployed" not in again.stdout
        assert second.rpc("eth_blockNumber") == blocks
        set_up(read_settings(home))  # as every `proofrail up` does
    with Testnet(port=int(url.rpartition(":")[2])), pytest.raises(Halt, match="another chain"):
        set_up(read_settings(home))  # a chain that lost its blocks is no longer the rail's
