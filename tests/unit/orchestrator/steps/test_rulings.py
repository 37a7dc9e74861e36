"""Disputes on the real chain: a bond and a deadline, rulings that people decided, and their end."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from oracles.wire import ruling_to_json
from orchestrator import cli
from orchestrator.commands import payment_dispute
from orchestrator.edges.chain.disputes import dispute_of
from orchestrator.edges.chain.keystore import development_account
from orchestrator.edges.store import blocks, disputes, equivocations
from orchestrator.steps import rulings
from orchestrator.steps.rulings import expire_disputes, keep_rulings, rule_disputes
from tests.support.purse_rail import BOND, CLI, DAY_S, WINDOW_S, PurseRail
from tests.support.small_rail import has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


@pytest.fixture(scope="module")
def purse(tmp_path_factory):
    """A rail of these tests alone: they let months pass, and an oracle is barred for ever."""
    rail = PurseRail(tmp_path_factory.mktemp("rulings") / "home").start()
    yield rail
    rail.stop()


@pytest.fixture
def rail(purse, monkeypatch):
    for oracle in purse.rail.oracles:
        oracle.decided.clear()
    with purse.by_command(monkeypatch, payment_dispute):
        yield purse


def disputed(rail: PurseRail, name: str, **agreed) -> str:
    payment = rail.paid(name, **agreed)
    assert rail.proofrail("payment", "dispute", payment)["sent"]
    rail.work(3)  # not `until`: it lets the days of the dispute window go by
    assert rail.payment(name).stage == "disputed"
    return payment


def decide(rail: PurseRail, payment: str, refund: bool, *names: str) -> None:
    for oracle in rail.rail.oracles:
        if oracle.name in names:
            oracle.decided.append((payment, refund))


def test_dispute__by_a_payer__costs_a_bond_that_the_dry_run_shows_and_is_sent_once(rail):
    """On 0.3.0 a payer froze every payment without cost, evidence or end."""
    payment, before = rail.paid("frozen"), rail.tokens(rail.payer.address)
    plan = rail.proofrail("payment", "dispute", payment, "--dry-run")
    assert (plan["code"], plan["sent"], plan["transactions"]) == (0, False, [])
    assert (plan["bond"]["amount"], plan["balance"]["amount"]) == (str(BOND), str(before))
    assert plan["deadline"] == rail.clock + 30 * DAY_S and plan["allowance"]["amount"] == "0"
    assert [call["function"] for call in plan["calls"]] == ["approve", "dispute"]
    assert plan["calls"][0]["arguments"]["value"] == BOND
    assert plan["calls"][1]["arguments"]["agreement"] == rail.agreements["frozen"]
    assert rail.tokens(rail.payer.address) == before
    sent = rail.proofrail("payment", "dispute", payment)
    assert sent["code"] == 0 and len(sent["transactions"]) == 2
    assert rail.tokens(rail.payer.address) == before - BOND
    again = rail.proofrail("payment", "dispute", payment)
    assert (again["already"], again["sent"], again["code"]) == (True, False, 0)
    rail.work(3)
    view = rail.life(payment)["dispute"]
    assert (view["challenger"]["address"], view["bond"]["amount"]) == (
        rail.payer.address,
        str(BOND),
    )
    assert [move["command"] for move in view["next"]] == [
        "payment concede",
        "payment retract",
        "payment rule",
        "payment expire",
    ]
    assert rail.proofrail("payment", "retract", payment)["sent"]


def test_dispute__that_nobody_rules_on__ends_by_itself_and_the_bond_is_the_payee_s(rail):
    """On 0.3.0 a disputed payment was still frozen ten years later."""
    payment = disputed(rail, "forgotten")
    early = rail.proofrail("payment", "expire", payment)
    assert early["code"] == 2 and early["error"]["code"] == "deadline_not_over"
    assert " UTC; nothing was sent" in early["error"]["message"]
    before = rail.tokens(rail.payee.address)
    assert expire_disputes(rail.rail) == 0
    rail.mine(30 * DAY_S)
    rail.work(4)
    assert rail.payment("forgotten").stage in ("posted", "paid_out")
    assert rail.tokens(rail.payee.address) == before + BOND
    view = rail.life(payment)["dispute"]
    assert (view["refunded"], view["bond_returned"], view["next"]) == (False, False, [])
    assert rail.proofrail("payment", "expire", payment)["already"]


def test_concede__by_the_payee__returns_payment_and_bond(rail):
    payment = disputed(rail, "conceded")
    before = rail.tokens(rail.payer.address)
    assert [
        c["function"] for c in rail.proofrail("payment", "concede", payment, "--dry-run")["calls"]
    ] == ["concede"]
    assert rail.proofrail("payment", "concede", payment)["sent"]
    assert rail.proofrail("payment", "concede", payment)["code"] in (
        0,
        2,
    )  # perhaps its block is not read
    rail.until("conceded", "refunded")
    assert rail.tokens(rail.payer.address) == before + BOND
    view = rail.life(payment)["dispute"]
    assert (view["refunded"], view["bond_returned"]) == (True, True)
    again = rail.proofrail("payment", "concede", payment)
    assert (again["already"], again["refunded"], again["code"]) == (True, True, 0)
    words = ["payment", "concede", payment, "--home", str(rail.home)]
    shown = " ".join(CLI.invoke(cli.app, words).output.split())
    assert "its dispute has ended: its payment went back to the payer; nothing was sent" in shown


def test_retract__within_the_window__returns_the_bond_and_the_payment_stands(rail):
    payment = disputed(rail, "retracted")
    before = rail.tokens(rail.payer.address)
    assert rail.proofrail("payment", "retract", payment)["sent"]
    rail.until("retracted", "posted")
    assert rail.tokens(rail.payer.address) == before + BOND
    assert rail.life(payment)["dispute"]["bond_returned"] is True
    other = rail.proofrail("payment", "concede", payment)  # too late, and of the other side
    assert (other["code"], other["error"]["code"]) == (2, "not_disputed")


def test_ruling__of_enough_oracles__is_collected_and_sent_by_the_rail_itself(rail):
    payment = disputed(rail, "ruled")
    decide(rail, payment, True, "utility-a", "bank")
    rail.rail.memory.rulings_asked_at = 0
    assert rule_disputes(rail.rail) == 0 and len(stored(rail, payment)) == 2
    plan = rail.proofrail("payment", "rule", payment, "--dry-run")
    assert plan["code"] == 0 and plan["calls"] == []
    count = next(item for item in plan["rulings"] if item["answer"] == "refund")
    assert (len(count["counting"]), count["need"], count["missing"]) == (2, 3, "lacks 1 signatures")
    assert len(count["missing_from"]) == 2 and not count["enough"]
    short = rail.proofrail("payment", "rule", payment)
    assert (short["code"], short["error"]["code"]) == (2, "ruling_short")
    decide(rail, payment, True, "auditor")
    rail.work(1, rulings.ASK_EVERY_S)
    rail.until("ruled", "refunded")
    view = rail.life(payment)["dispute"]
    assert (view["refunded"], view["bond_returned"]) == (True, True)
    assert {item["decided_by"] for item in view["rulings"]} == {"Mia Vogt"}
    assert rail.proofrail("payment", "rule", payment)["already"]


def stored(rail: PurseRail, payment: str) -> list:
    with rail.store.read() as session:
        return list(disputes.rulings_of(session, payment))


def test_ruling__from_files__ends_a_dispute_by_command_and_a_forged_one_does_not(rail, tmp_path):
    payment = disputed(rail, "by-file", required_domain=3)
    decide(rail, payment, False, "utility-a", "utility-b", "bank", "auditor")
    files = {}
    for oracle in rail.rail.oracles:
        [signed] = oracle.rulings()
        files[oracle.name] = tmp_path / f"{oracle.name}.json"
        files[oracle.name].write_text(json.dumps(ruling_to_json(signed)))
        oracle.decided.clear()  # their servers show nothing
    forged = tmp_path / "forged.json"
    forged.write_text(json.dumps(ruling_to_json(replace(signed, oracle=rail.payer.address))))
    refusal = rail.proofrail("payment", "rule", payment, "--ruling", str(forged))
    assert refusal["code"] == 2 and "is no ruling of this rail" in refusal["error"]["message"]
    words = [w for n in ("utility-a", "utility-b", "bank") for w in ("--ruling", str(files[n]))]
    plan = rail.proofrail("payment", "rule", payment, *words, "--dry-run")
    count = next(item for item in plan["rulings"] if item["answer"] == "stand")
    assert (len(count["counting"]), count["missing"]) == (3, "lacks trust domain 3")
    sent = rail.proofrail("payment", "rule", payment, "--ruling", str(files["auditor"]))
    assert sent["code"] == 0 and sent["calls"][0]["arguments"]["refund"] is False
    rail.until("by-file", "posted")
    view = rail.life(payment)["dispute"]
    assert (view["refunded"], view["bond_returned"]) == (False, False)


def test_rulings__both_by_one_oracle__are_reported_and_bar_it(rail):
    """On 0.3.0 an oracle that signed refund for one party and stand for the other kept its seat."""
    payment = disputed(rail, "both")
    decide(rail, payment, True, "auditor")
    decide(rail, payment, False, "auditor")
    liar = next(oracle.address for oracle in rail.rail.oracles if oracle.name == "auditor")
    rail.rail.memory.rulings_asked_at = 0
    rail.work(4)
    with rail.store.read() as session:
        [row] = [row for row in equivocations.rows(session) if row.oracle == liar]
        logs = blocks.logs_named(session, ("MemberBarredForRulings",))
    assert (row.first_digest, row.second_digest) == ("rulings", payment)
    assert row.barred_at is not None and [json.loads(log.args)["member"] for log in logs] == [liar]
    assert rail.chain.view("OracleCommittee", "memberOf", liar)[2] is True
    assert dispute_of(rail.chain, payment) is not None


def test_rulings__of_another_rail_or_an_unknown_payment__are_not_kept(rail):
    oracle = rail.rail.oracles[0]
    oracle.decided.append(("0x" + "77" * 32, True))
    [unknown] = oracle.rulings()
    elsewhere = replace(unknown, ruling=replace(unknown.ruling, rail=rail.payer.address))
    assert keep_rulings(rail.store, rail.chain, [unknown, elsewhere], rail.clock) == []


def test_rulings__signed_by_keys_without_a_seat__are_not_kept(rail):
    """A hostile oracle signed rulings with thousands of keys of its own, and each was stored."""
    payment = disputed(rail, "crowd")
    oracle = rail.rail.oracles[0]
    oracle.decided.append((payment, True))
    [genuine] = oracle.rulings()
    deployment, key = rail.chain.deployment, development_account(77)
    digest = genuine.ruling.digest(deployment.chain_id, deployment.addresses["OracleCommittee"])
    signature = bytes(key.unsafe_sign_hash(digest).signature)
    foreign = replace(genuine, oracle=key.address, signature=signature)
    kept = keep_rulings(rail.store, rail.chain, [foreign, genuine], rail.clock)
    with rail.store.read() as session:
        oracles = [row.oracle for row in disputes.rulings_of(session, payment)]
    assert kept == [payment] and oracles == [genuine.oracle]


@pytest.mark.parametrize("kind", ["bond", "window"])
def test_dispute__without_the_bond_or_after_the_window__is_refused_by_name(rail, kind, monkeypatch):
    payment = rail.paid(f"late-{kind}")
    if kind == "bond":
        view = rail.chain.view
        poor = lambda contract, name, *args, **at: (  # noqa: E731
            0 if name == "balanceOf" else view(contract, name, *args, **at)
        )
        monkeypatch.setattr("orchestrator.edges.chain.client.Chain.view", lambda _, *a: poor(*a))
    else:
        rail.clock += WINDOW_S + WINDOW_S // 4  # it ends with a quarter of its length
    answer = rail.proofrail("payment", "dispute", payment)
    codes = {"bond": "bond_not_covered", "window": "dispute_window_over"}
    assert (answer["code"], answer["error"]["code"]) == (2, codes[kind])


def test_dispute__of_what_is_no_payment__names_the_next_step(rail):
    answer = rail.proofrail("payment", "dispute", rail.agreements["purse"])
    assert answer["code"] == 2 and "is the id of another thing" in answer["error"]["message"]
