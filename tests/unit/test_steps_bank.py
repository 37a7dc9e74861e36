"""Between ledger and bank: ordered once, booked once, and only what is known becomes money.

The bank is the simulated one with its real files; the chain is not needed here.
"""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256

import pytest
from bare_rail import BareRail, agreement_of

from orchestrator.core import ledger
from orchestrator.core.identity import payout_account
from orchestrator.core.payment import Fact
from orchestrator.core.references import end_to_end_id, funding_reference
from orchestrator.edges.bank.channel import Folder
from orchestrator.edges.store import agreements, books, evidence, payments, transfers
from orchestrator.errors import Retry
from orchestrator.steps.bank_files import read_bank
from orchestrator.steps.payouts import hand_over, order_payouts
from scripts.run_bank import new_iban
from scripts.simulated_bank import messages
from scripts.simulated_bank.bank import Bank, write_file

OURS, NORD, ADA, CLOSED = (new_iban(n) for n in (1, 2, 3, 4))
TOWN = {"street": "Am Kanal", "building": "1", "post_code": "14467", "town": "Potsdam"}
PAYEE = "0x" + "44" * 20  # as small_intake writes it into agreements


class Counter:
    """A rail and its bank, side by side; payouts are put where a final block would put them."""

    def __init__(self, home) -> None:
        self.bare = BareRail(home)
        self.store, self.home = self.bare.place.store, home
        self.bare.place.clock = 1_760_000_000
        account = lambda iban, name, kind, cents: {  # noqa: E731
            "iban": iban, "name": name, "kind": kind, "balance_cents": cents,
        }  # fmt: skip
        self.bank = Bank(home / "bank", {"business_date": "2025-10-09", "accounts": [
            account(OURS, "proofrail", "safeguarding", 1_000_000),
            account(NORD, "Nord eG", "customer", 0), account(ADA, "Ada", "customer", 1_000_000),
            account(CLOSED, "Gone", "customer", 0) | {"closed": True},
        ]})  # fmt: skip
        self.rail = self.with_folder(home / "bank" / "to_bank")
        self.party(PAYEE, "Nord eG", NORD)

    def with_folder(self, outbox):
        safeguarding = {"name": "proofrail", "iban": OURS, "address": {**TOWN, "country": "DE"}}
        return replace(
            self.bare.rail, bank=Folder(outbox, self.home / "bank" / "from_bank"),
            safeguarding=safeguarding,
        )  # fmt: skip

    def party(self, address: str, name: str, iban: str) -> None:
        with self.store.write() as session:
            session.merge(agreements.Party(
                address=address, name=name, iban=iban, country="DE",
                account="0x" + payout_account(iban).hex(), **TOWN,
            ))  # fmt: skip

    def payout(self, number: int, cents: int = 1_234, payee: str = PAYEE, iban: str = NORD) -> str:
        identity = sha256(bytes([number])).digest()
        with self.store.write() as session:
            session.add(transfers.Payout(
                payout_id="0x" + identity.hex(), payee=payee, cents=cents, tx_hash="0x",
                account="0x" + payout_account(iban).hex(), ordered_at=0,
                end_to_end_id=end_to_end_id(identity),
            ))  # fmt: skip
            books.post(session, [
                ledger.redeemed("0x" + identity.hex(), ledger.withdrawable(payee), cents)
            ], 0)  # fmt: skip
        return "0x" + identity.hex()

    def stage(self, payout: str) -> tuple[str, str | None]:
        with self.store.read() as session:
            row = transfers.payout(session, payout)
        return row.stage, row.reason

    def tell(self, **instruction: object) -> None:
        name = f"{len(list(self.bank.instructions.rglob('*'))):05}.json"
        write_file(self.bank.instructions / name, json.dumps(instruction).encode())
        self.bank.step()

    def credit(self, cents: int, reference: str) -> None:
        self.tell(kind="pay", to="", text="", amount_cents=cents, reference=reference,
                  **{"from": ADA})  # fmt: skip

    def deliver(self, name: str, body: bytes) -> int:
        write_file(self.bank.from_bank / name, body)
        return read_bank(self.rail)

    def balances(self) -> dict[str, int]:
        with self.store.read() as session:
            return {account: cents for (account, asset), cents in books.balances(session).items()
                    if asset == ledger.EUR and cents}  # fmt: skip

    def fundings(self) -> list[tuple[str | None, int, str]]:
        with self.store.read() as session:
            return [(f.agreement_id, f.cents, f.stage) for f in transfers.all_fundings(session)]

    def outgoing(self) -> list[transfers.BankFile]:
        with self.store.read() as session:
            return list(transfers.files(session, "out"))

    def rejected(self) -> list[str]:
        with self.store.read() as session:
            return [row.reason for row in evidence.rejections(session, None, None, 9)]


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


def test_bank__books_a_payout__once_however_often_it_says_so(desk):
    payout = desk.payout(1, 1_234)
    desk.bare.claims("cp-0001")
    for fact in (Fact.ATTESTED, Fact.SETTLED, Fact.FINAL):
        desk.bare.tell("cp-0001", fact)
    desk.bare.tell("cp-0001", Fact.REDEEMED, payout, payout_id=payout)
    order_payouts(desk.rail)
    desk.bank.step()
    assert read_bank(desk.rail) == 2  # the status report and the notification
    assert desk.stage(payout)[0] == "booked" and desk.bare.stages("cp-0001") == ["reconciled"]
    booked = desk.balances()
    assert booked == {ledger.SAFEGUARDING: -1_234, ledger.DEPOSITS: 1_234}
    desk.tell(kind="close_day")
    assert read_bank(desk.rail) == 1
    assert desk.balances() == booked
    with desk.store.read() as session:
        [statement] = [s for s in transfers.statements(session) if s.day]
        assert len(transfers.lines(session)) == 2 and statement.closing_minor == 998_766


def test_bank__credit_with_a_known_reference__is_funding_once_over_both_reports(desk):
    identity = agreement_of("cp-0001")
    with desk.store.write() as session:
        agreements.get(session, "0x" + identity.hex()).reference = funding_reference(identity)
    desk.credit(5_000, funding_reference(identity))
    read_bank(desk.rail)
    desk.tell(kind="close_day")
    read_bank(desk.rail)
    assert desk.fundings() == [("0x" + identity.hex(), 5_000, "booked")]
    assert desk.balances() == {ledger.SAFEGUARDING: 5_000, ledger.FUNDING: -5_000}


@pytest.mark.parametrize("reference", ["", "RF00PRUNKNOWN", "thank you"])
def test_bank__credit_that_no_agreement_claims__waits_in_suspense(desk, reference):
    desk.credit(777, reference)
    read_bank(desk.rail)
    assert desk.fundings() == [(None, 777, "suspense")]
    assert desk.balances() == {ledger.SAFEGUARDING: 777, ledger.UNALLOCATED: -777}


def test_bank__two_equal_credits__are_two(desk):
    desk.credit(777, "")
    desk.credit(777, "")
    read_bank(desk.rail)
    desk.tell(kind="close_day")
    read_bank(desk.rail)
    assert len(desk.fundings()) == 2 and desk.balances()[ledger.SAFEGUARDING] == 1_554


def test_bank__refuses_a_payout__names_it_and_books_nothing(desk):
    desk.party("0x" + "55" * 20, "Gone", CLOSED)
    bad, good = desk.payout(1, payee="0x" + "55" * 20, iban=CLOSED), desk.payout(2)
    order_payouts(desk.rail)
    desk.bank.step()
    read_bank(desk.rail)
    assert desk.stage(bad) == ("rejected", "AC04") and desk.stage(good)[0] == "booked"
    assert desk.balances()[ledger.IN_TRANSIT] == -1_234  # still owed


@pytest.mark.parametrize("message", ["%", "_" * 34, "", "PM"])
def test_bank__refusal_of_a_message_that_is_not_ours__touches_no_payout(desk, message):
    payout = desk.payout(1)
    order_payouts(desk.rail)
    desk.deliver("strange.xml", messages.status_report(1, message, [], "AC04"))
    assert desk.stage(payout) == ("sent", None)


def test_bank__payout_comes_back__is_still_owed_to_its_payee(desk):
    payout = desk.payout(1)
    order_payouts(desk.rail)
    desk.bank.step()
    read_bank(desk.rail)
    with desk.store.read() as session:
        reference = transfers.payout(session, payout).end_to_end_id
    desk.tell(kind="return", end_to_end_id=reference)
    read_bank(desk.rail)
    assert desk.balances() == {ledger.DEPOSITS: 1_234, ledger.RETURNED: -1_234}
    assert desk.stage(payout) == ("returned", "AC04") and desk.fundings() == []


def test_bank__debit_of_another_amount__is_no_booking_of_the_payout(desk):
    payout = desk.payout(1, 1_234)
    order_payouts(desk.rail)
    desk.bank.step()
    [notice] = desk.bank.from_bank.glob("*camt.054*")
    body = notice.read_bytes().replace(b"12.34", b"12.35")
    notice.unlink()
    read_bank(desk.rail)
    desk.deliver("wrong.xml", body)
    assert desk.stage(payout)[0] == "accepted"
    assert desk.balances()[ledger.UNEXPLAINED] == 1_235


def test_bank__line_in_another_currency__makes_no_euro(desk):
    """A dollar is no euro, whatever the file says of our account: nothing is minted for it."""
    desk.credit(5_000, "")
    [notice] = desk.bank.from_bank.glob("*camt.054*")
    body = notice.read_bytes().replace(b'"EUR"', b'"USD"').replace(b">EUR<", b">USD<")
    notice.unlink()
    assert desk.deliver("dollars.xml", body) == 1
    assert desk.fundings() == [] and desk.balances() == {}


def test_bank__bad_files__are_kept_by_name_and_stop_no_neighbour(desk):
    desk.credit(100, "")
    [notice] = desk.bank.from_bank.glob("*camt.054*")
    write_file(desk.bank.from_bank / "a-first.xml", b"<oops")
    write_file(desk.bank.from_bank / "z-last.xml", b"")
    assert read_bank(desk.rail) == 3 and desk.balances()[ledger.SAFEGUARDING] == 100
    assert sorted(desk.rejected()) == ["empty", "not_xml"]
    inbox = desk.bank.from_bank
    assert sorted(p.name for p in (inbox / "rejected").iterdir()) == ["a-first.xml", "z-last.xml"]
    assert [p.name for p in (inbox / "archive").iterdir()] == [notice.name]


def test_bank__the_same_file_again__is_taken_once(desk):
    desk.credit(100, "")
    [notice] = desk.bank.from_bank.glob("*camt.054*")
    body = notice.read_bytes()
    read_bank(desk.rail)
    assert desk.deliver("again.xml", body) == 1
    assert desk.balances()[ledger.SAFEGUARDING] == 100 and desk.rejected() == []


def test_payments__of_a_booked_payout__are_reconciled_with_it(desk):
    payout = desk.payout(7)
    desk.bare.claims("cp-0001", "cp-0002")
    for name in ("cp-0001", "cp-0002"):
        for fact in (Fact.ATTESTED, Fact.SETTLED, Fact.FINAL):
            desk.bare.tell(name, fact)
        desk.bare.tell(name, Fact.REDEEMED, payout, payout_id=payout)
    order_payouts(desk.rail)
    desk.bank.step()
    read_bank(desk.rail)
    with desk.store.read() as session:
        assert payments.open_counts(session) == {"reconciled": 2}
