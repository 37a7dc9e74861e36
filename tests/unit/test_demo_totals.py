"""What the demonstration says at its end: exact euro, and every total that does not add up."""

from __future__ import annotations

from collections import Counter

import pytest

from orchestrator.core import ledger
from orchestrator.core.reconcile import Bank, Chain, Ledger, reconcile
from orchestrator.edges.store import Store, books, evidence, payments
from scripts.demo import report

SOUND = reconcile(Chain(0), Ledger(), Bank("DE1"))


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "rail.sqlite3")
    yield made
    made.close()


def wrong(store, answers: Counter[str] | None = None) -> list[str]:
    with store.read() as session:
        return report.totals(session, answers or Counter(), SOUND)


@pytest.mark.parametrize(("micro", "text"), [
    (0, "0.000000 €"), (1, "0.000001 €"), (1_000_000, "1.000000 €"), (-5, "-0.000005 €"),
    (-12_345_678_901, "-12345.678901 €"),
])  # fmt: skip
def test_euro__any_amount__is_exact(micro, text):
    assert report.euro(micro) == text


def test_totals__of_a_rail_that_did_nothing__add_up(store):
    assert wrong(store) == []


def test_totals__money_at_the_bank_without_tokens__is_named(store):
    with store.write() as session:
        books.post(session, [ledger.unexplained("line", 5)], 0)
    assert wrong(store) == ["token supply = bank balance, to the unit"]


def test_totals__record_without_a_receipt_or_an_event_too_many__is_named(store):
    with store.write() as session:
        session.add(evidence.Event(
            event_id="0x01", device_id="0x", counter=1, observed_at_ms=0, received_at=0,
            evidence_hash="", content_hash="", agreement_id="0x",
        ))  # fmt: skip
    said = wrong(store, Counter(accepted=2, unreceipted=1))
    assert said == [
        "every record a device kept has its signed receipt",
        "records accepted, as devices count = events stored",
    ]


def test_totals__payment_that_did_not_come_all_the_way__is_named(store):
    with store.write() as session:
        session.add(payments.Payment(
            payment_id="0x01", agreement_id="0x", sequence=1, stage="posted", first_counter=1,
            last_counter=1, created_at=0, amount_micro=70,
        ))  # fmt: skip
    assert wrong(store) == [
        "settled = paid out + below a cent", "funded = settled + still in escrow",
        "all payments reconciled",
    ]  # fmt: skip
