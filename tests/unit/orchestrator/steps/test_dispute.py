"""A stolen key on the real chain: what it was paid for is frozen or named; refunds at the end."""

from __future__ import annotations

import pytest

from device_adapters.types import device_id
from orchestrator.core import ledger
from orchestrator.core.reconcile import BreakKind
from orchestrator.core.risk import Remedy, at_risk
from orchestrator.edges.chain.client import Call
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.store import agreements, blocks, evidence, exposure, payments, sends
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.steps.dispute import dispute_calls, dispute_compromised
from orchestrator.steps.reconcile import reconcile_store
from orchestrator.steps.refund import refund
from tests.support.open_rail import OpenRail, open_rail
from tests.support.small_rail import has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
REGISTRAR, PAYER, PAYEE, STRANGER = 4, 10, 11, 15


@pytest.fixture
def rail():
    """After each test nothing is halted and the ledger is the chain, to the last unit."""
    started = open_rail()
    started.with_oracles_down()
    yield started
    assert started.worker.halted == {}
    started.agree_with_the_chain()


def paid(rail: OpenRail, *names: str) -> None:
    """One payment each, in one settlement, for records of the past, its window still open."""
    rail.mine(4_000)
    for name in names:
        device = rail.fleet[name]
        device.now = max(device.now, rail.clock - 1_000)
        assert rail.take(*device.session("2", seconds=600)) == ["accepted"]
    for name in names:
        rail.until(name, "posted")


def observed(rail: OpenRail, name: str) -> int:
    """When the newest payment's record was made, Unix seconds."""
    row = rail.payment(name)
    with rail.store.read() as session:
        [(event, _, _)] = evidence.of_payments(session, [row.payment_id])[row.payment_id]
    return event.observed_at_ms // 1000


def declare(rail: OpenRail, name: str, since: int) -> None:
    call = Call("DeviceRegistry", "declareCompromised", (device_id(name), since))
    rail.send(REGISTRAR, call)
    rail.work(2)


def risks(rail: OpenRail, name: str, since: int) -> dict[str, Remedy]:
    with rail.store.read() as session:
        exposed = exposure.exposed(session, "0x" + device_id(name).hex())
    return {risk.payment_id: risk.remedy for risk in at_risk(exposed, since, rail.clock)}


def disputes(rail: OpenRail, payment: str) -> int:
    with rail.store.read() as session:
        return len(blocks.logs_about(session, ("PaymentDisputed",), payment))


def forgetful(sender: Sender, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the node says that the call would succeed, for any call."""
    kept = sender.quote(call)
    monkeypatch.setattr(sender, "quote", lambda _: kept)


def test_compromise__dated_back__freezes_by_itself_what_is_still_in_its_window(rail):
    for name in ("stolen", "honest"):
        rail.join(name, 5_000)
    paid(rail, "stolen")
    rail.until("stolen", "paid_out")
    gone = rail.payment("stolen")
    since = observed(rail, "stolen")
    paid(rail, "stolen", "honest")
    frozen, neighbour = rail.payment("stolen"), rail.payment("honest")
    assert frozen.settlement_tx == neighbour.settlement_tx  # so the proof has a sibling
    declare(rail, "stolen", since)
    rail.work(3)
    assert rail.payment("stolen").stage == "disputed"
    assert rail.payment("honest").stage != "disputed"
    assert risks(rail, "stolen", since) == {
        gone.payment_id: Remedy.AT_BANK,
        frozen.payment_id: Remedy.FROZEN,
    }
    with rail.store.read() as session:
        breaks = reconcile_store(session, rail.iban, rail.clock).breaks
        device = agreements.device(session, "0x" + device_id("stolen").hex())
    mine = (gone.payment_id[2:], frozen.payment_id[2:])  # other tests have stolen keys too
    at_bank = [b for b in breaks if b.kind is BreakKind.KEY_COMPROMISED and b.ids[0] in mine]
    assert [(b.ids, b.found_minor, b.since, b.detail) for b in at_bank] == [
        ((gone.payment_id[2:],), gone.amount_micro, since, "at_bank")
    ]
    assert (device.status, device.compromised_since) == ("compromised", since)
    rail.work(3)
    assert disputes(rail, frozen.payment_id) == 1
    rail.send(PAYEE, Call("Disputes", "concede", (frozen.payment_id,)))
    rail.work(2)
    assert risks(rail, "stolen", since)[frozen.payment_id] is Remedy.REFUNDED


def test_compromise__after_the_record_was_made__leaves_its_payment_alone(rail):
    rail.join("after-it", 5_000)
    paid(rail, "after-it")
    declare(rail, "after-it", observed(rail, "after-it") + 1)
    rail.work(2)
    assert rail.payment("after-it").stage == "posted"
    assert disputes(rail, rail.payment("after-it").payment_id) == 0


def test_dispute__by_the_warden__is_sent_once_for_any_number_of_requests(rail, monkeypatch):
    rail.join("asked", 5_000)
    paid(rail, "asked")
    since, device = observed(rail, "asked"), "0x" + device_id("asked").hex()
    rail.send(REGISTRAR, Call("DeviceRegistry", "declareCompromised", (device, since)))
    with rail.store.write() as session:
        agreements.device(session, device).compromised_since = since
    payment = rail.payment("asked").payment_id
    with rail.store.read() as session:
        [call] = dispute_calls(session, rail.chain, device, since, rail.clock)
    forgetful(rail.rail.warden, call.call, monkeypatch)
    assert dispute_compromised(rail.rail) == 1
    assert dispute_compromised(rail.rail) == 0
    with rail.store.read() as session:
        assert sends.by_ref(session, call.purpose, call.ref) is not None
    rail.work(3)
    assert (rail.payment("asked").stage, disputes(rail, payment)) == ("disputed", 1)


def test_dispute__by_the_warden_without_a_compromise__is_refused_by_the_contract(rail):
    rail.join("sound", 5_000)
    paid(rail, "sound")
    device = "0x" + device_id("sound").hex()
    with rail.store.write() as session:  # the store says so, the chain does not
        agreements.device(session, device).compromised_since = observed(rail, "sound")
    assert dispute_compromised(rail.rail) == 0
    with rail.store.write() as session:
        agreements.device(session, device).compromised_since = None
    rail.work(2)
    assert rail.payment("sound").stage == "posted"


def escrow(rail: OpenRail, name: str) -> int:
    with rail.store.read() as session:
        balances = store_ledger.balances(session)
    return -balances.get((ledger.escrow(rail.agreements[name]), ledger.TEUR), 0)


def stage(rail: OpenRail, name: str) -> str:
    with rail.store.read() as session:
        return agreements.get(session, rail.agreements[name]).stage


def reclaims(rail: OpenRail, name: str) -> int:
    with rail.store.read() as session:
        return len(blocks.logs_about(session, ("EscrowReclaimed",), rail.agreements[name]))


def end(rail: OpenRail, name: str) -> None:
    """The payer closes the agreement; from the next block on no claim of it is taken."""
    rail.send(PAYER, Call("PaymentRail", "close", (rail.agreements[name],)))
    rail.work(2)
    assert stage(rail, name) == "live" and refund(rail.rail) == 0  # its grace still runs
    with rail.store.read() as session:
        ends_at = agreements.get(session, rail.agreements[name]).ends_at
    rail.mine(ends_at - rail.clock + 2)


def test_refund__after_an_agreement_s_end__goes_to_the_payer_once_and_needs_no_key_of_its(rail):
    rail.join("ended", 5_000)
    paid(rail, "ended")
    left, wallet = (
        escrow(rail, "ended"),
        rail.chain.view("EuroToken", "balanceOf", rail.payer.address),
    )
    assert left == 50_000_000 - rail.payment("ended").amount_micro
    end(rail, "ended")
    rail.work(6, 30)
    assert (escrow(rail, "ended"), stage(rail, "ended")) == (0, "closed")
    after = rail.chain.view("EuroToken", "balanceOf", rail.payer.address)
    assert after - wallet == left
    rail.work(4, 30)
    assert reclaims(rail, "ended") == 1


def test_refund__of_money_that_a_dispute_put_back_after_the_end__follows_it(rail):
    rail.join("twice", 5_000)
    paid(rail, "twice")
    row = rail.payment("twice")
    device, since = "0x" + device_id("twice").hex(), observed(rail, "twice")
    declare(rail, "twice", since)
    rail.until("twice", "disputed")
    end(rail, "twice")
    rail.work(6, 30)
    assert stage(rail, "twice") == "closed"
    rail.send(PAYEE, Call("Disputes", "concede", (row.payment_id,)))
    rail.work(6, 10)
    assert (escrow(rail, "twice"), reclaims(rail, "twice")) == (0, 2)
    assert stage(rail, "twice") == "closed"
    assert risks(rail, "twice", since) == {row.payment_id: Remedy.REFUNDED}, device


def test_refund__asked_for_again_before_it_is_in_a_block__is_sent_once(rail, monkeypatch):
    rail.join("impatient", 5_000)
    end(rail, "impatient")
    call = Call("PaymentRail", "reclaim", (rail.agreements["impatient"],))
    with monkeypatch.context() as patched:
        forgetful(rail.rail.sender, call, patched)
        assert [refund(rail.rail) for _ in range(3)] == [1, 0, 0]
    rail.work(4)
    assert (escrow(rail, "impatient"), reclaims(rail, "impatient")) == (0, 1)


def test_refund__called_by_a_stranger_first__is_booked_and_not_asked_for_again(rail):
    rail.join("strange", 5_000)
    end(rail, "strange")
    rail.send(STRANGER, Call("PaymentRail", "reclaim", (rail.agreements["strange"],)))
    rail.work(4, 5)
    assert (escrow(rail, "strange"), reclaims(rail, "strange")) == (0, 1)
    with rail.store.read() as session:
        assert sends.by_ref(session, "reclaim", f"{rail.agreements['strange']}:0") is None
        assert payments.of_agreement(session, rail.agreements["strange"], "received") == []
