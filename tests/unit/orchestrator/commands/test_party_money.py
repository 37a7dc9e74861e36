"""A payee's own money by command, on a real node: release, withdraw, repay, its bank account."""

from __future__ import annotations

import json
import secrets
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from orchestrator import cli
from orchestrator.commands import party_money
from orchestrator.core import ledger
from orchestrator.edges.chain.client import Call
from orchestrator.edges.store import blocks
from orchestrator.edges.store import ledger as store_ledger
from tests.support.open_rail import OpenRail, open_rail
from tests.support.payee_debts import corrected, guess, meter, read
from tests.support.small_rail import has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
CLI, NAME, MINTER = CliRunner(), "Ladepunkt Nord eG", 3


@pytest.fixture
def rail(monkeypatch):
    """After each test nothing is halted, and the ledger is the chain to the last unit."""
    started = open_rail()
    started.with_oracles_down()
    started.next_day()
    monkeypatch.setattr(party_money, "time", SimpleNamespace(time=lambda: started.clock))
    monkeypatch.setattr(party_money, "patience", lambda: started.mine)
    yield started
    party(started, "payout-account", "--minimum", "0")
    assert started.worker.halted == {}
    started.agree_with_the_chain()


def run(rail: OpenRail, command: str, *words: str):
    arguments = ["party", command, NAME, *words, "--home", str(rail.home)]
    return CLI.invoke(cli.app, arguments)


def party(rail: OpenRail, command: str, *words: str) -> dict:
    result = run(rail, command, *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def refused(rail: OpenRail, command: str, *words: str) -> str:
    result = run(rail, command, *words, "--json")
    assert result.exit_code == 2, result.output
    return json.loads(result.output)["error"]["message"]


def charged(rail: OpenRail, name: str, kwh: str, stage: str) -> None:
    rail.charge(name, kwh)
    rail.until(name, "posted")
    if stage == "paid":
        rail.until_paid(name)
    else:
        rail.work(6, 30)


def test_attack__second_payout_of_a_day__waits_for_tomorrow_unless_the_payee_asks(rail):
    """On 0.3.0 a stranger turned 20 cents into 20 bank payouts of a payee. Now the rail orders one
    a day, says so, and the payee itself can have its money at any time."""
    rail.join("day-1", 5_000)
    charged(rail, "day-1", "2", "paid")
    rail.join("day-2", 5_000)
    charged(rail, "day-2", "3", "posted")
    row = rail.payment("day-2")
    assert (row.stage, row.release_tx) == ("posted", None)
    assert row.reason.startswith("waits for tomorrow") and row.due_at > rail.clock + 600
    tried = party(rail, "release", "--dry-run")
    [call] = tried["calls"]
    assert (tried["sent"], call["function"], call["from"]) == (False, "release", rail.payee.address)
    assert call["arguments"] == {"payee": rail.payee.address, "releaseTimes": [row.release_at]}
    assert rail.payment("day-2").release_tx is None
    sent = party(rail, "release")
    assert sent["sent"] and sent["calls"] == tried["calls"]
    rail.work(3)
    assert rail.payment("day-2").stage in ("paid_out", "booked", "reconciled")


def test_attack__dust_below_the_payee_s_minimum__is_pooled_and_paid_once_it_is_enough(rail):
    """On 0.3.0 every release ordered a payout, also of one cent, at the payee's bank's price."""
    view = party(rail, "payout-account", "--minimum", "1.00")
    assert view["after"]["payout_minimum"]["amount"] == "1000000"
    rail.join("dust", 5_000)
    charged(rail, "dust", "2", "posted")
    first = rail.payment("dust")
    assert first.stage == "posted" and "minimum: 0.6" in first.reason  # with a rest below a cent
    rail.next_day()
    rail.work(1)
    assert rail.payment("dust").stage == "posted"
    rail.charge("dust", "3")
    rail.until_paid("dust")
    with rail.store.read() as session:
        released = blocks.logs_in_transaction(session, rail.payment("dust").release_tx)
        args = [json.loads(log.args) for log in released if log.name == "Released"]
    assert args[0]["amount"] == 600_000 + 900_000


def test_attack__withdrawal_by_a_payee_that_owes__pays_its_debt_first(rail):
    """On 0.3.0 withdrawable money never paid debts: the payee took it out and owed for ever."""
    party(rail, "payout-account", "--none")
    meter(rail, "meter-owes")
    guess(rail, "meter-owes", 4, "posted")
    rail.work(6, 30)  # released: without an account it can be withdrawn
    row = read(rail, "meter-owes", "1", "posted")
    assert row.amount_micro == -900_000
    before = party(rail, "money")
    assert before["owed"]["amount"] == "900000"
    free = int(before["can_be_taken_out"]["amount"])
    assert free == int(before["withdrawable"]["amount"]) - 900_000 > 0
    text = refused(rail, "withdraw", "--amount", str((free + 1) / 1e6))
    assert "0.900000 EUR of them are owed" in text and "nothing was sent" in text
    after = party(rail, "withdraw")["after"]
    assert (after["withdrawable"]["amount"], after["owed"]["amount"]) == ("0", "0")
    assert int(after["wallet"]["amount"]) == int(before["wallet"]["amount"]) + free
    rail.work(3)
    with rail.store.read() as session:
        balances = store_ledger.balances(session)
    assert balances.get((ledger.receivable(rail.payee.address), ledger.TEUR), 0) == 0
    assert rail.payment("meter-owes").stage == "reconciled"
    assert "nothing to take out" in refused(rail, "withdraw")
    party(rail, "payout-account")  # the account of the party again


def test_repay__out_of_the_wallet__shows_both_calls_and_pays_all_that_is_owed(rail):
    meter(rail, "meter-repays")
    row = corrected(rail, "meter-repays", 3, 1)
    money = party(rail, "money")
    missing = max(0, 600_000 - int(money["wallet"]["amount"]))
    if missing:
        assert "smaller --amount" in refused(rail, "repay")
        mint = (secrets.token_bytes(32), rail.payee.address, missing + -missing % 10_000)
        rail.send(MINTER, Call("EuroToken", "mint", mint))
    tried = party(rail, "repay", "--dry-run")
    assert [call["function"] for call in tried["calls"]] == ["approve", "repay"]
    assert party(rail, "money")["owed"]["amount"] == "600000"
    after = party(rail, "repay")["after"]
    assert after["owed"]["amount"] == "0"
    rail.work(3)
    assert rail.payment("meter-repays").payment_id == row.payment_id
    assert rail.payment("meter-repays").stage == "reconciled"
    assert "owes nothing" in refused(rail, "repay")


def test_party_money__in_text__names_each_amount_and_what_was_not_sent(rail):
    shown = run(rail, "money").output
    assert NAME in shown and "can be taken out" in shown and "payout minimum" in shown
    tried = run(rail, "payout-account", "--minimum", "2.50", "--dry-run").output
    assert "PaymentRail.setPayoutAccount" in tried and "2500000" in tried
    assert "nothing was sent (--dry-run)" in tried
    assert "2.500000" not in run(rail, "money").output
