"""From events to claims: complete runs, named holes, and one payment on its way per agreement."""

from __future__ import annotations

import pytest

from oracles.rules import derive_claim
from orchestrator.core.payment import Fact
from orchestrator.edges.store import agreements, evidence
from orchestrator.products.metered_energy import product
from orchestrator.steps import event_of
from orchestrator.steps.claims import anchor_of, claim_of
from orchestrator.steps.collect import collect, verify
from services.simulated_devices.record import Point, units_of
from tests.support.bare_rail import BareRail
from tests.support.small_intake import joined

CP = "cp-0001"


@pytest.fixture
def bare(tmp_path):
    bare_rail = BareRail(tmp_path, hole_patience_s=30)
    yield bare_rail
    bare_rail.close()


@pytest.fixture
def device(bare):
    return bare.place.fleet[CP]


def holes(bare) -> list[tuple[int, int]]:
    with bare.place.store.read() as session:
        return [(hole.first_counter, hole.last_counter) for hole in evidence.all_holes(session)]


def through(bare, name: str) -> None:
    """The payment went all the way onto the chain."""
    bare.record(name, Fact.ATTESTED, "d")
    bare.record(name, Fact.SETTLED, "b")


def test_collect__complete_run__becomes_one_payment_of_all_its_events(bare, device):
    records = device.make_records(3)
    assert bare.place.answers(*records) == ["accepted"] * 3
    assert (collect(bare.rail), verify(bare.rail)) == (1, 1)
    row = bare.payment(CP)
    assert (row.stage, row.next_step, row.sequence) == ("verified", "attest", 1)
    assert (row.first_counter, row.last_counter) == (1, 3)
    assert bare.place.events(CP) == {n: (row.payment_id, None) for n in (1, 2, 3)}
    agreement = bare.place.chain.agreements_of(event_of("ocmf", records[0]).device_id)[0]
    wanted = derive_claim(agreement, product, 1, None, [event_of("ocmf", r) for r in records])
    assert row.facts == "0x" + wanted.facts.hex()
    assert row.evidence_root == "0x" + wanted.evidence.hex()
    with bare.place.store.read() as session:
        stored = agreements.get(session, row.agreement_id)
        assert claim_of(bare.rail, session, row, stored) == (wanted, [])
    assert (stored.sequence, stored.last_counter) == (1, 3)


@pytest.mark.parametrize(
    ("fact", "stage"),
    [
        (None, "verified"),
        (Fact.ATTESTED, "attested"),
        (Fact.SHORT, "waiting_for_funds"),
    ],
)
def test_collect__payment_on_its_way__lets_the_next_run_grow(bare, device, fact, stage):
    bare.claims(CP)
    if fact:
        bare.record(CP, Fact.ATTESTED, "d")
    if fact is Fact.SHORT:
        bare.record(CP, Fact.SHORT, "b")
    assert bare.stages(CP) == [stage]
    for _ in range(3):
        bare.place.take(device.make_records(1)[0])
        assert collect(bare.rail) == 0
    if stage == "waiting_for_funds":
        bare.record(CP, Fact.FUNDED, "f")
    if stage != "attested":
        bare.record(CP, Fact.ATTESTED, "d2")
    bare.record(CP, Fact.SETTLED, "b2")
    assert (collect(bare.rail), verify(bare.rail)) == (1, 1)
    row = bare.payment(CP)
    assert (row.sequence, row.first_counter, row.last_counter) == (2, 2, 4)


def test_collect__two_agreements__do_not_wait_for_each_other(bare):
    bare.claims(CP)
    bare.claims("cp-0002")
    assert bare.stages(CP, "cp-0002") == ["verified", "verified"]


@pytest.mark.parametrize("fact", [Fact.DOUBTED, Fact.LAPSED])
def test_collect__after_a_payment_that_ended_badly__waits_for_a_person(bare, device, fact):
    """Its sequence is not used up on chain: what followed would only be refused."""
    bare.claims(CP)
    bare.record(CP, fact)
    bare.place.take(device.make_records(1)[0])
    assert collect(bare.rail) == 0


def test_collect__open_session__waits_for_its_end(bare, device):
    begin, end = device.session("5", split=True)
    bare.place.take(begin)
    assert collect(bare.rail) == 0
    bare.place.take(end)
    assert collect(bare.rail) == 1
    assert (bare.payment(CP).first_counter, bare.payment(CP).last_counter) == (1, 2)


def test_hole__before_it__is_claimed_at_once_and_behind_it_after_patience(bare, device):
    first, _, three = device.make_records(3)
    bare.place.take(joined([first, three]))
    assert collect(bare.rail) == 1 and bare.payment(CP).last_counter == 1
    verify(bare.rail)
    through(bare, CP)
    bare.place.clock += 29
    assert collect(bare.rail) == 0 and holes(bare) == []
    bare.place.clock += 1
    assert collect(bare.rail) == 1 and holes(bare) == [(2, 2)]
    assert (bare.payment(CP).first_counter, bare.payment(CP).last_counter) == (3, 3)


def test_hole__device_that_never_stops_sending__is_declared_all_the_same(bare, device):
    """Patience runs from what first followed the hole; later records must not restart it."""
    records = device.make_records(4)
    for record in records[1:]:
        bare.place.take(record)
        assert collect(bare.rail) == 0
        bare.place.clock += 10
    assert collect(bare.rail) == 1 and holes(bare) == [(1, 1)]
    assert bare.payment(CP).last_counter == 4


def test_hole__missing_record_comes_in_time__is_no_hole(bare, device):
    first, two = device.make_records(2)
    bare.place.take(two)
    bare.place.clock += 20
    assert collect(bare.rail) == 0
    assert bare.place.answers(first) == ["accepted"]
    assert collect(bare.rail) == 1 and holes(bare) == []
    assert (bare.payment(CP).first_counter, bare.payment(CP).last_counter) == (1, 2)


def test_hole__missing_record_comes_after_claims_have_passed__is_claimed_late(bare, device):
    """After the patience of a hole again: its neighbours may be on their way too."""
    first, two = device.make_records(2)
    bare.place.take(two)
    bare.place.clock += 30
    assert (collect(bare.rail), verify(bare.rail)) == (1, 1)
    through(bare, CP)
    assert bare.place.answers(first) == ["accepted"]
    assert collect(bare.rail) == 0
    bare.place.clock += 30
    assert (collect(bare.rail), verify(bare.rail)) == (1, 1)
    row = bare.payment(CP)
    assert (row.sequence, row.first_counter, row.last_counter) == (2, 1, 1)
    facts = product.decode_facts(bytes.fromhex(row.facts[2:]))
    assert facts.kind == product.ReadingKind.LATE and facts.energy > 0
    through(bare, CP)
    bare.place.answers(device.make_records(1)[0])
    assert (collect(bare.rail), verify(bare.rail)) == (1, 1)  # and the stream goes on from 2
    third = bare.payment(CP)
    assert (third.sequence, third.first_counter) == (3, 3)
    with bare.place.store.read() as session:
        assert anchor_of(session, third).body == two  # not the late one before it
    assert bare.place.answers(first) == ["duplicate"] and collect(bare.rail) == 0


def test_late__record_of_a_gap_that_the_contract_has_forgotten__is_dropped_and_stops_nothing(
    bare, device
):
    """The contract keeps four gaps: a claim for an older one would be refused, and end the deal."""
    records = device.make_records(11)
    for record in records[1::2]:  # 1, 3, 5, 7 and 9 are missing, one after the other
        bare.place.take(record)
        bare.place.clock += 30
        assert (collect(bare.rail), verify(bare.rail)) == (1, 1)
        through(bare, CP)
    assert bare.place.answers(records[0], records[2]) == ["accepted"] * 2
    bare.place.clock += 30
    assert (collect(bare.rail), verify(bare.rail)) == (1, 1)
    assert (bare.payment(CP).first_counter, bare.payment(CP).last_counter) == (3, 3)
    reasons = {n: reason for n, (_, reason) in bare.place.events(CP).items()}
    assert reasons[1] == "too_late" and reasons[3] is None
    through(bare, CP)
    bare.place.take(records[10])
    assert collect(bare.rail) == 1 and bare.payment(CP).last_counter == 11


def test_late__half_a_session__waits_for_its_other_half(bare, device):
    begin, end = device.session("5", split=True)
    last = device.make_records(1)[0]
    bare.place.take(last)
    bare.place.clock += 30
    assert (collect(bare.rail), verify(bare.rail)) == (1, 1)
    through(bare, CP)
    bare.place.take(begin)
    bare.place.clock += 20
    bare.place.take(end)
    bare.place.clock += 20
    assert collect(bare.rail) == 0  # the end came 20 s ago: not yet long enough
    bare.place.clock += 10
    assert collect(bare.rail) == 1
    assert (bare.payment(CP).first_counter, bare.payment(CP).last_counter) == (1, 2)


def test_dropped__implausible_reading__is_named_and_its_neighbours_are_claimed(bare, device):
    first = device.make_records(1)
    start = device.register
    points = [Point("B", device.now, start), Point("E", device.now + 60, start + units_of(50_000))]
    absurd = device.forge(points, 2, device.key)
    device.keep([absurd], 2)
    last = device.make_records(1)
    assert bare.place.answers(*first, absurd, *last) == ["accepted"] * 3
    assert collect(bare.rail) == 1
    payment = bare.payment(CP)
    reasons = {n: reason for n, (_, reason) in bare.place.events(CP).items()}
    assert reasons == {1: None, 2: "implausible_reading", 3: None}
    verify(bare.rail)
    through(bare, CP)
    assert payment.last_counter == 1 and collect(bare.rail) == 1
    assert bare.payment(CP).last_counter == 3 and holes(bare) == []


def test_collect__agreement_that_is_not_live_yet__waits(bare, device):
    with bare.place.store.write() as session:
        agreements.get(session, bare.place.agree(CP)).stage = agreements.Stage.SIGNED
    bare.place.take(device.make_records(1)[0])
    assert collect(bare.rail) == 0


def test_verify__second_claim__starts_at_the_end_of_the_first(bare, device):
    bare.place.answers(device.make_records(1)[0])
    for sequence in (1, 2):
        assert (collect(bare.rail), verify(bare.rail)) == (1, 1)
        row = bare.payment(CP)
        assert row.sequence == sequence
        through(bare, CP)
        bare.place.answers(device.make_records(1)[0])
    facts = product.decode_facts(bytes.fromhex(row.facts[2:]))
    assert facts.energy == facts.to_register - facts.from_register > 0
