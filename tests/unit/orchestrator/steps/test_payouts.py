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
from scripts.run_bank import new_iban
from tests.support.rail_with_bank import NORD, RailWithBank


@pytest.fixture
def desk(tmp_path):
    rail = RailWithBank(tmp_path)
    yield rail
    rail.bare.close()


def test_order__due_payouts__go_into_one_file_once(desk):
    ids = [desk.payout(n) for n in (1, 2, 3)]
    assert [order_payouts(desk.rail) for _ in range(3)] == [1, 0, 0]
    [file] = desk.outgoing()
    placed = desk.bank.to_bank / file.name
    assert placed.read_bytes() == file.body and sha256(file.body).hexdigest() == file.file_hash
    assert [desk.stage(i) for i in ids] == [("sent", None)] * 3
    assert file.body.count(b"<EndToEndId>") == 3 or file.body.count(b"EndToEndId>") == 6


def test_order__crash_between_store_and_sending__sends_the_stored_bytes(desk):
    """Even with no new payout: what was stored goes out as soon as the channel takes it."""
    payout = desk.payout(1)
    blocked = desk.home / "a_file"
    blocked.write_bytes(b"")
    with pytest.raises(Retry, match="cannot be written to the bank's outbox"):
        order_payouts(desk.with_folder(blocked / "outbox"))
    assert desk.stage(payout) == ("sent", None) and not list(desk.bank.to_bank.glob("*.xml"))
    desk.bare.place.clock += 5_000  # written again, the file would have another time in it
    assert order_payouts(desk.rail) == 1
    [file] = desk.outgoing()
    assert (desk.bank.to_bank / file.name).read_bytes() == file.body
    assert send_files(desk.rail) == 0


def test_order__taken_away_by_the_bank__is_not_placed_again(desk):
    desk.payout(1)
    order_payouts(desk.rail)
    desk.bank.step()
    assert order_payouts(desk.rail) == send_files(desk.rail) == 0
    assert not list(desk.bank.to_bank.glob("*.xml"))


def test_order__to_an_unknown_account__waits_by_name_until_it_is_known(desk):
    """The tokens are burned: the payout must neither be dropped nor hold up its neighbours."""
    elsewhere = new_iban(77)
    waiting, good = desk.payout(1, iban=elsewhere), desk.payout(3)
    assert order_payouts(desk.rail) == 1
    assert desk.stage(waiting)[0] == "due" and "account_unknown" in desk.stage(waiting)[1]
    assert desk.stage(good) == ("sent", None)
    assert desk.outgoing()[0].body.count(good[2:].encode()) == 0  # the bank hears no id of ours
    desk.party("0x" + "77" * 20, "Ladepunkt Nord eG", elsewhere)
    assert order_payouts(desk.rail) == 1 and desk.stage(waiting)[0] == "sent"
    assert elsewhere.encode() in desk.outgoing()[-1].body


def settings(desk, **changed):
    desk.rail = replace(desk.rail, settings=desk.rail.settings.model_copy(update=changed))


def row(desk, payout):
    with desk.store.read() as session:
        return payouts.get(session, payout)


def sums(desk) -> list[int]:
    """Cents of each file, as its own control sum has them."""
    totals = [file.body.split(b"CtrlSum>")[1].split(b"<")[0] for file in desk.outgoing()]
    return sorted(int(total.replace(b".", b"")) for total in totals)


def test_order__more_than_a_file_holds__several_files_and_each_payout_once(desk):
    settings(desk, payouts_per_file=3)
    ids = [desk.payout(n, 100 + n) for n in range(1, 9)]
    assert order_payouts(desk.rail) == 3 and order_payouts(desk.rail) == 0
    assert {desk.stage(payout_id) for payout_id in ids} == {("sent", None)}
    assert sum(sums(desk)) == sum(100 + n for n in range(1, 9))
    desk.bank.step()
    taken = desk.bank.books.db.execute("SELECT cents FROM orders").fetchall()
    assert sorted(order[0] for order in taken) == [100 + n for n in range(1, 9)]


def test_order__more_than_a_file_may_sum_to__is_spread_and_never_above(desk):
    settings(desk, file_cents=1_000)
    for n, cents in enumerate((600, 500, 400, 300, 200), 1):
        desk.payout(n, cents)
    too_large = desk.payout(9, 1_001)
    assert order_payouts(desk.rail) >= 2
    assert max(sums(desk)) <= 1_000 and sum(sums(desk)) == 2_000
    assert desk.stage(too_large)[0] == "due" and "file_limit" in desk.stage(too_large)[1]


def test_order__many_that_wait__never_hold_up_those_that_can_leave(desk):
    """Even where more of them wait than one file holds."""
    settings(desk, payouts_per_file=2)
    waiting = [desk.payout(n, iban=new_iban(70 + n)) for n in range(1, 6)]
    good = [desk.payout(n) for n in range(6, 9)]
    for _ in range(6):
        order_payouts(desk.rail)
    assert {desk.stage(payout_id) for payout_id in good} == {("sent", None)}
    assert all(
        desk.stage(payout_id)[0] == "due" and desk.stage(payout_id)[1] for payout_id in waiting
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
    desk, clock, cut_off, day
):
    settings(desk, cut_off_hour=cut_off)
    desk.bare.place.clock = int(datetime.fromisoformat(clock).replace(tzinfo=UTC).timestamp())
    payout = desk.payout(1)
    order_payouts(desk.rail)
    [file] = desk.outgoing()
    assert f"<Dt>{day}</Dt>".encode() in file.body.replace(b"ns0:", b"")
    assert row(desk, payout).due_on == day


def test_order__sent__notes_the_batch_that_the_bank_will_name(desk):
    first, two = row(desk, desk.payout(1)), row(desk, desk.payout(2))
    order_payouts(desk.rail)
    batch = payment_information_id([first, two])
    assert {row(desk, payout.payout_id).batch for payout in (first, two)} == {batch}
    assert batch.encode() in desk.outgoing()[0].body


def test_order__one_waits_and_nothing_changed__writes_nothing(desk):
    """It is looked at each turn, several times a second."""
    desk.payout(1, iban=new_iban(77))
    order_payouts(desk.rail)
    with closing(sqlite3.connect(desk.store.path)) as watcher:
        version = lambda: watcher.execute("PRAGMA data_version").fetchone()  # noqa: E731
        before = version()
        order_payouts(desk.rail)
        assert version() == before
        desk.payout(2)
        order_payouts(desk.rail)
        assert version() != before


def test_order__party_written_with_blanks__is_ordered_to_the_account_it_means(desk):
    spaced = " ".join(NORD[i : i + 4] for i in range(0, len(NORD), 4)).lower()
    desk.party("0x" + "44" * 20, "Nord eG", spaced)
    desk.payout(1)
    assert order_payouts(desk.rail) == 1 and NORD.encode() in desk.outgoing()[0].body


def test_order__more_wait_than_a_file_holds__what_was_mended_has_its_turn(desk):
    desk.rail = replace(
        desk.rail, settings=desk.rail.settings.model_copy(update={"payouts_per_file": 2})
    )
    strangers = [desk.payout(n, iban=new_iban(70)) for n in range(1, 6)]
    last = desk.payout(9, iban=new_iban(71))
    for _ in range(4):
        order_payouts(desk.rail)
    assert all(
        desk.stage(payout_id)[1] for payout_id in (*strangers, last)
    )  # nobody has their accounts
    desk.party("0x" + "71" * 20, "Later eG", new_iban(71))
    for _ in range(4):
        order_payouts(desk.rail)
    assert desk.stage(last) == ("sent", None)
