"""A state machine over chain, ledger and bank: the books hold after any actions in any order.

It uses real contracts on a real chain, the rail's own steps and the simulated bank. After every
step the invariants are read from each side's own source. The oracles sign what they are asked.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from orchestrator.core import ledger
from orchestrator.edges.store import blocks, payouts
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.steps.reconcile import reconcile_store
from orchestrator.views.journal_check import check_anchors
from scripts.month.days import at
from tests.support import snapshot_rail
from tests.support.small_rail import WINDOW, has_anvil
from tests.support.snapshot_rail import FINALITY, SnapshotRail

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")

UNKNOWN = "RF18539007547034"
NAMES = ("cp-0001", "cp-0002", "meter-0001")
MISBOOKINGS = {"book_twice": "duplicate", "book_a_cent_more": "amount"}  # method: break


class Money(RuleBasedStateMachine):
    """Checks the books after any action.

    Attributes:
        allowed: the kinds of breaks that the actions so far can cause; no other may be reported.
    """

    rail: SnapshotRail  # one for all examples

    @initialize()
    def start(self) -> None:
        self.rail.reset()
        self.unallocated = 0
        self.allowed = {"reorganised"}

    def teardown(self) -> None:
        if hasattr(self, "allowed"):
            self.rail.end()

    # --- what people, devices and the bank do

    @rule(name=st.sampled_from(NAMES), cents=st.integers(1, 5_000))
    def pay(self, name: str, cents: int) -> None:
        self.rail.bank.standing_orders([(self.rail.payer_iban, cents, self.rail.references[name])])

    @rule(cents=st.integers(1, 5_000))
    def pay_with_an_unknown_reference(self, cents: int) -> None:
        self.rail.bank.standing_orders([(self.rail.payer_iban, cents, UNKNOWN)])
        self.unallocated += cents
        self.allowed.add("unmatched_funding")

    @rule(name=st.sampled_from(NAMES), watt_hours=st.integers(1, 9_000))
    def measure(self, name: str, watt_hours: int) -> None:
        device = self.rail.fleet[name]
        device.now = max(device.now, self.rail.clock - 100_000)
        self.rail.clock = max(self.rail.clock, device.now + 10_000)
        kwh = f"{watt_hours // 1_000}.{watt_hours % 1_000:03}"
        records = device.reading(kwh) if name.startswith("meter") else device.session(kwh)
        assert self.rail.take(*records) == ["accepted"]

    @rule()
    def bank_works(self) -> None:
        self.rail.bank.step()

    @rule()
    def bank_closes_its_day(self) -> None:
        self.rail.bank.close_day()
        self.rail.clock = max(self.rail.clock, at(self.rail.bank.books.today, 7))
        self.allowed |= {"missing", "timing"}  # orders that the bank did not take that day

    @rule(misbooking=st.sampled_from(sorted(MISBOOKINGS)))
    def bank_will_misbook(self, misbooking: str) -> None:
        self.rail.bank.misbookings[self.rail.payee_iban] = getattr(self.rail.bank, misbooking)
        self.allowed.add(MISBOOKINGS[misbooking])

    @rule(closed=st.booleans())
    def payee_closes_its_account(self, closed: bool) -> None:
        self.rail.bank.set_closed(self.rail.payee_iban, closed)
        self.allowed.add("rejected")

    @rule()
    def payout_comes_back(self) -> None:
        for booked in self.booked_orders()[-1:]:  # no precondition: it would ask the chain
            self.rail.bank.instruct({"kind": "return", "end_to_end_id": booked})
            self.allowed.add("returned")

    @rule(cents=st.integers(1, 500))
    def bank_takes_money_out(self, cents: int) -> None:
        self.rail.bank.debit(cents, "Lastschrift")
        self.allowed |= {"extra", "amount"}

    # --- what the chain and the rail do

    @rule(count=st.integers(1, FINALITY + 1))
    def mine(self, count: int) -> None:
        for _ in range(count):
            self.rail.mine(12)

    @rule()
    def windows_end(self) -> None:
        self.rail.mine(WINDOW + 1)

    @rule(depth=st.integers(1, FINALITY))
    def chain_reorganises(self, depth: int) -> None:
        self.rail.reorganise(depth)

    @rule()
    def rail_works(self) -> None:
        self.rail.turn()

    @rule(turns=st.integers(2, 4))
    def a_while_passes(self, turns: int) -> None:
        for _ in range(turns):
            self.rail.mine(WINDOW)
            self.rail.turn()
            self.rail.bank.step()

    @rule(name=st.sampled_from(NAMES), commits=st.integers(1, 6), undone=st.booleans())
    def power_goes(self, name: str, commits: int, undone: bool) -> None:
        """Cut the power in a turn in which a settlement becomes final."""
        self.measure(name, 1_000)
        self.mine(1)
        self.rail.turn()
        self.mine(FINALITY + 1)
        self.rail.commits, self.rail.undone = commits, undone
        self.rail.turn()

    @rule()
    def rail_starts_again(self) -> None:
        self.rail.store.close()
        self.rail.begin()

    # --- what must hold after each step

    @invariant()
    def debits_equal_credits(self) -> None:
        with self.rail.store.read() as session:
            sums: Counter[str] = Counter()
            for (_, asset), amount in store_ledger.balances(session).items():
                sums[asset] += amount
        assert not any(sums.values()), sums

    @invariant()
    def nothing_is_booked_beyond_what_was_owed(self) -> None:
        """Liabilities to payers, payees and the bank are never overdrawn."""
        owed = ("escrow:", "pending:", "withdrawable:", ledger.IN_TRANSIT, ledger.RETURNED)
        held = self.rail.balances().items()
        assert not {name: cents for name, cents in held if name.startswith(owed) and cents > 0}

    @invariant()
    def ledger_is_the_chain_at_its_final_block(self) -> None:
        with self.rail.store.read() as session:
            final = blocks.newest_final(session)
        held: Counter[str] = Counter()
        for account, amount in self.rail.balances().items():
            held[account.split(":")[0]] -= amount
        totals = self.rail.at_block("PaymentRail", "totals", final)
        for name, amount in zip(
            ("escrow", "pending", "withdrawable", "frozen"), totals, strict=False
        ):
            assert held[name] == amount, f"{name} at block {final}"
        supply = self.rail.at_block("EuroToken", "totalSupply", final)
        assert self.rail.balances().get(ledger.ISSUED, 0) == supply

    @invariant()
    def supply_is_explained_and_every_break_is_expected(self) -> None:
        with self.rail.store.read() as session:
            reconciliation = reconcile_store(session, self.rail.iban, self.rail.clock)
        assert reconciliation.difference_micro == 0
        items = (*reconciliation.breaks, *reconciliation.closed)
        reported = {str(item.kind) for item in items}
        assert reported <= self.allowed, (reported - self.allowed, reconciliation.breaks)

    @invariant()
    def each_payout_is_ordered_at_most_once(self) -> None:
        with self.rail.store.read() as session:
            ordered = self.rail.ordered(session)
            by_reference = {row.end_to_end_id: row for row in payouts.all_payouts(session)}
            final = blocks.newest_final(session)
        assert not [name for name, times in ordered.items() if times > 1]
        assert set(ordered) <= set(by_reference)
        hashes = [by_reference[name].tx_hash for name in ordered]
        receipts = self.rail.chain.receipts(hashes) if hashes else []
        assert all(receipt and receipt.block_number <= final for receipt in receipts)

    @invariant()
    def journal_holds_and_so_do_its_anchors(self) -> None:
        with self.rail.store.read() as session:
            assert store_ledger.first_broken_link(session) is None
        sender = self.rail.accounts["sender"].address
        assert check_anchors(self.rail.store, self.rail.chain, {sender}).verdict == "holds"

    def booked_orders(self) -> list[str]:
        rows = self.rail.bank.books.db.execute(
            "SELECT end_to_end_id FROM orders WHERE state = 'booked' ORDER BY rowid"
        )
        return [row[0] for row in rows]


class _MoneyToTheEnd(Money):
    """After each example everything settles, and no money may be left in transit."""

    def teardown(self) -> None:
        if hasattr(self, "allowed") and sys.exc_info()[0] is None:
            self._settle_everything()
            self._everything_arrived()
        super().teardown()

    def _settle_everything(self) -> None:
        self.rail.bank.set_closed(self.rail.payee_iban, False)
        for _ in range(6):
            self.a_while_passes(2)
        for _ in range(2):
            self.bank_closes_its_day()
            self.a_while_passes(3)

    def _everything_arrived(self) -> None:
        """The ledger agrees with the bank, and every cent that came in is accounted for."""
        held = self.rail.balances()
        assert held.get(ledger.SAFEGUARDING, 0) == self.rail.bank.books.balance(self.rail.iban)
        assert held.get(ledger.FUNDING, 0) == 0
        assert held.get(ledger.UNALLOCATED, 0) == -self.unallocated
        assert self.rail.bank.books.is_balanced()
        with self.rail.store.read() as session:
            waiting = [row.stage for row in payouts.all_payouts(session)]
        assert not {"due", "sent", "accepted"} & set(waiting) or self.allowed & {"amount"}


@pytest.mark.long
@pytest.mark.extended
def test_money__anything_in_any_order__the_books_hold_after_each_step() -> None:
    with tempfile.TemporaryDirectory(prefix="machine-") as folder:
        Money.rail = snapshot_rail.make(Path(folder))
        try:
            _MoneyToTheEnd.TestCase.settings = settings(
                max_examples=10,
                stateful_step_count=20,
                deadline=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
                phases=(Phase.generate,),
            )
            _MoneyToTheEnd.TestCase().runTest()
        finally:
            Money.rail.testnet.stop()
