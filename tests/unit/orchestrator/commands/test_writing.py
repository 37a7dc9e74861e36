"""The commands that write, on a real node: parties, devices, agreements, keys, replayed files."""

from __future__ import annotations

import dataclasses
import json
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from device_adapters.types import device_id
from orchestrator import cli
from orchestrator.commands import home as homes
from orchestrator.edges.broker import credentials
from orchestrator.edges.chain import keystore
from orchestrator.edges.store import access, agreements
from orchestrator.errors import Halt
from orchestrator.operations.trust import DevelopmentCa
from services.bank import new_iban
from tests.support.small_rail import SmallRail, has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
CLI = CliRunner()
ADDRESS = ("--street", "Weg", "--building", "1", "--post-code", "10115", "--town", "Berlin")
BEA = ("party", "add", "Bea Winter", "--role", "payee", "--iban", new_iban(77), *ADDRESS)
TERMS = (
    "--product",
    "metered_energy",
    "--term",
    "price=0.30",
    "--term",
    "fuse=22000",
    "--cap",
    "500.00",
)
OPEN = (
    "agreement",
    "open",
    "--device",
    "cp-0009",
    "--payer",
    "Ada Sommer",
    "--payee",
    "Bea Winter",
    *TERMS,
)


@pytest.fixture(scope="module")
def rail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallRail]:
    small_rail = SmallRail(tmp_path_factory.mktemp("rail") / "home").start()
    small_rail.work(2)
    small_rail.testnet.rpc("evm_setAutomine", True)  # commands wait for their blocks
    DevelopmentCa.make(small_rail.settings, int(time.time()))
    yield small_rail
    small_rail.stop()


def run(rail: SmallRail, *arguments: str):
    return CLI.invoke(cli.app, ["--home", str(rail.home), *map(str, arguments)])


def run_json(rail: SmallRail, *arguments: str) -> Any:
    result = run(rail, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def bea(rail: SmallRail) -> dict[str, Any]:
    return run_json(rail, *BEA)


@pytest.fixture(scope="module")
def enrolled(rail: SmallRail, bea: dict[str, Any]) -> dict[str, Any]:
    device = rail.fleet.add("cp-0009")
    key = device.folder / "key.pem"
    return run_json(rail, "device", "add", "cp-0009", "--private-key", key, "--owner", "Bea Winter")


def test_party__iban_in_groups_and_small_letters__is_the_account_that_it_means(rail):
    iban = new_iban(78)
    spaced = " ".join(iban[i : i + 4] for i in range(0, len(iban), 4)).lower()
    party_view = run_json(
        rail, "party", "add", "Cem Herbst", "--role", "payer", "--iban", spaced, *ADDRESS
    )
    assert party_view["iban"] == iban
    short = run(rail, "party", "add", "Dora", "--role", "payer", "--iban", iban[:-1], *ADDRESS)
    assert (
        short.exit_code == 2
        and "iban_invalid" in short.output
        and "Dora" not in [party["name"] for party in run_json(rail, "party", "list")]
    )


def test_party_add__payee__is_paid_to_its_iban_on_chain(
    rail: SmallRail, bea: dict[str, Any]
) -> None:
    with rail.store.read() as session:
        party = agreements.party(session, bea["address"])
    on_chain = rail.chain.view("PaymentRail", "payoutAccount", bea["address"])
    assert "0x" + on_chain.hex() == party.account


def test_party_add__again__is_the_same_party(rail: SmallRail, bea: dict[str, Any]) -> None:
    assert run_json(rail, *BEA) == bea


def test_party_add__keystore__is_readable_by_its_owner_only(
    rail: SmallRail, bea: dict[str, Any]
) -> None:
    file = rail.settings.keys / "parties" / "bea-winter.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("change", [("--role", "friend"), ("--iban", "DE00370400440532013000")])
def test_party_add__wrong__makes_nothing(rail: SmallRail, change: tuple[str, str]) -> None:
    arguments = ["party", "add", "Nobody", "--role", "payee", "--iban", new_iban(78), *ADDRESS]
    arguments[arguments.index(change[0]) + 1] = change[1]
    assert run(rail, *arguments).exit_code == 2
    assert not (rail.settings.keys / "parties" / "nobody.json").exists()


def test_device_add__private_key__is_enrolled_and_gets_a_password(
    rail: SmallRail, enrolled: dict[str, Any]
) -> None:
    kept = credentials.load(rail.home)
    assert credentials.verify(kept, "cp-0009", enrolled["password"]) == "device"
    owner = rail.chain.view("DeviceRegistry", "ownerOf", device_id("cp-0009"))
    assert enrolled["owner"] == owner


def test_device_add__again__keeps_the_password_unless_asked(
    rail: SmallRail, enrolled: dict[str, Any]
) -> None:
    key = rail.fleet["cp-0009"].folder / "key.pem"
    arguments = ("device", "add", "cp-0009", "--private-key", key, "--owner", "Bea Winter")
    assert run_json(rail, *arguments)["password"] is None
    fresh = run_json(rail, *arguments, "--new-password")["password"]
    assert fresh not in (None, enrolled["password"])


def test_device_add__public_key_with_proof__is_enrolled(
    rail: SmallRail, bea: dict[str, Any], tmp_path: Path
) -> None:
    device = rail.fleet.add("cp-0010")
    owner = bea["address"]
    asked = run_json(rail, "device", "digest", "cp-0010", "--owner", owner)["sha256"]
    r, s = device.sign_digest(bytes.fromhex(asked))
    proof = (r.to_bytes(32, "big") + s.to_bytes(32, "big")).hex()
    (tmp_path / "key").write_text(f"04{device.public.x:064x}{device.public.y:064x}")
    arguments = ("device", "add", "cp-0010", "--key", tmp_path / "key", "--owner", owner)
    wrong = run(rail, *arguments, "--proof", proof[:64] + f"{s ^ 1:064x}")
    assert wrong.exit_code == 2
    assert "PossessionUnproven" in wrong.stderr
    assert run_json(rail, *arguments, "--proof", proof)["device"] == "cp-0010"
    assert run(rail, *arguments).exit_code == 2  # a key alone proves nothing


def test_device_retire__enrolled__loses_its_password_too(
    rail: SmallRail, bea: dict[str, Any]
) -> None:
    key = rail.fleet.add("cp-0011").folder / "key.pem"
    run_json(rail, "device", "add", "cp-0011", "--private-key", key, "--owner", "Bea Winter")
    assert run_json(rail, "device", "retire", "cp-0011")["credential_revoked"]
    assert "cp-0011" not in credentials.load(rail.home)
    result = run(rail, "agreement", "open", "--device", "cp-0011", *OPEN[4:])
    assert result.exit_code == 2
    assert "is retired" in result.stderr


def test_agreement_open__dry_run__shows_the_mandate_and_sends_nothing(
    rail: SmallRail, enrolled: dict[str, Any]
) -> None:
    head = rail.chain.head()
    shown = run_json(rail, *OPEN, "--dry-run")
    assert (shown["terms"]["price"], shown["terms"]["fuse"]) == ("0.3 EUR/kWh", "22000 W")
    assert shown["cap"] == {"amount": "500000000", "asset": "tEUR/6"}
    assert rail.chain.head() == head
    assert "nothing was sent" in run(rail, *OPEN, "--dry-run").stdout
    with rail.store.read() as session:
        assert agreements.get(session, shown["agreement_id"]) is None


def test_agreement_open__signed__is_live_and_names_its_reference(
    rail: SmallRail, enrolled: dict[str, Any]
) -> None:
    opened = run_json(rail, *OPEN)
    rail.work(3)
    with rail.store.read() as session:
        row = agreements.get(session, opened["agreement_id"])
    assert row.stage == "live"
    assert row.reference == opened["funding_reference"]
    assert opened["pay_to"] == rail.iban


@pytest.mark.parametrize(
    "change",
    [
        ("--term", "start=0.3000001"),
        ("--cap", "0"),
        ("--payer", "Nobody"),
        ("--device", "nobody"),
        ("--product", "gift"),
    ],
)
def test_agreement_open__wrong__sends_nothing(
    rail: SmallRail, enrolled: dict[str, Any], change: tuple[str, str]
) -> None:
    head = rail.chain.head()
    result = run(rail, *OPEN, *change)
    assert result.exit_code == 2
    assert rail.chain.head() == head


def test_evidence_send__file__goes_the_way_of_all_inlets(rail: SmallRail, tmp_path: Path) -> None:
    rail.testnet.rpc("evm_mine")
    records = rail.fleet["cp-0001"].session("2")
    file = tmp_path / "records"
    file.write_bytes(b"\n".join([*records, b"OCMF|garbage"]))
    result = run(rail, "evidence", "send", file, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["outcomes"] == {"accepted": 1, "malformed": 1}
    again = json.loads(run(rail, "evidence", "send", file, "--json").stdout)
    assert again["outcomes"] == {"duplicate": 1, "malformed": 1}


def test_evidence_send__no_node__uses_what_the_store_saw_and_says_so(
    rail: SmallRail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROOFRAIL_RPC_URL", "http://127.0.0.1:9")
    file = tmp_path / "records"
    file.write_bytes(b"\n".join(rail.fleet["cp-0001"].session("1")))
    result = run(rail, "evidence", "send", file)
    assert result.exit_code == 0, result.output
    assert "no node answers" in result.stderr


def test_write__no_node_known__is_refused_with_the_next_step(
    rail: SmallRail, bea: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(homes.Home, "rail_file", {})
    result = run(rail, "device", "retire", "cp-0001")
    assert result.exit_code == 2
    assert "proofrail up" in result.stderr


def test_write__well_known_key_on_another_chain__is_refused(rail: SmallRail) -> None:
    home = homes.Home(rail.home)
    home.deployment = dataclasses.replace(home.deployment, chain_id=1)
    with pytest.raises(Halt, match="is public"):
        home.role_account("registrar")
    with pytest.raises(Halt, match="local chain"):
        home.local_only("this")
    assert home.checked(keystore.Account.create()) is not None


def test_api_key_add__auditor__opens_as_the_store_knows_it(rail: SmallRail) -> None:
    key = run_json(rail, "api-key", "add", "someone", "--role", "auditor")["key"]
    with rail.store.read() as session:
        assert access.key_holder(session, key).role == "auditor"
    assert run(rail, "api-key", "add", "x", "--role", "king").exit_code == 2
    assert run(rail, "api-key", "add", "x", "--role", "partner").exit_code == 2
