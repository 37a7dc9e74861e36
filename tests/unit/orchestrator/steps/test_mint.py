"""Credits that name no agreement: two officers decide, and what they decided happens once."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from orchestrator import approvals
from orchestrator.core import ledger
from orchestrator.core.bank_context import CreditBooked
from orchestrator.core.funding import Fact
from orchestrator.core.references import end_to_end_id, funding_reference
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.store import agreements, fundings
from orchestrator.edges.store import approvals as decided
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.errors import Retry
from orchestrator.steps import mint
from orchestrator.steps.bank_files import read_bank
from orchestrator.steps.payouts import order_payouts
from orchestrator.steps.unallocated_credits import decide_credits, to_allocate, to_send_back
from tests.support.bare_rail import agreement_of
from tests.support.officers import office_of
from tests.support.rail_with_bank import ADA, RailWithBank

EVE, BOB = b"\1" * 32, b"\2" * 32
AGREEMENT = "0x" + agreement_of("cp-0001").hex()
PAYER = {
    "name": "Ada",
    "iban": ADA,
    "street": "",
    "building": "",
    "post_code": "",
    "town": "Potsdam",
    "country": "DE",
}


@pytest.fixture
def rail(tmp_path):
    rail = RailWithBank(tmp_path)
    office = office_of(EVE, BOB, now=5)
    rail.context = replace(rail.context, office=lambda: office)
    rail.credit(777, "")
    read_bank(rail.context)
    yield rail
    rail.bare.close()


def credit(rail) -> fundings.FundingRow:
    with rail.store.read() as session:
        return fundings.of_amounts(session, [777])[0]


def decide(rail, approval) -> str:
    identity = approvals.propose(rail.store, rail.context.office(), approval, EVE)
    approvals.approve(rail.store, rail.context.office(), identity, BOB)
    return identity


def test_allocate__proposed_by_one__does_nothing_yet(rail):
    office = rail.context.office()
    approvals.propose(rail.store, office, to_allocate(credit(rail), AGREEMENT, 3), EVE)
    assert decide_credits(rail.context) == 0 and credit(rail).stage == "suspense"


def test_allocate__approved_by_another__is_to_be_minted_once(rail):
    identity = decide(rail, to_allocate(credit(rail), AGREEMENT, 3))
    assert [decide_credits(rail.context) for _ in range(2)] == [1, 0]
    assert rail.fundings() == [(AGREEMENT, 777, "booked")]
    assert rail.balances() == {ledger.SAFEGUARDING: 777, ledger.FUNDING: -777}
    with rail.store.read() as session:
        [(row, _)] = store_ledger.entries_of_kind(session, "allocated")
        assert (row.source, row.at) == (f"approval:{identity}", rail.bare.place.clock)
        assert decided.get(session, identity).executed_at == rail.bare.place.clock


def test_send_back__approved__is_a_payout_to_the_payers_account(rail):
    row = credit(rail)
    decide(rail, to_send_back(row, PAYER, 3))
    assert [decide_credits(rail.context) for _ in range(2)] == [1, 0]
    assert rail.balances() == {ledger.SAFEGUARDING: 777, ledger.IN_TRANSIT: -777}
    assert order_payouts(rail.context) == 1
    [file] = rail.outgoing()
    reference = end_to_end_id(bytes.fromhex(row.credit_id[2:]))
    assert reference.encode() in file.body and ADA.encode() in file.body
    rail.bank.step()
    read_bank(rail.context)
    assert rail.stage(row.credit_id)[0] == "booked" and rail.balances() == {}
    assert credit(rail).stage == "sent_back" and rail.bank.books.balance(ADA) == 1_000_000
    assert decide_credits(rail.context) == 0 and order_payouts(rail.context) == 0


def test_send_back__to_an_account_of_a_party__makes_no_second_one(rail):
    rail.party("0x" + "77" * 20, "Ada", ADA)
    decide(rail, to_send_back(credit(rail), PAYER, 3))
    assert decide_credits(rail.context) == 1 == order_payouts(rail.context)
    with rail.store.read() as session:
        parties = [row.address for row in agreements.parties(session) if row.iban == ADA]
    assert parties == ["0x" + "77" * 20]


def test_send_back__that_comes_back__is_owed_to_the_payer_and_never_minted(rail):
    row = credit(rail)
    decide(rail, to_send_back(row, PAYER, 3))
    decide_credits(rail.context)
    order_payouts(rail.context)
    rail.bank.step()
    reference = end_to_end_id(bytes.fromhex(row.credit_id[2:]))
    rail.instruct(kind="return", end_to_end_id=reference)
    read_bank(rail.context)
    assert rail.stage(row.credit_id) == ("returned", "AC04")
    assert rail.balances() == {ledger.SAFEGUARDING: 777, ledger.RETURNED: -777}
    assert credit(rail).stage == "sent_back"


@pytest.mark.parametrize(
    "make", [lambda row: to_allocate(row, AGREEMENT, 3), lambda row: to_send_back(row, PAYER, 3)]
)
def test_approval__crash_before_its_end__leaves_nothing_and_is_done_afterwards(
    rail, make, monkeypatch
):
    decide(rail, make(credit(rail)))
    before = rail.balances()
    with monkeypatch.context() as broken:
        broken.setattr(decided, "mark_executed", _power_cut)
        with pytest.raises(KeyboardInterrupt):
            decide_credits(rail.context)
    assert rail.balances() == before and credit(rail).stage == "suspense"
    assert decide_credits(rail.context) == 1


def _power_cut(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("change", [{"cents": 778}, {"stage": "reversed"}, {"stage": "booked"}])
def test_approval__about_a_credit_that_is_another_now__does_nothing(rail, change):
    row = credit(rail)
    decide(rail, to_allocate(row, AGREEMENT, 3))
    with rail.store.write() as session:
        stored = fundings.get(session, row.credit_id)
        for name, value in change.items():
            setattr(stored, name, value)
        session.add(stored)
    before = rail.balances()
    assert decide_credits(rail.context) == 0 and rail.balances() == before


def test_approvals__two_about_one_credit__the_first_counts(rail):
    row = credit(rail)
    decide(rail, to_allocate(row, AGREEMENT, 3))
    decide(rail, to_send_back(row, PAYER, 3))
    assert decide_credits(rail.context) == 1 and credit(rail).stage == "booked"
    assert rail.balances() == {ledger.SAFEGUARDING: 777, ledger.FUNDING: -777}


@pytest.mark.parametrize(("days_ago", "waits"), [(5, True), (4, False)])
def test_credit__for_an_agreement_that_has_ended__waits_for_a_person(rail, days_ago, waits):
    """Its booking date may lie days after it came, behind a holiday: those days count for it."""
    with rail.store.write() as session:
        row = agreements.get(session, AGREEMENT)
        row.reference = funding_reference(agreement_of("cp-0001"))
        row.expiry = 1_759_968_000 - days_ago * 86_400  # 2025-10-09T00:00Z: the credit's day
        session.add(row)
    rail.credit(500, funding_reference(agreement_of("cp-0001")))
    read_bank(rail.context)
    assert ((None, 500, "suspense") in rail.fundings()) == waits


def test_credit__for_an_agreement_whose_escrow_went_back__waits_for_a_person(rail):
    with rail.store.write() as session:
        row = agreements.get(session, AGREEMENT)
        row.reference = funding_reference(agreement_of("cp-0001"))
        session.add(row)
        store_ledger.post(session, [ledger.reclaimed("0x1:0", AGREEMENT, 5)], 1, "block:0x1")
    rail.credit(500, funding_reference(agreement_of("cp-0001")))
    read_bank(rail.context)
    assert (None, 500, "suspense") in rail.fundings()


@pytest.mark.parametrize(("stage", "then"), [("booked", "reversed"), ("minting", "minting")])
def test_credit__taken_back__is_not_minted_unless_that_is_under_way(rail, stage, then):
    """A mint that was sent cannot be recalled: its tokens come, and the books say what is short."""
    with rail.store.write() as session:
        row = agreements.get(session, AGREEMENT)
        row.reference = funding_reference(agreement_of("cp-0001"))
        session.add(row)
    rail.instruct(kind="misbehave", what="reverse_credit", days=1)
    rail.credit(500, funding_reference(agreement_of("cp-0001")))
    read_bank(rail.context)
    with rail.store.write() as session:
        [mine] = fundings.of_amounts(session, [500])
        if stage == "minting":
            fundings.record_fact(session, mine.credit_id, Fact.MINT_SIGNED)
        assert fundings.get(session, mine.credit_id).stage == stage
    rail.instruct(kind="close_day")
    read_bank(rail.context)
    with rail.store.read() as session:
        assert [funding.stage for funding in fundings.of_amounts(session, [500])] == [then]
    assert rail.balances() == {ledger.SAFEGUARDING: 777, ledger.UNALLOCATED: -777}


def test_mint__more_wait_for_the_chain_than_a_turn_takes__the_next_has_its_turn(rail, monkeypatch):
    """Anybody may pay cents with the reference of an agreement that no chain knows."""
    monkeypatch.setattr(mint, "_AT_ONCE", 3)
    ids = [f"0x{n:064x}" for n in range(8)]
    with rail.store.write() as session:
        fundings.add(session, [CreditBooked(credit_id, AGREEMENT, 1) for credit_id in ids])
    asked = []

    def quote(call):
        asked.append(call.args[0])
        raise Retry("EuroToken.mintToEscrow would revert: AgreementUnknown")

    chain = SimpleNamespace(deployment=Deployment(1, "", {"PaymentRail": "0x1"}, {}, True))
    context = replace(rail.context, chain=chain, minter=SimpleNamespace(quote=quote))
    assert [mint.mint(context) for _ in range(3)] == [0, 0, 0]
    assert set(asked) == set(ids) and len(asked) == 9


def test_credit__allocated_and_sent_back_by_two_approvals__is_done_once(rail):
    """Each was signed by both officers; the credit is there once."""
    decide(rail, to_send_back(credit(rail), PAYER, 3))
    decide(rail, to_allocate(credit(rail), AGREEMENT, 3))
    assert [decide_credits(rail.context) for _ in range(2)] == [1, 0]
    assert rail.balances() == {ledger.SAFEGUARDING: 777, ledger.FUNDING: -777}
    assert order_payouts(rail.context) == 0
