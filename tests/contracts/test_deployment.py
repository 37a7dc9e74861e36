"""Deploying: once, resumable wherever it is killed, on the right chain, with own keys.

deploy
├── given a journal of a finished deployment: it should send nothing
├── given a run killed after any event: the next should finish it, with the bytes already signed
├── given another chain's journal, other roles, a chain that was reset: it should halt and say so
├── given development keys on another chain id: it should refuse before sending
└── given a silent node: it should ask to be tried again
"""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from web3 import Web3

from orchestrator.edges.chain.deployment import Deployment, deploy
from orchestrator.errors import Halt, Retry
from scripts.deploy import development_plan, main
from scripts.solidity.sources import ROOT
from services.testnet import Testnet

PRODUCTS = tuple(path.stem for path in sorted((ROOT / "contracts" / "products").glob("*.sol")))
STEPS = (
    "DeviceRegistry",
    "OracleCommittee",
    "EuroToken",
    "PaymentRail",
    *(step for product in PRODUCTS for step in (product, f"allow {product}")),
)


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


def test_deploy__twice__second_time_sends_nothing(chain, artifacts, journal):
    first = deploy(chain.url, artifacts, development_plan(), journal)
    assert sent(chain) == len(STEPS)
    assert deploy(chain.url, artifacts, development_plan(), journal) == first
    assert sent(chain) == len(STEPS)
    assert Deployment.load(journal) == first and first.block_number == 1
    assert first.p256_precompile is True


def test_deploy__killed_at_every_event__resumes_with_the_same_bytes(chain, artifacts, journal):
    """A killed process leaves its journal and the chain: one run keeps both at each event.

    The chain returns to the newest snapshot first, because that drops the snapshots after it.
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
        deployment = deploy(chain.url, artifacts, development_plan(), journal)
        after = json.loads(journal.read_text())["steps"]
        assert deployment.addresses == expected and sent(chain) == len(STEPS), event
        assert all(after[name]["raw"] == step["raw"] for name, step in before["steps"].items())


def test_deploy__signed_bytes__are_on_disk_before_they_are_sent(chain, artifacts, journal):
    with pytest.raises(Killed):
        deploy(chain.url, artifacts, development_plan(), journal, killer(1))
    assert sent(chain) == 0
    assert json.loads(journal.read_text())["steps"]["DeviceRegistry"]["raw"].startswith("0x02")
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
    other = replace(development_plan(), min_domains=3)
    with pytest.raises(Halt, match="other contracts or other roles"):
        deploy(chain.url, artifacts, other, journal)


def test_deploy__chain_rewound_under_the_journal__halts(artifacts, chain, journal):
    empty = chain.rpc("evm_snapshot")
    deploy(chain.url, artifacts, development_plan(), journal)
    chain.rpc("evm_revert", empty)
    with pytest.raises(Halt, match="no code at DeviceRegistry"):
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
    assert all(name in output for name in [*STEPS[:4], *PRODUCTS])


def test_deploy_command__own_keys_without_a_warden__says_what_is_missing(tmp_path, capsys):
    options = [
        "--rpc",
        "http://127.0.0.1:1",
        "--journal",
        str(tmp_path / "j"),
        "--keys",
        str(tmp_path),
    ]
    for role in ("guardian", "minter", "registrar"):
        options += [f"--{role}", "0x" + "1" * 40]
    with pytest.raises(SystemExit):
        main(options)
    assert "--warden is missing" in capsys.readouterr().err


def test_deploy__warden__is_the_registry_s_and_no_other_role(chain, artifacts, journal):
    plan = development_plan()
    deployment = deploy(chain.url, artifacts, plan, journal)
    asked = chain.rpc(
        "eth_call",
        {
            "to": deployment.addresses["DeviceRegistry"],
            "data": Web3.to_hex(Web3.keccak(text="warden()")[:4]),
        },
        "latest",
    )
    assert Web3.to_checksum_address("0x" + asked[-40:]) == plan.warden
    assert plan.addresses().count(plan.warden) == 1
    assert set(PRODUCTS) < set(deployment.addresses)


def test_testnet__stopped_or_killed__is_gone(chain):
    assert chain.rpc("eth_chainId") == "0x7a69"
    chain.kill()
    with pytest.raises(OSError):
        chain.rpc("eth_chainId")
