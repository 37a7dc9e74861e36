"""The contracts of this release are put next to those of 0.5.0 by command, and the file has both.

chain move
├── given a home of 0.5.0: it should show the plan, then deploy, keep the former file, send once
├── given a run killed after any event: the next should finish with the bytes already signed
├── given a run killed with its chain: the next should send the same bytes again
├── given blocks that are not final: it should change the file only when they are
├── given another command that deploys, another minter: it should refuse before sending
├── given a stopped home with a local chain: it should run the chain meanwhile
└── given the moved rail: another home should attach to it, unless its registry is another's
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner
from web3 import Web3

from orchestrator import cli
from orchestrator.edges.chain import deployment_steps, keystore
from orchestrator.edges.chain.artifacts import load_artifacts
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.deployment_check import check_contracts
from orchestrator.edges.chain.extension import extend
from orchestrator.edges.chain.rail_succession import RailSuccession, succession_plan
from orchestrator.errors import Halt, Retry
from orchestrator.home_lock import hold
from services import anvil, new_home
from services.commands import chain_move
from services.development import development_plan
from services.node_plan import node_identity
from services.set_up import plan_of_home
from tests.support.growing_home import GrowingHome, former_contracts

pytestmark = pytest.mark.skipif(anvil.find() is None, reason="anvil is not installed")

FORMER = ("PaymentRail", "DeviceRegistry", "OracleCommittee")
AWAY = ("deployer", "steward", "guardian")
PRODUCTS = ("MeteredEnergy", "ProofOfDelivery", "WearableVoucher")


@pytest.fixture(scope="module")
def growing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GrowingHome]:
    home = GrowingHome(tmp_path_factory.mktemp("former") / "home", former_contracts)
    yield home
    home.close()


@pytest.fixture
def rail(growing: GrowingHome) -> Iterator[GrowingHome]:
    """The shared home of release 0.5.0 as it was at first."""
    mark = growing.mark()
    yield growing
    growing.back(mark)


def test_plan__keys_of_the_roles_elsewhere__gives_roles_to_those_who_have_them(rail, tmp_path):
    """The deployer's key was destroyed after the deployment, and the steward's left the machine."""
    keystore.create(tmp_path, "payer", "0x" + "7" * 64)
    payer = keystore.address_in(tmp_path / "payer.json")
    rail.testnet.rpc("anvil_setBalance", payer, hex(10**20))
    moved = [path for path in rail.settings.keys.rglob("*.json") if path.stem in AWAY]
    assert len(moved) == len(AWAY)
    for path in moved:
        path.rename(path.with_suffix(".away"))
    try:
        without = rail.run("chain", "move", "--dry-run")
        words = ("--keystore", tmp_path / "payer.json", "--password-file", tmp_path / "password")
        plan = rail.json("chain", "move", "--dry-run", *words)
    finally:
        for path in moved:
            path.with_suffix(".away").rename(path)
    assert without.exit_code == 2 and "no key 'deployer'" in without.stderr
    expected = development_plan()
    lines = "\n".join(plan["plan"])
    for role in ("steward", "guardian", "minter", "registrar", "warden"):
        assert f"{role:<10} {getattr(expected, role)}" in lines
    assert plan["payer"]["address"].lower() == payer.lower()
    assert all(f"oracle     {address}" in lines for address, _ in expected.members)


def succession(rail: GrowingHome) -> RailSuccession:
    plan = plan_of_home(rail.settings)
    return RailSuccession(succession_plan(plan, rail.deployment, load_artifacts()))


def view(rail: GrowingHome, contract: str, function: str, *args: Any) -> Any:
    return Chain(rail.testnet.url, rail.deployment, load_artifacts()).view(
        contract, function, *args
    )


def test_move__home_of_0_5_0__has_both_rails_one_token_and_the_former_file(rail):
    before, content, sent = rail.deployment, rail.file.read_bytes(), rail.sent()
    assert before.version == 1
    plan = rail.json("chain", "move", "--dry-run")
    assert (plan["state"], plan["sent"], rail.sent()) == ("to_move", False, sent)
    assert "EuroToken" not in plan["contracts"] and plan["former"] == before.addresses
    assert any("create PaymentRail" in line for line in plan["plan"])
    assert rail.file.read_bytes() == content
    refused = rail.run("chain", "move", "--json")
    assert refused.exit_code == 2 and "Add --yes" in refused.output
    made = rail.json("chain", "move", "--yes")
    assert (made["state"], made["sent"]) == ("moved", True)
    became = rail.deployment
    assert became.addresses == made["contracts"] and became.version == 2
    assert became.addresses["EuroToken"] == before.addresses["EuroToken"]
    assert became.named("EuroToken") == ("EuroToken",)
    for name in (*FORMER, *PRODUCTS):
        assert became.addresses[f"{name}@0.5.0"] == before.addresses[name]
        assert became.blocks[f"{name}@0.5.0"] == before.blocks[name]
        assert became.addresses[name] != before.addresses[name]
    assert became.rails == {f"{name}@0.5.0": "PaymentRail@0.5.0" for name in PRODUCTS}
    assert became.rail_of(became.addresses["MeteredEnergy"]) == "PaymentRail"
    assert became.rail_of(before.addresses["MeteredEnergy"]) == "PaymentRail@0.5.0"
    assert view(rail, "PaymentRail", "token") == before.addresses["EuroToken"]
    assert view(rail, "DeviceRegistry", "predecessor") == before.addresses["DeviceRegistry"]
    for name in ("ProofOfDelivery", "WearableVoucher"):
        assert view(rail, name, "predecessor") == before.addresses[name]
    kept = rail.home / "deployment-0.5.0.json"
    assert kept.read_bytes() == content and kept.stat().st_mode & 0o777 == 0o600
    check_contracts(rail.testnet.url, load_artifacts(), became.addresses)
    sent = rail.sent()
    again = rail.json("chain", "move", "--yes")
    assert (again["state"], again["sent"], rail.sent()) == ("moved", False, sent)
    wrong = became.addresses | {"DeviceRegistry@0.5.0": "0x" + "5" * 40}
    with pytest.raises(Halt, match="takes devices over from"):
        check_contracts(rail.testnet.url, load_artifacts(), wrong)
    rows = {row["name"]: row for row in rail.json("product", "list")}
    assert all(rows[name]["allowed"] for name in PRODUCTS)
    assert rows["MeteredEnergy@0.5.0"]["rail"] == "PaymentRail@0.5.0"
    words = ("product", "deploy", "MeteredEnergy", "--dry-run")
    assert rail.json(*words)["state"] == "deployed"
    for word in ("rotate", "revoke"):  # the role would change, and not who mints
        result = rail.run("key", word, "minter", "--dry-run")
        assert result.exit_code == 2 and "knows one minter for ever" in result.stderr


def test_move__killed_at_some_events__goes_on_with_the_same_bytes(rail):
    left: list[tuple[str, tuple[str, bytes]]] = []

    def watch(event: str) -> None:
        while rail.testnet.rpc("txpool_status")["pending"] != "0x0":
            pass
        left.append((event, rail.mark()))

    artifacts, successor, before = load_artifacts(), succession(rail), rail.deployment
    expected = extend(rail.testnet.url, artifacts, successor, rail.file, watch)
    total = rail.sent()
    events = {"done close set-up", "sent PaymentRail", "signed link WearableVoucher"}
    chosen = [(event, mark) for event, mark in left if event in events]
    assert len(chosen) == len(events)
    for event, mark in reversed(chosen):
        rail.back(mark)
        steps = json.loads(mark[1])["extension"]["steps"]
        assert Deployment.load(rail.file) == before, event  # the rail of 0.5.0 can run meanwhile
        assert extend(rail.testnet.url, artifacts, successor, rail.file) == expected
        [done] = json.loads(rail.file.read_text())["extensions"]
        assert all(done["steps"][name]["raw"] == step["raw"] for name, step in steps.items())
        assert rail.sent() == total, event


def test_move__killed_with_its_chain__sends_the_same_bytes_for_blocks_that_are_lost(rail):
    """The local chain dies with the command: what no dump held is gone, and the journal has it."""
    artifacts, successor, (empty, _) = load_artifacts(), succession(rail), rail.mark()
    events: list[str] = []

    class KilledMoveError(Exception):
        pass

    def killed(event: str) -> None:
        if event == "sent allow MeteredEnergy":
            raise KilledMoveError

    with pytest.raises(KilledMoveError):
        extend(rail.testnet.url, artifacts, successor, rail.file, killed)
    left = json.loads(rail.file.read_text())["extension"]["steps"]
    began = sum("block" in step for step in left.values())
    assert rail.json("chain", "move", "--dry-run")["steps_done"] == began > 0
    assert f"has done {began} steps" in rail.run("chain", "move", "--dry-run").stdout
    rail.back((empty, rail.file.read_bytes()))
    deployment = extend(rail.testnet.url, artifacts, successor, rail.file, events.append)
    [done] = json.loads(rail.file.read_text())["extensions"]
    assert all(done["steps"][name]["raw"] == step["raw"] for name, step in left.items())
    assert "forgotten" not in done and "signed RailAccess" not in events
    assert "sent RailAccess" in events
    assert deployment.addresses["PaymentRail"] == left["PaymentRail"]["address"]


def test_move__blocks_not_final__changes_the_file_only_when_they_are(rail, monkeypatch):
    files: list[bool] = []
    newest = iter((0, 0, 10**9))

    def final_block(web3: Any) -> int:
        files.append("extension" in json.loads(rail.file.read_text()))
        return next(newest)

    monkeypatch.setattr(deployment_steps, "_final_block", final_block)
    extend(rail.testnet.url, load_artifacts(), succession(rail), rail.file)
    assert files == [True, True, True] and "PaymentRail@0.5.0" in rail.deployment.addresses
    assert "extension" not in json.loads(rail.file.read_text())


def test_move__node_that_calls_nothing_final__is_asked_again_later(rail, monkeypatch):
    monkeypatch.setattr(deployment_steps, "_final_block", lambda web3: 0)
    monkeypatch.setattr(deployment_steps, "FINAL_SECONDS", 0.0)
    with pytest.raises(Retry, match="does not call block"):
        extend(rail.testnet.url, load_artifacts(), succession(rail), rail.file)
    assert "PaymentRail@0.5.0" not in rail.deployment.addresses
    monkeypatch.undo()
    total = rail.sent()
    extend(rail.testnet.url, load_artifacts(), succession(rail), rail.file)
    assert rail.sent() == total and "PaymentRail@0.5.0" in rail.deployment.addresses


def test_move__while_another_command_deploys__is_refused(rail):
    """Two at once would sign different transactions with one nonce."""
    content, sent = rail.file.read_bytes(), rail.sent()
    with hold(rail.home / "deployment.lock"):
        result = rail.run("chain", "move", "--yes")
    assert result.exit_code == 2 and "works on this home already" in result.output
    assert (rail.file.read_bytes(), rail.sent()) == (content, sent)


def test_move__minter_that_the_token_does_not_know__is_refused(rail):
    """The token of 0.5.0 has one minter for ever: with another key nobody could mint."""
    plan = succession(rail).plan
    other = keystore.development_account(20).address
    sent = rail.sent()
    with pytest.raises(Halt, match=f"the plan has {other}"):
        other_plan = RailSuccession(replace(plan, minter=other))
        extend(rail.testnet.url, load_artifacts(), other_plan, rail.file)
    assert rail.sent() == sent


def test_product_deploy__contracts_of_0_5_0__points_to_the_move(rail):
    result = rail.run("product", "deploy", "MeteredEnergy", "--yes")
    assert result.exit_code == 2 and "chain move --dry-run" in result.output


def test_attack__contract_of_another_at_a_new_address__is_found_at_the_end(rail):
    """Who has the deployer's key for a moment allows a product of its own at the new rail."""
    artifacts, successor = load_artifacts(), succession(rail)
    web3 = Web3(Web3.HTTPProvider(rail.testnet.url))

    def watch(event: str) -> None:
        if event != "done OfficerRegistry":
            return
        steps = json.loads(rail.file.read_text())["extension"]["steps"]
        at = steps["PaymentRail"]["address"], steps["DeviceRegistry"]["address"]
        artifact = artifacts["MeteredEnergy"]
        contract = web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
        sender = {"from": successor.deployer.address}
        receipt = web3.eth.wait_for_transaction_receipt(contract.constructor(*at).transact(sender))
        rail_ = web3.eth.contract(at[0], abi=artifacts["PaymentRail"].abi)
        rail_.functions.allowProduct(receipt["contractAddress"]).transact(sender)

    with pytest.raises(Halt, match="the rail lists the products"):
        extend(rail.testnet.url, artifacts, successor, rail.file, watch)
    assert rail.deployment.version == 1  # the former rail is still the rail


@pytest.mark.extended
def test_move__stopped_home_with_its_own_chain__runs_the_chain_meanwhile(tmp_path):
    """The rail is down, and so is the local chain that `proofrail up` starts."""
    settings = new_home.make(new_home.development_home(tmp_path / "home"))
    with chain_move.node_of(settings):
        before = former_contracts(settings.rpc_url, settings.deployment)
    words = ["--home", str(settings.home), "chain", "move", "--yes", "--json"]
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 0, result.output
    became = Deployment.load(settings.deployment)
    assert became.addresses["PaymentRail@0.5.0"] == before.addresses["PaymentRail"]
    with pytest.raises(Retry):
        node_identity(settings.rpc_url)
    with chain_move.node_of(settings):  # the chain has kept all of it
        check_contracts(settings.rpc_url, load_artifacts(), became.addresses)
