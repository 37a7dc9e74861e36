"""Lines are compared with those they may repeat, and the journal is as if with all there are."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date, timedelta
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import select

from orchestrator.core import ledger
from orchestrator.core.reconcile import distinct
from orchestrator.core.references import end_to_end_id
from orchestrator.edges.store import Store, bank_files, fundings, payouts
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.edges.store.tables import BankLineRow
from orchestrator.steps.bank_files import post_lines
from tests.support.dict_books import LINE

PAYOUTS = [bytes([n]) * 32 for n in (1, 2)]
DAY = date(2026, 11, 20)
_NUMBER = count()


@pytest.fixture(scope="module")
def empty(tmp_path_factory) -> Path:
    """A database with two payouts on their way, to be copied."""
    path = tmp_path_factory.mktemp("lines") / "empty.db"
    store = Store(path)
    with store.write() as session:
        for identity in PAYOUTS:
            payout = "0x" + identity.hex()
            store_ledger.post(
                session, [ledger.redeemed(payout, ledger.WALLETS, 500)], 0, "block:0x1"
            )
            session.add(
                payouts.PayoutRow(
                    payout_id=payout,
                    payee="0x",
                    account="0x",
                    cents=500,
                    tx_hash="0x",
                    end_to_end_id=end_to_end_id(identity),
                    ordered_at=0,
                    batch="P1",
                )
            )
    store.close()
    return path


ROW = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["camt.052", "camt.053", "camt.054", "MT940"]),
        "bank_reference": st.sampled_from(["", "B1", "B2"]),
        "end_to_end_id": st.sampled_from(["", *map(end_to_end_id, PAYOUTS)]),
        "amount_minor": st.sampled_from([500, -500, -200, -1_000]),
        "reason": st.sampled_from(["", "", "AC04"]),
        "batch": st.sampled_from(["", "", "P1"]),
        "text": st.sampled_from(["", "x"]),
        "currency": st.sampled_from(["EUR", "EUR", "USD"]),
        "booking_date": st.sampled_from([DAY, DAY + timedelta(days=1)]),
        "value_date": st.sampled_from([DAY, DAY + timedelta(days=1)]),
        "reference": st.sampled_from(["", "RF18X"]),
    }
)


def journal(empty: Path, files: list[list[dict]], *, with_all: bool) -> tuple:
    """Head and stages after these files; with_all: each compared with every line there is."""
    path = shutil.copy(empty, empty.parent / f"{next(_NUMBER)}.db")
    store = Store(Path(path))
    try:
        for number, rows in enumerate(files):
            source = sha256(bytes([number])).digest()
            lines = [
                replace(LINE, **row, source=source, path=f"x[{place}]", counterparty_iban="")
                for place, row in enumerate(rows)
            ]
            with store.write() as session:
                bank_files.add_lines(session, lines, source.hex())
                post_lines(session, bank_files.all_lines(session) if with_all else lines, 0)
        with store.read() as session:
            booked = distinct(bank_files.all_lines(session))
            ids = ["0x" + line_id.hex() for item in booked for line_id in item.ids]
            return (
                store_ledger.head(session),
                store_ledger.balances(session),
                [row.stage for row in payouts.all_payouts(session)],
                [row.credit_id for row in fundings.all_fundings(session)],
                bank_files.booked_among(session, ids),
            )
    finally:
        store.close()


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(files=st.lists(st.lists(ROW, min_size=1, max_size=4), min_size=1, max_size=4))
def test_lines__compared_with_those_like_them__post_what_all_lines_would(empty, files):
    assert journal(empty, files, with_all=False) == journal(empty, files, with_all=True)


def test_line__like_one_that_another_statement_holds_already__is_a_booking_of_its_own(empty):
    """What it is like is known only by what that one is like in turn."""
    row = {"end_to_end_id": "", "amount_minor": 500, "bank_reference": "B1", "text": "x"}
    files = [
        [row | {"kind": "camt.054"}],  # notified,
        [row | {"kind": "camt.053", "text": "xy"}],  # on the statement, under the same reference,
        [row | {"kind": "camt.053", "bank_reference": ""}],  # and another of the first's content
    ]
    recorded = journal(empty, files, with_all=False)
    assert recorded == journal(empty, files, with_all=True)
    assert recorded[1][ledger.SAFEGUARDING, ledger.EUR] == 1_000


def test_lines__of_one_file_about_one_payout__are_compared_with_each_other(empty):
    row = {"end_to_end_id": end_to_end_id(PAYOUTS[0]), "amount_minor": -500}
    twice = [row | {"bank_reference": reference} for reference in ("B1", "B2")]
    _, balances, stages, *_ = journal(empty, [twice], with_all=False)
    assert balances[ledger.UNEXPLAINED, ledger.EUR] == 500 and stages == ["booked", "due"]


def test_lines__stored_without_keys__are_still_known(empty):
    """Rows from before keys were kept: the same line again is no second booking."""
    path = Path(shutil.copy(empty, empty.parent / "old.db"))
    store = Store(path)
    line = replace(LINE, end_to_end_id="", amount_minor=500, bank_reference="", kind="camt.054")
    again = replace(line, source=b"\1" * 32, bank_reference="B1", kind="camt.053")
    with store.write() as session:
        bank_files.add_lines(session, [line], line.source.hex())
        for row in session.exec(select(BankLineRow)):
            row.identity = row.content = row.valued = ""
        post_lines(session, [line], 0)
    with store.write() as session:
        bank_files.add_lines(session, [again], again.source.hex())
        post_lines(session, [again], 0)
        assert store_ledger.balances(session)[ledger.SAFEGUARDING, ledger.EUR] == 500
    store.close()
