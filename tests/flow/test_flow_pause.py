"""A pause by the guardian stops settlement, and neither payouts nor a payee's own withdrawal."""

from __future__ import annotations

import time

import pytest

from orchestrator.core import ledger
from orchestrator.core.payment import Stage
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.client import Call
from orchestrator.edges.chain.sender import ChainCall, Sender, send_and_wait
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.errors import Retry
from scripts.demo import parties
from tests.support import invariants
from tests.support.whole_rail import WholeRail


def _send(rail: WholeRail, account, function: str, *args: object) -> None:
    """Send one call to the PaymentRail contract with the key of a party or a role."""
    call = ChainCall(function, str(time.time_ns()), Call("PaymentRail", function, args))
    sender = Sender(rail.store, rail.stack.chain, account)
    send_and_wait(sender, [call], rail.stack.now(), lambda: time.sleep(0.02))


def _role(rail: WholeRail, name: str):
    return keystore.load(rail.stack.settings.keys, name)


@pytest.fixture
def paused(rail):
    """Pause the rail after the last payments are settled and before they are paid."""
    rail.measure(1)
    rail.until_settled()
    _send(rail, _role(rail, "guardian"), "pause")
    yield rail
    if rail.stack.chain.view("PaymentRail", "paused"):
        _send(rail, _role(rail, "steward"), "unpause")


def test_pause__by_the_guardian__stops_settlement_but_no_payout_and_no_withdrawal(paused):
    rail = paused
    rail.until_booked()  # earlier settlements are released, redeemed and booked
    before = {name: invariants.escrow_now(rail, name) for name in rail.funded}
    settled = len(invariants.chain_logs(rail, "PaymentRail", "Settled"))
    rail.measure(1)
    rail.until(
        lambda: _waiting(rail) == len(rail.funded),
        "every new payment waiting for the end of the pause",
    )
    _withdraw_everything(rail)
    assert {name: invariants.escrow_now(rail, name) for name in rail.funded} == before
    assert len(invariants.chain_logs(rail, "PaymentRail", "Settled")) == settled
    assert rail.halted() == {}  # a pause is no error of the rail
    _send(rail, _role(rail, "steward"), "unpause")
    rail.until_settled()  # their payees had an order today: the next one is tomorrow's
    assert len(invariants.chain_logs(rail, "PaymentRail", "Settled")) > settled
    invariants.assert_all(rail)


def _waiting(rail: WholeRail) -> int:
    return sum(
        row.stage == Stage.ATTESTED and "Paused" in (row.reason or "")
        for row in rail.all_payments()
    )


def _withdraw_everything(rail: WholeRail) -> None:
    """Withdraw the payee's rest below a cent, and check chain and ledger."""
    payee = rail.stack.party(parties.CHARGE_COMPANY.index)
    chain = rail.stack.chain
    amount = chain.view("PaymentRail", "withdrawable", payee.address)
    assert 0 < amount < ledger.MICRO_PER_CENT
    balance = chain.view("EuroToken", "balanceOf", payee.address)
    _send(rail, payee, "withdraw", payee.address, amount)
    assert chain.view("EuroToken", "balanceOf", payee.address) == balance + amount
    assert chain.view("PaymentRail", "withdrawable", payee.address) == 0
    rail.until(lambda: _in_wallets(rail) == balance + amount, "the withdrawal in the ledger")


def _in_wallets(rail: WholeRail) -> int:
    with rail.store.read() as session:
        return -store_ledger.balances(session).get((ledger.WALLETS, ledger.TEUR), 0)


def test_pause__by_anyone_else__is_refused(rail):
    for account in (rail.stack.party(0), _role(rail, "sender"), _role(rail, "steward")):
        with pytest.raises(Retry, match="NotInRole"):
            _send(rail, account, "pause")
