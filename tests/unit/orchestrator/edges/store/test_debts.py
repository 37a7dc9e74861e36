"""Debts in a real store: paid or cancelled, the oldest first, and no more than is owed."""

from __future__ import annotations

import pytest

from orchestrator.edges.store import Store, add_all, debts, payments

AGREEMENT, PAYEE = "0x0a", "0xP"


@pytest.fixture
def store(tmp_path):
    """A store with two debts of 50 and 30 micro-euro to one agreement, and one to another."""
    opened = Store(tmp_path / "rail.sqlite3")
    owed = ((1, AGREEMENT, 50), (2, AGREEMENT, 30), (3, "0x0b", 7))
    with opened.write() as session:
        add_all(
            session,
            [
                payments.PaymentRow(
                    payment_id=f"0x{n}",
                    agreement_id=agreement,
                    sequence=n,
                    stage="posted",
                    first_counter=n,
                    last_counter=n,
                    created_at=0,
                )
                for n, agreement, _ in owed
            ],
        )
        debts.note(
            session,
            [
                debts.DebtRow(
                    payment_id=f"0x{n}",
                    agreement_id=agreement,
                    payee=PAYEE,
                    amount_micro=amount,
                    noted_at=n,
                )
                for n, agreement, amount in owed
            ],
        )
    yield opened
    opened.close()


def test_cancel__of_a_part__ends_the_oldest_debt_and_leaves_the_rest_open(store):
    """A refund of the corrected payment takes the correction's debt away: nothing is paid."""
    with store.write() as session:
        assert debts.pay(session, AGREEMENT, PAYEE, 20) == []
        assert debts.cancel(session, AGREEMENT, PAYEE, 40) == ["0x1"]
        rows = {n: debts.of_payment(session, f"0x{n}") for n in (1, 2, 3)}
        assert [(r.paid_micro, r.cancelled_micro) for r in rows.values()] == [
            (20, 30),
            (0, 10),
            (0, 0),
        ]
        assert [debts.open_micro(row) for row in debts.all_open(session)] == [20, 7]
        assert debts.pay(session, AGREEMENT, PAYEE, 20) == ["0x2"]
        assert [row.payment_id for row in debts.all_open(session)] == ["0x3"]
