"""Deploying: once, resumable wherever it is killed, on the right chain, with own keys.

deploy
├── given a journal of a finished deployment: it should send nothing
├── given a run killed after any event: the next should finish it, with the bytes already signed
├── given another chain's journal, other roles, a chain that was reset: it should halt and say so
├── given development keys on another chain id, or a short delay: it should refuse before sending
├── given contracts that another changed on the way: it should name each difference and halt
└── given a silent node: it should ask to be tried again
"""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from web3 import Web3

from orchestrator.edges.chain import deployment_check
from orchestrator.edges.chain.deployment import Deployment, deploy
from orchestrator.edges.chain.deployment_check import check_contracts, precompile_answers
from orchestrator.edges.chain.plan import Role
from orchestrator.errors import Halt, Retry
from scripts.deploy import development_plan, main
from scripts.solidity.sources import ROOT
from services.testnet import Testnet
from tests.support.contracts.onchain import Node, OnChain, creation

PRODUCTS = tuple(path.stem for path in sorted((ROOT / "contracts" / "products").glob("*.sol")))
STEPS = (
    "RailAccess",
    "OracleCommittee",
    "DeviceRegistry",
    "EuroToken",
    "PaymentRail",
    "watch devices",
    "Challenges",
    "name challenges",
    "Waterfalls",
    *(step for product in PRODUCTS for step in (product, f"allow {product}")),
    "OfficerRegistry",
    "close set-up",
)


def deployed_names() -> set[str]:
    """Return the names of all contracts of a deployment."""
    return {step for step in STEPS if " " not in step} | {"Disputes", "Consents"}


class Killed(Exception):
    """Stands for the end of the process: nothing after it runs."""


@pytest.fixture
def chain():
    with Testnet() as running:
        yield running


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "deployment.json"


def sent(chain) -> int:
    return sum(
        int(chain.rpc("eth_getTransactionCount", account, "latest"), 16)
        for account in chain.rpc("eth_accounts")[:3]
    )


def killer(at: int):
    """Return a watch that dies at the `at`-th event and gets nothing after."""
    heard = []

    def watch(event: str) -> None:
        heard.append(event)
        if len(heard) == at:
            raise Killed(event)

    return watch


def stop_after(steps: int):
    """Return a watch that dies when so many steps are done."""
    done = []

    def watch(event: str) -> None:
        done.extend([event] if event.startswith("done") else [])
        if len(done) == steps:
            raise Killed(event)

    return watch


def test_deploy__twice__second_time_sends_nothing(chain, artifacts, journal):
    first = deploy(chain.url, artifacts, development_plan(), journal)
    assert sent(chain) == len(STEPS)
    assert deploy(chain.url, artifacts, development_plan(), journal) == first
    assert sent(chain) == len(STEPS)
    assert Deployment.load(journal) == first and first.block_number == 1
    assert first.p256_precompile is True


def test_deploy__killed_at_every_event__resumes_with_the_same_bytes(chain, artifacts, journal):
    """A killed process leaves its journal and the chain: one run keeps both at each event.

    The chain returns to the newest snapshot first, because that drops the snapshots after it. Most
    resumed runs end when the next step is done: what is after it was resumed already.
    """
    assert "MeteredEnergy" in PRODUCTS
    left: list[tuple[str, str, bytes]] = []

    def watch(event: str) -> None:
        # anvil mines by itself, and a snapshot within that has the new nonce and no receipt
        while chain.rpc("txpool_status")["pending"] != "0x0":
            time.sleep(0.005)
        left.append((event, chain.rpc("evm_snapshot"), journal.read_bytes()))

    expected = deploy(chain.url, artifacts, development_plan(), journal, watch).addresses
    assert len(left) == 3 * len(STEPS)
    for event, snapshot, content in reversed(left):
        assert chain.rpc("evm_revert", snapshot)
        chain.rpc("anvil_dropAllTransactions")
        journal.write_bytes(content)
        before = json.loads(content)
        assert "deployment" not in before
        is_whole = event in ("signed RailAccess", "sent PaymentRail", "done close set-up")
        try:
            watch = str if is_whole else stop_after(2)
            deployment = deploy(chain.url, artifacts, development_plan(), journal, watch)
            assert deployment.addresses == expected and sent(chain) == len(STEPS), event
        except Killed:
            assert not is_whole
        after = json.loads(journal.read_text())["steps"]
        assert all(after[name]["raw"] == step["raw"] for name, step in before["steps"].items())
        assert sent(chain) == sum("block" in step for step in after.values()), event


def test_deploy__signed_bytes__are_on_disk_before_they_are_sent(chain, artifacts, journal):
    with pytest.raises(Killed):
        deploy(chain.url, artifacts, development_plan(), journal, killer(1))
    assert sent(chain) == 0
    assert json.loads(journal.read_text())["steps"]["RailAccess"]["raw"].startswith("0x02")
    with pytest.raises(Halt, match="unfinished"):
        Deployment.load(journal)


def test_deploy__journal_of_another_chain__halts(artifacts, chain, journal):
    deploy(chain.url, artifacts, development_plan(), journal)
    with Testnet(extra=["--timestamp", "1700000000"]) as other:
        with pytest.raises(Halt, match="belongs to chain"):
            deploy(other.url, artifacts, development_plan(), journal)
        assert sent(other) == 0


def test_deploy__other_roles_than_the_journal__halts(artifacts, chain, journal):
    deploy(chain.url, artifacts, development_plan(), journal)
    plan = development_plan()
    fewer = replace(plan, products=plan.products[:1])  # to a finished one others are added
    for other in (replace(plan, min_domains=3), fewer):
        with pytest.raises(Halt, match=r"other contracts or other roles.*proofrail product deploy"):
            deploy(chain.url, artifacts, other, journal)


def test_deploy__chain_rewound_under_the_journal__halts(artifacts, chain, journal):
    empty = chain.rpc("evm_snapshot")
    deploy(chain.url, artifacts, development_plan(), journal)
    chain.rpc("evm_revert", empty)
    with pytest.raises(Halt, match="no code at RailAccess"):
        deploy(chain.url, artifacts, development_plan(), journal)


def test_deploy__development_keys_on_another_chain__are_refused(artifacts, journal):
    with Testnet(chain_id=5_151) as other:
        with pytest.raises(Halt, match="known to everybody"):
            deploy(other.url, artifacts, development_plan(), journal)
        assert sent(other) == 0
    assert not journal.exists()


def test_deploy__silent_node__asks_to_be_tried_again(artifacts, journal):
    with Testnet() as gone:
        url = gone.url
    with pytest.raises(Retry):
        deploy(url, artifacts, development_plan(), journal)


def test_deploy_command__twice__exits_0_and_names_the_contracts(chain, journal, capsys):
    options = ["--rpc", chain.url, "--journal", str(journal)]
    assert main(options) == main(options) == 0
    output = capsys.readouterr().out
    assert all(name in output for name in deployed_names())


def test_deploy_command__own_keys_without_a_warden__says_what_is_missing(tmp_path, capsys):
    options = [
        "--rpc",
        "http://127.0.0.1:1",
        "--journal",
        str(tmp_path / "j"),
        "--keys",
        str(tmp_path),
    ]
    for role in ("steward", "guardian", "minter", "registrar"):
        options += [f"--{role}", "0x" + "1" * 40]
    with pytest.raises(SystemExit):
        main(options)
    assert "--warden is missing" in capsys.readouterr().err


def test_deploy__finished__gives_each_role_to_its_holder_alone(chain, artifacts, journal):
    """On 0.3.0 the steward listed products and seated oracles at once, and for ever."""
    plan = development_plan()
    deployment = deploy(chain.url, artifacts, plan, journal)
    assert set(deployment.addresses) == deployed_names() and deployment.version == 2
    access = contract_at(chain, artifacts, deployment, "RailAccess")
    for role in Role:
        holders = [at for at in sorted(set(plan.addresses())) if access.hasRole(role, at)[0]]
        assert holders == [plan.holders()[role]], role
    assert access.setUpOpen() is False
    officers = contract_at(chain, artifacts, deployment, "OfficerRegistry")
    assert set(officers.officers()) == set(plan.officers)


def contract_at(chain, artifacts, deployment, name):
    address = deployment.addresses[name]
    return OnChain(Node(chain.url), name, address, artifacts[name].abi, {})


def test_deployment__file_of_an_earlier_release__loads_as_version_1(tmp_path):
    addresses = {"PaymentRail": "0x" + "11" * 20}
    Deployment(31337, "0x0", addresses, {"PaymentRail": 1}, True).save(tmp_path / "d.json")
    assert Deployment.load(tmp_path / "d.json").version == 1


def on_the_way(chain, artifacts, steps, name):
    return OnChain(Node(chain.url), name, steps[name]["address"], artifacts[name].abi, {})


def seat_an_oracle(chain, artifacts, steps):
    committee = on_the_way(chain, artifacts, steps, "OracleCommittee")
    committee.seat("0x" + "5" * 40, 1, sender=development_plan().deployer.address)


def name_other_challenges(chain, artifacts, steps):
    committee = on_the_way(chain, artifacts, steps, "OracleCommittee")
    rail = steps["PaymentRail"]["address"]
    committee.setChallenges(rail, "0x" + "5" * 40, sender=development_plan().deployer.address)


def seat_an_officer(chain, artifacts, steps):
    officers = on_the_way(chain, artifacts, steps, "OfficerRegistry")
    officers.seat("0x" + "5" * 40, sender=development_plan().deployer.address)


def list_a_product(chain, artifacts, steps):
    rail = on_the_way(chain, artifacts, steps, "PaymentRail")
    product = artifacts["MeteredEnergy"]
    sender = development_plan().deployer.address
    parts = [steps[name]["address"] for name in ("PaymentRail", "DeviceRegistry")]
    call = {"from": sender, "data": creation(product, parts)}
    made = rail.node.mined(call)["contractAddress"]
    rail.allowProduct(made, sender=sender)


def drop_a_product(chain, artifacts, steps):
    rail = on_the_way(chain, artifacts, steps, "PaymentRail")
    product = steps["MeteredEnergy"]["address"]
    rail.disallowProduct(product, sender=development_plan().guardian)


def give_a_role(chain, artifacts, steps):
    access = on_the_way(chain, artifacts, steps, "RailAccess")
    access.grantRole(Role.MINTER, "0x" + "5" * 40, 0, sender=development_plan().steward)


def take_a_role(chain, artifacts, steps):
    access = on_the_way(chain, artifacts, steps, "RailAccess")
    plan = development_plan()
    access.revokeRole(Role.WARDEN, plan.warden, sender=plan.guardian)


def lengthen_the_delay(chain, artifacts, steps):
    access = on_the_way(chain, artifacts, steps, "RailAccess")
    steward = development_plan().steward
    access.grantRole(Role.STEWARD, steward, 3_600, sender=steward)


def silence_an_oracle(chain, artifacts, steps):
    committee = on_the_way(chain, artifacts, steps, "OracleCommittee")
    plan = development_plan()
    committee.silence(plan.members[0][0], sender=plan.guardian)


def other_code(chain, artifacts, steps):
    chain.rpc("anvil_setCode", steps["EuroToken"]["address"], "0x6001")


def other_wiring(chain, artifacts, steps):
    """The registry's own code, with another committee."""
    plan, sender = development_plan(), development_plan().deployer.address
    parts = [steps["RailAccess"]["address"], plan.minter, deployment_check.NO_ADDRESS]
    registry = creation(artifacts["DeviceRegistry"], parts)
    made = Node(chain.url).mined({"from": sender, "data": registry})["contractAddress"]
    code = chain.rpc("eth_getCode", made, "latest")
    chain.rpc("anvil_setCode", steps["DeviceRegistry"]["address"], code)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (seat_an_oracle, "the committee is"),
        (silence_an_oracle, "the committee is"),
        (seat_an_officer, "the officers are"),
        (name_other_challenges, "the committee names .* for challenges, not Challenges"),
        (list_a_product, "the rail lists the products"),
        (drop_a_product, "the rail lists the products"),
        (give_a_role, "holds the role MINTER, which the plan does not give it"),
        (take_a_role, "does not hold the role WARDEN"),
        (lengthen_the_delay, "the steward's role STEWARD waits 3600 s, not 0 s"),
        (other_code, "the code at EuroToken .* is not that of this release"),
        (other_wiring, "committee of DeviceRegistry is .*, not OracleCommittee"),
    ],
)
def test_attack__set_up_used_by_another__is_found_and_named(
    used_chain, artifacts, tmp_path, change, problem
):
    """Whoever has a key of the set-up for a moment leaves a seat, a product, a role or code."""
    chain, content = used_chain
    journal = tmp_path / "deployment.json"
    journal.write_bytes(content)
    start = chain.rpc("evm_snapshot")
    change(chain, artifacts, json.loads(content)["steps"])
    try:
        for _ in range(2):  # and again: what was found once is not forgotten
            with pytest.raises(Halt, match=problem):
                deploy(chain.url, artifacts, development_plan(), journal)
        with pytest.raises(Halt, match="unfinished"):
            Deployment.load(journal)
    finally:
        chain.rpc("evm_revert", start)


@pytest.fixture(scope="module")
def used_chain(artifacts, tmp_path_factory):
    """A chain and a journal of a deployment that was killed before its set-up was closed."""
    journal = tmp_path_factory.mktemp("used") / "deployment.json"

    def watch(event: str) -> None:
        if event == "done OfficerRegistry":
            raise Killed(event)

    with Testnet() as chain:
        with pytest.raises(Killed):
            deploy(chain.url, artifacts, development_plan(), journal, watch)
        yield chain, journal.read_bytes()


def test_check__set_up_open__is_refused(used_chain, artifacts):
    """Contracts whose deployer can still seat a quorum at once are not attached to."""
    chain, content = used_chain
    steps = json.loads(content)["steps"]
    addresses = {name: step["address"] for name, step in steps.items() if step["address"]}
    with pytest.raises(Halt, match="the set-up is open"):
        check_contracts(chain.url, artifacts, with_parts(chain, artifacts, steps, addresses))


def with_parts(chain, artifacts, steps, addresses):
    rail = on_the_way(chain, artifacts, steps, "PaymentRail")
    return {**addresses, "Disputes": rail.disputes(), "Consents": rail.consents()}


def test_check__chain_without_the_precompile__is_seen(used_chain):
    """An empty answer of 0x100 means `invalid` and `no precompile` alike."""
    assert precompile_answers(Web3(Web3.HTTPProvider(used_chain[0].url))) is True
    with Testnet(hardfork="prague") as old:
        assert precompile_answers(Web3(Web3.HTTPProvider(old.url))) is False


def test_deploy_command__dry_run__shows_the_plan_and_sends_nothing(chain, journal, capsys):
    options = ["--rpc", chain.url, "--journal", str(journal), "--dry-run"]
    assert main(options) == 0
    output = capsys.readouterr()
    plan = development_plan()
    assert all(f"create {name}" in output.err for name in plan.contracts)
    assert all(address in output.err for address in plan.addresses())
    assert "each action waits 0 hours" in output.err and "Nothing was sent" in output.out
    assert sent(chain) == 0 and not journal.exists()


def test_testnet__stopped_or_killed__is_gone(chain):
    assert chain.rpc("eth_chainId") == "0x7a69"
    chain.kill()
    with pytest.raises(OSError):
        chain.rpc("eth_chainId")
