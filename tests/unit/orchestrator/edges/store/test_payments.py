"""Facts in a real store: each is applied once, whole batches or nothing, and replay is free."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.payment import Fact, NextStep, Stage
from orchestrator.edges.store import Store, add_all, payments
from orchestrator.edges.store.payments import NewFact, record_facts
from orchestrator.errors import Halt

FACTS = st.lists(st.tuples(st.sampled_from(Fact), st.sampled_from("abc")), max_size=15)
NUMBERS = count(1)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    empty = Store(tmp_path_factory.mktemp("facts") / "rail.sqlite3")
    yield empty
    empty.close()


def new_payment(store, stage=Stage.RECEIVED, next_step=NextStep.VERIFY) -> str:
    payment = f"0x{next(NUMBERS):064x}"
    with store.write() as session:
        add_all(session, [_row(payment, stage, next_step)])
    return payment


def _row(payment: str, stage=Stage.RECEIVED, next_step=NextStep.VERIFY) -> payments.PaymentRow:
    return payments.PaymentRow(
        payment_id=payment,
        agreement_id="0x0a",
        sequence=int(payment, 16),
        stage=stage,
        next_step=next_step,
        first_counter=1,
        last_counter=1,
        created_at=0,
    )


def state(store, payment) -> tuple:
    with store.read() as session:
        row = payments.by_ids(session, [payment])[0]
        facts = [(f.fact, f.key, f.detail) for f in payments.facts_of(session, payment)]
        return row.model_dump(), facts


def record(store, payment, fact, key="", **more) -> int:
    with store.write() as session:
        return record_facts(session, [NewFact(payment, fact, key, **more)], 7)


@settings(max_examples=30, deadline=None)
@given(FACTS, st.integers(0, 15))
def test_learn__any_prefix_of_what_was_learned_replayed__changes_nothing(store, facts, length):
    payment, learned = new_payment(store), []
    for fact, key in facts:
        before = state(store, payment)
        try:
            record(store, payment, fact, key)
        except Halt:
            assert state(store, payment) == before  # nothing of it was kept
        else:
            learned.append((fact, key))
    after = state(store, payment)
    for fact, key in learned[:length]:
        assert record(store, payment, fact, key, detail="again", sets={"amount_micro": 99}) == 0
    assert state(store, payment) == after


def test_learn__impossible_fact_in_a_batch__drops_the_whole_batch(store):
    good, bad = new_payment(store), new_payment(store)
    before = state(store, good), state(store, bad)
    with pytest.raises(Halt), store.write() as session:
        record_facts(session, [NewFact(good, Fact.DERIVED), NewFact(bad, Fact.BOOKED)], 1)
    assert (state(store, good), state(store, bad)) == before


def test_learn__fact_stage_effect_and_columns__are_written_together(store):
    payment = new_payment(store)
    assert record(store, payment, Fact.DERIVED, detail="d", sets={"facts": "0x01"}, due_at=5) == 1
    row, facts = state(store, payment)
    assert (row["stage"], row["next_step"], row["facts"]) == ("verified", "attest", "0x01")
    assert (row["due_at"], row["attempts"], facts) == (5, 0, [("derived", "", "d")])


def test_learn__known_fact__is_kept_and_sets_nothing(store):
    payment = new_payment(store, Stage.SETTLED, None)
    assert record(store, payment, Fact.SHORT, "b1", sets={"amount_micro": 5}) == 0
    row, facts = state(store, payment)
    assert row["amount_micro"] == 0 and facts == [("short", "b1", "")]


def test_learn__payment_of_somebody_else__is_passed_over(store):
    assert record(store, "0xunknown", Fact.SETTLED) == 0


def test_learn__thousand_payments__are_read_in_chunks(store):
    ids = [f"0x{next(NUMBERS):064x}" for _ in range(1_001)]
    with store.write() as session:
        add_all(session, [_row(i) for i in ids])
        assert record_facts(session, [NewFact(i, Fact.DERIVED) for i in ids], 1) == 1_001


def test_sighting__a_block_orphaned_and_seen_again__is_news_each_time(store):
    payment = new_payment(store, Stage.ATTESTED, NextStep.SETTLE)
    for round_ in range(3):  # the chain wavers between two heads
        with store.read() as session:
            seen = payments.orphanings(session, [payment], "0xaa").get(payment, 0)
        assert seen == round_
        key = payments.sighting("0xaa", seen)
        assert record(store, payment, Fact.SETTLED, key) == 1
        assert record(store, payment, Fact.SETTLED, key) == 0
        assert state(store, payment)[0]["stage"] == "settled"
        assert record(store, payment, Fact.ORPHANED, key) == 1
        assert state(store, payment)[0]["stage"] == "attested"
