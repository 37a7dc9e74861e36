"""The journal: posted once, hash-chained, and what a change to it would look like."""

from __future__ import annotations

import sqlite3

import pytest

from orchestrator.core import ledger
from orchestrator.edges.store import Store, books
from orchestrator.edges.store.books import GENESIS


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "rail.sqlite3")
    with made.write() as session:
        books.post(session, [ledger.funding_booked(f"c{n}", n) for n in (1, 2, 3)], 10)
        books.post(session, [ledger.settled("p", "a", "0xP", 7)], 11)
    yield made
    made.close()


def tamper(store, *statements: str) -> None:
    """What somebody with the file can do: drop the triggers, then change what they want."""
    database = sqlite3.connect(store.path)
    for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
        database.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()


def broken(store) -> int | None:
    with store.read() as session:
        return books.first_broken_link(session)


def test_journal__untouched__has_no_broken_link(store):
    assert broken(store) is None


@pytest.mark.parametrize(("change", "number"), [
    ("UPDATE ledgerposting SET amount_minor = amount_minor * 2 WHERE entry_id = "
     "(SELECT entry_id FROM ledgerentry WHERE number = 2)", 2),
    ("UPDATE ledgerposting SET account = 'bank:mine' WHERE id = 1", 1),
    ("UPDATE ledgerposting SET asset = 'USD/2' WHERE id = 3", 2),
    ("UPDATE ledgerentry SET ref = 'c9' WHERE number = 3", 3),
    ("UPDATE ledgerentry SET kind = 'minted' WHERE number = 1", 1),
    ("UPDATE ledgerentry SET hash = 'x' WHERE number = 4", 4),
    ("DELETE FROM ledgerposting WHERE id = 8", 4),
    ("DELETE FROM ledgerentry WHERE number = 1", 2),
    ("DELETE FROM ledgerentry WHERE number = 2", 3),
])  # fmt: skip
def test_journal__any_change_or_cut_within__is_seen_at_its_number(store, change, number):
    tamper(store, change)
    assert broken(store) == number


def test_journal__two_entries_exchanged__is_seen(store):
    tamper(store, "UPDATE ledgerentry SET number = 99 WHERE number = 2",
           "UPDATE ledgerentry SET number = 2 WHERE number = 3",
           "UPDATE ledgerentry SET number = 3 WHERE number = 99")  # fmt: skip
    assert broken(store) == 2


def test_journal__its_tail_cut__is_not_seen_by_the_chain_but_by_its_length(store):
    """Warning: a hash chain vouches for what precedes a link. Only somebody who kept the newest
    hash or the length sees that the end is gone; that is what audit bundles carry away."""
    tamper(store, "DELETE FROM ledgerentry WHERE number = 4")
    assert broken(store) is None
    with store.read() as session:
        assert books.count(session) == 3


def test_post__the_same_entries_again__adds_nothing(store):
    with store.write() as session:
        assert books.post(session, [ledger.funding_booked("c1", 1)] * 2, 12) == 0
        assert books.post(session, [ledger.funding_booked("c4", 4)] * 2, 12) == 1
        assert books.count(session) == 5
    assert broken(store) is None


def test_post__in_batches_and_one_by_one__gives_the_same_chain(store, tmp_path):
    other = Store(tmp_path / "other.sqlite3")
    with other.write() as session:
        for n in (1, 2, 3):
            books.post(session, [ledger.funding_booked(f"c{n}", n)], 99)
        books.post(session, [ledger.settled("p", "a", "0xP", 7)], 99)
        theirs = books.hash_before(session, 5)
    with store.read() as session:
        assert books.hash_before(session, 5) == theirs
        assert books.hash_before(session, 1) == GENESIS
    other.close()


def test_balances__from_the_store__are_those_of_the_postings(store):
    with store.read() as session:
        assert books.balances(session) == {
            (ledger.SAFEGUARDING, ledger.EUR): 6, (ledger.FUNDING, ledger.EUR): -6,
            (ledger.escrow("a"), ledger.TEUR): 7, (ledger.pending("0xP"), ledger.TEUR): -7,
        }  # fmt: skip
