"""`payment challenge` on a real chain: a wrong claim of a hostile quorum is proved, paid back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from orchestrator import cli
from orchestrator.commands import agreement_life, payment_challenge
from orchestrator.edges.chain.client import Call
from orchestrator.edges.store import agreements
from orchestrator.products.metered_energy import product as metered_energy
from orchestrator.steps.dispute import dispute_call
from tests.support.lying_quorum import attest_more_than_the_meter_showed
from tests.support.purse_rail import BOND, CLI, PAYEE, PAYER, PurseRail
from tests.support.small_rail import has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
STEWARD = 1


@pytest.fixture(scope="module")
def purse(tmp_path_factory):
    """A rail of these tests alone: their last test bars its oracles."""
    rail = PurseRail(tmp_path_factory.mktemp("challenges") / "home").start()
    yield rail
    rail.stop()


@pytest.fixture
def rail(purse, monkeypatch):
    with purse.by_command(monkeypatch, payment_challenge):
        yield purse


def answers(view: dict) -> dict[str, str]:
    return {
        " ".join(filter(None, (item["fault"], item["reading"]))): item["answer"]
        for item in view["findings"]
    }


def test_challenge__of_an_honest_payment__finds_nothing_and_sends_nothing(rail):
    payment, before = rail.paid("honest"), rail.tokens(rail.payer.address)
    view = rail.proofrail("payment", "challenge", payment)
    assert (view["code"], view["proven"], view["sent"], view["calls"]) == (1, None, False, [])
    assert answers(view) == {
        "signature": "signature_valid",
        "register end": "register_agrees",
        "register begin": "register_agrees",
        "key": "key_may_sign",
    }
    assert rail.tokens(rail.payer.address) == before
    one = rail.proofrail("payment", "challenge", payment, "--fault", "key", "--record", "1")
    assert answers(one) == {"key": "key_may_sign"}
    none = rail.proofrail("payment", "challenge", payment, "--record", "2")
    assert (none["code"], none["error"]["code"]) == (2, "record_unknown")


def test_challenge__words_that_name_no_payment__say_what_to_give(rail, tmp_path):
    rail.paid("named")
    agreement = rail.agreements["named"]
    refusal = rail.proofrail("payment", "challenge", agreement)
    assert refusal["code"] == 2 and "one payment" in refusal["error"]["message"]
    nothing = rail.proofrail("payment", "challenge")
    assert nothing["code"] == 2 and "--bundle" in nothing["error"]["message"]
    bundle = tmp_path / "bundle.json"
    payment = rail.payment("named").payment_id
    rail.proofrail("audit", "export", payment, "--output", str(bundle))
    content = json.loads(bundle.read_text())
    content["chain"]["id"] = 1
    bundle.write_text(json.dumps(content))
    other = rail.proofrail("payment", "challenge", "--bundle", str(bundle))
    assert (other["code"], other["error"]["code"]) == (2, "bundle_of_another_chain")


def test_challenge__of_a_wrong_claim__refunds_the_payer_and_bars_the_quorum(
    rail, monkeypatch, tmp_path
):
    """Attack: a hostile quorum attests a register that the meter never showed; an auditor who has
    the payment's bundle proves it."""
    with monkeypatch.context() as hostile:
        attest_more_than_the_meter_showed(hostile, metered_energy)
        ended, payment = rail.paid("spared"), rail.paid("wronged")
    concede(rail, "spared", ended)
    spared = rail.proofrail("payment", "challenge", ended, "--dry-run")
    assert (spared["code"], spared["proven"], spared["refunds"]) == (0, "register", False)
    words = ["payment", "challenge", ended, "--dry-run", "--home", str(rail.home)]
    text = " ".join(CLI.invoke(cli.app, words).output.split())
    assert f"refunds nothing, a dispute has ended; it bars {spared['barred']} oracles" in text
    bundle, before = tmp_path / "bundle.json", rail.tokens(rail.payer.address)
    assert rail.proofrail("audit", "export", payment, "--output", str(bundle))["code"] == 1
    plan = rail.proofrail("payment", "challenge", "--bundle", str(bundle), "--dry-run")
    assert (plan["code"], plan["proven"], plan["sent"]) == (0, "register", False)
    assert answers(plan)["register end"] == "proven" and plan["barred"] >= 3
    assert [call["function"] for call in plan["calls"]] == ["approve", "challenge"]
    assert plan["bond"]["amount"] == str(BOND) and 100_000 < plan["gas"] < 2_000_000
    assert plan["refunds"]
    sent = rail.proofrail("payment", "challenge", payment)
    assert (sent["code"], sent["sent"], len(sent["transactions"])) == (0, True, 2)
    rail.until("wronged", "refunded")
    assert (
        rail.tokens(rail.payer.address) == before
    )  # the bond came back, the payment is in the escrow again
    view = rail.life(payment)
    [record] = view["challenges"]
    assert (record["fault"], record["verdict"]) == ("register", "proven")
    assert (view["dispute"]["refunded"], view["dispute"]["next"]) == (True, [])
    trace = CLI.invoke(cli.app, ["trace", payment, "--home", str(rail.home)]).output
    assert "proved on chain that its register is bad" in " ".join(trace.split())
    again = rail.proofrail("payment", "challenge", payment)
    assert again["code"] == 1 and set(answers(again).values()) == {"NotChallengeable"}
    barred = [
        oracle
        for oracle in rail.rail.oracles
        if rail.chain.view("OracleCommittee", "memberOf", oracle.address)[2]
    ]
    assert len(barred) == plan["barred"]
    seat_others(rail, barred)
    rail.paid("afterwards")  # the rail settles again
    with rail.by_command(monkeypatch, agreement_life):
        goes_on_behind_the_next_claim(rail, payment)


def goes_on_behind_the_next_claim(rail: PurseRail, refunded: str) -> None:
    """The contract keeps the wrong register: it refuses the next claim, until both skip that."""
    agreement = rail.agreements["wronged"]
    skip = f"`proofrail agreement skip {agreement[:12]}`"
    assert skip in shown(rail, "trace", refunded)  # beforehand
    later_record(rail, "wronged")
    rail.until("wronged", "refused")
    refused = shown(rail, "trace", rail.payment("wronged").payment_id)
    assert "reason: product_3 (RegisterBackwards)" in refused and skip in refused
    status = shown(rail, "status")
    assert "is refused: product_3 (RegisterBackwards); see `proofrail trace" in status
    assert skip in status and "signed what another proved to be wrong" in status
    later_record(rail, "wronged")
    rail.work(3)
    done = rail.proofrail("agreement", "skip", agreement)
    assert done["sent"], done
    rail.until("wronged", "posted")
    assert rail.payment("wronged").amount_micro == 600_000


def later_record(rail: PurseRail, name: str) -> None:
    """Have a meter send one more session of 2 kWh."""
    rail.mine(4_000)
    device = rail.fleet[name]
    device.now = max(device.now, rail.clock - 1_000)
    assert rail.take(*device.session("2", seconds=600)) == ["accepted"]


def shown(rail: PurseRail, *words: str) -> str:
    """Return what a command prints, on one line."""
    lines = CLI.invoke(cli.app, [*words, "--home", str(rail.home)]).output.splitlines()
    return " ".join(" ".join(line.lstrip("│├└─ ") for line in lines).split())


def concede(rail: PurseRail, name: str, payment: str) -> None:
    """Have the payer dispute a payment and the payee concede."""
    disputes = rail.chain.deployment.addresses["Disputes"]
    with rail.store.read() as session:
        agreement = agreements.get(session, rail.agreements[name])
        call = dispute_call(session, rail.chain, rail.payment(name), agreement)
    rail.send(PAYER, Call("EuroToken", "approve", (disputes, BOND)))
    rail.send(PAYER, call)
    rail.send(PAYEE, Call("Disputes", "concede", (bytes.fromhex(payment[2:]),)))


def seat_others(rail: PurseRail, barred: list) -> None:
    """The steward gives the seats of barred oracles to others, of the same trust domains."""
    fresh = [replace(oracle, key=bytes([7]) * 31 + bytes([n])) for n, oracle in enumerate(barred)]
    for oracle in barred:
        rail.send(STEWARD, Call("OracleCommittee", "unseat", (oracle.address,)))
    for oracle in fresh:
        rail.send(STEWARD, Call("OracleCommittee", "seat", (oracle.address, oracle.domain)))
    kept = [oracle for oracle in rail.rail.oracles if oracle not in barred]
    rail.rail.oracles[:] = [*kept, *fresh]
    rail.work(3)
