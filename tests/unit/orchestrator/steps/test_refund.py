"""Which ended agreements have money to refund: the same as looking at all of them each time."""

from __future__ import annotations

import pytest

from orchestrator.core import ledger
from orchestrator.edges.store import Store, agreements
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.steps import RefundMemory
from orchestrator.steps import refund as step

NOW = 1_800_000_000


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "rail.sqlite3")
    yield opened
    opened.close()


def agree(store, name: str, ends_at: int) -> str:
    texts = ("device_id", "device", "product", "product_address", "payer", "payee", "salt")
    numbers = ("cap_micro", "period_days", "window_s", "first_counter", "required_domain")
    with store.write() as session:
        session.add(
            agreements.AgreementRow(
                agreement_id=name,
                expiry=ends_at - 50,
                ends_at=ends_at,
                stage=agreements.Stage.LIVE,
                reference=name,
                terms="0x",
                signature="0x",
                **dict.fromkeys(texts, name),
                **dict.fromkeys(numbers, 0),
            )
        )
    return name


def pay_in(store, agreement: str, amount: int, ref: str) -> None:
    escrow, other = ledger.escrow(agreement), "elsewhere"
    postings = (
        ledger.Posting(other, "tEUR/6", amount),
        ledger.Posting(escrow, "tEUR/6", -amount),
    )
    with store.write() as session:
        entry = ledger.Entry(f"0x{ref}", "escrow_funded", ref, postings)
        store_ledger.post(session, [entry], NOW, "block:0x")


def test_funded__turn_by_turn__is_what_looking_at_all_of_them_gives(store):
    memory = RefundMemory()

    def turn(now: int) -> set[str]:
        with store.read() as session:
            found = step._funded(session, memory, now)
            assert found == step._funded(session, RefundMemory(), now)
        return found

    ended, later = agree(store, "0xa", NOW - 9 * 86_400), agree(store, "0xb", NOW + 100)
    closed = agree(store, "0xc", NOW + 10**6)
    pay_in(store, later, 5, "one")
    pay_in(store, closed, 5, "two")
    assert turn(NOW) == set()
    pay_in(store, ended, 7, "three")  # long after its end
    assert turn(NOW + 1) == {ended}
    assert turn(NOW + 100) == {ended}
    assert turn(NOW + 101) == {ended, later}  # its time has come
    with store.write() as session:  # the close is final after the end that it sets
        agreements.get(session, closed).ends_at = NOW + 50
    assert turn(NOW + 102) == {ended, later, closed}
    pay_in(store, ended, -7, "four")  # it was reclaimed
    assert turn(NOW + 103) == {later, closed}
    assert turn(NOW + 2 * 86_400) == {later, closed}
