"""Double entry: every builder balances per asset, and any history keeps supply and sum of zero."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from orchestrator.core import debt_entries, ledger
from orchestrator.errors import Halt

AGREEMENTS, PAYEES = ("a1", "a2"), ("0xP1", "0xP2")
MEMO = ("receivable", "debt_due")
BUILT = {
    "funding_booked": lambda n: ledger.funding_booked("c", n),
    "minted": lambda n: ledger.minted("c", ledger.escrow("a"), n * 10_000),
    "settled": lambda n: ledger.settled("p", "a", "0xP", n),
    "debt_recorded": lambda n: debt_entries.debt_recorded("p", "a", "0xP", n),
    "debt_paid": lambda n: debt_entries.debt_paid("t:5", "a", "0xP", ledger.pending("0xP"), n),
    "released": lambda n: ledger.released("t:1", "0xP", n),
    "redeemed": lambda n: ledger.redeemed("o", ledger.withdrawable("0xP"), n),
    "payout_booked": lambda n: ledger.payout_booked("o", n),
    "disputed": lambda n: ledger.disputed("p", "0xP", n),
    "debt_cancelled": lambda n: debt_entries.debt_cancelled("t:6", "a", "0xP", n),
    "dispute_ended": lambda n: ledger.dispute_ended("p", "a", "0xP", n, n // 3),
    "reclaimed": lambda n: ledger.reclaimed("t:2", "a", n),
    "withdrawn": lambda n: ledger.withdrawn("t:3", "0xP", n),
    "funded": lambda n: ledger.funded("t:4", "a", n),
    "unexplained": lambda n: ledger.unexplained("l", n),
    "payout_returned": lambda n: ledger.payout_returned("o/x", n),
    "reordered": lambda n: ledger.reordered("o/y", n),
    "bank_charge": lambda n: ledger.bank_charge("l", n),
    "unallocated": lambda n: ledger.unallocated("c", n),
    "allocated": lambda n: ledger.allocated("c", n),
    "sent_back": lambda n: ledger.sent_back("o", n),
    "credit_reversed": lambda n: ledger.credit_reversed("c", ledger.FUNDING, n),
}


def sums(postings) -> dict[str, int]:
    totals: dict[str, int] = {}
    for posting in postings:
        totals[posting.asset] = totals.get(posting.asset, 0) + posting.amount_minor
    return totals


@pytest.mark.parametrize("kind", BUILT)
@settings(max_examples=25, deadline=None)
@given(amount=st.integers(1, 2**48))
def test_builders__each__balances_per_asset_and_says_its_kind(kind, amount):
    entry = BUILT[kind](amount)
    assert entry.kind == kind and entry.postings
    assert set(sums(entry.postings).values()) == {0}
    assert all(type(posting.amount_minor) is int for posting in entry.postings)


def test_builders__nothing_in_the_module__is_left_out_of_the_table():
    public = {
        name
        for name, thing in (vars(ledger) | vars(debt_entries)).items()
        if callable(thing)
        and getattr(thing, "__annotations__", {}).get("return") == "Entry"
        and not name.startswith("_")
    }
    assert public - {"entry"} == set(BUILT)


def test_entry__out_of_balance_in_one_asset__halts():
    with pytest.raises(Halt, match="does not balance"):
        ledger.entry("k", "r", [("a", "EUR/2", 5), ("b", "tEUR/6", -5)])


def test_entry__zero_postings__are_left_out():
    assert ledger.settled("p", "a", "0xP", 0).postings == ()


def test_entry__same_cause__has_the_same_id_and_another_kind_another():
    first, two = ledger.released("r", "0xP", 5), ledger.released("r", "0xP", 6)
    assert first.entry_id == two.entry_id != ledger.withdrawn("r", "0xP", 5).entry_id


def test_entry__dated_by_its_input__keeps_the_first_one():
    entry = ledger.settled("p", "a", "0xP", 5)
    dated = entry.dated(7, "block:0x1")
    assert (dated.at, dated.source, dated.entry_id) == (7, "block:0x1", entry.entry_id)
    assert dated.dated(8, "block:0x2") == dated
    assert ledger.entry_id("settled", "p") == entry.entry_id


@pytest.mark.parametrize(
    "other",
    [
        ledger.settled("p", "a", "0xP", 5).dated(7, "block:0x2"),
        ledger.settled("p", "a", "0xP", 5).dated(8, "block:0x1"),
        ledger.settled("p", "a", "0xP", 6).dated(7, "block:0x1"),
        ledger.settled("p", "a", "0xP", 5),
    ],
)
def test_chain_hash__covers__time_and_input_too(other):
    first = ledger.settled("p", "a", "0xP", 5).dated(7, "block:0x1")
    assert ledger.chain_hash(ledger.GENESIS, first) != ledger.chain_hash(ledger.GENESIS, other)


def test_chain_hash__of_an_entry_from_before_sources_were_recorded__is_as_it_was():
    """Journals of earlier releases must go on to hold: this is what they computed."""
    old = ledger.funding_booked("c1", 5)
    assert (
        ledger.chain_hash(ledger.GENESIS, old)
        == sha256(
            "\n".join(
                [
                    "0" * 64,
                    old.entry_id,
                    "funding_booked",
                    "c1",
                    "bank:safeguarding|EUR/2|5",
                    "suspense:funding|EUR/2|-5",
                ]
            ).encode()
        ).hexdigest()
    )


@pytest.mark.parametrize("micro", [1, 9_999, 10_001])
def test_cents__where_some_would_be_lost__halt(micro):
    with pytest.raises(Halt, match="whole number of cents"):
        ledger.cents_of(micro)


def test_payees__however_their_address_is_cased__have_one_account():
    assert ledger.pending("0xAB") == ledger.pending("0xab")
    assert ledger.receivable("0xAB") == ledger.receivable("0xab")
    assert ledger.withdrawable("0xAB") == ledger.withdrawable("0xab")


class LedgerMachine(RuleBasedStateMachine):
    """Any order of what chain and bank can do; balances are debit positive."""

    def __init__(self) -> None:
        super().__init__()
        self.postings: list[ledger.Posting] = []
        self.number = 0
        self.owed: dict[tuple[str, str], int] = {}

    def post(self, build, *args) -> None:
        self.number += 1
        self.postings += build(str(self.number), *args).postings

    def balance(self, account: str, asset: str = ledger.TEUR) -> int:
        return ledger.balances(self.postings).get((account, asset), 0)

    def held(self, account: str) -> int:
        return -self.balance(account)

    @rule(cents=st.integers(1, 10**9), agreement=st.sampled_from(AGREEMENTS))
    def credit_and_mint(self, cents, agreement):
        self.post(ledger.funding_booked, cents)
        self.post(ledger.minted, ledger.escrow(agreement), cents * 10_000)

    @rule(cents=st.integers(1, 10**6))
    def unexplained(self, cents):
        self.post(ledger.unexplained, -cents)

    @rule(agreement=st.sampled_from(AGREEMENTS), payee=st.sampled_from(PAYEES), data=st.data())
    def settle(self, agreement, payee, data):
        amount = data.draw(st.integers(0, self.held(ledger.escrow(agreement))))
        self.post(ledger.settled, agreement, payee, amount)

    @rule(payee=st.sampled_from(PAYEES), data=st.data())
    def release(self, payee, data):
        amount = data.draw(st.integers(0, self.held(ledger.pending(payee))))
        self.post(ledger.released, payee, amount)

    @rule(
        agreement=st.sampled_from(AGREEMENTS),
        payee=st.sampled_from(PAYEES),
        amount=st.integers(1, 10**9),
    )
    def record_debt(self, agreement, payee, amount):
        self.owed[agreement, payee] = self.owed.get((agreement, payee), 0) + amount
        self.post(debt_entries.debt_recorded, agreement, payee, amount)

    @precondition(lambda self: any(self.owed.values()))
    @rule(data=st.data(), from_wallet=st.booleans())
    def pay_debt(self, data, from_wallet):
        agreement, payee = data.draw(st.sampled_from(sorted(k for k, v in self.owed.items() if v)))
        source = ledger.WALLETS if from_wallet else ledger.pending(payee)
        most = min(self.held(source), self.owed[agreement, payee])
        amount = data.draw(st.integers(0, most))
        self.owed[agreement, payee] -= amount
        self.post(debt_entries.debt_paid, agreement, payee, source, amount)

    @rule(payee=st.sampled_from(PAYEES), data=st.data())
    def dispute(self, payee, data):
        amount = data.draw(st.integers(0, self.held(ledger.pending(payee))))
        self.post(ledger.disputed, payee, amount)

    @rule(payee=st.sampled_from(PAYEES), data=st.data())
    def end_dispute(self, payee, data):
        amount = data.draw(st.integers(0, self.held(ledger.FROZEN)))
        kept = data.draw(st.integers(0, amount))
        self.post(ledger.dispute_ended, "a1", payee, amount - kept, kept)

    @precondition(lambda self: any(self.owed.values()))
    @rule(data=st.data())
    def cancel_debt(self, data):
        agreement, payee = data.draw(st.sampled_from(sorted(k for k, v in self.owed.items() if v)))
        amount = data.draw(st.integers(0, self.owed[agreement, payee]))
        self.owed[agreement, payee] -= amount
        self.post(debt_entries.debt_cancelled, agreement, payee, amount)

    @rule(payee=st.sampled_from(PAYEES))
    def redeem(self, payee):
        cents = self.held(ledger.withdrawable(payee)) // 10_000
        self.post(ledger.redeemed, ledger.withdrawable(payee), cents)

    @rule(payee=st.sampled_from(PAYEES), data=st.data())
    def withdraw(self, payee, data):
        amount = data.draw(st.integers(0, self.held(ledger.withdrawable(payee))))
        self.post(ledger.withdrawn, payee, amount)

    @rule(agreement=st.sampled_from(AGREEMENTS))
    def reclaim(self, agreement):
        self.post(ledger.reclaimed, agreement, self.held(ledger.escrow(agreement)))

    @rule(agreement=st.sampled_from(AGREEMENTS), data=st.data())
    def fund(self, agreement, data):
        amount = data.draw(st.integers(0, self.held(ledger.WALLETS)))
        self.post(ledger.funded, agreement, amount)

    @precondition(lambda self: self.balance(ledger.IN_TRANSIT, ledger.EUR) < 0)
    @rule()
    def book_payouts(self):
        self.post(ledger.payout_booked, -self.balance(ledger.IN_TRANSIT, ledger.EUR))

    @invariant()
    def balanced(self):
        assert not any(sums(self.postings).values())

    @invariant()
    def supply_is_where_the_tokens_are(self):
        """issued = escrow + pending + withdrawable + frozen + wallets; nobody owes tokens."""
        places = {
            account: -amount
            for (account, asset), amount in ledger.balances(self.postings).items()
            if asset == ledger.TEUR
            and account != ledger.ISSUED
            and account.split(":")[0] not in MEMO
        }
        assert self.balance(ledger.ISSUED) == sum(places.values())
        assert all(amount >= 0 for amount in places.values())

    @invariant()
    def debts_are_a_memo_of_two_sides(self):
        """What payees owe is what agreements are due, and no token stands for either."""
        for payee in PAYEES:
            owed = sum(v for (_, p), v in self.owed.items() if p == payee)
            assert self.balance(ledger.receivable(payee)) == owed
        for agreement in AGREEMENTS:
            due = sum(v for (a, _), v in self.owed.items() if a == agreement)
            assert self.held(ledger.debt_due(agreement)) == due

    @invariant()
    def every_token_has_its_euro(self):
        owed = self.held(ledger.ISSUED) + 10_000 * -self.balance(ledger.DEPOSITS, ledger.EUR)
        assert owed == 0
        bank = self.balance(ledger.SAFEGUARDING, ledger.EUR)
        explained = sum(
            self.balance(a, ledger.EUR)
            for a in (ledger.DEPOSITS, ledger.FUNDING, ledger.IN_TRANSIT, ledger.UNEXPLAINED)
        )
        assert bank == -explained


LedgerMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
test_books__any_history__keeps_supply_and_zero = LedgerMachine.TestCase
