"""One oracle: accepts what it verified, attests what it derived, and never contradicts itself."""

from __future__ import annotations

import random
import sqlite3
import threading
from dataclasses import replace

import pytest

from device_adapters.types import Message, Reason
from oracles import rules
from oracles.types import ClaimReason, Progress
from oracles.wire import Request
from orchestrator.products.metered_energy import product
from services.simulated_devices.record import twin
from tests.support.meter_streams import (
    AGREEMENT,
    StreamKeys,
    agreement,
    event,
    key_of,
    message,
    record,
    session_record,
)
from tests.support.oracle_at import ask, claim_of, events_of, oracle, reasons, recovered

# --- take


def test_take__a_mixed_batch__each_record_has_its_reason_and_stops_no_neighbour(tmp_path):
    node = oracle(tmp_path, StreamKeys({"M1", "OLD"}, {"OLD": ClaimReason.DEVICE_RETIRED}))
    forged = record("M1", 5, ("B", 1, 1_700_000_000), key=key_of("OTHER"))
    changed = session_record("M1", 6).replace(b'"RV":60', b'"RV":61')
    batch = [
        message(session_record("M1", 1), forged, session_record("M1", 2)),
        message(b"rubbish", session_record("GHOST", 1), session_record("OLD", 1), changed),
        Message("ocmf", "M2", session_record("M1", 3)),
        message(session_record("M1", 2), session_record("M1", 1, units=9_999)),
    ]
    taken = node.take(batch)
    assert [event.counter for event in taken.events] == [1, 2]
    assert [event.counter for event in taken.repeated] == [2]
    assert {str(refusal.reason) for refusal in taken.rejected} == {
        ClaimReason.SIGNATURE_FORGED,
        Reason.MALFORMED,
        ClaimReason.DEVICE_UNKNOWN,
        ClaimReason.DEVICE_RETIRED,
        Reason.DEVICE_NOT_OF_TOPIC,
        ClaimReason.COUNTER_REPLAYED,
    }
    counts = node.health()["counts"]
    assert (counts["evidence"], counts["rejected"]) == (2, 7)
    assert counts["rejected.signature_forged"] == 2


def test_take__the_same_batch_again__changes_nothing(tmp_path):
    node = oracle(tmp_path)
    batch = [message(*(session_record("M1", n) for n in (1, 2, 3)))]
    node.take(batch)
    again = node.take(batch)
    assert not again.events and len(again.repeated) == 3
    assert node.health()["counts"]["evidence"] == 3


def test_book__an_event_stored_and_read__is_the_same_event(tmp_path):
    node = oracle(tmp_path)
    events = events_of(session_record("M1", 1), session_record("M1", 2))
    node.take([message(session_record("M1", 2), session_record("M1", 1))])
    by_itself = [replace(event, gateway="") for event in events]  # its own key signed
    assert node.memory.events(events[0].device_id, 1, 2) == by_itself


def test_take__several_threads_with_the_same_records__each_is_new_once(tmp_path):
    node = oracle(tmp_path)
    records = [session_record("M1", n) for n in range(1, 21)]
    new = []

    def take(seed: int) -> None:
        for raw in random.Random(seed).sample(records, len(records)):
            new.extend(node.take([message(raw)]).events)

    threads = [threading.Thread(target=take, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(event.counter for event in new) == list(range(1, 21))


# --- attest


def test_attest__a_claim_derived_from_own_evidence__is_signed(tmp_path):
    node, records = oracle(tmp_path), [session_record("M1", n) for n in (1, 2)]
    node.take([message(*reversed(records))])
    answer = ask(node, claim := claim_of(*records))
    assert recovered(node, answer, claim) == answer.oracle == node.identity.address
    assert ask(node, claim) == answer  # asked again: the same answer


def test_attest__evidence_missing__is_taken_along_and_verified_like_any_other(tmp_path):
    node, records = oracle(tmp_path), [session_record("M1", n) for n in (1, 2)]
    node.take([message(records[0])])
    claim = claim_of(*records)
    answer = ask(node, claim)
    assert reasons(answer) == [(0, ClaimReason.EVIDENCE_MISSING)]
    assert answer.refusals[0].detail == "counters 2"
    forged = record("M1", 2, ("B", 1, 1), key=key_of("OTHER"))
    assert reasons(ask(node, claim, evidence=(message(forged),))) == [
        (0, ClaimReason.EVIDENCE_MISSING)
    ]
    assert ask(node, claim, evidence=(message(records[1]),)).signature


def test_attest__inflated_facts__are_refused_and_not_remembered(tmp_path):
    node, records = oracle(tmp_path), [session_record("M1", 1)]
    node.take([message(*records)])
    claim = claim_of(*records)
    facts = product.decode_facts(claim.facts)
    more = replace(claim, facts=product.encode_facts(facts._replace(energy=facts.energy + 1)))
    assert reasons(ask(node, more)) == [(0, ClaimReason.CLAIM_DIFFERS)]
    assert ask(node, claim).signature


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"first_counter": 2}, ClaimReason.CLAIM_DIFFERS),
        ({"first_counter": 0}, ClaimReason.COUNTERS_NOT_CONTIGUOUS),
        ({"first_counter": 3, "last_counter": 2}, ClaimReason.COUNTERS_NOT_CONTIGUOUS),
        ({"last_counter": 2**39}, ClaimReason.COUNTERS_NOT_CONTIGUOUS),
        ({"last_counter": 1}, ClaimReason.CLAIM_DIFFERS),
        ({"last_counter": 4}, ClaimReason.EVIDENCE_MISSING),
        ({"sequence": 2}, ClaimReason.SEQUENCE_UNEXPECTED),
        ({"sequence": 0}, ClaimReason.SEQUENCE_UNEXPECTED),
        ({"agreement": b"\x0b" * 32}, ClaimReason.NO_AGREEMENT),
        ({"evidence": b"\x0b" * 32}, ClaimReason.EVIDENCE_MISSING),
        ({"facts": b""}, ClaimReason.CLAIM_DIFFERS),
    ],
)
def test_attest__one_field_of_a_claim_changed__is_refused_by_name(tmp_path, change, reason):
    node, records = oracle(tmp_path), [session_record("M1", n) for n in (1, 2, 3)]
    node.take([message(*records)])
    claim = claim_of(*records)
    assert reasons(ask(node, replace(claim, **change))) == [(0, reason)]
    assert ask(node, claim).signature


def test_attest__record_that_came_after_its_hole_was_declared_lost__does_not_stop_the_rest(
    tmp_path,
):
    """What is too late for the rail is too late for oracles, or the agreement would be stuck."""
    node, records = oracle(tmp_path), {n: session_record("M1", n) for n in (1, 3)}
    node.take([message(*records.values())])
    first = ask(node, claim_of(records[1]))
    claim = claim_of(records[3], sequence=2, anchor=records[1])
    assert first.signature and ask(node, claim).signature
    other = oracle(tmp_path / "other")
    other.take([message(*(session_record("M1", n) for n in (1, 2, 3)))])
    assert ask(other, claim_of(records[1])).signature
    assert ask(other, claim).signature


def test_attest__a_twin_of_the_stored_signature__is_the_same_event_with_other_evidence(tmp_path):
    node, mine = oracle(tmp_path), session_record("M1", 1)
    other = twin(mine)
    node.take([message(mine)])
    claim = claim_of(other)
    assert claim.facts == claim_of(mine).facts and claim.evidence != claim_of(mine).evidence
    assert reasons(ask(node, claim)) == [(0, ClaimReason.EVIDENCE_MISSING)]
    assert ask(node, claim, evidence=(message(other),)).signature
    rows = sqlite3.connect(tmp_path / "oracle.sqlite3").execute("SELECT record FROM twins")
    assert rows.fetchall() == [(other,)]


def test_attest__a_record_that_the_rules_drop__is_refused_by_the_rule(tmp_path):
    node = oracle(tmp_path)
    alone = record("M1", 1, ("E", 100, 1_790_000_000))
    node.take([message(alone)])
    events = [event(1, ("B", 0, 1), ("E", 1, 2))]
    claim = rules.derive_claim(agreement(), product, 1, None, events)
    assert reasons(ask(node, claim)) == [(0, ClaimReason.INCOMPLETE)]


def test_attest__a_device_retired_since__is_refused_though_its_records_were_verified(tmp_path):
    keys = StreamKeys({"M1"})
    node, records = oracle(tmp_path, keys), [session_record("M1", 1)]
    node.take([message(*records)])
    keys.reasons["M1"] = ClaimReason.DEVICE_RETIRED
    assert reasons(ask(node, claim_of(*records))) == [(0, ClaimReason.DEVICE_RETIRED)]


def test_attest__one_bad_claim_among_good_ones__signs_none_and_names_the_one(tmp_path):
    ids = [bytes([n]) * 32 for n in (1, 2, 3)]
    agreements = {i: agreement(f"D{n}", agreement=i) for n, i in enumerate(ids)}
    node = oracle(tmp_path, StreamKeys({"D0", "D1", "D2"}), agreements)
    records = [session_record(f"D{n}", 1) for n in range(3)]
    node.take([message(*records)])
    claims = [replace(claim_of(r), agreement=i) for r, i in zip(records, ids, strict=True)]
    bad = replace(claims[1], facts=claims[1].facts[:-1] + b"\x01")
    assert reasons(ask(node, claims[0], bad, claims[2])) == [(1, ClaimReason.CLAIM_DIFFERS)]
    assert node.health()["counts"]["attested"] == 0
    assert reasons(ask(node, claims[1], claims[0])) == [(1, ClaimReason.BATCH_UNSORTED)]
    assert reasons(ask(node, claims[0], claims[0])) == [(1, ClaimReason.BATCH_UNSORTED)]
    assert reasons(ask(node)) == [(0, ClaimReason.BATCH_UNSORTED)]
    answer = ask(node, *claims)
    assert recovered(node, answer, *claims) == node.identity.address


def test_attest__other_product_or_ended_agreement__is_refused_by_name(tmp_path):
    over = {AGREEMENT: agreement(live=False)}
    node = oracle(tmp_path, agreements=over)
    claim = claim_of(session_record("M1", 1))
    node.take([message(session_record("M1", 1))])
    assert reasons(ask(node, claim)) == [(0, ClaimReason.AGREEMENT_NOT_LIVE)]
    assert reasons(node.attest(Request("tea", (claim,)))) == [(0, ClaimReason.PRODUCT_UNKNOWN)]
    foreign = {AGREEMENT: agreement(product="tea")}
    node = oracle(tmp_path / "b", agreements=foreign)
    assert reasons(ask(node, claim)) == [(0, ClaimReason.PRODUCT_UNKNOWN)]


def test_attest__was_away_for_earlier_claims__goes_on_from_what_the_chain_settled(tmp_path):
    progress: dict[bytes, Progress] = {}
    node = oracle(tmp_path, progress=progress)
    records = {n: session_record("M1", n) for n in (1, 2, 3)}
    node.take([message(*records.values())])
    claim = claim_of(records[3], sequence=5, anchor=records[2])
    assert reasons(ask(node, claim)) == [(0, ClaimReason.SEQUENCE_UNEXPECTED)]
    node = oracle(tmp_path, progress={AGREEMENT: Progress(4, 2)})
    stated = {AGREEMENT: 1}
    assert reasons(ask(node, claim, anchors=stated)) == [(0, ClaimReason.SEQUENCE_UNEXPECTED)]
    assert ask(node, claim, anchors={AGREEMENT: 2}).signature
