"""Between ledger and bank: booked once, and only what is known becomes money.

The bank is the simulated one with its real files; the chain is not needed here.
"""

from __future__ import annotations

import pytest

from orchestrator.core import ledger
from orchestrator.core.payment import Fact
from orchestrator.core.references import funding_reference
from orchestrator.edges.store import agreements, bank_files, payments, payouts
from orchestrator.steps.bank_files import read_bank
from orchestrator.steps.payouts import order_payouts
from services.simulated_bank import messages
from services.simulated_bank.bank import write_file
from tests.support.bare_rail import agreement_of
from tests.support.rail_with_bank import CLOSED, RailWithBank


@pytest.fixture
def rail(tmp_path):
    rail = RailWithBank(tmp_path)
    yield rail
    rail.bare.close()


def test_bank__books_a_payout__once_however_often_it_says_so(rail):
    payout = rail.payout(1, 1_234)
    rail.bare.claims("cp-0001")
    for fact in (Fact.ATTESTED, Fact.SETTLED, Fact.FINAL):
        rail.bare.record("cp-0001", fact)
    rail.bare.record("cp-0001", Fact.REDEEMED, payout, payout_id=payout)
    order_payouts(rail.context)
    rail.bank.step()
    assert read_bank(rail.context) == 2  # the status report and the notification
    assert rail.stage(payout)[0] == "booked" and rail.bare.stages("cp-0001") == ["booked"]
    booked = rail.balances()
    assert booked == {ledger.SAFEGUARDING: -1_234, ledger.DEPOSITS: 1_234}
    rail.instruct(kind="close_day")
    assert read_bank(rail.context) == 1
    assert rail.balances() == booked
    with rail.store.read() as session:
        [statement] = [s for s in bank_files.statements(session) if s.day]
        assert len(bank_files.all_lines(session)) == 2 and statement.closing_minor == 998_766


def test_bank__credit_with_a_known_reference__is_funding_once_over_both_reports(rail):
    identity = agreement_of("cp-0001")
    with rail.store.write() as session:
        agreements.get(session, "0x" + identity.hex()).reference = funding_reference(identity)
    rail.credit(5_000, funding_reference(identity))
    read_bank(rail.context)
    rail.instruct(kind="close_day")
    read_bank(rail.context)
    assert rail.fundings() == [("0x" + identity.hex(), 5_000, "booked")]
    assert rail.balances() == {ledger.SAFEGUARDING: 5_000, ledger.FUNDING: -5_000}


@pytest.mark.parametrize("reference", ["", "RF00PRUNKNOWN", "thank you"])
def test_bank__credit_that_no_agreement_claims__waits_in_suspense(rail, reference):
    rail.credit(777, reference)
    read_bank(rail.context)
    assert rail.fundings() == [(None, 777, "suspense")]
    assert rail.balances() == {ledger.SAFEGUARDING: 777, ledger.UNALLOCATED: -777}


def test_bank__two_equal_credits__are_two(rail):
    rail.credit(777, "")
    rail.credit(777, "")
    read_bank(rail.context)
    rail.instruct(kind="close_day")
    read_bank(rail.context)
    assert len(rail.fundings()) == 2 and rail.balances()[ledger.SAFEGUARDING] == 1_554


def test_bank__refuses_a_payout__names_it_and_books_nothing(rail):
    rail.party("0x" + "55" * 20, "Gone", CLOSED)
    bad, good = rail.payout(1, payee="0x" + "55" * 20, iban=CLOSED), rail.payout(2)
    order_payouts(rail.context)
    rail.bank.step()
    read_bank(rail.context)
    assert rail.stage(bad) == ("rejected", "AC04") and rail.stage(good)[0] == "booked"
    assert rail.balances()[ledger.IN_TRANSIT] == -1_234  # still owed


@pytest.mark.parametrize("message", ["%", "_" * 34, "", "PM"])
def test_bank__refusal_of_a_message_that_is_not_ours__touches_no_payout(rail, message):
    payout = rail.payout(1)
    order_payouts(rail.context)
    rail.deliver("strange.xml", messages.status_report(1, message, [], "AC04"))
    assert rail.stage(payout) == ("sent", None)


def test_bank__payout_comes_back__is_still_owed_to_its_payee(rail):
    payout = rail.payout(1)
    order_payouts(rail.context)
    rail.bank.step()
    read_bank(rail.context)
    with rail.store.read() as session:
        reference = payouts.get(session, payout).end_to_end_id
    rail.instruct(kind="return", end_to_end_id=reference)
    read_bank(rail.context)
    assert rail.balances() == {ledger.DEPOSITS: 1_234, ledger.RETURNED: -1_234}
    assert rail.stage(payout) == ("returned", "AC04") and rail.fundings() == []


def test_bank__debit_of_another_amount__is_no_booking_of_the_payout(rail):
    payout = rail.payout(1, 1_234)
    order_payouts(rail.context)
    rail.bank.step()
    [notice] = rail.bank.from_bank.glob("*camt.054*")
    body = notice.read_bytes().replace(b"12.34", b"12.35")
    notice.unlink()
    read_bank(rail.context)
    rail.deliver("wrong.xml", body)
    assert rail.stage(payout)[0] == "accepted"
    assert rail.balances()[ledger.UNEXPLAINED] == 1_235


def test_bank__line_in_another_currency__makes_no_euro(rail):
    """A dollar is no euro, even if the file names our account: nothing is minted for it."""
    rail.credit(5_000, "")
    [notice] = rail.bank.from_bank.glob("*camt.054*")
    body = notice.read_bytes().replace(b'"EUR"', b'"USD"').replace(b">EUR<", b">USD<")
    notice.unlink()
    assert rail.deliver("dollars.xml", body) == 1
    assert rail.fundings() == [] and rail.balances() == {}


def test_bank__bad_files__are_kept_by_name_and_stop_no_other_file(rail):
    rail.credit(100, "")
    [notice] = rail.bank.from_bank.glob("*camt.054*")
    write_file(rail.bank.from_bank / "a-first.xml", b"<oops")
    write_file(rail.bank.from_bank / "z-last.xml", b"")
    assert read_bank(rail.context) == 3 and rail.balances()[ledger.SAFEGUARDING] == 100
    assert sorted(rail.rejected()) == ["empty", "not_xml"]
    inbox = rail.bank.from_bank
    assert sorted(p.name for p in (inbox / "rejected").iterdir()) == ["a-first.xml", "z-last.xml"]
    assert [p.name for p in (inbox / "archive").iterdir()] == [notice.name]


def test_bank__the_same_file_again__is_taken_once(rail):
    rail.credit(100, "")
    [notice] = rail.bank.from_bank.glob("*camt.054*")
    body = notice.read_bytes()
    read_bank(rail.context)
    assert rail.deliver("again.xml", body) == 1
    assert rail.balances()[ledger.SAFEGUARDING] == 100 and rail.rejected() == []


def test_payments__of_a_booked_payout__are_reconciled_once_a_statement_shows_it(rail):
    payout = rail.payout(7)
    rail.bare.claims("cp-0001", "cp-0002")
    for name in ("cp-0001", "cp-0002"):
        for fact in (Fact.ATTESTED, Fact.SETTLED, Fact.FINAL):
            rail.bare.record(name, fact)
        rail.bare.record(name, Fact.REDEEMED, payout, payout_id=payout)
    order_payouts(rail.context)
    rail.bank.step()
    read_bank(rail.context)
    with rail.store.read() as session:
        assert payments.open_counts(session) == {"booked": 2}  # a notification is no statement
    rail.instruct(kind="close_day")
    read_bank(rail.context)
    with rail.store.read() as session:
        assert payments.open_counts(session) == {"reconciled": 2}
