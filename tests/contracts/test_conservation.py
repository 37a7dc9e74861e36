"""No value appears or vanishes: a random run of everything that moves money, checked at each step.

given any sequence of mint, fund, charges, credits, dispute, end of dispute, release, repay,
withdraw, redeem, close, reclaim, waiting, payout accounts set and unset
├── escrow + pending + withdrawable + frozen + wallets + redeemed = minted, and the rail's sums are
│   its token balance
└── what is owed = credits settled - credits paid, agreement by agreement the oldest first
"""

from __future__ import annotations

import random

import pytest

from tests.support.contracts.settled import plain_facts
from tests.support.contracts.stage import ACCOUNT, CENT, DAY, EURO, NONE

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


class World:
    """A rail under random operations, with what was minted kept apart from the contracts."""

    def __init__(self, stage, seed: int) -> None:
        self.stage, self.dice = stage, random.Random(seed)
        self.plain = stage.add_product("PlainProduct", 0)
        metered = stage.agreements(2, window=DAY, cap=20 * EURO)
        self.signed = stage.agreements(3, window=DAY, cap=20 * EURO, product=self.plain.address)
        self.metered = [stage.agreement, *metered]
        self.agreements = self.metered + self.signed
        self.deck: list[str] = []
        self.debts: list[list] = []  # [agreement, amount] of the payee, oldest first
        self.minted = stage.token.totalSupply()
        self.open_payments, self.disputed, self.times = [], [], set()
        self.done: dict[str, int] = {}

    def step(self) -> None:
        if not self.deck:
            self.deck = self.dice.sample(DECK, len(DECK))
        name = self.deck.pop()
        if getattr(self, name)():
            self.done[name] = self.done.get(name, 0) + 1
        self.stage.assert_conserved()

    def send(self, method, *args, sender) -> bool:
        """Sends what would succeed; what would revert changes nothing and is no step."""
        if self.stage.refusal(method, *args, sender=sender):
            return False
        receipt = method(*args, sender=sender)
        for log in receipt.events:
            if log.event_name == "DebtPaid":
                self.paid(bytes(log.agreement), log.amount)
        return True

    def paid(self, agreement: bytes, amount: int) -> None:
        assert self.debts[0][0] == agreement and amount <= self.debts[0][1]
        self.debts[0][1] -= amount
        if not self.debts[0][1]:
            self.debts.pop(0)

    def mint(self) -> bool:
        amount, stage = self.dice.randrange(1, 9 * EURO), self.stage
        self.minted += amount
        if self.dice.random() < 0.5:
            stage.mint(amount, self.dice.choice(self.agreements))
        else:
            stage.mint(amount)
        return True

    def fund(self) -> bool:
        stage, amount = self.stage, self.dice.randrange(1, 3 * EURO)
        stage.token.approve(stage.rail, amount, sender=stage.payer)
        return self.send(
            stage.rail.fund, self.dice.choice(self.agreements), amount, sender=stage.payer
        )

    def settle(self) -> bool:
        stage = self.stage
        claims = [
            stage.claim(agreement, sequence, kwh=self.dice.randrange(0, 9))
            for agreement, sequence in self.some(self.metered)
        ]
        return self.keep(stage.settle(*claims))

    def signed_settle(self) -> bool:
        """Charges and credits in one batch."""
        stage, dice = self.stage, self.dice
        claims = []
        for agreement, sequence in self.some(self.signed):
            amount = dice.choice([1, 1, -1]) * dice.randrange(0, 4 * EURO)
            row = plain_facts(amount)
            claims.append(stage.claim(agreement, sequence, facts=row))
        return self.keep(stage.settle(*claims, product=self.plain))

    def some(self, agreements):
        count = self.dice.randrange(1, len(agreements) + 1)
        for agreement in sorted(self.dice.sample(agreements, count)):
            after = self.dice.choice([1, 1, 1, 2])
            yield agreement, self.stage.rail.agreementState(agreement)[0] + after

    def keep(self, done) -> bool:
        for index, amount in enumerate(done.amounts):
            if amount > 0:
                self.open_payments.append((done, index))
                self.times.add(done.outcomes[index][5])
            elif amount < 0:
                self.debts.append([done.batch.claims[index].agreement, -amount])
                self.done["credit"] = self.done.get("credit", 0) + 1
        return any(done.amounts)

    def dispute(self) -> bool:
        if not self.open_payments:
            return False
        done, index = self.dice.choice(self.open_payments[-4:])  # older ones are out of time
        if self.send(self.stage.rail.dispute, *done.dispute(index), sender=self.stage.payer):
            self.disputed.append(done.outcomes[index][0])
            return True
        return False

    def end_dispute(self) -> bool:
        if not self.disputed:
            return False
        stage, payment = self.stage, self.dice.choice(self.disputed)
        refund = self.dice.random() < 0.5
        how = self.dice.choice(["concede", "retract", "rule"])
        if how == "rule":
            return self.send(
                stage.rail.rule,
                payment,
                refund,
                stage.ruling(payment, refund),
                sender=stage.stranger,
            )
        sender = stage.payee if how == "concede" else stage.payer
        return self.send(getattr(stage.rail, how), payment, sender=sender)

    def release(self) -> bool:
        due = [time for time in self.times if time <= self.stage.now]
        return self.send(self.stage.rail.release, self.stage.payee, due, sender=self.stage.stranger)

    def repay(self) -> bool:
        stage, amount = self.stage, self.dice.randrange(1, 3 * EURO)
        self.minted += amount
        stage.mint(amount, to=stage.payee)
        stage.token.approve(stage.rail, amount, sender=stage.payee)
        return self.send(stage.rail.repay, amount, sender=stage.payee)

    def withdraw(self) -> bool:
        stage = self.stage
        amount = self.dice.randrange(1, 2 + stage.rail.withdrawable(stage.payee))
        return self.send(stage.rail.withdraw, stage.payee, amount, sender=stage.payee)

    def redeem(self) -> bool:
        stage, cents = self.stage, self.dice.randrange(1, 300)
        holder = self.dice.choice([stage.payer, stage.payee])
        return self.send(stage.token.redeem, stage.payee, ACCOUNT, cents * CENT, sender=holder)

    def wait(self) -> bool:
        self.stage.wait(self.dice.randrange(1, DAY))
        return True

    def account(self) -> bool:
        account = self.dice.choice([ACCOUNT, NONE])
        return self.send(self.stage.rail.setPayoutAccount, account, sender=self.stage.payee)

    def reclaim(self) -> bool:
        rail, agreement = self.stage.rail, self.agreements[-1]
        self.send(rail.close, agreement, sender=self.stage.payer)
        return self.send(rail.reclaim, agreement, sender=self.stage.stranger)

    def check(self) -> None:
        """The sums again from every account, wallet and payment, and against what was minted."""
        stage = self.stage
        wallets = sum(map(stage.token.balanceOf, (stage.payer, stage.payee, stage.stranger)))
        redeemed = self.minted - stage.token.totalSupply()
        escrow, pending, withdrawable, frozen, by_rail, owed = stage.rail.totals()
        assert owed == stage.rail.owed(stage.payee) == sum(amount for _, amount in self.debts)
        assert escrow + pending + withdrawable + frozen + wallets + redeemed == self.minted
        assert by_rail <= redeemed and redeemed % CENT == 0
        assert escrow == sum(stage.rail.agreementState(one)[2] for one in self.agreements)
        assert pending == sum(stage.rail.pending(stage.payee, time) for time in self.times)
        assert withdrawable == stage.rail.withdrawable(stage.payee)
        assert frozen == sum(stage.rail.frozen(payment)[1] for payment in self.disputed)


@pytest.mark.parametrize("seed", [1, 2])
def test_conservation__random_operations__no_value_appears_or_vanishes(stage, seed):
    world = World(stage, seed)
    for step in range(STEPS):
        world.step()
        if step % DEEP_EVERY == 0 or step == STEPS - 1:
            world.check()
    idle = {
        "mint",
        "settle",
        "signed_settle",
        "credit",
        "dispute",
        "end_dispute",
        "release",
        "repay",
        "reclaim",
        "wait",
    } - set(world.done)
    assert not idle, f"a run that never did {idle} proves little: {world.done}"


def test_conservation__donation__belongs_to_nobody_and_breaks_nothing(stage):
    stage.mint(EURO, to=stage.rail)
    escrow, pending, withdrawable, frozen, _, _ = stage.rail.totals()
    held = stage.token.balanceOf(stage.rail)
    assert escrow + pending + withdrawable + frozen == held - EURO
