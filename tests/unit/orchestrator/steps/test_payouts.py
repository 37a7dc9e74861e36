"""What is due is ordered at the bank once, no matter what happens in between, and nothing else.

The bank is the simulated one with its real files; the chain is not needed here.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

import pytest

from orchestrator.edges.bank.pain import payment_information_id
from orchestrator.edges.store import payouts
from orchestrator.errors import Retry
from orchestrator.steps.payouts import order_payouts, send_files
from services.bank import new_iban
from tests.support.rail_with_bank import NORD, RailWithBank


@pytest.fixture
def rail(tmp_path):
    rail = RailWithBank(tmp_path)
    yield rail
    rail.bare.close()


def test_order__due_payouts__go_into_one_file_once(rail):
    ids = [rail.payout(n) for n in (1, 2, 3)]
    assert [order_payouts(rail.context) for _ in range(3)] == [1, 0, 0]
    [file] = rail.outgoing()
    placed = rail.bank.to_bank / file.name
    assert placed.read_bytes() == file.body and sha256(file.body).hexdigest() == file.file_hash
    assert [rail.stage(i) for i in ids] == [("sent", None)] * 3
    assert file.body.count(b"<EndToEndId>") == 3 or file.body.count(b"EndToEndId>") == 6


def test_order__crash_between_store_and_sending__sends_the_stored_bytes(rail):
    """Even with no new payout: what was stored goes out as soon as the channel takes it."""
    payout = rail.payout(1)
    blocked = rail.home / "a_file"
    blocked.write_bytes(b"")
    with pytest.raises(Retry, match="cannot be written to the bank's outbox"):
        order_payouts(rail.with_folder(blocked / "outbox"))
    assert rail.stage(payout) == ("sent", None) and not list(rail.bank.to_bank.glob("*.xml"))
    rail.bare.place.clock += 5_000  # written again, the file would have another time in it
    assert order_payouts(rail.context) == 1
    [file] = rail.outgoing()
    assert (rail.bank.to_bank / file.name).read_bytes() == file.body
    assert send_files(rail.context) == 0


def test_order__taken_away_by_the_bank__is_not_placed_again(rail):
    rail.payout(1)
    order_payouts(rail.context)
    rail.bank.step()
    assert order_payouts(rail.context) == send_files(rail.context) == 0
    assert not list(rail.bank.to_bank.glob("*.xml"))


def test_order__to_an_unknown_account__waits_by_name_until_it_is_known(rail):
    """The tokens are burned: the payout must neither be dropped nor hold up its neighbours."""
    elsewhere = new_iban(77)
    waiting, good = rail.payout(1, iban=elsewhere), rail.payout(3)
    assert order_payouts(rail.context) == 1
    assert rail.stage(waiting)[0] == "due" and "account_unknown" in rail.stage(waiting)[1]
    assert rail.stage(good) == ("sent", None)
    assert rail.outgoing()[0].body.count(good[2:].encode()) == 0  # the bank hears no id of ours
    rail.party("0x" + "77" * 20, "Ladepunkt Nord eG", elsewhere)
    assert order_payouts(rail.context) == 1 and rail.stage(waiting)[0] == "sent"
    assert any(elsewhere.encode() in file.body for file in rail.outgoing())


def settings(rail, **changed):
    rail.context = replace(rail.context, settings=rail.context.settings.model_copy(update=changed))


def row(rail, payout):
    with rail.store.read() as session:
        return payouts.get(session, payout)


def sums(rail) -> list[int]:
    """Cents of each file, as its own control sum has them."""
    totals = [file.body.split(b"CtrlSum>")[1].split(b"<")[0] for file in rail.outgoing()]
    return sorted(int(total.replace(b".", b"")) for total in totals)


def test_order__more_than_a_file_holds__several_files_and_each_payout_once(rail):
    settings(rail, payouts_per_file=3)
    ids = [rail.payout(n, 100 + n) for n in range(1, 9)]
    assert order_payouts(rail.context) == 3 and order_payouts(rail.context) == 0
    assert {rail.stage(payout_id) for payout_id in ids} == {("sent", None)}
    assert sum(sums(rail)) == sum(100 + n for n in range(1, 9))
    rail.bank.step()
    taken = rail.bank.books.db.execute("SELECT cents FROM orders").fetchall()
    assert sorted(order[0] for order in taken) == [100 + n for n in range(1, 9)]


def test_order__more_than_a_file_may_sum_to__is_spread_and_never_above(rail):
    settings(rail, file_cents=1_000)
    for n, cents in enumerate((600, 500, 400, 300, 200), 1):
        rail.payout(n, cents)
    too_large = rail.payout(9, 1_001)
    assert order_payouts(rail.context) >= 2
    assert max(sums(rail)) <= 1_000 and sum(sums(rail)) == 2_000
    assert rail.stage(too_large)[0] == "due" and "file_limit" in rail.stage(too_large)[1]


def test_order__many_that_wait__never_hold_up_those_that_can_leave(rail):
    """Even where more of them wait than one file holds."""
    settings(rail, payouts_per_file=2)
    waiting = [rail.payout(n, iban=new_iban(70 + n)) for n in range(1, 6)]
    good = [rail.payout(n) for n in range(6, 9)]
    for _ in range(6):
        order_payouts(rail.context)
    assert {rail.stage(payout_id) for payout_id in good} == {("sent", None)}
    assert all(
        rail.stage(payout_id)[0] == "due" and rail.stage(payout_id)[1] for payout_id in waiting
    )


@pytest.mark.parametrize(
    ("clock", "cut_off", "day"),
    [
        ("2025-10-09T13:00", 14, "2025-10-09"),
        ("2025-10-09T14:00", 14, "2025-10-10"),
        ("2025-10-10T15:00", 14, "2025-10-13"),
        ("2025-10-11T10:00", 24, "2025-10-13"),
        ("2025-12-24T23:59", 14, "2025-12-29"),
    ],
)
def test_order__at_a_time__asks_for_a_day_that_target_is_open_and_notes_it(
    rail, clock, cut_off, day
):
    settings(rail, cut_off_hour=cut_off)
    rail.bare.place.clock = int(datetime.fromisoformat(clock).replace(tzinfo=UTC).timestamp())
    payout = rail.payout(1)
    order_payouts(rail.context)
    [file] = rail.outgoing()
    assert f"<Dt>{day}</Dt>".encode() in file.body.replace(b"ns0:", b"")
    assert row(rail, payout).due_on == day


def test_order__sent__notes_the_batch_that_the_bank_will_name(rail):
    first, two = row(rail, rail.payout(1)), row(rail, rail.payout(2))
    order_payouts(rail.context)
    batch = payment_information_id([first, two])
    assert {row(rail, payout.payout_id).batch for payout in (first, two)} == {batch}
    assert batch.encode() in rail.outgoing()[0].body


def test_order__one_waits_and_nothing_changed__writes_nothing(rail):
    """It is looked at each turn, several times a second."""
    rail.payout(1, iban=new_iban(77))
    order_payouts(rail.context)
    with closing(sqlite3.connect(rail.store.path)) as watcher:
        version = lambda: watcher.execute("PRAGMA data_version").fetchone()  # noqa: E731
        before = version()
        order_payouts(rail.context)
        assert version() == before
        rail.payout(2)
        order_payouts(rail.context)
        assert version() != before


def test_order__party_written_with_blanks__is_ordered_to_the_account_it_means(rail):
    spaced = " ".join(NORD[i : i + 4] for i in range(0, len(NORD), 4)).lower()
    rail.party("0x" + "44" * 20, "Nord eG", spaced)
    rail.payout(1)
    assert order_payouts(rail.context) == 1 and NORD.encode() in rail.outgoing()[0].body


def test_order__more_wait_than_a_file_holds__what_was_mended_has_its_turn(rail):
    rail.context = replace(
        rail.context, settings=rail.context.settings.model_copy(update={"payouts_per_file": 2})
    )
    strangers = [rail.payout(n, iban=new_iban(70)) for n in range(1, 6)]
    last = rail.payout(9, iban=new_iban(71))
    for _ in range(4):
        order_payouts(rail.context)
    assert all(
        rail.stage(payout_id)[1] for payout_id in (*strangers, last)
    )  # nobody has their accounts
    rail.party("0x" + "71" * 20, "Later eG", new_iban(71))
    for _ in range(4):
        order_payouts(rail.context)
    assert rail.stage(last) == ("sent", None)
