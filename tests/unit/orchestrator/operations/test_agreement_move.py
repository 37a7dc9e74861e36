"""A rail of release 0.5.0 moves to the contracts of today, agreement by agreement.

tests/support/moving_rail.py says what is on it. What does not just move: test_agreement_move_waits.
"""

from __future__ import annotations

import pytest

from orchestrator.edges.store import agreements, evidence
from orchestrator.edges.store.tables import EventRow
from orchestrator.products.metered_energy.abi import decode_terms as decode_energy
from orchestrator.products.proof_of_delivery import product as deliveries
from orchestrator.products.proof_of_delivery.abi import DeliveryFacts
from orchestrator.products.wearable_voucher.abi import decode_terms
from tests.support.contracts.contract_rail import EURO, HOUR, KWH
from tests.support.contracts.settled import payment_id as payment_of
from tests.support.former_rail import device_id, former
from tests.support.moving_rail import BAND, BUSY, DOCK, METER, OWING, MovingRail
from tests.support.small_rail import has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """The rail after its move, with what each run of the command said."""
    rail = MovingRail(tmp_path_factory.mktemp("rail"))
    rail.move_all()
    yield rail
    rail.stop()


def test_move__plan__shows_every_agreement_and_sends_nothing(moved):
    stages = {entry["device"]: entry["stage"] for entry in moved.plan["agreements"]}
    assert stages == {
        METER: "close",
        OWING: "close",
        BAND: "close",
        DOCK: "close",
        BUSY: "stays",
    }
    assert not moved.plan["sent"]
    functions = {call["function"] for call in moved.plan["calls"]}
    assert functions == {"adoptMany", "setPayoutAccount", "close"}
    assert sorted(moved.plan["devices"]["adopt"]) == sorted([METER, OWING, BAND, DOCK])
    disputed = [len(entry["disputed"]) for entry in moved.plan["agreements"]]
    assert sum(disputed) == 0  # no service follows the disputes in this test
    why = {entry["device"]: entry["why"] for entry in moved.plan["agreements"]}
    assert "on its way" in why[BUSY]


def test_move__all_agreements__no_cent_differs_for_any_party(moved):
    assert {name: entry["stage"] for name, entry in moved.first_run.items()} == {
        METER: "ending",
        OWING: "ending",
        BAND: "ending",
        DOCK: "ending",
        BUSY: "stays",
    }
    assert {name: entry["stage"] for name, entry in moved.second_run.items()} == {
        METER: "moved",
        OWING: "moved",
        BAND: "moved",
        DOCK: "moved",
        BUSY: "stays",
    }
    assert moved.after == moved.before
    assert moved.view["same_total"]


def test_move__new_agreements__go_on_with_counter_register_totals_and_end(moved):
    mandate = {}
    for name in (METER, BAND, DOCK):
        with moved.store.read() as session:
            identity = "0x" + moved.following(name).hex()
            mandate[name] = agreements.mandate_of(agreements.get(session, identity))
    former_row = moved.agreements[METER]
    meter = mandate[METER]
    assert (meter.first_counter, meter.expiry, meter.cap) == (30, former_row.expiry, 500 * EURO)
    assert (meter.payer, meter.payee) == (former_row.payer, former_row.payee)
    terms = decode_energy(meter.terms)
    assert (terms.start_register, terms.price_per_kwh) == (135 * KWH, 300_000)
    assert terms.started_at == meter.start == moved.opened + 19 * HOUR
    paid = {
        start.payee: (start.paid, start.taps) for start in decode_terms(mandate[BAND].terms).starts
    }
    assert paid == {
        moved.party("Imbiss").address: (8 * EURO, 2),
        moved.party("Kiosk").address: (3 * EURO, 1),
    }
    assert mandate[DOCK].terms == bytes.fromhex(moved.agreements[DOCK].terms[2:])
    escrows = {
        name: moved.new.rail.agreementState(moved.following(name)).escrow for name in mandate
    }
    charged = (10 + 5 + 20) * 300_000
    assert escrows == {METER: 100 * EURO - charged, BAND: 89 * EURO, DOCK: 100 * EURO}


def test_move__records_that_no_claim_holds__can_be_claimed_in_the_new_agreement(moved):
    with moved.store.read() as session:
        event = session.get(EventRow, f"0x{31:064x}")
    assert event.agreement_id == "0x" + moved.following(METER).hex()


def test_move__record_refused_between_the_two_agreements__is_taken_now(moved):
    assert moved.view["records_taken"] == 1
    with moved.store.read() as session:
        events = evidence.agreements_with_unclaimed(session)
    assert "0x" + moved.following(BAND).hex() in events


def test_move__payee_with_a_bank_account__is_paid_to_it_on_the_present_rail_too(moved):
    imbiss = moved.party("Imbiss").address
    assert [account["payee"] for account in moved.plan["accounts"]] == [imbiss]
    assert moved.new.rail.payoutAccount(imbiss) == moved.old.rail.payoutAccount(imbiss) != bytes(32)


def test_move__run_again__sends_nothing(moved):
    nonce = moved.node.rpc("eth_getTransactionCount", moved.party("Ada").address, "latest")
    again = moved.run("agreement", "move", moved.agreements[METER].agreement_id, "--yes")
    assert not again["sent"] and again["agreements"][0]["stage"] == "moved"
    assert nonce == moved.node.rpc("eth_getTransactionCount", moved.party("Ada").address, "latest")


def test_move__old_records_presented_again__are_paid_by_no_new_agreement(moved):
    """A hostile quorum presents what the former rail paid, also under counters of today."""
    hours = [moved.opened + hour * HOUR for hour in range(40)]
    paid = moved.energy(METER, (100, 110), (hours[1], hours[5]), version=3)
    redated = moved.energy(METER, (100, 110), (hours[19], hours[24]), version=3)
    reread = moved.energy(METER, (135, 145), (hours[1], hours[5]), version=3)
    for facts, answer in (
        (paid, "product 7"),  # TimeBackwards
        (reread, "product 7"),
        (redated, "product 3"),  # RegisterBackwards
    ):
        old_counters = moved.settled(METER, "MeteredEnergy", 1, (1, 10), facts)
        assert old_counters == (0, "CountersReplayed")
        assert moved.settled(METER, "MeteredEnergy", 1, (31, 40), facts) == (0, answer)
    for sequence, (_, claim) in enumerate(moved.taps, 1):
        args = BAND, "WearableVoucher", sequence
        moved.new.payee_of = lambda _: moved.party("Imbiss").address
        assert moved.settled(*args, (1, 2), claim.facts)[1] == "CountersReplayed"
        amount, name = moved.settled(*args, (3 + sequence, 3 + sequence), claim.facts)
        assert (amount, name) == (0, "None")  # a voucher is paid by its difference
    answer = moved.settled(DOCK, "ProofOfDelivery", 1, (2, 2), moved.picked_up)
    assert answer == (0, "product 6")  # SignatureUsed
    enrolment = moved.keys[DOCK].enrolment(
        moved.old.registry.address, device_id(DOCK), moved.party("Ada").address
    )
    fields = False, 0, 0, moved.now, 0, 0, 0, 0, 0, 0, moved.now, enrolment, enrolment
    seen = DeliveryFacts(*fields, *moved.keys[DOCK].sign(enrolment))
    answer = moved.settled(DOCK, "ProofOfDelivery", 1, (2, 2), deliveries.encode_facts(seen))
    assert answer == (0, "product 6")


def test_move__next_records__are_paid_for_what_is_new(moved):
    times = moved.opened + 19 * HOUR, moved.opened + 24 * HOUR
    facts = moved.energy(METER, (135, 140), times, version=3)
    assert moved.settled(METER, "MeteredEnergy", 1, (31, 40), facts) == (1_500_000, "None")
    moved.new.payee_of = lambda _: moved.party("Imbiss").address
    tap = moved.voucher(BAND, "Imbiss", 10 * EURO, 3, 10)  # signed for the contract of 0.5.0
    sequence = moved.new.rail.agreementState(moved.following(BAND)).sequence + 1
    assert moved.settled(BAND, "WearableVoucher", sequence, (10, 10), tap) == (2 * EURO, "None")
    stated = moved.statement("next", moved.now)
    assert moved.settled(DOCK, "ProofOfDelivery", 1, (2, 2), stated) == (10 * EURO, "None")


def test_move__former_rail__pays_out_matured_money_and_ends_its_dispute(moved, tmp_path):
    """Its dispute ends by a ruling, which 0.5.0 counts for itself: before, none was sent there."""
    nord = moved.party("Nord").address
    (payee,) = [p for p in moved.view["payees"] if p["payee"] == nord]
    assert payee["rail"] == former("PaymentRail")
    assert int(payee["owed"]["amount"]) == 4_500_000
    before = moved.worth(moved.releases)
    payment = "0x" + payment_of(moved.first.agreement, 3).hex()
    moved.store_seats()
    files = [word for file in moved.rulings(payment, False, tmp_path) for word in file]
    short = moved.run("payment", "rule", payment, *files[:4], "--dry-run")
    stand = next(count for count in short["rulings"] if count["answer"] == "stand")
    assert (len(stand["counting"]), stand["need"], short["calls"]) == (2, 3, [])
    ruled = moved.run("payment", "rule", payment, *files)
    assert [call["contract"] for call in ruled["calls"]] == [former("PaymentRail")]
    assert ruled["sent"] and not moved.old.rail.frozen(bytes.fromhex(payment[2:]))[1]
    times = sorted({time for address, time in moved.releases if address == nord})
    moved.old.rail.release(nord, times, sender=moved.account(20))
    after = moved.worth(moved.releases)
    assert moved.old.rail.owed(nord) == 0  # what it was paid there paid its debt
    gained = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    assert gained == {nord: 20 * 300_000, moved.party("Ada").address: 4_500_000}
