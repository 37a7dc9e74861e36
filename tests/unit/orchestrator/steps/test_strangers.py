"""What a stranger can do on a real chain: it costs the stranger gas, and the rail nothing."""

from __future__ import annotations

import json
import secrets
from dataclasses import replace

import pytest
from sqlmodel import delete

from orchestrator.core.release import DAY_S
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.client import Call
from orchestrator.edges.store import batches, blocks, payments, payouts
from orchestrator.steps.attest import attest
from orchestrator.steps.reconcile import reconcile_store
from tests.support.open_rail import OpenRail, open_rail
from tests.support.small_rail import has_anvil
from tests.support.strangers import STRANGER, forward, kept_call

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


@pytest.fixture
def rail():
    """After each test nothing is halted and the ledger is the chain, to the last unit."""
    started = open_rail()
    started.with_oracles_down()
    yield started
    assert started.worker.halted == {}
    started.with_oracles_down()
    started.agree_with_the_chain()


def test_funds__that_come_after_a_claim_was_short__settle_the_very_same_claim(rail):
    """Alone in its batch it has the same digest, and the same reference, the second time too."""
    rail.join("late-funds")
    rail.charge("late-funds", "5")
    rail.until("late-funds", "waiting_for_funds")
    digest = rail.payment("late-funds").batch_digest
    rail.fund("late-funds", 5_000)
    rail.until("late-funds", "paid_out")
    assert rail.payment("late-funds").batch_digest == digest


def test_old_batch__handed_in_again_while_its_claim_waits_for_another__halts_nothing(rail):
    """Anyone can fund with a crumb and replay what is public: the claim is short once more."""
    rail.join("replayed")
    rail.charge("replayed", "5")
    rail.until("replayed", "waiting_for_funds")
    call = rail.settle_call("replayed")
    rail.oracles_down()
    with rail.store.write() as session:
        waiting = payments.of_agreement(session, rail.agreements["replayed"], "waiting_for_funds")
        payments.record_facts(session, [payments.NewFact(p, "funded", "crumb") for p in waiting], 0)
    assert rail.payment("replayed").stage == "verified"
    rail.send(STRANGER, call)
    rail.work(2)
    assert rail.payment("replayed").stage == "verified"
    rail.with_oracles_down()
    rail.until("replayed", "waiting_for_funds")


def test_old_batch__settled_by_a_stranger_after_the_oracles_changed_their_mind__is_booked(rail):
    """The chain decides: what moved there moves in the ledger, against our own verdict."""
    rail.join("doubted")
    rail.charge("doubted", "5")
    rail.until("doubted", "waiting_for_funds")
    call = rail.settle_call("doubted")
    rail.oracles_down()
    rail.fund("doubted", 5_000)
    rail.until("doubted", "verified")
    payment = rail.payment("doubted").payment_id
    with rail.store.write() as session:
        payments.record_facts(session, [payments.NewFact(payment, "doubted")], 0)
    tx_hash = rail.send(STRANGER, call)
    rail.work(3)
    row = rail.payment("doubted")
    assert (row.stage, row.settlement_tx) == ("posted", tx_hash) and row.amount_micro > 0


def test_settlement__through_another_contract__is_passed_over_and_blocks_go_on(rail):
    rail.join("forwarded", 5_000)
    rail.charge("forwarded", "1")
    rail.until("forwarded", "paid_out")
    call = rail.settle_call("forwarded")
    tx_hash = forward(rail, call)
    rail.work(2)
    with rail.store.read() as session:
        assert blocks.log_of(session, tx_hash, "Settled")  # it was one, with its claim refused
    assert rail.payment("forwarded").stage in ("paid_out", "booked", "reconciled")


def test_settlement__through_another_contract_before_ours__is_booked_by_its_root(rail):
    """No call data of ours speaks of it: the stored batch whose leaves make the root does."""
    tx_hash = forward(rail, kept_call(rail, "detour"))
    rail.work(3)
    row = rail.payment("detour")
    assert (row.stage, row.settlement_tx) == ("posted", tx_hash) and row.amount_micro > 0
    rail.until("detour", "paid_out")


def test_settlement__through_another_contract_of_a_batch_since_replaced__is_booked_too(rail):
    """A payment names its newest batch only; its claim can still be settled in an older one."""
    call = kept_call(rail, "older")
    rail.join("newer", 5_000)
    rail.charge("newer", "1")
    rail.work(1)
    old = rail.payment("older").batch_digest
    rail.with_oracles_down()
    attest(replace(rail.rail, now=lambda: rail.clock + 100))
    assert rail.payment("older").batch_digest == rail.payment("newer").batch_digest != old
    tx_hash = forward(rail, call)
    rail.until("older", "paid_out")
    rail.until("newer", "paid_out")
    assert rail.payment("older").settlement_tx == tx_hash


def test_settlement__of_a_batch_that_no_store_knows__is_a_break_and_refuses_nothing(tmp_path):
    """Signed behind our back: the money moved, the ledger cannot say whose, and that is said."""
    rail = OpenRail(tmp_path).start()
    try:
        call = kept_call(rail, "unknown")
        rail.work(2)
        assert breaks(rail) == {}
        with rail.store.write() as session:
            session.exec(delete(batches.BatchClaimRow))
        tx_hash = forward(rail, call)
        rail.work(3)
        assert list(breaks(rail)) == [(tx_hash[2:],)]
        expected, actual = breaks(rail)[(tx_hash[2:],)]
        assert expected > 0 == actual
        rail.clock += 100
        rail.with_oracles_down()
        rail.work(6)
        row = rail.payment("unknown")
        assert row.stage == "attested" and row.settlement_tx not in (None, tx_hash)
    finally:
        rail.stop()


def breaks(rail) -> dict[tuple[str, ...], tuple[int, int]]:
    with rail.store.read() as session:
        differences = reconcile_store(session, rail.iban).breaks
    return {
        difference.ids: (difference.expected_minor, difference.found_minor)
        for difference in differences
        if difference.kind == "ledger_differs_from_chain"
    }


def look_away(rail, name: str) -> None:
    """Keep our own worker from the release of a payment for a while."""
    rail.until(name, "posted")
    with rail.store.write() as session:
        payments.postpone(session, [rail.payment(name).payment_id], rail.clock + 20_000, "")


def test_release__of_chosen_times_by_a_stranger__pays_out_those_payments_and_no_others(rail):
    rail.next_day()
    for name in ("early", "later"):
        rail.join(name, 5_000)
    rail.charge("early", "2")
    look_away(rail, "early")
    rail.charge("later", "3")
    look_away(rail, "later")
    rail.work(4, 30)
    late = rail.payment("later").release_at
    rail.send(STRANGER, Call("PaymentRail", "release", (rail.payee.address, [late])))
    rail.work(3)
    assert rail.payment("early").stage == "posted"
    assert rail.payment("later").stage in ("paid_out", "booked", "reconciled")
    rail.until("early", "paid_out")  # on the next day: a stranger had today's order made
    ids = [rail.payment(name).payout_id for name in ("early", "later")]
    with rail.store.read() as session:
        cents = [payouts.get(session, i).cents for i in ids]
    amounts = [rail.payment(name).amount_micro for name in ("early", "later")]
    assert ids[0] != ids[1] and [a // 10_000 for a in amounts] == cents


def disputed(rail, name: str) -> payments.PaymentRow:
    """A funded device's payment, disputed by its payer within the window."""
    rail.charge(name, "2")
    rail.until(name, "posted")
    row = rail.payment(name)
    with rail.store.read() as session:
        log = blocks.log_of(session, row.settlement_tx, "Settled")
    args = json.loads(log.args)
    outcome = (
        row.payment_id,
        row.claim_hash,
        rail.payee.address,
        row.amount_micro,
        0,
        row.release_at,
    )
    bond = row.amount_micro  # no bond is above the disputed amount
    rail.send(3, Call("EuroToken", "mint", (secrets.token_bytes(32), rail.payer.address, bond)))
    disputes = rail.chain.deployment.addresses["Disputes"]
    rail.send(10, Call("EuroToken", "approve", (disputes, bond)))
    rail.send(
        10,
        Call("Disputes", "dispute", (row.agreement_id, row.sequence, outcome, args["root"], [])),
    )
    rail.until(name, "disputed")
    return row


def test_dispute__upheld_within_its_window__holds_up_no_other_payout(rail):
    """Its release time is still to come: asked for too early, the contract would refuse all."""
    rail.join("upheld", 5_000)
    rail.join("neighbour", 5_000)
    rail.charge("neighbour", "4")
    rail.until("neighbour", "posted")
    row = disputed(rail, "upheld")
    rail.send(10, Call("Disputes", "retract", (row.payment_id,)))
    rail.until("upheld", "posted")
    back = rail.payment("upheld")
    assert (back.attempts, back.due_at) == (0, back.release_at + 1)
    rail.until_paid("neighbour")
    rail.until_paid("upheld")


def test_release__of_no_times_at_all__redeems_what_is_there_and_halts_nothing(rail):
    """After an upheld dispute there is money to redeem, and anybody may ask for it."""
    rail.join("empty-release", 5_000)
    row = disputed(rail, "empty-release")
    rail.send(10, Call("Disputes", "retract", (row.payment_id,)))
    rail.mine(DAY_S)  # no order of a stranger's was made on this day
    rail.send(STRANGER, Call("PaymentRail", "release", (rail.payee.address, [])))
    rail.work(3)
    assert rail.payment("empty-release").stage in ("paid_out", "booked", "reconciled")


def test_dispute__refunded__lets_a_waiting_claim_of_that_escrow_try_again(rail):
    rail.join("refund", 100)
    row = disputed(rail, "refund")
    rail.charge("refund", "2")
    rail.until("refund", "waiting_for_funds")
    rail.send(11, Call("Disputes", "concede", (row.payment_id,)))
    rail.until("refund", "paid_out")
    with rail.store.read() as session:
        assert payments.by_ids(session, [row.payment_id])[0].stage == "refunded"


def test_redeem__by_a_holder_of_its_own_tokens__touches_no_payment(rail):
    """Beneficiary and account can be anybody's: only what the rail itself redeems is a payout."""
    rail.join("own-tokens", 5_000)
    rail.charge("own-tokens", "1")
    rail.until("own-tokens", "posted")
    holder = keystore.development_account(STRANGER).address
    rail.send(3, Call("EuroToken", "mint", (b"\7" * 32, holder, 10_000)))
    account = rail.chain.view("PaymentRail", "payoutAccount", rail.payee.address)
    rail.send(STRANGER, Call("EuroToken", "redeem", (rail.payee.address, account, 10_000)))
    rail.work(2)
    assert rail.payment("own-tokens").stage == "posted"
    rail.until("own-tokens", "paid_out")
