"""Records of devices that terms name: which are stored, which may be cited, what rests on them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest

from device_adapters.types import device_id, evidence_name
from oracles.citations import resolve
from oracles.hearing import hearing
from oracles.memory import Memory
from oracles.types import ClaimReason
from orchestrator.core.payment import Fact, Stage
from orchestrator.edges.store import citations, evidence, exposure, lookup, payments, runs
from orchestrator.ingest.intake import Intake
from orchestrator.products import products
from orchestrator.products.proof_of_delivery import product as delivery
from orchestrator.rebuild.evidence import read_archive
from orchestrator.rebuild.findings import Differences
from orchestrator.steps.collect import collect, verify
from tests.support.meter_streams import agreement, record
from tests.support.oracle_at import events_of
from tests.support.small_dock import GOODS, SmallDock, T, event
from tests.support.station_cover import (
    AFTER,
    DAY,
    FARM,
    RULES,
    STATIONS,
    STRANGER,
    SmallCover,
    closing,
    terms_of,
    weather,
)

AGREED = agreement(FARM, terms=terms_of(*STATIONS))


@pytest.fixture
def cover(tmp_path):
    small_cover = SmallCover(tmp_path)
    yield small_cover
    small_cover.close()


def plans_of(database: sqlite3.Connection, ask: Callable[[], object]) -> list[str]:
    """Return the query plan of each statement that `ask` runs."""
    statements: list[str] = []
    database.set_trace_callback(statements.append)
    ask()
    database.set_trace_callback(None)
    return [
        str(database.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall())
        for statement in statements
    ]


def roles(cover) -> list[tuple[str, str, str | None]]:
    with cover.place.store.read() as session:
        query = "SELECT agreement_id, role, reason FROM event ORDER BY rowid"
        return [tuple(row) for row in session.connection().exec_driver_sql(query).fetchall()]


# --- which are stored


def test_route__station_of_the_terms__is_supporting_and_a_stranger_is_refused(cover):
    answers = cover.take(weather("st-1", 1), weather(STRANGER, 1), closing())
    assert answers == ["accepted", "no_agreement", "accepted"]
    assert roles(cover) == [
        (cover.agreement, "supporting", None),
        (cover.agreement, "stream", None),
    ]


def test_route__station_that_has_an_agreement__serves_its_own_first(cover):
    own = cover.place.agree("st-1")
    assert cover.take(weather("st-1", 1)) == ["accepted"]
    assert roles(cover) == [(own, "stream", None)]
    cover.take(closing())
    assert bytes.fromhex(cover.claimed().facts[2:]) == b"1 records of st-1"


def test_route__what_the_station_s_own_agreement_refuses__is_heard_all_the_same(cover):
    """Else an oracle would have a record that the rail can never have."""
    cover.place.agree("st-1", first_counter=5)
    assert cover.take(weather("st-1", 4), weather("st-1", 6)) == ["accepted", "accepted"]
    assert [role for _, role, _ in roles(cover)] == ["supporting", "stream"]
    cover.take(closing())
    assert bytes.fromhex(cover.claimed().facts[2:]) == b"2 records of st-1"


def test_route__station_whose_own_agreement_is_over__is_heard(cover):
    cover.place.agree("st-1", live=False)
    assert cover.take(weather("st-1", 1)) == ["accepted"]
    assert roles(cover) == [(cover.agreement, "supporting", None)]


def test_route__agreement_that_hears_and_is_over__takes_nothing(cover):
    cover.agree(*STATIONS, expires_at=DAY[0] + 100)
    # in one message: each record is routed by its own time
    answers = cover.take(weather("st-1", 1, DAY[0] + 50), weather("st-1", 2, DAY[0] + 150))
    assert answers == ["accepted", "no_agreement"]


def test_route__copy_with_other_content__is_refused_as_ever(cover):
    first, other = weather("st-1", 1), weather("st-1", 1, DAY[0] + 1)
    assert cover.take(first, first, other) == ["accepted", "duplicate", "counter_replayed"]


# --- what rests on them


def test_claim__that_hears__shows_its_records_wherever_a_payment_is_shown(cover):
    records = [weather("st-1", 1), weather("st-2", 1)]
    cover.take(*records, closing())
    row = cover.claimed()
    heard = sorted(events_of(*records), key=lambda item: item.device_id)
    with cover.place.store.read() as session:
        shown = citations.supporting_of(session, row.payment_id)
        assert [body for _, body, _ in shown] == [item.evidence for item in heard]
        [run] = runs.of_payments(session, [row.payment_id]).values()
        assert run.bodies == [closing(), *(item.evidence for item in heard)]
        for item in heard:
            named = lookup.found_by(session, item.evidence_name)
            assert [one.kind for one in named] == ["evidence"]
            [(payment, _)] = lookup.payments_of(session, named[0], 10)
            assert payment.payment_id == row.payment_id
        for limit in (None, [row.payment_id]):
            device = "0x" + heard[0].device_id.hex()
            [exposed] = exposure.exposed(session, device, limit)
            assert (exposed.payment_id, exposed.observed_at_ms) == (
                row.payment_id,
                [DAY[0] * 1000],
            )
        assert exposure.exposed(session, device, ["0x"]) == []


def test_rebuild__of_a_claim_that_hears__derives_it_from_the_stored_choice(cover):
    cover.take(weather("st-1", 1), weather("st-2", 1), closing())
    row = cover.claimed()
    cover.take(weather("st-3", 1))  # too late for the claim
    agreement = cover.place.chain.agreement(bytes.fromhex(cover.agreement[2:]))
    with cover.place.store.read() as session:
        archive = read_archive(session, cover.place.chain, Differences())
    run = archive.of_payment[row.payment_id]
    cited = archive.cited_by(row.payment_id, agreement, RULES, None, run)
    assert RULES.derive(b"", None, run, cited) == bytes.fromhex(row.facts[2:])


def test_unclaim__of_a_payment__forgets_what_its_claim_heard(cover):
    cover.take(weather("st-1", 1), closing())
    row = cover.claimed()
    with cover.place.store.write() as session:
        evidence.unclaim(session, row.payment_id)
        assert citations.cited_by(session, [row.payment_id]) == {row.payment_id: []}


def test_verify__again_after_a_ruling__hears_what_is_there_by_then(cover):
    cover.take(weather("st-1", 1), closing())
    row = cover.claimed()
    cover.take(weather("st-2", 1))
    with cover.place.store.write() as session:
        for fact in (Fact.DOUBTED, Fact.REINSTATED):
            payments.record_facts(session, [payments.NewFact(row.payment_id, fact)], AFTER)
    again = cover.claimed()
    assert again.stage == Stage.VERIFIED
    assert bytes.fromhex(again.facts[2:]) == b"2 records of st-1 st-2"
    assert len(cover.evidence()) == 3


def test_index__of_devices_by_time_and_of_names__serves_both_stores(cover, tmp_path):
    """A station of many years must not be read as a whole for one day."""
    span, memory = hearing(AGREED, RULES, None, events_of(closing())), Memory(tmp_path / "memory")
    by_time = "(device_id=? AND observed_at_ms>? AND observed_at_ms<?)"

    def asked() -> None:
        memory.events_heard(span, 10)
        memory.events_heard(span, 10, (b"", 1))
        memory.events_named([evidence_name(bytes(32))], "", [b""])

    plans = plans_of(memory._db, asked)
    assert [f"evidence_heard {by_time}" in plan for plan in plans] == [True, True, False]
    assert "evidence_named (evidence_hash=?)" in plans[2]
    with cover.place.store.read() as session:
        database = session.connection().connection.driver_connection
        plans = plans_of(
            database,
            lambda: (
                citations.in_period(session, ["0x1", "0x2"], 0, 1, 10),
                citations.named_by_hash(session, [evidence_name(bytes(32))]),
            ),
        )
    assert f"event_heard {by_time}" in plans[0]
    assert "ix_event_evidence_hash (evidence_hash=?)" in plans[1]


# --- which may be cited


@pytest.fixture
def dock(tmp_path):
    """A dock whose terms name the meter st-1 as well: its agreement may cite that meter."""
    small_dock, hears = SmallDock(tmp_path), {"hears": lambda terms: {device_id("st-1")}}
    rules = {**products(), delivery.NAME: SimpleNamespace(**vars(delivery) | hears)}
    place, farm = small_dock.place, SmallCover(tmp_path / "keys")
    place.chain.rules, place.chain.keys = rules, place.chain.keys | farm.place.chain.keys
    farm.close()
    place.intake = Intake(place.store, place.chain, rules, lambda: place.clock)
    small_dock.rail = replace(small_dock.rail, rules=rules)
    small_dock.agree()
    yield small_dock
    small_dock.close()


def confirming(dock, *names: str) -> bytes:
    return dock.dock.event(GOODS, "arriving", T, **{"proofrail:confirms": list(names)})


def meter(device: str, counter: int = 1) -> bytes:
    return record(device, counter, ("", counter * 1_000, T - 500))


def test_cite__record_of_another_protocol_by_the_name_of_its_bytes__is_part_of_the_claim(dock):
    [reading] = events_of(meter("st-1"))
    assert dock.place.answers(reading.evidence) == ["accepted"]
    cites = confirming(dock, reading.evidence_name)
    assert dock.take(cites) == ["accepted"]
    assert dock.rows("SELECT name, cited_event_id FROM citation") == [
        (reading.evidence_name, "0x" + reading.event_id.hex())
    ]
    assert dock.rows("SELECT count(*) FROM name WHERE name LIKE 'ni:///sha-256;%?%'") == [(1,)]
    assert dock.rows(f"SELECT count(*) FROM name WHERE name = '{reading.evidence_name}'") == [(0,)]
    assert (collect(dock.rail), verify(dock.rail)) == (1, 1)
    [(payment,)] = dock.rows("SELECT payment_id FROM payment")
    with dock.place.store.read() as session:
        supporting = citations.supporting_of(session, payment)
    assert [body for _, body, _ in supporting] == [reading.evidence]


def test_cite__cited_and_citing_record_in_one_message__resolve(dock):
    [reading] = events_of(meter("st-1"))
    left = dock.truck.pick_up(GOODS, T - 900)
    cites = confirming(dock, reading.evidence_name, event(left).evidence_name)
    dock.place.answers(reading.evidence)
    assert dock.take(left, cites) == ["accepted", "accepted"]
    assert len(dock.rows("SELECT * FROM citation")) == 2


def test_attack__event_of_a_device_that_the_terms_do_not_name__is_not_resolved(dock):
    dock.place.agree(STRANGER, expires_at=T + 1)  # so that the rail has its record
    [reading] = events_of(meter(STRANGER))
    assert dock.place.answers(reading.evidence) == ["accepted"]
    assert dock.take(confirming(dock, reading.evidence_name)) == ["cited_event_unknown"]
    assert resolve([event(confirming(dock, reading.evidence_name))], [reading]) == {}


def test_cite__carrier_s_record_by_the_name_of_its_bytes__needs_no_terms(dock):
    left = dock.truck.pick_up(GOODS, T - 900)
    cites = confirming(dock, event(left).evidence_name)
    assert dock.take(left, cites) == ["accepted", "accepted"]


def test_cite__bytes_that_nobody_sent__are_asked_for_by_name(dock):
    [reading] = events_of(meter("st-1"))
    assert dock.take(confirming(dock, reading.evidence_name)) == [ClaimReason.CITED_EVENT_UNKNOWN]


def test_payment__of_a_flooded_day__stands_as_rejected(cover, monkeypatch):
    monkeypatch.setattr("oracles.hearing.MAX_EVENTS", 1)
    cover.take(weather("st-1", 1), weather("st-2", 1), closing())
    row = cover.claimed()
    assert (row.stage, row.reason) == (Stage.REJECTED, ClaimReason.HEARD_TOO_MANY)
    assert FARM and cover.take(closing(2, AFTER + 1)) == ["accepted"]
