"""`payment challenge` on a real chain: a wrong claim of a hostile quorum is proved, paid back."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from orchestrator import cli
from orchestrator.commands import payment_challenge
from orchestrator.edges.chain.client import Call
from orchestrator.edges.store import agreements, payments
from orchestrator.products.metered_energy import product as metered_energy
from orchestrator.products.metered_energy.abi import decode_facts, encode_facts
from orchestrator.steps.refund import refund
from orchestrator.views.payment import life
from services.simulated_devices.device import DeviceKind
from tests.support.open_rail import OpenRail
from tests.support.small_rail import has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
PAYER, STEWARD = 10, 1
BOND, DAY_S, KWH = 300_000, 86_400, 1_000_000
CLI = CliRunner()


@pytest.fixture(scope="module")
def purse(tmp_path_factory):
    """A rail of these tests alone, whose payer has tokens: their last test bars its oracles."""
    rail = OpenRail(tmp_path_factory.mktemp("challenges") / "home").start()
    rail.with_oracles_down()
    rail.join("purse", 5_000)
    rail.send(PAYER, Call("PaymentRail", "close", (rail.agreements["purse"],)))
    rail.work(2)
    with rail.store.read() as session:
        ends_at = agreements.get(session, rail.agreements["purse"]).ends_at
    rail.mine(ends_at - rail.clock)
    refund(rail.rail)
    rail.work(3)
    yield rail
    rail.stop()


@pytest.fixture
def rail(purse, monkeypatch):
    """After each test nothing is halted and the ledger is the chain, to the last unit."""
    purse.with_oracles_down()
    monkeypatch.setattr(payment_challenge, "time", SimpleNamespace(time=lambda: purse.clock))
    monkeypatch.setattr(payment_challenge, "patience", lambda: purse.mine)
    yield purse
    assert purse.worker.halted == {}
    purse.agree_with_the_chain()


def paid(rail: OpenRail, name: str) -> str:
    """Return a new payment of one session, its dispute window still open."""
    if name not in rail.agreements:
        rail.join(name, 5_000, DeviceKind.CHARGE_POINT, window_s=14 * DAY_S, bond_micro=BOND)
    rail.mine(4_000)
    device = rail.fleet[name]
    device.now = max(device.now, rail.clock - 1_000)
    assert rail.take(*device.session("2", seconds=600)) == ["accepted"]
    rail.until(name, "posted")
    return rail.payment(name).payment_id


def proofrail(rail: OpenRail, *words: str) -> dict:
    result = CLI.invoke(cli.app, [*words, "--json", "--home", str(rail.home)])
    return {"code": result.exit_code, **json.loads(result.output)}


def answers(view: dict) -> dict[str, str]:
    return {
        " ".join(filter(None, (item["fault"], item["reading"]))): item["answer"]
        for item in view["findings"]
    }


def wallet(rail: OpenRail) -> int:
    return rail.chain.view("EuroToken", "balanceOf", rail.payer.address)


def lying(derive):
    """Return the product's rule with a register that is one kWh higher at the end."""

    def derive_wrongly(*args, **kwargs) -> bytes:
        facts = decode_facts(derive(*args, **kwargs))
        more = {"to_register": facts.to_register + KWH, "energy": facts.energy + KWH}
        return encode_facts(facts._replace(**more))

    return derive_wrongly


def test_challenge__of_an_honest_payment__finds_nothing_and_sends_nothing(rail):
    payment, before = paid(rail, "honest"), wallet(rail)
    view = proofrail(rail, "payment", "challenge", payment)
    assert (view["code"], view["proven"], view["sent"], view["calls"]) == (1, None, False, [])
    assert answers(view) == {
        "signature": "signature_valid",
        "register end": "register_agrees",
        "register begin": "register_agrees",
        "key": "key_may_sign",
    }
    assert wallet(rail) == before
    one = proofrail(rail, "payment", "challenge", payment, "--fault", "key", "--record", "1")
    assert answers(one) == {"key": "key_may_sign"}
    none = proofrail(rail, "payment", "challenge", payment, "--record", "2")
    assert (none["code"], none["error"]["code"]) == (2, "record_unknown")


def test_challenge__words_that_name_no_payment__say_what_to_give(rail, tmp_path):
    paid(rail, "named")
    agreement = rail.agreements["named"]
    refusal = proofrail(rail, "payment", "challenge", agreement)
    assert refusal["code"] == 2 and "one payment" in refusal["error"]["message"]
    nothing = proofrail(rail, "payment", "challenge")
    assert nothing["code"] == 2 and "--bundle" in nothing["error"]["message"]
    bundle = tmp_path / "bundle.json"
    payment = rail.payment("named").payment_id
    proofrail(rail, "audit", "export", payment, "--output", str(bundle))
    content = json.loads(bundle.read_text())
    content["chain"]["id"] = 1
    bundle.write_text(json.dumps(content))
    other = proofrail(rail, "payment", "challenge", "--bundle", str(bundle))
    assert (other["code"], other["error"]["code"]) == (2, "bundle_of_another_chain")


def test_challenge__of_a_wrong_claim__refunds_the_payer_and_bars_the_quorum(
    rail, monkeypatch, tmp_path
):
    """Attack: a hostile quorum attests a register that the meter never showed; an auditor who has
    the payment's bundle proves it."""
    monkeypatch.setattr(metered_energy, "derive", lying(metered_energy.derive))
    payment = paid(rail, "wronged")
    monkeypatch.undo()
    monkeypatch.setattr(payment_challenge, "time", SimpleNamespace(time=lambda: rail.clock))
    monkeypatch.setattr(payment_challenge, "patience", lambda: rail.mine)
    bundle, before = tmp_path / "bundle.json", wallet(rail)
    assert proofrail(rail, "audit", "export", payment, "--output", str(bundle))["code"] == 1
    plan = proofrail(rail, "payment", "challenge", "--bundle", str(bundle), "--dry-run")
    assert (plan["code"], plan["proven"], plan["sent"]) == (0, "register", False)
    assert answers(plan)["register end"] == "proven" and plan["barred"] >= 3
    assert [call["function"] for call in plan["calls"]] == ["approve", "challenge"]
    assert plan["bond"]["amount"] == str(BOND) and 100_000 < plan["gas"] < 2_000_000
    sent = proofrail(rail, "payment", "challenge", payment)
    assert (sent["code"], sent["sent"], len(sent["transactions"])) == (0, True, 2)
    rail.until("wronged", "refunded")
    assert wallet(rail) == before  # the bond came back, the payment is in the escrow again
    with rail.store.read() as session:
        [row] = payments.by_ids(session, [payment])
        view = life(session, row, agreements.get(session, row.agreement_id))
    [record] = view["challenges"]
    assert (record["fault"], record["verdict"]) == ("register", "proven")
    assert (view["dispute"]["refunded"], view["dispute"]["next"]) == (True, [])
    trace = CLI.invoke(cli.app, ["trace", payment, "--home", str(rail.home)]).output
    assert "proved on chain that its register is bad" in " ".join(trace.split())
    again = proofrail(rail, "payment", "challenge", payment)
    assert again["code"] == 1 and set(answers(again).values()) == {"NotChallengeable"}
    barred = [
        oracle
        for oracle in rail.rail.oracles
        if rail.chain.view("OracleCommittee", "memberOf", oracle.address)[2]
    ]
    assert len(barred) == plan["barred"]
    seat_others(rail, barred)
    paid(rail, "afterwards")  # the rail settles again


def seat_others(rail: OpenRail, barred: list) -> None:
    """The steward gives the seats of barred oracles to others, of the same trust domains."""
    fresh = [replace(oracle, key=bytes([7]) * 31 + bytes([n])) for n, oracle in enumerate(barred)]
    for oracle in barred:
        rail.send(STEWARD, Call("OracleCommittee", "unseat", (oracle.address,)))
    for oracle in fresh:
        rail.send(STEWARD, Call("OracleCommittee", "seat", (oracle.address, oracle.domain)))
    kept = [oracle for oracle in rail.rail.oracles if oracle not in barred]
    rail.rail.oracles[:] = [*kept, *fresh]
    rail.work(3)
