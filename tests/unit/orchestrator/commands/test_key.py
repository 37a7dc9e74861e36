"""`proofrail key rotate` and `api-key`: each key is lost once, and the rail goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select
from typer.testing import CliRunner

from orchestrator import cli
from orchestrator.assembly import SENDING_ROLES, load_accounts
from orchestrator.core.receipt import ReceiptRecord, Receipts, public_key_of, read_receipt
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.plan import Role
from orchestrator.edges.store.access import key_holder
from orchestrator.edges.store.tables import ChainSendRow, FundingRow
from orchestrator.errors import Halt
from orchestrator.operations.keys import (
    CONSEQUENCES,
    HeldKey,
    open_receipts,
    receipt_keys,
    rotate_receipt,
)
from orchestrator.settings import Settings
from orchestrator.worker import Worker
from tests.support.rail_builder import context_on_chain
from tests.support.small_rail import START, SmallRail, has_anvil

NOW = 1_760_000_000
on_chain = pytest.mark.skipif(not has_anvil(), reason="no anvil: run `make setup`")


@pytest.fixture(scope="module")
def rail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallRail]:
    """Give a funded rail; the tests of this file use it one after the other."""
    started = SmallRail(tmp_path_factory.mktemp("keys") / "home").start()
    started.fund("cp-0001", 20_000)
    started.work(4)
    started.clock = START + 100_000
    yield started
    started.stop()


def run(rail: SmallRail, *arguments: object) -> Any:
    return CliRunner().invoke(cli.app, ["--home", str(rail.home), *map(str, arguments)])


def run_json(rail: SmallRail, *arguments: object) -> Any:
    result = run(rail, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def restart(rail: SmallRail) -> None:
    """Start the worker again: it opens the keys that are in the home."""
    rail.rail = context_on_chain(
        rail.settings,
        rail.store,
        lambda: rail.clock,
        chain=rail.chain,
        accounts=load_accounts(rail.settings, SENDING_ROLES),
        oracles=rail.rail.oracles,
        safeguarding=rail.rail.safeguarding,
    )
    rail.worker = Worker(rail.rail)
    rail.worker.recover()


def settlements(rail: SmallRail) -> list[tuple[str, str]]:
    """Return (sender, stage) of the settlements, in their order."""
    with rail.store.read() as session:
        rows = session.exec(select(ChainSendRow).where(ChainSendRow.purpose == "settle")).all()
    return [(row.sender, row.stage) for row in sorted(rows, key=lambda row: row.created_at)]


def settle_a_session(rail: SmallRail) -> None:
    assert rail.take(*rail.fleet["cp-0001"].session("2")) == ["accepted"]
    rail.work(3, 20)


@on_chain
def test_rotate_sender__lost_with_a_settlement_that_was_never_sent__both_keys_settle_once(
    rail, monkeypatch
):
    former = keystore.address(rail.settings.keys, "sender")
    with monkeypatch.context() as cut:
        cut.setattr(rail.chain, "broadcast", lambda raws: ["unknown"] * len(raws))
        settle_a_session(rail)
    assert [stage for _, stage in settlements(rail)] == ["sent"]
    (rail.settings.keys / "sender.json").unlink()
    with pytest.raises(Halt, match="no key 'sender'"):
        restart(rail)
    view = run_json(rail, "key", "rotate", "sender", "--yes")
    assert view["done"] and view["former"] is None
    restart(rail)
    rail.work(3, 20)
    settle_a_session(rail)
    following = view["following"]
    assert settlements(rail)[0][0].lower() == former.lower()
    assert [sent for sent in settlements(rail)] == [
        (settlements(rail)[0][0], "mined"),
        (following, "mined"),
    ]
    rail.work(3, 20)
    stages = rail.stages()
    assert (
        set(stages) <= {"posted", "paid_out", "booked", "reconciled"} and sum(stages.values()) == 2
    )


@on_chain
def test_rotate_sender__that_is_there__stays_under_another_name_and_dry_run_changes_nothing(rail):
    before = sorted(path.name for path in rail.settings.keys.iterdir())
    view = run_json(rail, "key", "rotate", "sender", "--dry-run")
    assert not view["done"] and len(view["steps"]) == 5
    assert sorted(path.name for path in rail.settings.keys.iterdir()) == before
    former = keystore.load(rail.settings.keys, "sender").address
    prepared = run_json(rail, "key", "rotate", "sender", "--prepare", "--yes")
    assert keystore.load(rail.settings.keys, "sender").address == former
    done = run_json(rail, "key", "rotate", "sender", "--yes")
    assert done["following"] == prepared["following"] != former
    [kept] = [name for name in keystore.names(rail.settings.keys) if "former" in name]
    assert keystore.load(rail.settings.keys, kept).address == former
    restart(rail)
    settle_a_session(rail)
    assert settlements(rail)[-1] == (done["following"], "mined")


@on_chain
def test_rotate_sender__new_key_without_ether__keeps_the_former_in_use(rail, monkeypatch):
    former = keystore.load(rail.settings.keys, "sender").address
    monkeypatch.setattr(keystore, "LOCAL_CHAIN", 1)  # a chain that gives ether to nobody
    for _ in range(2):
        result = run(rail, "key", "rotate", "sender", "--yes")
        assert result.exit_code == 2 and "holds 0.0 ether" in result.stderr
        assert keystore.next_address(rail.settings.keys, "sender") in result.stderr
    assert keystore.load(rail.settings.keys, "sender").address == former


@on_chain
def test_rotate__without_a_yes__changes_nothing(rail):
    before = keystore.load(rail.settings.keys, "sender").address
    arguments = ["--home", str(rail.home), "key", "rotate", "sender"]
    assert CliRunner().invoke(cli.app, arguments, input="n\n").exit_code == 1
    assert keystore.load(rail.settings.keys, "sender").address == before


def roles_of(rail: SmallRail, address: str) -> set[Role]:
    view = rail.chain.view
    return {role for role in Role if view("RailAccess", "hasRole", int(role), address)[0]}


@pytest.fixture
def mining(rail: SmallRail) -> Iterator[SmallRail]:
    """The rail, with a block for each transaction: a command waits for its own."""
    rail.testnet.rpc("evm_setAutomine", True)
    yield rail
    rail.testnet.rpc("evm_setAutomine", False)


@on_chain
@pytest.mark.parametrize("role", CONSEQUENCES)
def test_rotate__role_of_the_contracts__the_new_key_has_it_and_the_former_nothing(mining, role):
    rail = mining
    former = keystore.load(rail.settings.keys, role).address
    held = roles_of(rail, former)
    plan = run_json(rail, "key", "rotate", role, "--dry-run")
    assert (plan["former"], plan["following"], plan["done"]) == (former, None, False)
    assert keystore.next_address(rail.settings.keys, role) is None
    view = run_json(rail, "key", "rotate", role, "--yes")
    assert (view["former"], view["done"], view["calls"]) == (former, True, [])
    following = keystore.load(rail.settings.keys, role).address
    assert following == view["following"] != former
    assert roles_of(rail, following) == held and roles_of(rail, former) == set()
    assert keystore.next_address(rail.settings.keys, role) is None


@on_chain
def test_rotate__guardian_to_a_key_kept_elsewhere__leaves_the_files_of_the_home(mining):
    rail, address = mining, keystore.development_account(33).address
    before = keystore.address(rail.settings.keys, "guardian")
    view = run_json(rail, "key", "rotate", "guardian", "--address", address, "--yes")
    assert view["done"] and roles_of(rail, address) == {Role.GUARDIAN}
    assert keystore.address(rail.settings.keys, "guardian") == before
    again = run(rail, "key", "rotate", "guardian", "--former", before, "--yes")
    assert again.exit_code == 2 and "does not hold the role guardian" in again.stderr
    refused = run(rail, "key", "rotate", "minter", "--address", address, "--yes")
    assert refused.exit_code == 2 and "Nothing was changed" in refused.stderr


@on_chain
def test_rotate__by_a_key_that_is_no_steward__sends_nothing(mining):
    rail = mining
    keys = rail.settings.keys
    words = ("--keystore", keys / "sender.json", "--password-file", keys / "password", "--yes")
    refused = run(rail, "key", "rotate", "minter", *words)
    assert refused.exit_code == 2 and "does not hold the role steward" in refused.stderr
    assert roles_of(rail, keystore.load(keys, "minter").address) == {Role.MINTER}


@on_chain
def test_rotate__new_minter_without_ether__leaves_the_former_in_its_role(mining, monkeypatch):
    rail = mining
    for path in rail.settings.keys.glob("minter.next.json"):
        path.unlink()  # the one that the test before had made has ether
    monkeypatch.setattr(keystore, "LOCAL_CHAIN", 1)  # a chain that gives ether to nobody
    refused = run(rail, "key", "rotate", "minter", "--yes")
    assert refused.exit_code == 2 and "holds 0.0 ether" in refused.stderr
    assert roles_of(rail, keystore.load(rail.settings.keys, "minter").address) == {Role.MINTER}


@on_chain
def test_rotate__minter_warden_and_registrar_lost__credits_wait_for_the_new_minter(rail):
    for role in ("minter", "registrar", "warden"):
        folder = rail.settings.keys
        folder = folder / role if role in keystore.APART else folder
        (folder / f"{role}.json").unlink()
        assert run_json(rail, "key", "rotate", role, "--stand-in", "--dry-run")["following"] is None
        assert keystore.address(rail.settings.keys, role) is None
        view = run_json(rail, "key", "rotate", role, "--stand-in", "--yes")
        assert view["following"] == keystore.load(rail.settings.keys, role).address
        again = run(rail, "key", "rotate", role, "--stand-in", "--yes")
        assert again.exit_code == 2 and "never replaces a key" in again.stderr
    assert "needs no stand-in" in run(rail, "key", "rotate", "guardian", "--stand-in").stderr
    restart(rail)
    rail.fund("cp-0001", 5_000)
    settle_a_session(rail)
    rail.work(6, 20)
    assert fundings(rail) == ["booked", "minted"]
    assert set(rail.stages()) <= {"posted", "paid_out", "booked", "reconciled"}
    rail.testnet.rpc("evm_setAutomine", True)
    lost = run_json(rail, "key", "rotate", "minter", "--yes")
    rail.testnet.rpc("evm_setAutomine", False)
    assert lost["done"] and roles_of(rail, lost["former"]) == set()
    assert roles_of(rail, lost["following"]) == {Role.MINTER}
    restart(rail)
    rail.work(8, 20)
    assert fundings(rail) == ["minted", "minted"]


def fundings(rail: SmallRail) -> list[str]:
    with rail.store.read() as session:
        return sorted(row.stage for row in session.exec(select(FundingRow)))


def a_home(folder: Path) -> Settings:
    """Return a home with its first receipt key, made as every later one is."""
    settings = Settings(home=folder)
    rotate_receipt(settings, NOW, dry_run=False, prepare=False)
    return settings


@pytest.mark.parametrize("lost", [False, True])
def test_rotate_receipt__key_there_or_lost__old_receipts_verify_by_the_published_key(
    tmp_path, lost
):
    settings = a_home(tmp_path)
    pem = (settings.keys / "receipt.pem").read_bytes()
    receipt = Receipts(pem).sign("cp-1", [ReceiptRecord("ab" * 32, 1)], NOW)
    if lost:
        (settings.keys / "receipt.pem").unlink()
    rotation = rotate_receipt(settings, NOW + 100, dry_run=False, prepare=False)
    former, following = receipt_keys(settings)
    assert (former.kid, former.valid_from, former.valid_until) == (rotation.former, NOW, NOW + 100)
    assert (following.kid, following.valid_until) == (rotation.following, None)
    assert read_receipt(receipt, public_key_of(former.public_pem.encode()))["device"] == "cp-1"
    newest = Receipts((settings.keys / "receipt.pem").read_bytes())
    assert newest.public_pem == (settings.keys / "receipt.pub.pem").read_bytes()
    assert newest.public_pem.decode() == following.public_pem
    mode = (settings.keys / "receipt.pem").stat().st_mode & 0o777
    assert mode == 0o600


def test_rotate_receipt__prepared__is_published_before_it_signs(tmp_path):
    settings = a_home(tmp_path)
    before = (settings.keys / "receipt.pem").read_bytes()
    dry = rotate_receipt(settings, NOW + 1, dry_run=True, prepare=False)
    assert dry.following is None and len(receipt_keys(settings)) == 1
    prepared = rotate_receipt(settings, NOW + 1, dry_run=False, prepare=True)
    assert (settings.keys / "receipt.pem").read_bytes() == before
    assert [key.kid for key in receipt_keys(settings)] == [prepared.former, prepared.following]
    kids = [key["kid"] for key in open_receipts(settings).jwks["keys"]]
    assert kids == [prepared.former, prepared.following]  # devices learn it from /.well-known
    done = rotate_receipt(settings, NOW + 9, dry_run=False, prepare=False)
    assert done.following == prepared.following
    assert receipt_keys(settings)[0].valid_until == NOW + 9
    kids = [key["kid"] for key in open_receipts(settings).jwks["keys"]]
    assert kids == [done.following, done.former]


def test_receipt_keys__home_of_0_3_0__has_its_one_key_from_the_beginning(tmp_path):
    settings = a_home(tmp_path)
    [path] = (settings.keys / "receipts").iterdir()
    path.unlink()
    [key] = receipt_keys(settings)
    assert (key.valid_from, key.valid_until) == (0, None)


def test_receipt_keys__a_damaged_file__is_named(tmp_path):
    settings = a_home(tmp_path)
    [path] = (settings.keys / "receipts").iterdir()
    path.write_text(path.read_text().replace('"version": 1', '"version": 9'))
    with pytest.raises(Halt, match="is not a published receipt key: its version"):
        receipt_keys(settings)


@on_chain
def test_api_keys__added_renewed_listed_and_revoked__open_what_they_should(rail):
    first = run_json(rail, "api-key", "add", "acme", "--role", "partner", "--scope", "acme-")["key"]
    taken = run(rail, "api-key", "add", "acme", "--role", "auditor")
    assert taken.exit_code == 2 and "exists" in taken.stderr
    view = run_json(rail, "key", "rotate", "api", "acme", "--grace", 24, "--yes")
    with rail.store.read() as session:
        holders = [key_holder(session, key, NOW) for key in (first, view["following"])]
        assert [holder.scope for holder in holders] == ["acme-", "acme-"]
        assert key_holder(session, first, 1 << 40) is None
    [row] = [k for k in run_json(rail, "api-key", "list")["keys"] if k["name"] == "acme"]
    assert row["former_value_until"] - row["created_at"] == 24 * 3_600
    text = run(rail, "api-key", "list").stdout
    assert "acme-*" in text and first not in text and view["following"] not in text
    run_json(rail, "api-key", "revoke", "acme")
    with rail.store.read() as session:
        assert not [
            key_holder(session, key, NOW) for key in (first,) if key_holder(session, key, 0)
        ]
        assert key_holder(session, view["following"], NOW) is None
    assert run(rail, "api-key", "revoke", "acme").exit_code == 2
    assert run(rail, "key", "rotate", "api", "acme", "--yes").exit_code == 2


@on_chain
@pytest.mark.parametrize(
    "arguments", [("api",), ("sender", "x"), ("king",), ("sender", "--grace", "1")]
)
def test_rotate__a_key_that_it_does_not_know__is_refused(rail, arguments):
    result = run(rail, "key", "rotate", *arguments, "--yes")
    assert result.exit_code == 2 and "Nothing was changed" in result.stderr


def test_keys_page__each_key_in_the_code__has_a_row():
    page = (Path(__file__).resolve().parents[4] / "docs" / "KEYS.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert sorted(line.split("`")[1] for line in rows) == sorted(HeldKey)


@pytest.mark.parametrize("content", [None, b"\xb5garbage"])
def test_open_receipts__key_missing_or_damaged__is_a_halt_with_two_ways_on(tmp_path, content):
    settings = Settings(home=tmp_path)
    settings.keys.mkdir()
    if content is not None:
        (settings.keys / "receipt.pem").write_bytes(content)
    with pytest.raises(Halt, match="Restore it from a backup"):
        open_receipts(settings)
