"""The journal: posted once, hash-chained, and what a change to it would look like."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from orchestrator.core import ledger
from orchestrator.edges.store import Store, pending
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.edges.store.ledger import GENESIS


@pytest.fixture
def store(tmp_path):
    journal = Store(tmp_path / "rail.sqlite3")
    with journal.write() as session:
        funded = [ledger.funding_booked(f"c{n}", n) for n in (1, 2, 3)]
        store_ledger.post(session, funded, 10, "file:f")
        store_ledger.post(session, [ledger.settled("p", "a", "0xP", 7)], 11, "block:b")
    yield journal
    journal.close()


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
        return store_ledger.first_broken_link(session)


def test_journal__untouched__has_no_broken_link(store):
    assert broken(store) is None


@pytest.mark.parametrize(
    ("change", "number"),
    [
        (
            "UPDATE ledgerposting SET amount_minor = amount_minor * 2 WHERE entry_id = "
            "(SELECT entry_id FROM ledgerentry WHERE number = 2)",
            2,
        ),
        ("UPDATE ledgerposting SET account = 'bank:mine' WHERE id = 1", 1),
        ("UPDATE ledgerposting SET asset = 'USD/2' WHERE id = 3", 2),
        ("UPDATE ledgerentry SET ref = 'c9' WHERE number = 3", 3),
        ("UPDATE ledgerentry SET kind = 'minted' WHERE number = 1", 1),
        ("UPDATE ledgerentry SET hash = 'x' WHERE number = 4", 4),
        ("UPDATE ledgerentry SET at = at + 1 WHERE number = 2", 2),
        ("UPDATE ledgerentry SET source = 'file:g' WHERE number = 2", 2),
        ("UPDATE ledgerentry SET source = '' WHERE number = 3", 3),
        ("DELETE FROM ledgerposting WHERE id = 8", 4),
        ("DELETE FROM ledgerentry WHERE number = 1", 2),
        ("DELETE FROM ledgerentry WHERE number = 2", 3),
    ],
)
def test_journal__any_change_or_cut_within__is_seen_at_its_number(store, change, number):
    tamper(store, change)
    assert broken(store) == number


def test_journal__two_entries_exchanged__is_seen(store):
    tamper(
        store,
        "UPDATE ledgerentry SET number = 99 WHERE number = 2",
        "UPDATE ledgerentry SET number = 2 WHERE number = 3",
        "UPDATE ledgerentry SET number = 3 WHERE number = 99",
    )
    assert broken(store) == 2


def test_journal__its_tail_cut__is_not_seen_by_the_chain_but_by_its_length(store):
    """Warning: a hash chain vouches for what precedes a link. That the end is gone is seen by who
    kept the newest hash: the chain has it behind each settlement (test_anchors_journal.py)."""
    tamper(store, "DELETE FROM ledgerentry WHERE number = 4")
    assert broken(store) is None
    with store.read() as session:
        assert store_ledger.count(session) == 3


def test_post__the_same_entries_again__adds_nothing(store):
    with store.write() as session:
        assert store_ledger.post(session, [ledger.funding_booked("c1", 1)] * 2, 12) == 0
        assert store_ledger.post(session, [ledger.funding_booked("c4", 4)] * 2, 12) == 1
        assert store_ledger.count(session) == 5
    assert broken(store) is None


def test_post__in_batches_and_one_by_one__gives_the_same_chain(store, tmp_path):
    other = Store(tmp_path / "other.sqlite3")
    with other.write() as session:
        for n in (1, 2, 3):
            store_ledger.post(session, [ledger.funding_booked(f"c{n}", n)], 10, "file:f")
        store_ledger.post(session, [ledger.settled("p", "a", "0xP", 7)], 11, "block:b")
        in_batches = store_ledger.hash_before(session, 5)
    with store.read() as session:
        assert store_ledger.hash_before(session, 5) == in_batches
        assert store_ledger.hash_before(session, 1) == GENESIS
    other.close()


def test_balances__from_the_store__are_those_of_the_postings(store):
    with store.read() as session:
        assert store_ledger.balances(session) == {
            (ledger.SAFEGUARDING, ledger.EUR): 6,
            (ledger.FUNDING, ledger.EUR): -6,
            (ledger.escrow("a"), ledger.TEUR): 7,
            (ledger.pending("0xP"), ledger.TEUR): -7,
        }


def test_post__entries_that_have_their_own_source__keep_it(store):
    own = ledger.funding_booked("c9", 9).dated(5, "approval:d")
    with store.write() as session:
        store_ledger.post(session, [own, ledger.funding_booked("c8", 8)], 12, "file:g")
        view = [(row.ref, row.at, row.source) for row, _ in store_ledger.entries(session)][-2:]
    assert view == [("c9", 5, "approval:d"), ("c8", 12, "file:g")]
    assert broken(store) is None


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 500])
def test_entries__read_in_batches_of_any_size__are_the_journal_in_its_order(
    store, monkeypatch, batch
):
    monkeypatch.setattr(store_ledger, "_BATCH", batch)
    with store.read() as session:
        entries = list(store_ledger.entries(session))
        assert [row.number for row, _ in entries] == [1, 2, 3, 4]
        assert [(e.kind, e.ref, e.at, e.source) for _, e in entries] == [
            ("funding_booked", "c1", 10, "file:f"),
            ("funding_booked", "c2", 10, "file:f"),
            ("funding_booked", "c3", 10, "file:f"),
            ("settled", "p", 11, "block:b"),
        ]
        assert [e for _, e in entries if e.kind == "settled"] == [
            ledger.settled("p", "a", "0xP", 7).dated(11, "block:b")
        ]
        assert [row.number for row, _ in store_ledger.entries(session, as_of=10)] == [1, 2, 3]
        assert list(store_ledger.entries(session, as_of=9)) == []
        assert len(store_ledger.entries_of(session, ["c1", "p"])) == 2
    assert broken(store) is None


@settings(max_examples=30, deadline=None)
@given(some.lists(some.tuples(some.integers(1, 9), some.integers(1, 99)), max_size=12))
def test_balances__as_of_any_time__are_those_of_the_entries_up_to_it(posted):
    """Bank lines are dated by their booking day, so the journal is not in the order of time."""
    with TemporaryDirectory() as folder:
        journal = Store(Path(folder) / "rail.sqlite3")
        with journal.write() as session:
            for number, (at, cents) in enumerate(posted):
                store_ledger.post(
                    session, [ledger.funding_booked(f"c{number}", cents)], at, "file:f"
                )
        with journal.read() as session:
            for as_of in [*range(11), None]:
                upto = sum(cents for at, cents in posted if as_of is None or at <= as_of)
                wanted = (
                    {(ledger.SAFEGUARDING, ledger.EUR): upto, (ledger.FUNDING, ledger.EUR): -upto}
                    if upto
                    else {}
                )
                assert store_ledger.balances(session, as_of) == wanted
        journal.close()


def test_pending__entries__are_apart_from_the_journal_until_they_are_posted(store):
    first, second = (
        ledger.settled(f"q{n}", "a", "0xP", n).dated(20 + n, f"block:0x{n}") for n in (1, 2)
    )
    account = (ledger.pending("0xP"), ledger.TEUR)
    with store.write() as session:
        pending.note(session, "0x1", 1, [first])
        pending.note(session, "0x2", 2, [second])
        assert store_ledger.pending_balances(session)[account] == -3
        assert store_ledger.balances(session)[account] == -7
        assert [e for _, e in store_ledger.entries(session, with_pending=True)][4:] == [
            first,
            second,
        ]
        entries = store_ledger.entries(session, with_pending=True, as_of=21)
        assert [e for _, e in entries][4:] == [first]
        assert store_ledger.entry(session, first.entry_id) == first
        assert pending.void_from(session, 2) == 1
        assert store_ledger.pending_balances(session)[account] == -1
        assert store_ledger.entry(session, second.entry_id) is None
        store_ledger.post(session, [first], 21, "block:0x1")
        pending.mark_posted(session, ["0x1", "0x2"])
        assert store_ledger.pending_balances(session) == {}
        assert store_ledger.balances(session)[account] == -8
        assert [e for _, e in pending.entries(session, "voided")] == [second]
    assert broken(store) is None
