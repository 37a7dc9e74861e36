"""Claims with citations, late claims, and what an oracle needs to attest either."""

from __future__ import annotations

import sqlite3

import pytest

from device_adapters.types import Message, device_id
from oracles import rules
from oracles.attest import address_of
from oracles.memory import Memory
from oracles.node import Identity, OracleNode, OracleView
from oracles.types import ClaimReason, Progress, SkippedClaim
from oracles.wire import Request
from orchestrator.edges.chain.reader import DeviceHistory
from orchestrator.products.metered_energy import product as energy
from orchestrator.products.proof_of_delivery import product
from services.simulated_devices.record import twin
from tests.support.meter_streams import (
    AGREEMENT,
    SOME_DAY,
    StreamKeys,
    agreement,
    message,
    record,
    session_record,
)
from tests.support.oracle_at import Opened, ask, claim_of, events_of, oracle, reasons
from tests.support.small_dock import GOODS, SmallDock, T, event
from tests.support.small_dock import claim_of as delivery_claim

# --- late claims


def _late(*records: bytes, sequence: int):
    return rules.derive_claim(agreement(), energy, sequence, None, events_of(*records), late=True)


@pytest.fixture
def passed(tmp_path):
    """An oracle that stores counters 1, 2 and 5 and has attested claims that skipped them."""
    node = oracle(tmp_path)
    records = {n: session_record("M1", n) for n in range(1, 8)}
    node.take([message(*records.values())])
    first = claim_of(records[3], records[4])
    second = claim_of(records[6], sequence=2, anchor=records[4])
    assert ask(node, first).signature and ask(node, second).signature
    return node, records


def test_late__counters_that_no_claim_holds__are_attested_and_the_stream_goes_on(passed):
    node, records = passed
    assert ask(node, _late(records[1], records[2], sequence=3)).signature
    assert ask(node, _late(records[5], sequence=4)).signature
    after = claim_of(records[7], sequence=5, anchor=records[6])  # after 6, not after 5
    assert ask(node, after).signature


@pytest.mark.parametrize("numbers", [(3,), (4,), (2, 3), (6,)])
def test_attack__late_claim_of_a_claimed_counter__is_refused(passed, numbers):
    node, records = passed
    claim = _late(*(records[n] for n in numbers), sequence=3)
    assert reasons(ask(node, claim)) == [(0, ClaimReason.ALREADY_ATTESTED_OTHERWISE)]


def test_attack__late_claim_twice_under_two_sequences__is_refused(passed):
    node, records = passed
    assert ask(node, _late(records[1], sequence=3)).signature
    again = _late(records[1], sequence=4)
    assert reasons(ask(node, again)) == [(0, ClaimReason.ALREADY_ATTESTED_OTHERWISE)]


def test_late__run_that_reaches_beyond_the_last_claim__is_refused(passed):
    node, records = passed
    claim = _late(records[5], records[6], records[7], sequence=3)
    assert reasons(ask(node, claim)) == [(0, ClaimReason.COUNTERS_NOT_CONTIGUOUS)]


def test_late__oracle_that_was_away_for_a_claim__leaves_it_to_the_others(tmp_path):
    node = oracle(tmp_path, progress={AGREEMENT: Progress(1, 4)})
    records = {n: session_record("M1", n) for n in range(1, 8)}
    node.take([message(*records.values())])
    late = _late(records[1], sequence=2)
    assert reasons(ask(node, late)) == [(0, ClaimReason.SEQUENCE_UNEXPECTED)]
    onward = claim_of(records[6], sequence=2, anchor=records[4])
    assert ask(node, onward).signature  # it follows the chain's progress
    assert reasons(ask(node, _late(records[1], sequence=3))) == [
        (0, ClaimReason.SEQUENCE_UNEXPECTED)
    ]


def test_late__oracle_that_was_away__signs_once_it_has_read_what_others_attested(tmp_path):
    node = oracle(tmp_path, progress={AGREEMENT: Progress(2, 6)})
    records = {n: session_record("M1", n) for n in range(1, 8)}
    node.take([message(*records.values())])
    first = claim_of(records[3], records[4])
    second = claim_of(records[6], sequence=2, anchor=records[4])
    late = _late(records[1], records[2], sequence=3)
    node.memory.record_settled([second], 20)
    assert reasons(ask(node, late)) == [(0, ClaimReason.SEQUENCE_UNEXPECTED)]
    node.memory.record_settled([first], 22)
    assert node.memory.settled_up_to() == 22
    taken = _late(records[2], records[3], sequence=3)
    assert reasons(ask(node, taken)) == [(0, ClaimReason.ALREADY_ATTESTED_OTHERWISE)]
    node.memory.record_settled([late], 30)  # settled by others meanwhile: the same claim
    assert ask(node, late).signature


def test_late__half_a_session__is_incomplete(tmp_path):
    other = oracle(tmp_path)
    begin = record("M1", 1, ("B", 100_000, 1_790_000_000))
    rest = {n: session_record("M1", n) for n in (3, 4)}
    other.take([message(begin, *rest.values())])
    assert ask(other, claim_of(rest[3], rest[4])).signature
    claim = _late(session_record("M1", 1), sequence=2)
    assert reasons(ask(other, claim)) == [(0, ClaimReason.INCOMPLETE)]


def test_attack__same_counters_in_two_agreements_of_one_device__have_one_effect(tmp_path):
    other = b"\x0b" * 32
    agreements = {AGREEMENT: agreement(), other: agreement(agreement=other)}
    node, records = oracle(tmp_path, agreements=agreements), [session_record("M1", 1)]
    node.take([message(*records)])
    assert ask(node, claim_of(*records)).signature
    again = rules.derive_claim(agreements[other], energy, 1, None, events_of(*records))
    assert reasons(ask(node, again)) == [(0, ClaimReason.ALREADY_ATTESTED_OTHERWISE)]


ENDED = (  # an agreement that is over, how far the chain settled it, whether its claims count
    ({"live": False, "grace": 60}, 0, False),
    ({"live": False, "grace": 60}, 1, True),
    ({"expires_at": 1_000}, 0, False),  # contracts of version 1: their end does not move
    ({"expires_at": 1_000, "grace": 60}, 0, True),  # a pause may have moved its end
)


@pytest.mark.parametrize(("ended", "settled", "counts"), ENDED)
def test_move__record_signed_for_an_agreement_that_is_over__is_free_unless_it_settled(
    tmp_path, ended, settled, counts
):
    """A former rail's unsettled records go on in the agreement that follows, and are paid once."""
    following = b"\x0b" * 32
    agreements = {AGREEMENT: agreement(), following: agreement(agreement=following)}
    progress = {AGREEMENT: Progress(settled, settled)}
    node, records = (
        oracle(tmp_path, agreements=agreements, progress=progress),
        [session_record("M1", 1)],
    )
    node.take([message(*records)])
    assert ask(node, claim_of(*records)).signature
    again = rules.derive_claim(agreements[following], energy, 1, None, events_of(*records))
    assert reasons(ask(node, again)) == [(0, ClaimReason.ALREADY_ATTESTED_OTHERWISE)]
    node.view.agreements[AGREEMENT] = agreement(**ended)
    answer = ask(node, again)
    assert (answer.signature is None) == counts


def test_book__of_an_older_edition__is_opened_and_goes_on(tmp_path):
    path = tmp_path / "oracle.sqlite3"
    database = sqlite3.connect(path)
    database.executescript(
        "CREATE TABLE evidence (device_id BLOB NOT NULL, counter INTEGER NOT NULL, content_id BLOB,"
        "device TEXT, observed_at_ms INTEGER, kind TEXT, facts TEXT, not_billable TEXT,"
        "protocol TEXT, record BLOB, content BLOB, signature BLOB, curve TEXT, digest TEXT,"
        "UNIQUE (device_id, counter));"
        "CREATE TABLE attested (agreement BLOB, sequence INTEGER, claim BLOB,"
        "first_counter INTEGER, last_counter INTEGER, evidence BLOB, facts BLOB,"
        "PRIMARY KEY (agreement, sequence)) WITHOUT ROWID;"
    )
    database.execute("INSERT INTO attested VALUES (?, 1, x'', 3, 4, x'', x'')", (AGREEMENT,))
    database.commit()
    database.close()
    memory = Memory(path)
    assert memory.highest_counter(AGREEMENT, 2) == 4 and memory.is_complete(AGREEMENT, 1)
    node = oracle(tmp_path)
    node.take([message(*(session_record("M1", n) for n in (1, 4, 5)))])
    onward = claim_of(session_record("M1", 5), sequence=2, anchor=session_record("M1", 4))
    assert ask(node, onward).signature
    assert ask(node, _late(session_record("M1", 1), sequence=3)).signature


# --- claims that cite


@pytest.fixture
def dock(tmp_path):
    small_dock = SmallDock(tmp_path / "dock")
    small_dock.agree()
    yield small_dock
    small_dock.close()


@pytest.fixture
def node(dock, tmp_path):
    return _node(dock, tmp_path / "oracle")


def _node(dock, folder) -> OracleNode:
    identity = Identity(
        "north",
        1,
        address_of(b"\x11" * 32),
        lambda d: b"\x01" * 65,
        31337,
        "0x" + "33" * 20,
        "0x" + "11" * 20,
    )
    chain = dock.place.chain
    view = OracleView(
        keys=chain,
        agreements=Opened(chain.opened),
        progress=lambda _: None,
        products={product.NAME: ("0x" + "22" * 20, product)},
        now=lambda: dock.place.clock,
    )
    return OracleNode(identity, view, Memory(folder / "oracle.sqlite3"))


def _messages(*records: bytes) -> tuple[Message, ...]:
    return tuple(Message("epcis", "", record) for record in records)


def _asked(node, claim, *evidence: bytes):
    return node.attest(Request(product.NAME, (claim,), {}, _messages(*evidence)))


def _claim(dock, sequence: int, record: bytes, *cited: bytes):
    [agreement] = dock.place.chain.agreements_of(device_id("dock-1"))
    return delivery_claim(agreement, sequence, record, *cited)


def test_cites__in_the_book_or_sent_along__are_part_of_the_claim(dock, node):
    left = dock.truck.pick_up(GOODS, T - 900)
    got = dock.dock.receive(GOODS, T, 60, seen=(left,))
    claim = _claim(dock, 1, got, left)
    assert claim.evidence == rules.evidence_root(
        [event(got).evidence_hash, event(left).evidence_hash]
    )
    node.take(_messages(got))
    answer = _asked(node, claim)
    assert reasons(answer) == [(0, ClaimReason.EVIDENCE_MISSING)]
    assert answer.refusals[0].detail.startswith("cited ni:///sha-256;")
    assert _asked(node, claim, left).signature


def test_cites__left_out_of_the_claim__is_another_claim(dock, node):
    left = dock.truck.pick_up(GOODS, T - 900)
    got, plain = dock.dock.receive(GOODS, T, 60, seen=(left,)), dock.dock.receive(GOODS, T, 60)
    node.take(_messages(left, got, plain))
    claim = _claim(dock, 1, got, left)
    without = _claim(dock, 1, plain)
    claim = rules.Claim(
        claim.agreement, 1, claim.first_counter, claim.last_counter, claim.evidence, without.facts
    )
    assert reasons(_asked(node, claim, got, left)) == [(0, ClaimReason.CLAIM_DIFFERS)]


def test_attack__cited_event_forged_and_sent_along__stays_unknown(dock, node):
    left = dock.truck.pick_up(GOODS, T - 900)
    forged = dock.van.seal(left.partition(b"\n")[2], 1, name="truck-1")
    got = dock.dock.receive(GOODS, T, 60, seen=(left,))
    claim = _claim(dock, 1, got, forged)
    assert reasons(_asked(node, claim, got, forged)) == [(0, ClaimReason.EVIDENCE_MISSING)]


def test_attack__copy_of_a_cited_event_by_another_device__stops_no_claim(dock, tmp_path):
    """Whichever event an oracle would choose, the caller sends the one that its claim cites."""
    left = dock.truck.pick_up(GOODS, T - 900)
    copy = dock.van.seal(left.partition(b"\n")[2], 1)
    got = dock.dock.receive(GOODS, T, 60, seen=(left,))
    for index, chosen in enumerate((left, copy)):
        node = _node(dock, tmp_path / str(index))
        node.take(_messages(left, copy, got))
        claim, other = _claim(dock, 1, got, chosen), _claim(dock, 1, got, left)
        first = _asked(node, claim)
        assert first.signature or reasons(first) == [(0, ClaimReason.EVIDENCE_MISSING)]
        assert _asked(node, claim, got, chosen).signature
        if chosen is copy:
            assert reasons(_asked(node, other, got, left)) == [
                (0, ClaimReason.ALREADY_ATTESTED_OTHERWISE)
            ]


def test_attack__carrier_only__a_claim_of_its_counters_is_refused(dock, node):
    record = dock.truck.claim_delivered(GOODS, T)
    node.take(_messages(record))
    claim = _claim(dock, 1, record)
    assert reasons(_asked(node, claim, record)) == [(0, ClaimReason.EVIDENCE_MISSING)]


def test_gaps__of_a_product_that_has_none__are_not_asked_for(dock, node):
    """The recipient's other counters are about other consignments."""
    dock.dock.counter = 40
    got = dock.dock.receive(GOODS, T, 60)
    node.take(_messages(got))
    assert _asked(node, _claim(dock, 1, got)).signature


def test_attack__device_of_a_cited_record_compromised_since__is_no_longer_verified(dock, node):
    left = dock.truck.pick_up(GOODS, T - 900)
    got = dock.dock.receive(GOODS, T, 60, seen=(left,))
    node.take(_messages(left, got))
    history = DeviceHistory([(0, 0, dock.truck.public)], [(0, None)], compromised_since=T - 1_000)
    chain, before = dock.place.chain, dock.place.chain.key_at
    chain.key_at = lambda device, at: (
        history.key_at(at) if device == device_id("truck-1") else before(device, at)
    )
    claim = _claim(dock, 1, got, left)
    assert reasons(_asked(node, claim)) == [(0, ClaimReason.DEVICE_COMPROMISED)]


def test_book__an_event_with_names_and_citations__is_the_same_when_read(dock, node):
    left = dock.truck.pick_up(GOODS, T - 900)
    got = dock.dock.receive(GOODS, T, 60, seen=(left,))
    node.take(_messages(left, got))
    assert node.memory.events(device_id("dock-1"), 1, 1) == [event(got)]
    assert node.memory.events_named(event(left).names, GOODS.subject) == [event(left)]
    assert node.memory.events_named(event(left).names, "sscc:other") == []
    carrier = [device_id("truck-1")]
    assert node.memory.events_named(event(left).names, "sscc:other", carrier) == [event(left)]


def test_attest__compromise_declared_after_the_record_was_taken__is_judged_by_its_time(tmp_path):
    """New records are refused; stored ones stay valid for the time in which the key was good."""
    keys = StreamKeys({"M1"})
    node, records = oracle(tmp_path, keys), [session_record("M1", n) for n in (1, 2)]
    node.take([message(records[0])])
    keys.compromised["M1"] = events_of(records[1])[0].observed_at_ms // 1000
    assert node.take([message(records[1], twin(records[0]))]).rejected[0].reason == (
        ClaimReason.DEVICE_COMPROMISED
    )
    assert ask(node, claim_of(records[0])).signature


# --- skipped claims


def test_attack__claim_refused_for_ever__is_skipped_and_the_oracle_goes_on_behind_it(tmp_path):
    """On 0.3.0 one refused claim ended an agreement: no later claim could follow it.

    What payer and payee passed over is the anchor of the next claim, and is claimed by no other.
    """
    node = oracle(tmp_path)
    records = {n: session_record("M1", n) for n in range(1, 6)}
    node.take([message(*records.values())])
    first = claim_of(records[1])
    assert ask(node, first).signature
    after = claim_of(records[4], sequence=3, anchor=records[3])
    unknown = [(0, ClaimReason.SEQUENCE_UNEXPECTED)]
    assert reasons(ask(node, after)) == unknown
    node.memory.record_settled([SkippedClaim(AGREEMENT, 2, 3)], 9)
    assert ask(node, after).signature
    for passed_over in (records[2], records[3]):
        late = _late(passed_over, sequence=4)
        assert reasons(ask(node, late)) == [(0, ClaimReason.ALREADY_ATTESTED_OTHERWISE)]


def test_skip__of_no_counter__leaves_the_records_to_the_next_claim(tmp_path):
    node = oracle(tmp_path)
    records = {n: session_record("M1", n) for n in range(1, 4)}
    node.take([message(*records.values())])
    node.memory.record_settled([SkippedClaim(AGREEMENT, 1, 0)], 9)  # the very first claim
    assert ask(node, claim_of(records[1], sequence=2)).signature
    node.memory.record_settled([SkippedClaim(AGREEMENT, 3, 1)], 10)
    after = claim_of(records[2], sequence=4, anchor=records[1])
    assert ask(node, after).signature
    assert node.memory.overlapping(AGREEMENT, 1, 1) is not None
    assert node.memory.overlapping(AGREEMENT, 3, 3) is None


def test_skip__of_continuous_terms__the_next_claim_begins_at_its_own_first_reading(tmp_path):
    """Nothing that was passed over counts, also where no record has the last of its counters."""
    agreed = energy.encode_terms(energy.EnergyTerms(300_000, 22_000, True, 10_000_000))
    deal = agreement(terms=agreed)
    node = oracle(tmp_path, agreements={AGREEMENT: deal})
    records = {
        n: record("M1", n, ("", n * 100_000, SOME_DAY + n * 36_000)) for n in (1, 2, 4, 5, 6)
    }
    node.take([message(*records.values())])

    def derived(sequence, terms, anchor, *numbers):
        anchor_event = events_of(records[anchor])[0] if anchor else None
        run = events_of(*(records[n] for n in numbers))
        return rules.derive_claim(agreement(terms=terms), energy, sequence, anchor_event, run)

    assert ask(node, derived(1, agreed, None, 1)).signature
    node.memory.record_settled([SkippedClaim(AGREEMENT, 2, 3)], 9)
    at_the_start = derived(3, agreed, None, 4, 5)
    assert reasons(ask(node, at_the_start)) == [(0, ClaimReason.CLAIM_DIFFERS)]
    reopened = derived(3, energy.reopened(agreed), None, 4, 5)
    facts = energy.decode_facts(reopened.facts)
    assert (facts.from_register, facts.energy) == (40_000_000, 10_000_000)
    assert ask(node, reopened).signature
    assert ask(node, derived(4, agreed, 5, 6)).signature  # anchored again
