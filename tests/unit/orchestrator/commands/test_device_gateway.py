"""`proofrail device assign` and `device add --gateway` on a real chain."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from device_adapters.types import device_id
from orchestrator.edges.broker import credentials
from orchestrator.edges.chain import ethereum, keystore
from orchestrator.edges.store import add_new, blocks
from orchestrator.operations import gateways
from tests.support.operators_home import PAYEE, PAYER, OperatorsHome, has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
DAY = 86_400
ENROL = ("device", "add", "--owner", "Nord eG", "--gateway")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorsHome]:
    operators_home = OperatorsHome(tmp_path_factory.mktemp("rail"))
    for name in ("gw-1", "gw-2"):
        operators_home.add(name)
    yield operators_home
    operators_home.close()


def gateway_at(home: OperatorsHome, device: str, at: int) -> bytes:
    return home.chain.client.view("DeviceRegistry", "gatewayAt", device_id(device), at)


def signed(home: OperatorsHome, document: str, index: int = PAYEE) -> str:
    key = keystore.development_account(index).key
    return ethereum.Account.sign_typed_data(key, full_message=json.loads(document)).signature.hex()


def test_add__behind_a_gateway__is_enrolled_without_key_and_password(home):
    view = home.run_json(*ENROL, "gw-1", "meter-1")
    assert (view["sent"], view["gateway"], view["number"]) == (True, "gw-1", 0)
    assert view["topic"] == "proofrail/gw-1/evidence/sealed"
    now = home.chain.now()
    assert gateway_at(home, "meter-1", now) == device_id("gw-1")
    assert home.row("meter-1").owner == keystore.development_account(PAYEE).address
    assert "meter-1" not in credentials.load(home.home)
    shown = home.run_json("device", "show", "meter-1")
    assert (shown["key"], shown["curve"], shown["status"]) == (None, "", "active")
    assert "meter-1" in home.run("device", "list").stdout
    assert "is enrolled already" in home.refused(*ENROL, "gw-1", "meter-1")
    assert "is enrolled already" in home.refused(*ENROL, "gw-1", "gw-2")


def test_add__interrupted_after_the_chain_had_it__is_stored_by_the_next_one(home):
    home.run_json(*ENROL, "gw-1", "meter-2")
    with home.store.write() as session:
        session.delete(session.merge(home.row("meter-2")))
    assert "is enrolled already" in home.refused(*ENROL, "gw-1", "meter-2")
    assert home.row("meter-2") is not None


def test_assign__dry_run_and_document__send_nothing(home):
    home.run_json(*ENROL, "gw-1", "meter-3")
    before = home.sent()
    view = home.run_json("device", "assign", "meter-3", "--gateway", "gw-2", "--dry-run")
    document = json.loads(
        home.run("device", "assign", "meter-3", "--gateway", "gw-2", "--document").stdout
    )
    assert home.sent() == before and view["sent"] is False
    assert document["message"]["number"] == view["number"] == 1
    assert (
        document["domain"]["verifyingContract"]
        == (home.chain.deployment.addresses["DeviceRegistry"])
    )


def test_assign__with_the_owners_wallet__takes_its_signature_once_and_no_other(home):
    home.run_json(*ENROL, "gw-1", "meter-4")
    call = ("device", "assign", "meter-4", "--gateway", "gw-2")
    document = home.run(*call, "--document").stdout
    refused = home.refused(*call, "--signature", signed(home, document, PAYER))
    assert "AssignmentUnsigned" in refused and "--document" in refused
    assert "65 bytes" in home.refused(*call, "--signature", "0x12")
    home.run_json(*call, "--signature", signed(home, document))
    assert gateway_at(home, "meter-4", home.chain.now()) == device_id("gw-2")
    assert "AssignmentUnsigned" in home.refused(*call, "--signature", signed(home, document))


def test_assign__from_a_time_to_a_time__and_the_end_of_it(home):
    home.run_json(*ENROL, "gw-1", "meter-5")
    start = home.chain.now() + DAY
    call = ("device", "assign", "meter-5", "--gateway")
    view = home.run_json(*call, "gw-2", "--from", start, "--until", start + DAY)
    assert (view["from"], view["until"]) == (start, start + DAY)
    times = (start - 1, start, start + DAY - 1, start + DAY)
    assert [gateway_at(home, "meter-5", at) for at in times] == [
        device_id("gw-1"),
        device_id("gw-2"),
        device_id("gw-2"),
        bytes(32),
    ]
    home.run_json(*call, "")
    assert gateway_at(home, "meter-5", start) == bytes(32)
    assert "in the past" in home.refused(*call, "gw-1", "--from", 1_000)
    assert "before it begins" in home.refused(
        *call, "gw-1", "--from", start + DAY, "--until", start
    )
    assert "gw-9" in home.refused(*call, "gw-9")
    assert "GatewayInvalid" in home.refused(*call, "meter-5")
    assert "leave --key" in home.refused(*ENROL, "gw-1", "meter-6", "--key", "00")


def test_show__assignments_over_time__are_listed_with_names(home):
    home.run_json(*ENROL, "gw-1", "meter-7")
    logs = [
        ("meter-7", device_id("gw-1"), 100, 0),
        ("meter-7", device_id("unknown"), 200, 300),
        ("gw-1", bytes(32), 400, 0),
        ("meter-7", bytes(32), 500, 0),
    ]
    rows = [
        blocks.ChainLogRow(
            block_hash=f"0x{index:064x}",
            block_number=index,
            log_index=index,
            tx_hash=f"0x{index:064x}",
            name="GatewayAssigned",
            args=json.dumps(
                {
                    "device": "0x" + device_id(device).hex(),
                    "gateway": "0x" + gateway.hex(),
                    "since": since,
                    "until": until,
                    "at": since,
                }
            ),
        )
        for index, (device, gateway, since, until) in enumerate(logs)
    ]
    with home.store.write() as session:
        add_new(session, rows)
    shown = home.run_json("device", "show", "meter-7")["gateways"]
    assert [(row["gateway"], row["from"], row["until"]) for row in shown] == [
        ("gw-1", 100, None),
        ("0x" + device_id("unknown").hex(), 200, 300),
        (None, 500, None),
    ]
    assert len(home.run_json("device", "show", "gw-1")["gateways"]) == 1
    assert "gw-1" in home.run("device", "show", "meter-7").stdout


def test_next_assignment__registry_of_an_earlier_release__says_that_it_has_no_gateways():
    from orchestrator.errors import Halt, Retry

    class EarlierRegistry:
        def view(self, contract, function, *arguments):
            if function == "assignmentCount":
                raise Retry("DeviceRegistry.assignmentCount: execution reverted")
            return "0x" + "11" * 20

    with pytest.raises(Halt, match="has no gateways"):
        gateways.next_assignment(EarlierRegistry(), "meter", "gw", 0, 0)
