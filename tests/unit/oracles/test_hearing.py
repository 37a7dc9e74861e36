"""What a claim hears of devices that its terms name, and that nobody chooses among it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from device_adapters.types import Event, Rejected, device_id
from oracles import hearing as hearing_rules
from oracles.citations import cited_events, resolve
from oracles.hearing import Hearing, heard_devices, hearing, with_heard
from oracles.merkle import evidence_root
from oracles.types import ClaimReason
from tests.support.meter_streams import agreement, session
from tests.support.oracle_at import events_of, reasons
from tests.support.station_cover import (
    AFTER,
    DAY,
    FARM,
    RULES,
    STATIONS,
    STRANGER,
    SmallCover,
    ask,
    closing,
    messages,
    terms_of,
    weather,
)


@pytest.fixture
def cover(tmp_path):
    small_cover = SmallCover(tmp_path / "rail")
    yield small_cover
    small_cover.close()


# --- pure


def at(device: str, counter: int, second: int, **fields) -> Event:
    event = replace(session(counter), device=device, observed_at_ms=second * 1000, **fields)
    return replace(event, evidence=f"{device} {counter}".encode())


DEAL = agreement(FARM, terms=terms_of(FARM, *STATIONS))
RUN = [at(FARM, 1, AFTER)]


def test_hearing__all_of_the_period_and_nothing_else__behind_what_is_cited():
    inside = [at("st-1", 1, DAY[0]), at("st-1", 2, DAY[1]), at("st-2", 7, DAY[0] + 1, subject="x")]
    outside = [
        at("st-1", 3, DAY[1] + 1),
        at("st-2", 6, DAY[0] - 1),
        at(STRANGER, 1, DAY[0]),
        at(FARM, 9, DAY[0]),
    ]
    cited = {"ni:other": at("st-3", 1, DAY[0])}
    run = [replace(RUN[0], cites=("ni:other",))]
    span = hearing(DEAL, RULES, None, run)
    chosen = with_heard(run, cited, span, [*reversed(inside), *outside, *cited.values()])
    by_device = sorted(inside, key=lambda event: (event.device_id, event.counter))
    assert list(chosen) == ["ni:other", *(event.evidence_name for event in by_device)]
    assert cited_events(run, chosen) == [cited["ni:other"], *by_device]


def test_hearing__period__begins_with_the_agreement_and_ends_with_the_run():
    late_start = replace(DEAL, start=DAY[0] + 10)
    early_end = [at(FARM, 1, DAY[0] + 20)]
    span = hearing(late_start, RULES, None, early_end)
    assert (span.first_ms, span.last_ms) == ((DAY[0] + 10) * 1000, (DAY[0] + 20) * 1000)


def test_hearing__product_without_it__hears_and_cites_no_other_device():
    plain = SimpleNamespace(derive=None)
    assert heard_devices(plain, b"", b"") == frozenset() == heard_devices(None, b"", b"")
    assert hearing(DEAL, plain, None, RUN) is None
    citing_alone = SimpleNamespace(hears=RULES.hears)
    assert hearing(DEAL, citing_alone, None, RUN) is None
    assert with_heard(RUN, {}, None, [at("st-1", 1, DAY[0])]) == {}


def test_hearing__more_devices_than_allowed__are_none():
    names = [f"st-{n}" for n in range(101)]
    assert len(heard_devices(RULES, terms_of(*names[:100]), b"")) == 100
    assert heard_devices(RULES, terms_of(*names), b"") == frozenset()


def test_hearing__terms_that_cannot_be_read__name_no_device():
    def unreadable(terms):
        raise Rejected(ClaimReason.FACTS_MALFORMED, "not terms")

    assert heard_devices(SimpleNamespace(hears=unreadable), b"", b"") == frozenset()


def test_hearing__more_events_than_a_claim_can_hold__is_refused_by_name(monkeypatch):
    monkeypatch.setattr(hearing_rules, "MAX_EVENTS", 2)
    events = [at("st-1", n, DAY[0]) for n in range(1, 4)]
    span = Hearing(frozenset({device_id("st-1")}), 0, 1 << 50, 2)
    assert len(with_heard(RUN, {}, span, events[:2])) == 2
    with pytest.raises(Rejected) as refusal:
        with_heard(RUN, {}, span, events)
    assert refusal.value.reason == ClaimReason.HEARD_TOO_MANY


def test_resolve__device_of_the_terms__no_matter_what_its_event_is_about():
    station, stranger = at("st-1", 1, DAY[0], subject="rain"), at(STRANGER, 1, DAY[0], subject="r")
    run = [replace(RUN[0], cites=(station.evidence_name, stranger.evidence_name))]
    devices = heard_devices(RULES, DEAL.terms, DEAL.device_id)
    assert resolve(run, [station, stranger], devices) == {station.evidence_name: station}
    assert resolve(run, [station, stranger]) == {}


# --- rail and oracles


RECORDS = [weather("st-1", 1), weather("st-2", 5), weather("st-2", 6, DAY[1])]


def test_claim__of_all_records_of_its_stations__is_what_the_oracle_derives_too(cover, tmp_path):
    outside = [weather("st-1", 2, DAY[1] + 1), weather("st-2", 4, DAY[0] - 1)]
    assert cover.take(*RECORDS, *outside, closing()) == ["accepted"] * 6
    row = cover.claimed()
    assert (row.stage, bytes.fromhex(row.facts[2:])) == ("verified", b"3 records of st-1 st-2")
    heard = sorted(events_of(*RECORDS), key=lambda event: (event.device_id, event.counter))
    hashes = [event.evidence_hash for event in (*events_of(closing()), *heard)]
    assert cover.claim().evidence == evidence_root(hashes)
    node = cover.oracle(tmp_path / "oracle", *RECORDS, *outside, closing())
    assert ask(node, cover.claim()).signature


def test_oracle__that_lacks_a_station_s_record__asks_for_it_and_signs(cover, tmp_path):
    cover.take(*RECORDS, closing())
    cover.claimed()
    node = cover.oracle(tmp_path / "oracle", *RECORDS[1:], closing())
    assert reasons(ask(node, cover.claim())) == [(0, ClaimReason.EVIDENCE_MISSING)]
    assert ask(node, cover.claim(), *cover.evidence()).signature


def test_oracle__that_lacks_all_of_them__asks_and_signs(cover, tmp_path):
    cover.take(*RECORDS, closing())
    cover.claimed()
    node = cover.oracle(tmp_path / "oracle", closing())
    assert reasons(ask(node, cover.claim())) == [(0, ClaimReason.EVIDENCE_MISSING)]
    assert ask(node, cover.claim(), *cover.evidence()).signature


def test_attack__rail_leaves_out_a_station_that_has_evidence__is_refused(cover, tmp_path):
    """No selective citation: a dry station that was not mentioned would change the median."""
    cover.take(*RECORDS[1:], closing())
    cover.claimed()
    node = cover.oracle(tmp_path / "oracle", *RECORDS, closing())
    assert reasons(ask(node, cover.claim())) == [(0, ClaimReason.EVIDENCE_MISSING)]
    answer = ask(node, cover.claim(), *cover.evidence())
    assert reasons(answer) == [(0, ClaimReason.HEARD_LEFT_OUT)]
    assert answer.refusals[0].detail == "st-1, counter 1"


def test_attack__record_of_a_device_that_the_terms_do_not_name__is_not_heard(cover, tmp_path):
    """The rail's agreement names a fourth station, that of the chain does not."""
    cover.agreement = cover.agree(*STATIONS, STRANGER)
    assert cover.take(*RECORDS, weather(STRANGER, 1), closing()) == ["accepted"] * 5
    cover.claimed()
    claim, evidence = cover.claim(), cover.evidence()
    cover.agree(*STATIONS)  # the same agreement, as the chain has it
    node = cover.oracle(tmp_path / "oracle", *RECORDS, weather(STRANGER, 1), closing())
    assert reasons(ask(node, claim, *evidence)) == [(0, ClaimReason.EVIDENCE_MISSING)]


def test_late_record__that_arrives_after_the_run_s_last_event__may_be_in_the_claim(cover, tmp_path):
    """Rail and oracles need not have received it in the same moment."""
    cover.take(*RECORDS[1:], closing())
    cover.claimed()
    before = cover.claim(), cover.evidence()
    node = cover.oracle(tmp_path / "oracle", *RECORDS[1:], closing(), RECORDS[0])
    assert reasons(ask(node, before[0])) == [(0, ClaimReason.EVIDENCE_MISSING)]
    assert ask(node, *(before[0], *before[1])).signature


def test_late_record__in_the_claim__is_signed_by_an_oracle_that_got_it_late_or_never(
    cover, tmp_path
):
    cover.take(*RECORDS[1:], closing(), RECORDS[0])
    assert cover.claimed().stage == "verified"
    orders = ([*RECORDS[1:], closing(), RECORDS[0]], [*RECORDS[1:], closing()])
    for index, records in enumerate(orders):
        node = cover.oracle(tmp_path / str(index), *records)
        assert ask(node, cover.claim(), *cover.evidence()).signature


def test_late_record__after_the_claim_was_derived__changes_nothing(cover, tmp_path):
    cover.take(*RECORDS[1:], closing())
    row = cover.claimed()
    node = cover.oracle(tmp_path / "oracle", *RECORDS[1:], closing())
    assert ask(node, cover.claim()).signature
    assert cover.take(RECORDS[0]) == ["accepted"]
    later = cover.claimed()
    assert (later.claim_hash, later.evidence_root) == (row.claim_hash, row.evidence_root)
    node.take(cover.evidence())
    assert ask(node, cover.claim()).signature  # it stands, since it was attested


def test_station__compromised_since_before_its_record__is_heard_by_nobody(cover, tmp_path):
    cover.take(*RECORDS, closing())
    node = cover.oracle(tmp_path / "oracle", *RECORDS, closing())
    cover.place.chain.keys[device_id("st-1")] = ClaimReason.DEVICE_COMPROMISED
    row = cover.claimed()
    assert bytes.fromhex(row.facts[2:]) == b"2 records of st-2"
    assert ask(node, cover.claim()).signature


def test_station__compromised_after_the_claim_was_derived__is_named(cover, tmp_path):
    cover.take(*RECORDS, closing())
    cover.claimed()
    node = cover.oracle(tmp_path / "oracle", *RECORDS, closing())
    known = cover.place.chain.key_at

    def stolen_after_it_was_taken(device: bytes, seconds: int):
        at_judging = device == device_id("st-1") and judging
        return ClaimReason.DEVICE_COMPROMISED if at_judging else known(device, seconds)

    judging, evidence = False, cover.evidence()
    cover.place.chain.key_at = stolen_after_it_was_taken
    taken = node._sent(evidence)
    judging = True
    node._sent = lambda _: taken
    answer = ask(node, cover.claim(), *evidence)
    assert reasons(answer) == [(0, ClaimReason.DEVICE_COMPROMISED)]


def test_facts__other_than_the_rules_give_for_the_same_records__are_refused_at_once(
    cover, tmp_path
):
    cover.take(*RECORDS, closing())
    cover.claimed()
    node = cover.oracle(tmp_path / "oracle", *RECORDS, closing())
    lie = replace(cover.claim(), facts=b"9 records of st-1")
    assert reasons(ask(node, lie)) == [(0, ClaimReason.CLAIM_DIFFERS)]
    assert reasons(ask(node, lie, *cover.evidence())) == [(0, ClaimReason.CLAIM_DIFFERS)]


def test_facts__that_lie_about_a_record_that_came_late__are_refused_at_once_too(cover, tmp_path):
    """What came with the request belongs to another claim of the batch."""
    order = [*RECORDS[1:], closing(), RECORDS[0]]
    cover.take(*order)
    cover.claimed()
    node = cover.oracle(tmp_path / "oracle", *order)
    lie = replace(cover.claim(), facts=b"9 records of st-1")
    other = messages([weather(STRANGER, 1)])
    assert reasons(ask(node, lie, *other)) == [(0, ClaimReason.CLAIM_DIFFERS)]
    assert ask(node, cover.claim(), *other).signature


def test_flood__of_one_station__ends_as_a_named_rejection_at_rail_and_oracle(
    cover, tmp_path, monkeypatch
):
    cover.take(*RECORDS, closing())
    node = cover.oracle(tmp_path / "oracle", *RECORDS, closing())
    claim = cover.claimed() and cover.claim()
    evidence = cover.evidence()
    other = SmallCover(tmp_path / "other")
    monkeypatch.setattr(hearing_rules, "MAX_EVENTS", 2)
    assert reasons(ask(node, claim, *evidence)) == [(0, ClaimReason.HEARD_TOO_MANY)]
    other.take(*RECORDS, closing())
    row = other.claimed()
    assert (row.stage, row.reason) == ("rejected", "heard_too_many")
    other.close()
