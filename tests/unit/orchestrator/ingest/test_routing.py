"""Which agreement a record belongs to, in which role, and what it may cite; attacks on both."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest

from device_adapters.keys import ORDERS
from device_adapters.types import Curve, device_id
from oracles.citations import resolve
from oracles.types import ClaimReason
from orchestrator.core.identity import payment_id
from orchestrator.edges.chain.reader import DeviceHistory
from orchestrator.edges.store import evidence
from orchestrator.products.proof_of_delivery import product
from orchestrator.steps.collect import collect, verify
from tests.support.small_dock import GOODS, OTHER_GOODS, SmallDock, T, event


@pytest.fixture
def dock(tmp_path):
    small_dock = SmallDock(tmp_path)
    yield small_dock
    small_dock.close()


def roles(dock) -> list[tuple[str, str]]:
    return dock.rows("SELECT agreement_id, role FROM event ORDER BY rowid")


def test_route__recipient_and_carrier__are_stream_and_supporting_of_one_agreement(dock):
    agreement = dock.agree()
    left = dock.truck.pick_up(GOODS, T - 900)
    assert dock.take(left, dock.dock.receive(GOODS, T, 60)) == ["accepted", "accepted"]
    assert roles(dock) == [(agreement, "supporting"), (agreement, "stream")]


def test_route__one_device_with_two_consignments__serves_an_agreement_for_each(dock):
    first, second = dock.agree(), dock.agree(OTHER_GOODS)
    answers = dock.take(dock.dock.receive(OTHER_GOODS, T), dock.dock.receive(GOODS, T, 60))
    assert answers == ["accepted", "accepted"]
    assert roles(dock) == [(second, "stream"), (first, "stream")]
    # the counters of one agreement are not holes of the other
    assert (collect(dock.rail), verify(dock.rail)) == (2, 2)
    claimed = dock.rows("SELECT agreement_id, first_counter, last_counter FROM payment")
    assert sorted(claimed) == sorted([(first, 2, 2), (second, 1, 1)])


def test_route__consignment_of_no_agreement__is_named_and_not_kept(dock):
    dock.agree()
    records = [dock.truck.pick_up(OTHER_GOODS, T), dock.dock.receive(OTHER_GOODS, T)]
    assert dock.take(*records) == ["no_agreement", "no_agreement"]
    assert dock.place.stored()[1] == 0


def test_route__two_agreements_about_one_consignment__the_newest_live_one_takes_what_comes(dock):
    old = dock.agree()
    assert dock.take(dock.dock.receive(GOODS, T, 60)) == ["accepted"]
    new = dock.agree(mark="again")
    assert dock.take(dock.dock.receive(GOODS, T + 1, 40)) == ["accepted"]
    assert roles(dock) == [(old, "stream"), (new, "stream")]


@pytest.mark.parametrize("device", ["dock-1", "truck-1", "van-9"])
@pytest.mark.parametrize("expires_at", [T - 3_600, T + 10**8])
def test_attack__strangers_newer_agreement_about_the_same__draws_nothing_off(
    dock, device, expires_at
):
    """Any payer may open an agreement with our recipient, our consignment and any expiry."""
    agreement = dock.agree()
    dock.stranger(device, expires_at)
    left = dock.truck.pick_up(GOODS, T - 900)
    assert dock.take(left, dock.dock.receive(GOODS, T, 60, seen=(left,))) == ["accepted"] * 2
    assert roles(dock) == [(agreement, "supporting"), (agreement, "stream")]
    assert (collect(dock.rail), verify(dock.rail)) == (1, 1)


def test_attack__strangers_agreement_alone__swallows_no_event(dock):
    """An event that fits only a stranger's agreement is refused, so it can come again later."""
    dock.stranger("dock-1", T + 10**8)
    got = dock.dock.receive(GOODS, T, 60)
    assert dock.take(got) == ["no_agreement"]
    agreement = dock.agree()
    assert dock.take(got) == ["accepted"]
    assert roles(dock) == [(agreement, "stream")]


def test_attack__many_agreements_of_strangers__hold_nothing_up(dock):
    agreement = dock.agree()
    for number in range(1_100):
        dock.stranger("dock-1", T + 10**8, mark=str(number))
    assert dock.take(dock.dock.receive(GOODS, T, 60)) == ["accepted"]
    assert roles(dock) == [(agreement, "stream")]


def test_cite__record_not_there_yet__is_named_and_good_once_it_is(dock):
    dock.agree()
    left = dock.truck.pick_up(GOODS, T - 900)
    got = dock.dock.receive(GOODS, T, 60, seen=(left,))
    assert dock.take(got, got) == ["cited_event_unknown", "cited_event_unknown"]
    assert dock.take(left, got) == ["accepted", "accepted"]
    assert (collect(dock.rail), verify(dock.rail)) == (1, 1)
    [(facts, payee)] = dock.rows("SELECT facts, payee FROM payment")
    assert product.decode_facts(bytes.fromhex(facts[2:])).picked_up_at == T - 900
    assert payee == "0x" + "44" * 20


def test_cite__what_came_in_the_same_batch_before__counts(dock):
    dock.agree()
    left = dock.truck.pick_up(GOODS, T - 900)
    assert dock.take(left, dock.dock.receive(GOODS, T, seen=(left,))) == ["accepted"] * 2
    assert dock.rows("SELECT position, cited_event_id FROM citation") == [
        (0, "0x" + event(left).event_id.hex())
    ]


def test_attack__cited_event_of_an_unknown_or_forged_device__is_never_known(dock, tmp_path):
    dock.agree()
    left = dock.truck.pick_up(GOODS, T - 900)
    document = left.partition(b"\n")[2]
    forged = dock.van.seal(document, 1, name="truck-1")
    unknown = dock.van.seal(document, 1, name="ghost-1")
    got = dock.dock.receive(GOODS, T, 60, seen=(left,))
    assert dock.take(forged, unknown, got) == [
        "signature_forged",
        "device_unknown",
        "cited_event_unknown",
    ]
    assert dock.rows("SELECT count(*) FROM name") == [(0,)]


def test_attack__cited_event_of_another_consignment__is_not_known_about_this_one(dock):
    dock.agree()
    dock.agree(OTHER_GOODS)
    other = dock.truck.pick_up(OTHER_GOODS, T - 900)
    assert dock.take(other, dock.dock.receive(GOODS, T, 60, seen=(other,))) == [
        "accepted",
        "cited_event_unknown",
    ]


def test_attack__carrier_only__its_records_alone_never_become_a_claim(dock):
    dock.agree()
    records = [dock.truck.pick_up(GOODS, T - 900), dock.truck.claim_delivered(GOODS, T)]
    assert dock.take(*records, dock.logger.report(GOODS, T, ["4"])) == ["accepted"] * 3
    dock.place.clock += 10**6
    assert collect(dock.rail) == 0
    assert dock.rows("SELECT count(*) FROM payment") == [(0,)]
    with dock.place.store.read() as session:
        assert evidence.agreements_with_unclaimed(session) == []


def test_attack__carrier_next_to_the_recipient__only_the_recipient_s_record_is_claimed(dock):
    dock.agree()
    dock.dock.counter = 4
    records = dock.truck.claim_delivered(GOODS, T), dock.dock.receive(GOODS, T, 10)
    assert dock.take(*records) == ["accepted"] * 2
    assert (collect(dock.rail), verify(dock.rail)) == (1, 1)
    [(first, last, facts)] = dock.rows("SELECT first_counter, last_counter, facts FROM payment")
    assert (first, last) == (5, 5)
    assert product.decode_facts(bytes.fromhex(facts[2:])).received == 10


def test_attack__copy_of_a_cited_event_by_another_device__displaces_nothing(dock):
    """Any enrolled device can sign the same event again: the hash does not cover the signer."""
    dock.agree()
    left = dock.truck.pick_up(GOODS, T - 900)
    copy = dock.van.seal(left.partition(b"\n")[2], 1)
    assert event(copy).names == event(left).names
    got = dock.dock.receive(GOODS, T, 60, seen=(left,))
    later = dock.van.seal(left.partition(b"\n")[2], 2)
    assert [dock.take(record) for record in (left, copy, got, later)] == [["accepted"]] * 4
    assert (collect(dock.rail), verify(dock.rail)) == (1, 1)
    [(facts,)] = dock.rows("SELECT facts FROM payment")
    assert product.decode_facts(bytes.fromhex(facts[2:])).picked_up_at == T - 900


def test_cite__ids_with_bearers_in_common__are_chosen_as_anyone_would_from_those_chosen(dock):
    """An auditor gets the chosen events and must derive the same evidence."""
    dock.agree()
    lefts = [dock.truck.pick_up(GOODS, T - n) for n in (900, 800)]
    both = _joined(dock.van, *lefts)
    got = dock.dock.receive(GOODS, T, 60, seen=lefts)
    assert dock.take(lefts[1], both, lefts[0], got) == ["accepted"] * 4
    run, chosen = [event(got)], dock.rows("SELECT cited_event_id FROM citation ORDER BY position")
    stored = {"0x" + e.event_id.hex(): e for e in map(event, (*lefts, both))}
    cited = resolve(run, [stored[key] for (key,) in chosen])
    assert [cited[name].event_id for name in run[0].cites] == [
        stored[key].event_id for (key,) in chosen
    ]


def _joined(station, *records: bytes) -> bytes:
    """Return one record of another device that repeats the events of several records."""
    documents = [json.loads(record.partition(b"\n")[2]) for record in records]
    whole = documents[0]
    whole["epcisBody"]["eventList"] = [d["epcisBody"]["eventList"][0] for d in documents]
    return station.seal(json.dumps(whole).encode(), 1)


def test_attack__high_s_twin_of_a_used_signature__is_the_same_event_and_pays_nothing(dock):
    agreement = dock.agree()
    got = dock.dock.receive(GOODS, T, 60)
    assert dock.take(got) == ["accepted"]
    assert (collect(dock.rail), verify(dock.rail)) == (1, 1)
    assert dock.take(_twin(got)) == ["duplicate"]
    dock.place.clock += 10**6
    assert collect(dock.rail) == 0
    wanted = "0x" + payment_id(bytes.fromhex(agreement[2:]), 1).hex()
    assert dock.rows("SELECT payment_id FROM payment") == [(wanted,)]


def _twin(record: bytes) -> bytes:
    """Return the same record with the other valid signature: s becomes n - s."""
    head, _, rest = record.partition(b"..")
    raw, _, document = rest.partition(b"\n")
    both = urlsafe_b64decode(raw + b"=" * (-len(raw) % 4))
    s = ORDERS[Curve.SECP256R1] - int.from_bytes(both[32:], "big")
    other = urlsafe_b64encode(both[:32] + s.to_bytes(32, "big")).rstrip(b"=")
    return head + b".." + other + b"\n" + document


def _history(dock, name: str, at: int, reason: ClaimReason) -> None:
    """Set the chain's history of a device that lost its key at a time."""
    station = {"dock-1": dock.dock, "truck-1": dock.truck}[name]
    history = DeviceHistory([(0, 0, station.public)], [(0, None), (at, reason)])
    chain, before = dock.place.chain, dock.place.chain.key_at
    chain.key_at = lambda device, when: (
        history.key_at(when) if device == device_id(name) else before(device, when)
    )


def test_attack__key_used_after_revocation__is_refused_by_the_time_it_states(dock):
    dock.agree()
    _history(dock, "dock-1", T, ClaimReason.DEVICE_RETIRED)
    before, after = dock.dock.receive(GOODS, T - 1, 60), dock.dock.receive(GOODS, T, 40)
    assert dock.take(after, before) == ["device_retired", "accepted"]


def test_attack__event_back_dated_before_a_compromise__is_not_taken(dock):
    dock.agree()
    assert dock.take(dock.dock.receive(GOODS, T - 500, 10)) == ["accepted"]
    dock.place.chain.compromised[device_id("dock-1")] = T
    back_dated = dock.dock.receive(GOODS, T - 400, 60)
    assert dock.take(back_dated) == ["device_compromised"]
    assert dock.place.stored()[1] == 1  # what was stored before stays


def test_accept__where_a_device_was_and_since_when__stands_in_the_row(dock):
    dock.agree()
    dock.take(dock.dock.receive(GOODS, T, 60))
    [(place, began)] = dock.rows("SELECT place, began_ms FROM event")
    assert began == T * 1000 and event(dock.dock.receive(GOODS, T)).place.name in place
