"""No value appears or vanishes: a random run of everything that moves money, checked at each step.

given any sequence of mint, fund, charges, debts, dispute, end of dispute, release, repay,
withdraw, redeem, close, reclaim, waiting, payout accounts set and unset
├── escrow + pending + withdrawable + frozen + wallets + redeemed = minted, and the rail's sums are
│   its token balance
└── what is owed = debts settled - debts paid, agreement by agreement the oldest first
"""

from __future__ import annotations

import random

import pytest

from tests.support.contracts.contract_rail import ACCOUNT, CENT, DAY, EURO, NONE
from tests.support.contracts.settled import plain_facts

STEPS = 100
DECK = [
    "mint",
    "fund",
    "settle",
    "settle",
    "signed_settle",
    "signed_settle",
    "signed_settle",
    "dispute",
    "dispute",
    "end_dispute",
    "release",
    "release",
    "repay",
    "withdraw",
    "redeem",
    "wait",
    "wait",
    "wait",
    "account",
    "reclaim",
]
DEEP_EVERY = 10  # steps between checks that read every account


class RandomRun:
    """A rail under random operations, with what was minted kept apart from the contracts."""

    def __init__(self, contracts, seed: int) -> None:
        self.contracts, self.dice = contracts, random.Random(seed)
        self.plain = contracts.add_product("PlainProduct", 0)
        metered = contracts.agreements(2, window=DAY, cap=20 * EURO)
        self.signed = contracts.agreements(3, window=DAY, cap=20 * EURO, product=self.plain.address)
        self.metered = [contracts.agreement, *metered]
        self.agreements = self.metered + self.signed
        self.deck: list[str] = []
        self.debts: list[list] = []  # [agreement, amount] of the payee, oldest first
        self.minted = contracts.token.totalSupply()
        self.open_payments, self.disputed, self.times = [], [], set()
        self.done: dict[str, int] = {}

    def step(self) -> None:
        if not self.deck:
            self.deck = self.dice.sample(DECK, len(DECK))
        name = self.deck.pop()
        if getattr(self, name)():
            self.done[name] = self.done.get(name, 0) + 1
        self.contracts.assert_conserved()

    def send(self, method, *args, sender) -> bool:
        """Send what would succeed; what would revert changes nothing and is no step."""
        if self.contracts.refusal(method, *args, sender=sender):
            return False
        receipt = method(*args, sender=sender)
        for log in receipt.events:
            if log.event_name == "DebtPaid":
                self.paid(bytes(log.agreement), log.amount)
            if log.event_name == "DebtCancelled":
                self.cancelled(bytes(log.agreement), log.amount)
        return True

    def paid(self, agreement: bytes, amount: int) -> None:
        assert self.debts[0][0] == agreement and amount <= self.debts[0][1]
        self.debts[0][1] -= amount
        if not self.debts[0][1]:
            self.debts.pop(0)

    def cancelled(self, agreement: bytes, amount: int) -> None:
        (debt,) = [debt for debt in self.debts if debt[0] == agreement]
        debt[1] -= amount
        self.debts = [debt for debt in self.debts if debt[1]]

    def mint(self) -> bool:
        amount, contracts = self.dice.randrange(1, 9 * EURO), self.contracts
        self.minted += amount
        if self.dice.random() < 0.5:
            contracts.mint(amount, self.dice.choice(self.agreements))
        else:
            contracts.mint(amount)
        return True

    def fund(self) -> bool:
        contracts, amount = self.contracts, self.dice.randrange(1, 3 * EURO)
        contracts.token.approve(contracts.rail, amount, sender=contracts.payer)
        return self.send(
            contracts.rail.fund, self.dice.choice(self.agreements), amount, sender=contracts.payer
        )

    def settle(self) -> bool:
        contracts = self.contracts
        claims = [
            contracts.claim(agreement, sequence, kwh=self.dice.randrange(0, 9))
            for agreement, sequence in self.some(self.metered)
        ]
        return self.keep(contracts.settle(*claims))

    def signed_settle(self) -> bool:
        """Charges and debts in one batch."""
        contracts, dice = self.contracts, self.dice
        claims = []
        for agreement, sequence in self.some(self.signed):
            amount = dice.choice([1, 1, -1]) * dice.randrange(0, 4 * EURO)
            row = plain_facts(amount)
            claims.append(contracts.claim(agreement, sequence, facts=row))
        return self.keep(contracts.settle(*claims, product=self.plain))

    def some(self, agreements):
        count = self.dice.randrange(1, len(agreements) + 1)
        for agreement in sorted(self.dice.sample(agreements, count)):
            after = self.dice.choice([1, 1, 1, 2])
            yield agreement, self.contracts.rail.agreementState(agreement)[0] + after

    def keep(self, settlement) -> bool:
        for index, amount in enumerate(settlement.amounts):
            if amount > 0:
                self.open_payments.append((settlement, index))
                self.times.add(settlement.outcomes[index][5])
            elif amount < 0:
                self.owe(settlement.batch.claims[index].agreement, -amount)
                self.done["debt"] = self.done.get("debt", 0) + 1
        return any(settlement.amounts)

    def owe(self, agreement: bytes, amount: int) -> None:
        """One debt for each agreement, as old as its oldest part."""
        for debt in self.debts:
            if debt[0] == agreement:
                debt[1] += amount
                return
        self.debts.append([agreement, amount])

    def dispute(self) -> bool:
        if not self.open_payments:
            return False
        settlement, index = self.dice.choice(self.open_payments[-4:])  # older ones are out of time
        contracts = self.contracts
        contracts.mint(EURO)  # the bond
        self.minted += EURO
        contracts.token.approve(contracts.disputes, EURO, sender=contracts.payer)
        if self.send(
            self.contracts.disputes.dispute, *settlement.dispute(index), sender=self.contracts.payer
        ):
            self.disputed.append(settlement.outcomes[index][0])
            return True
        return False

    def end_dispute(self) -> bool:
        if not self.disputed:
            return False
        contracts, payment = self.contracts, self.dice.choice(self.disputed)
        refund = self.dice.random() < 0.5
        how = self.dice.choice(["concede", "retract", "rule"])
        if how == "rule":
            return self.send(
                contracts.disputes.rule,
                payment,
                refund,
                contracts.ruling(payment, refund),
                sender=contracts.stranger,
            )
        sender = contracts.payee if how == "concede" else contracts.payer
        return self.send(getattr(contracts.disputes, how), payment, sender=sender)

    def release(self) -> bool:
        due = [time for time in self.times if time <= self.contracts.now]
        return self.send(
            self.contracts.rail.release, self.contracts.payee, due, sender=self.contracts.stranger
        )

    def repay(self) -> bool:
        contracts, amount = self.contracts, self.dice.randrange(1, 3 * EURO)
        self.minted += amount
        contracts.mint(amount, to=contracts.payee)
        contracts.token.approve(contracts.rail, amount, sender=contracts.payee)
        return self.send(contracts.rail.repay, amount, sender=contracts.payee)

    def withdraw(self) -> bool:
        contracts = self.contracts
        amount = self.dice.randrange(1, 2 + contracts.rail.withdrawable(contracts.payee))
        return self.send(contracts.rail.withdraw, contracts.payee, amount, sender=contracts.payee)

    def redeem(self) -> bool:
        contracts, cents = self.contracts, self.dice.randrange(1, 300)
        holder = self.dice.choice([contracts.payer, contracts.payee])
        return self.send(
            contracts.token.redeem, contracts.payee, ACCOUNT, cents * CENT, sender=holder
        )

    def wait(self) -> bool:
        self.contracts.wait(self.dice.randrange(1, DAY))
        return True

    def account(self) -> bool:
        account = self.dice.choice([ACCOUNT, NONE])
        return self.send(
            self.contracts.rail.setPayoutAccount, account, 0, sender=self.contracts.payee
        )

    def reclaim(self) -> bool:
        rail, agreement = self.contracts.rail, self.agreements[-1]
        self.send(rail.close, agreement, sender=self.contracts.payer)
        return self.send(rail.reclaim, agreement, sender=self.contracts.stranger)

    def check(self) -> None:
        """Compute the sums again from every account, wallet and payment, and compare."""
        contracts = self.contracts
        wallets = sum(
            map(
                contracts.token.balanceOf,
                (contracts.payer, contracts.payee, contracts.stranger, contracts.disputes),
            )
        )
        redeemed = self.minted - contracts.token.totalSupply()
        escrow, pending, withdrawable, frozen, by_rail, owed = contracts.rail.totals()
        assert (
            owed == contracts.rail.owed(contracts.payee) == sum(amount for _, amount in self.debts)
        )
        assert escrow + pending + withdrawable + frozen + wallets + redeemed == self.minted
        assert by_rail <= redeemed and redeemed % CENT == 0
        assert escrow == sum(
            contracts.rail.agreementState(agreement)[2] for agreement in self.agreements
        )
        assert pending == sum(contracts.rail.pending(contracts.payee, time) for time in self.times)
        assert withdrawable == contracts.rail.withdrawable(contracts.payee)
        assert frozen == sum(contracts.rail.frozen(payment)[1] for payment in self.disputed)


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_conservation__random_operations__no_value_appears_or_vanishes(contracts, seed):
    run = RandomRun(contracts, seed)
    for step in range(STEPS):
        run.step()
        if step % DEEP_EVERY == 0 or step == STEPS - 1:
            run.check()
    idle = {
        "mint",
        "settle",
        "signed_settle",
        "debt",
        "dispute",
        "end_dispute",
        "release",
        "repay",
        "reclaim",
        "wait",
    } - set(run.done)
    assert not idle, f"a run that never did {idle} proves little: {run.done}"


def test_conservation__donation__belongs_to_no_agreement_and_breaks_nothing(contracts):
    contracts.mint(EURO, to=contracts.rail)
    escrow, pending, withdrawable, frozen, _, _ = contracts.rail.totals()
    held = contracts.token.balanceOf(contracts.rail)
    assert escrow + pending + withdrawable + frozen == held - EURO
