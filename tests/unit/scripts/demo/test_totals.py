"""The report of the demonstration: exact euro, and every total that does not add up."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from sqlmodel import update

from orchestrator.core import debt_entries, ledger
from orchestrator.core.reconcile import BankFacts, ChainFacts, Ledger, reconcile
from orchestrator.edges.store import (
    Store,
    agreements,
    blocks,
    evidence,
    fundings,
    payments,
    payouts,
)
from orchestrator.edges.store import ledger as store_ledger
from scripts.demo import ending, report, sums, tally
from scripts.demo.notes import Note

SOUND = reconcile(ChainFacts(0), Ledger(), BankFacts("DE1"))
AGREEMENT, PAYEE = "0x" + "aa" * 32, "0x" + "BB" * 20
CENT = ledger.MICRO_PER_CENT


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "rail.sqlite3")
    yield store
    store.close()


def wrong(store, answers: Counter[str] | None = None) -> list[str]:
    with store.read() as session:
        return report.totals(session, answers or Counter(), SOUND)


def fund(session, cents: int) -> None:
    """Add a booked and minted bank credit."""
    session.add(
        fundings.FundingRow(
            credit_id="0x01",
            agreement_id=AGREEMENT,
            cents=cents,
            booked_at=0,
            stage="minted",
        )
    )
    store_ledger.post(
        session,
        [
            ledger.funding_booked("0x01", cents),
            ledger.minted("0x01", ledger.escrow(AGREEMENT), cents * CENT),
        ],
        0,
    )


def pay(
    session, number: int, micro: int, stage: str = "reconciled", agreement: str = AGREEMENT
) -> None:
    session.add(
        payments.PaymentRow(
            payment_id=f"0x{number:02}",
            agreement_id=agreement,
            sequence=number,
            stage=stage,
            first_counter=number,
            last_counter=number,
            created_at=number,
            amount_micro=micro,
        )
    )


def release_matured(session, cents: int) -> None:
    """Pay a payee's pending amount out, and have the bank book it."""
    session.add(
        payouts.PayoutRow(
            payout_id="0x0f",
            payee=PAYEE,
            account="0x",
            cents=cents,
            end_to_end_id="PR",
            tx_hash="0x",
            ordered_at=0,
            stage="booked",
        )
    )
    store_ledger.post(
        session,
        [
            ledger.released("r", PAYEE, cents * CENT),
            ledger.redeemed("0x0f", ledger.withdrawable(PAYEE), cents),
            ledger.payout_booked("0x0f", cents),
        ],
        0,
    )


@pytest.mark.parametrize(
    ("micro", "text"),
    [
        (0, "0.000000 €"),
        (1, "0.000001 €"),
        (1_000_000, "1.000000 €"),
        (-5, "-0.000005 €"),
        (-12_345_678_901, "-12345.678901 €"),
    ],
)
def test_euro__any_amount__is_exact(micro, text):
    assert report.euro(micro) == text


def test_totals__of_a_rail_that_did_nothing__add_up(store):
    assert wrong(store) == []


def test_totals__money_at_the_bank_without_tokens__is_reported(store):
    with store.write() as session:
        store_ledger.post(session, [ledger.unexplained("line", 5)], 0)
    assert wrong(store) == ["token supply = bank balance, to the unit"]


def test_totals__record_without_a_receipt_or_an_event_too_many__is_reported(store):
    with store.write() as session:
        session.add(
            evidence.EventRow(
                event_id="0x01",
                device_id="0x",
                counter=1,
                observed_at_ms=0,
                received_at=0,
                evidence_hash="",
                content_hash="",
                agreement_id="0x",
            )
        )
    failed = wrong(store, Counter(accepted=2, unreceipted=1))
    assert failed == [
        "every record a device kept has its signed receipt",
        "records accepted, as devices and tills count = events stored",
    ]


def test_totals__payment_that_did_not_come_all_the_way__is_reported(store):
    with store.write() as session:
        pay(session, 1, 70, "posted")
    assert wrong(store) == [
        "settled = paid out + below a cent + frozen",
        "funded = settled + still in escrow + refunded",
        "all payments reconciled, frozen, or shared",
    ]


@pytest.mark.parametrize("payee", [PAYEE, "0x" + "CC" * 20])
def test_totals__posted_payment_that_was_released__is_shared_if_its_payee_is_a_waterfall(
    store, payee
):
    with store.write() as session:
        fund(session, 61)
        session.add(agreement_row(AGREEMENT, "payg_unlock"))
        pay(session, 1, 60 * CENT + 5, "posted")
        session.add(
            blocks.ChainLogRow(
                block_hash="0x",
                log_index=0,
                block_number=1,
                tx_hash="0x",
                name="WaterfallCreated",
                args=json.dumps({"waterfall": payee}),
            )
        )
        settled = ledger.settled("0x01", AGREEMENT, PAYEE, 60 * CENT + 5)
        kept = [
            (ledger.pending(PAYEE), ledger.TEUR, 5),
            (ledger.share(payee, "0x" + "dd" * 20), ledger.TEUR, -5),
        ]
        store_ledger.post(session, [settled, ledger.entry("transferred", "t", kept)], 0)
        release_matured(session, 60)
        before = sums.collect(session, Counter()).shared
        session.exec(update(payments.PaymentRow).values(release_tx="0x01"))
    assert before.payments == 0
    not_shared = ["all payments reconciled, frozen, or shared"]
    assert wrong(store) == ([] if payee == PAYEE else not_shared)


def test_totals__debt_that_was_paid_out_of_other_money__add_up(store):
    with store.write() as session:
        fund(session, 100)
        pay(session, 1, 60 * CENT)
        pay(session, 2, -20 * CENT)
        store_ledger.post(
            session,
            [
                ledger.settled("0x01", AGREEMENT, PAYEE, 60 * CENT),
                debt_entries.debt_recorded("0x02", AGREEMENT, PAYEE, 20 * CENT),
                debt_entries.debt_paid("c", AGREEMENT, PAYEE, ledger.pending(PAYEE), 20 * CENT),
            ],
            0,
        )
        release_matured(session, 40)
    assert wrong(store) == []


def test_totals__debt_that_is_not_paid_back__is_reported_and_the_rest_adds_up(store):
    with store.write() as session:
        fund(session, 100)
        pay(session, 1, 60 * CENT)
        pay(session, 2, -20 * CENT)
        store_ledger.post(
            session,
            [
                ledger.settled("0x01", AGREEMENT, PAYEE, 60 * CENT),
                debt_entries.debt_recorded("0x02", AGREEMENT, PAYEE, 20 * CENT),
            ],
            0,
        )
        release_matured(session, 60)
    assert wrong(store) == ["every debt is paid back"]


def test_totals__frozen_and_refunded_money__add_up_as_what_they_are(store):
    with store.write() as session:
        fund(session, 100)
        pay(session, 1, 30 * CENT, "disputed")
        store_ledger.post(
            session,
            [
                ledger.settled("0x01", AGREEMENT, PAYEE, 30 * CENT),
                ledger.disputed("0x01", PAYEE, 30 * CENT),
                ledger.reclaimed("r", AGREEMENT, 70 * CENT),
            ],
            0,
        )
        collected = sums.collect(session, Counter())
    assert wrong(store) == []
    assert (collected.held["frozen"], collected.held["wallets"], collected.held["escrow"]) == (
        30 * CENT,
        70 * CENT,
        0,
    )


def test_totals__payments_of_two_products__are_summed_each_for_itself(store):
    with store.write() as session:
        for number, product in enumerate(("metered_energy", "proof_of_delivery"), start=1):
            session.add(agreement_row(f"0x0{number}", product))
            pay(session, number, number * 100, agreement=f"0x0{number}")
        pay(session, 3, -30, agreement="0x02")
        products = sums.collect(session, Counter()).products
    assert products == {
        "metered_energy": tally.Sum(1, 100, 0, 0),
        "proof_of_delivery": tally.Sum(2, 170, 1, -30),
    }


def test_examples__of_two_products__are_the_largest_that_came_all_the_way(store):
    with store.write() as session:
        session.add(agreement_row(AGREEMENT, "proof_of_delivery"))
        for number, (micro, stage) in enumerate(
            [(5, "reconciled"), (9, "reconciled"), (50, "disputed"), (-7, "reconciled")], start=1
        ):
            pay(session, number, micro, stage)
        assert ending.examples(session) == {"proof_of_delivery": "0x02"}


def test_answers__what_was_not_seen__is_returned_and_shown(capsys):
    seen = Note("a clone", "silenced", "suspended", True)
    missed = Note("a thief", "rejected", "device_suspended (0)", False)
    assert report.answers("Faults", "sent", [seen, missed]) == [
        "a thief: not rejected: device_suspended (0)"
    ]
    assert "NOT SEEN" in capsys.readouterr().out


def agreement_row(identity: str, product: str) -> agreements.AgreementRow:
    return agreements.AgreementRow(
        agreement_id=identity,
        device_id="0x",
        device="d",
        product=product,
        product_address="0x",
        payer="0x",
        payee=PAYEE,
        cap_micro=1,
        period_days=1,
        window_s=1,
        expiry=1,
        first_counter=0,
        required_domain=0,
        salt="0x",
        terms="0x",
        signature="0x",
        reference=identity,
    )
