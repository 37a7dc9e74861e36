"""No value appears or vanishes: a random run of everything that moves money, checked at each step.

given any sequence of mint, fund, settle, dispute, end of dispute, release, withdraw, redeem, close,
reclaim, waiting, payout accounts set and unset, pauses
└── escrow + pending + withdrawable + frozen + wallets + redeemed = minted, and the rail's sums
    are its token balance
"""

from __future__ import annotations

import random

import pytest
from stage import ACCOUNT, CENT, DAY, EURO, NONE

STEPS = 60
DEEP_EVERY = 10  # steps between checks that read every account


class World:
    """A rail under random operations, with what was minted kept apart from the contracts."""

    def __init__(self, stage, seed: int) -> None:
        self.stage, self.dice = stage, random.Random(seed)
        self.agreements = [stage.agreement, *stage.agreements(3, window=DAY, cap=20 * EURO)]
        self.minted = stage.token.totalSupply()
        self.open_payments, self.disputed, self.times = [], [], set()
        self.done: dict[str, int] = {}

    def step(self) -> None:
        name = self.dice.choice([
            "mint", "fund", "settle", "settle", "settle", "dispute", "dispute", "end_dispute",
            "release", "release", "withdraw", "redeem", "wait", "account", "reclaim",
        ])  # fmt: skip
        if getattr(self, name)():
            self.done[name] = self.done.get(name, 0) + 1
        self.stage.assert_conserved()

    def send(self, method, *args, sender) -> bool:
        """Sends what would succeed; what would revert changes nothing and is no step."""
        if self.stage.refusal(method, *args, sender=sender):
            return False
        method(*args, sender=sender)
        return True

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
        return self.send(stage.rail.fund, self.dice.choice(self.agreements), amount,
                         sender=stage.payer)

    def settle(self) -> bool:
        stage = self.stage
        count = self.dice.randrange(1, len(self.agreements) + 1)
        claims = []
        for agreement in sorted(self.dice.sample(self.agreements, count)):
            sequence = stage.rail.agreementState(agreement)[0] + self.dice.choice([1, 1, 1, 2])
            claims.append(stage.claim(agreement, sequence, kwh=self.dice.randrange(0, 9)))
        done = stage.settle(*claims)
        for index, amount in enumerate(done.amounts):
            if amount:
                self.open_payments.append((done, index))
                self.times.add(done.outcomes[index][5])
        return any(done.amounts)

    def dispute(self) -> bool:
        if not self.open_payments:
            return False
        done, index = self.dice.choice(self.open_payments)
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
            return self.send(stage.rail.rule, payment, refund, stage.ruling(payment, refund),
                             sender=stage.stranger)
        sender = stage.payee if how == "concede" else stage.payer
        return self.send(getattr(stage.rail, how), payment, sender=sender)

    def release(self) -> bool:
        due = [time for time in self.times if time <= self.stage.now]
        return self.send(self.stage.rail.release, self.stage.payee, due,
                         sender=self.stage.stranger)

    def withdraw(self) -> bool:
        stage = self.stage
        amount = self.dice.randrange(1, 2 + stage.rail.withdrawable(stage.payee))
        return self.send(stage.rail.withdraw, stage.payee, amount, sender=stage.payee)

    def redeem(self) -> bool:
        stage, cents = self.stage, self.dice.randrange(1, 300)
        holder = self.dice.choice([stage.payer, stage.payee])
        return self.send(stage.token.redeem, stage.payee, ACCOUNT, cents * CENT, sender=holder)

    def wait(self) -> bool:
        self.stage.wait(self.dice.randrange(1, 2 * DAY))
        return True

    def account(self) -> bool:
        account = self.dice.choice([ACCOUNT, NONE])
        return self.send(self.stage.rail.setPayoutAccount, account, sender=self.stage.payee)

    def reclaim(self) -> bool:
        rail, agreement = self.stage.rail, self.agreements[-1]
        self.send(rail.close, agreement, sender=self.stage.payer)
        return self.send(rail.reclaim, agreement, sender=self.stage.payer)

    def check(self) -> None:
        """The sums again from every account, wallet and payment, and against what was minted."""
        stage = self.stage
        wallets = sum(map(stage.token.balanceOf, (stage.payer, stage.payee, stage.stranger)))
        redeemed = self.minted - stage.token.totalSupply()
        escrow, pending, withdrawable, frozen, by_rail = stage.rail.totals()
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
    idle = {"mint", "settle", "dispute", "end_dispute", "release", "wait"} - set(world.done)
    assert not idle, f"a run that never did {idle} proves little: {world.done}"


def test_conservation__donation__belongs_to_nobody_and_breaks_nothing(stage):
    stage.mint(EURO, to=stage.rail)
    escrow, pending, withdrawable, frozen, _ = stage.rail.totals()
    held = stage.token.balanceOf(stage.rail)
    assert escrow + pending + withdrawable + frozen == held - EURO
