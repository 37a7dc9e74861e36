"""A product is added to a finished deployment by command, listed after the delay, and stays.

product deploy
├── given a product that is not there: it should show the plan, then create it, then find it done
├── given a run killed after any event: the next should finish with the bytes already signed
├── given a version with other code: it should keep the former one by its release
├── given a name that is none, public keys elsewhere, too little money: it should refuse
└── given someone who gets a role meanwhile: it should name them and not use the product
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from web3 import Web3

from orchestrator.commands import home as home_module
from orchestrator.commands import role_calls as commands
from orchestrator.edges.chain import artifacts as shipped
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.artifacts import load_artifacts
from orchestrator.edges.chain.deployment import Deployment, deploy
from orchestrator.edges.chain.deployment_check import check_contracts
from orchestrator.edges.chain.extension import extend
from orchestrator.edges.chain.plan import Role
from orchestrator.edges.chain.product_addition import ProductAddition
from orchestrator.errors import Halt
from services import anvil
from services.development import development_plan
from services.testnet import Testnet
from tests.support.growing_home import (
    DELAY_S,
    GrowingHome,
    delayed_contracts,
    other_version,
)

pytestmark = pytest.mark.skipif(anvil.find() is None, reason="anvil is not installed")

NEW = "ProofOfDelivery"


@pytest.fixture(scope="module")
def growing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GrowingHome]:
    home = GrowingHome(tmp_path_factory.mktemp("growing") / "home", delayed_contracts)
    yield home
    home.close()


@pytest.fixture
def rail(growing: GrowingHome, monkeypatch: pytest.MonkeyPatch) -> Iterator[GrowingHome]:
    """The shared home as it was at first; commands have its chain's clock."""

    def now() -> int:
        return int(growing.testnet.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    for module in (home_module, commands):
        monkeypatch.setattr(module, "time", SimpleNamespace(time=now))
    mark = growing.mark()
    yield growing
    growing.back(mark)


def listed(rail: GrowingHome) -> dict[str, Any]:
    return {row["name"]: row for row in rail.json("product", "list")}


def test_product__not_there__is_planned_deployed_scheduled_and_listed(rail):
    before = rail.deployment
    plan = rail.json("product", "deploy", NEW, "--dry-run")
    assert (plan["state"], plan["sent"], rail.sent()) == ("to_deploy", False, rail.sent())
    at = before.addresses
    assert plan["constructor"] == {"rail": at["PaymentRail"], "registry": at["DeviceRegistry"]}
    assert plan["listed_by"] == [development_plan().steward] and plan["delay_s"] == DELAY_S
    assert plan["former"] is None and rail.deployment == before
    text = rail.run("product", "deploy", NEW, "--dry-run").output
    assert f"create {NEW}(rail: " in text and "Nothing was sent yet." in text
    sent = rail.sent()
    made = rail.json("product", "deploy", NEW, "--yes")
    assert (made["state"], made["sent"], rail.sent()) == ("deployed", True, sent + 1)
    became = rail.deployment
    assert became.addresses == before.addresses | {NEW: made["address"]}
    assert became.release_of(NEW) == "0.6.0" and became.blocks[NEW] == made["block"]
    check_contracts(rail.testnet.url, load_artifacts(), became.addresses)
    assert listed(rail)[NEW]["allowed"] is False
    again = rail.json("product", "deploy", NEW, "--yes")
    assert (again["state"], again["sent"], again["address"]) == (
        "deployed",
        False,
        made["address"],
    )
    assert rail.sent() == sent + 1
    waiting = rail.json("product", "add", NEW, "--yes")
    assert (waiting["state"], waiting["first"]) == ("waiting", [])
    assert listed(rail)[NEW]["scheduled_for"] == waiting["at"]
    assert "scheduled: from" in rail.run("product", "list").output
    rail.testnet.mine(1, DELAY_S)
    assert rail.json("product", "add", NEW, "--yes")["state"] == "done"
    assert listed(rail)[NEW]["allowed"] is True


def test_product__killed_at_every_event__goes_on_with_the_same_bytes(rail):
    left: list[tuple[str, tuple[str, bytes]]] = []

    def watch(event: str) -> None:
        while rail.testnet.rpc("txpool_status")["pending"] != "0x0":
            pass
        left.append((event, rail.mark()))

    artifacts, account = load_artifacts(), development_plan().deployer
    before, sent = rail.deployment, rail.sent()
    addition = ProductAddition(NEW, before, account)
    expected = extend(rail.testnet.url, artifacts, addition, rail.file, watch)
    assert [event.partition(" ")[0] for event, _ in left] == ["signed", "sent", "done"]
    for event, mark in reversed(left):
        rail.back(mark)
        entry = json.loads(mark[1])["extension"]
        assert Deployment.load(rail.file) == before, event  # the rail runs on meanwhile
        other = ProductAddition("MeteredEnergy", before, account)
        with pytest.raises(Halt, match=f"has product {NEW} half added. Nothing was sent"):
            extend(rail.testnet.url, artifacts, other, rail.file)
        changed = {**artifacts, NEW: other_version(artifacts[NEW])}
        with pytest.raises(Halt, match="of other contracts"):
            extend(rail.testnet.url, changed, addition, rail.file)
        assert extend(rail.testnet.url, artifacts, addition, rail.file) == expected
        [done] = json.loads(rail.file.read_text())["extensions"]
        assert done["steps"][NEW]["raw"] == entry["steps"][NEW]["raw"]
        assert rail.sent() == sent + 1, event


class RunEnded(Exception):
    """Stands for the end of the process."""


def test_product__payer_used_meanwhile__is_signed_again(rail):
    """Bytes that no block can take must not stop every later addition for ever."""
    plan = development_plan()
    addition = ProductAddition(NEW, rail.deployment, plan.deployer)
    arguments = (rail.testnet.url, load_artifacts(), addition, rail.file)
    web3 = Web3(Web3.HTTPProvider(rail.testnet.url))

    def die(event: str) -> None:
        raise RunEnded(event)

    with pytest.raises(RunEnded, match="signed"):
        extend(*arguments, die)
    payment = {"from": plan.deployer.address, "to": plan.steward, "value": 1}
    web3.eth.wait_for_transaction_receipt(web3.eth.send_transaction(payment))
    assert NEW in extend(*arguments).addresses
    [done] = json.loads(rail.file.read_text())["extensions"]
    assert [item["why"] for item in done["forgotten"]] == ["displaced"]


def test_product__creation_that_reverts__is_named_and_tried_again(rail):
    """The first block shows what fails; the second run begins the step again."""
    artifacts, plan = load_artifacts(), development_plan()
    addition = ProductAddition(NEW, rail.deployment, plan.deployer)
    fee = {"maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9, "value": 0, "chainId": 31337}
    failing = plan.deployer.sign_transaction(
        {"nonce": rail.sent(), "gas": 100_000, "data": "0x60006000fd", "to": "", **fee}
    )

    def replace_by_failing(event: str) -> None:
        if event.startswith("signed"):
            content = json.loads(rail.file.read_text())
            step = content["extension"]["steps"][NEW]
            step |= {"raw": failing.raw_transaction.to_0x_hex(), "hash": failing.hash.to_0x_hex()}
            rail.file.write_text(json.dumps(content))
            raise RunEnded(event)

    arguments = (rail.testnet.url, artifacts, addition, rail.file)
    with pytest.raises(RunEnded):
        extend(*arguments, replace_by_failing)
    with pytest.raises(Halt, match=f"step {NEW} reverted .* run the same command again"):
        extend(*arguments)
    assert NEW in extend(*arguments).addresses
    [done] = json.loads(rail.file.read_text())["extensions"]
    assert [item["why"] for item in done["forgotten"]] == ["reverted"]


@pytest.fixture
def newer(rail: GrowingHome, monkeypatch: pytest.MonkeyPatch) -> GrowingHome:
    """The home with a program whose products all have other code."""
    artifacts = load_artifacts()
    for name in shipped.product_contracts():
        artifacts[name] = other_version(artifacts[name])
    monkeypatch.setattr(shipped, "load_artifacts", lambda: artifacts)
    return rail


def test_product__new_version__takes_the_name_and_the_former_stays_allowed(newer):
    before = newer.deployment
    plan = newer.json("product", "deploy", "MeteredEnergy", "--dry-run")
    former = {"name": "MeteredEnergy@0.6.0", "address": before.addresses["MeteredEnergy"]}
    assert plan["former"] == former
    made = newer.json("product", "deploy", "MeteredEnergy", "--yes")
    became = newer.deployment
    assert became.named("MeteredEnergy") == ("MeteredEnergy", "MeteredEnergy@0.6.0")
    assert became.addresses["MeteredEnergy@0.6.0"] == before.addresses["MeteredEnergy"]
    assert became.addresses["MeteredEnergy"] == made["address"] != former["address"]
    assert became.rail_of(former["address"]) == "PaymentRail"
    rows = listed(newer)
    assert [rows[name]["allowed"] for name in became.named("MeteredEnergy")] == [False, True]
    newer.json("product", "add", "MeteredEnergy", "--yes")
    newer.testnet.mine(1, DELAY_S)
    assert newer.json("product", "add", "MeteredEnergy", "--yes")["state"] == "done"
    rows = listed(newer)
    assert [rows[name]["allowed"] for name in became.named("MeteredEnergy")] == [True, True]
    newer.json("product", "remove", "MeteredEnergy@0.6.0", "--yes")
    rows = listed(newer)
    assert [rows[name]["allowed"] for name in became.named("MeteredEnergy")] == [True, False]


def test_attack__tap_paid_by_two_versions__links_come_before_the_listing(newer):
    """Two listed versions that do not know each other would pay the same signed tap twice."""
    newer.json("product", "deploy", "WearableVoucher", "--yes")
    waiting = newer.json("product", "add", "WearableVoucher", "--yes")
    calls = [*waiting["first"], waiting]
    assert [call["function"] for call in calls] == [
        "setSuccessor",
        "setPredecessor",
        "allowProduct",
    ]
    assert {call["state"] for call in calls} == {"waiting"}
    newer.testnet.mine(1, DELAY_S)
    scheduled = newer.json("chain", "scheduled")
    [first] = [call for call in scheduled if call["function"] == "setSuccessor"]
    newer.json("chain", "cancel", first["operation"], "--yes")  # the first link is gone
    held = newer.json("product", "add", "WearableVoucher", "--yes")
    assert [call["state"] for call in [*held["first"], held]] == ["waiting", "due", "due"]
    assert listed(newer)["WearableVoucher"]["allowed"] is False
    newer.testnet.mine(1, DELAY_S)
    done = newer.json("product", "add", "WearableVoucher", "--yes")
    assert {call["state"] for call in [*done["first"], done]} == {"done"}
    assert listed(newer)["WearableVoucher"]["allowed"] is True


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("PaymentRail", "--yes"), "is no product of this release"),
        (("Nothing", "--yes"), "is no product of this release"),
        ((NEW, "--json"), "Add --yes to deploy"),
        ((NEW, "--yes", "--keystore", "nowhere.json"), "no keystore nowhere.json"),
    ],
)
def test_product__words_that_cannot_be__are_refused_by_name(rail, words, text):
    sent, result = rail.sent(), rail.run("product", "deploy", *words)
    assert result.exit_code == 2 and text in result.output, result.output
    assert rail.sent() == sent and NEW not in rail.deployment.addresses


def test_product__payer_of_its_own__pays_and_needs_money(rail, tmp_path):
    keystore.create(tmp_path, "someone", "0x" + "7" * 64)
    path, secret = tmp_path / "someone.json", tmp_path / "password"
    words = ("product", "deploy", NEW, "--yes", "--keystore", path, "--password-file", secret)
    poor = rail.run(*words)
    assert poor.exit_code == 2 and "lacks" in poor.stderr
    address = keystore.address_in(path)
    rail.testnet.rpc("anvil_setBalance", address, hex(10**19))
    sent = rail.sent()
    assert rail.json(*words)["payer"]["address"].lower() == address.lower()
    assert rail.sent() == sent


def test_attack__role_taken_while_a_product_is_deployed__is_named(rail):
    """Whoever has the steward's key uses the moment in which everybody looks at the product."""
    grant = load_artifacts()["RailAccess"].abi
    web3, plan = Web3(Web3.HTTPProvider(rail.testnet.url)), development_plan()
    access = web3.eth.contract(rail.deployment.addresses["RailAccess"], abi=grant)

    def watch(event: str) -> None:
        if event.startswith("signed"):
            access.functions.revokeRole(Role.WARDEN, plan.warden).transact({"from": plan.guardian})

    addition = ProductAddition(NEW, rail.deployment, plan.deployer)
    arguments = (rail.testnet.url, load_artifacts(), addition, rail.file)
    with pytest.raises(Halt, match=f"{plan.warden} lost the role WARDEN"):
        extend(*arguments, watch)
    assert NEW not in rail.deployment.addresses
    assert NEW in extend(*arguments).addresses  # a person has seen it, and runs it again


@pytest.mark.parametrize(
    ("change", "problem"),
    [("code", "the code at ProofOfDelivery"), ("immutables", "registry of ProofOfDelivery is")],
)
def test_attack__product_of_other_code_or_registry__is_not_used(rail, change, problem):
    """The chain shows another contract at the product's address."""
    deployment, sender = rail.deployment, development_plan().deployer
    artifact = load_artifacts()[NEW]

    def watch(event: str) -> None:
        if not event.startswith("done"):
            return
        made = json.loads(rail.file.read_text())["extension"]["steps"][NEW]["address"]
        code = "0x6001"
        if change == "immutables":
            web3 = Web3(Web3.HTTPProvider(rail.testnet.url))
            contract = web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
            at = deployment.addresses
            tx = contract.constructor(at["PaymentRail"], _twin(web3, at)).transact(
                {"from": sender.address}
            )
            receipt = web3.eth.wait_for_transaction_receipt(tx)
            code = Web3.to_hex(web3.eth.get_code(receipt["contractAddress"]))
        rail.testnet.rpc("anvil_setCode", made, code)

    with pytest.raises(Halt, match=problem):
        addition = ProductAddition(NEW, deployment, sender)
        extend(rail.testnet.url, load_artifacts(), addition, rail.file, watch)
    assert NEW not in rail.deployment.addresses


def _twin(web3: Web3, at: dict[str, str]) -> str:
    """Return the address of a second contract with the registry's code."""
    address = "0x" + "77" * 20
    web3.provider.make_request(
        "anvil_setCode", [address, Web3.to_hex(web3.eth.get_code(at["DeviceRegistry"]))]
    )
    return Web3.to_checksum_address(address)


def test_product__public_key_off_the_local_chain__is_refused(rail, tmp_path):
    with Testnet(chain_id=5_151) as other:
        genesis = other.rpc("eth_getBlockByNumber", "0x0", False)["hash"]
        file = tmp_path / "deployment.json"
        elsewhere = Deployment(5_151, genesis, rail.deployment.addresses, {"RailAccess": 1}, True)
        elsewhere.save(file)
        deployer = development_plan().deployer
        with pytest.raises(Halt, match="known to everybody"):
            addition = ProductAddition(NEW, elsewhere, deployer)
            extend(other.url, load_artifacts(), addition, file)
        assert other.rpc("eth_getTransactionCount", deployer.address, "latest") == "0x0"
        with pytest.raises(Halt, match="belongs to chain 5151"):
            extend(rail.testnet.url, load_artifacts(), addition, file)


def test_deploy__file_without_a_journal__is_found_and_sends_nothing(rail):
    """A home that was attached to contracts has no steps in its file."""
    deployment, sent = rail.deployment, rail.sent()
    deployment.save(rail.file)
    again = deploy(rail.testnet.url, load_artifacts(), development_plan(), rail.file)
    assert again == deployment and rail.sent() == sent
