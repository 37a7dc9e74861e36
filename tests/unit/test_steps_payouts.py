"""What is due is ordered at the bank once, whatever comes in between; and no more than that.

The bank is the simulated one with its real files; the chain is not needed here.
"""

from __future__ import annotations

from hashlib import sha256

import pytest
from bank_desk import Counter

from orchestrator.errors import Retry
from orchestrator.steps.payouts import hand_over, order_payouts
from scripts.run_bank import new_iban


@pytest.fixture
def desk(tmp_path):
    made = Counter(tmp_path)
    yield made
    made.bare.close()


def test_order__due_payouts__go_into_one_file_once(desk):
    ids = [desk.payout(n) for n in (1, 2, 3)]
    assert [order_payouts(desk.rail) for _ in range(3)] == [1, 0, 0]
    [file] = desk.outgoing()
    placed = desk.bank.to_bank / file.name
    assert placed.read_bytes() == file.body and sha256(file.body).hexdigest() == file.file_hash
    assert [desk.stage(i) for i in ids] == [("sent", None)] * 3
    assert file.body.count(b"<EndToEndId>") == 3 or file.body.count(b"EndToEndId>") == 6


def test_order__crash_between_store_and_hand_over__sends_the_stored_bytes(desk):
    """Even with no new payout: what was stored goes out as soon as the channel takes it."""
    payout = desk.payout(1)
    blocked = desk.home / "a_file"
    blocked.write_bytes(b"")
    with pytest.raises(Retry, match="outbox does not take"):
        order_payouts(desk.with_folder(blocked / "outbox"))
    assert desk.stage(payout) == ("sent", None) and not list(desk.bank.to_bank.glob("*.xml"))
    desk.bare.place.clock += 5_000  # written anew, the file would have another time in it
    assert order_payouts(desk.rail) == 1
    [file] = desk.outgoing()
    assert (desk.bank.to_bank / file.name).read_bytes() == file.body
    assert hand_over(desk.rail) == 0


def test_order__taken_away_by_the_bank__is_not_placed_again(desk):
    desk.payout(1)
    order_payouts(desk.rail)
    desk.bank.step()
    assert order_payouts(desk.rail) == hand_over(desk.rail) == 0
    assert not list(desk.bank.to_bank.glob("*.xml"))


def test_order__to_an_account_nobody_has__waits_by_name_until_it_is_known(desk):
    """The tokens are burned: the payout must neither be dropped nor hold up its neighbours."""
    elsewhere = new_iban(77)
    waiting, good = desk.payout(1, iban=elsewhere), desk.payout(3)
    assert order_payouts(desk.rail) == 1
    assert desk.stage(waiting)[0] == "ordered" and "account_unknown" in desk.stage(waiting)[1]
    assert desk.stage(good) == ("sent", None)
    assert desk.outgoing()[0].body.count(good[2:].encode()) == 0  # the bank hears no id of ours
    desk.party("0x" + "77" * 20, "Ladepunkt Nord eG", elsewhere)
    assert order_payouts(desk.rail) == 1 and desk.stage(waiting)[0] == "sent"
    assert elsewhere.encode() in desk.outgoing()[-1].body
