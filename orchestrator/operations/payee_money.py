"""What a payee does with its own money in the rail: release, withdraw, repay, name its account.

Debts come first on every way out, so what a payee can take out is its withdrawable money less what
it owes. Each function returns the calls that the payee signs; `send` sends them, once each.
Amounts are micro-euro.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from device_adapters.types import Rejected
from orchestrator.core.identity import payout_account
from orchestrator.core.ledger import MICRO_PER_CENT
from orchestrator.core.party_call import PayeeMoneyReason
from orchestrator.core.release import PayeeOnChain
from orchestrator.edges.chain.client import Call, Chain
from orchestrator.edges.chain.rails import products_of, rails
from orchestrator.edges.store import Store, releases
from orchestrator.steps.release import payee_on_chain

NO_ACCOUNT = bytes(32)
_TIMES = 1_000  # release times in one call


@dataclass(frozen=True, slots=True)
class RailMoney:
    """A payee's money on one rail.

    Attributes:
        rail: The rail's name.
        on_chain: What it knows about the payee.
        matured: Release times that are over and not released yet, ascending.
        matured_micro: What they release, as far as the store knows.
    """

    rail: str
    on_chain: PayeeOnChain
    matured: tuple[int, ...] = ()
    matured_micro: int = 0

    @property
    def free_micro(self) -> int:
        """Return what the payee can take out now."""
        return max(0, self.on_chain.withdrawable_micro - self.on_chain.owed_micro)

    @property
    def released_micro(self) -> int:
        """Return what a release leaves the payee after all its debts."""
        available = self.on_chain.withdrawable_micro + self.matured_micro
        return max(0, available - self.on_chain.owed_micro)

    @property
    def is_due(self) -> bool:
        """Return whether a release moves anything."""
        return bool(self.matured_micro) or self.released_micro >= MICRO_PER_CENT


@dataclass(frozen=True, slots=True)
class PayeeMoney:
    """A payee's money.

    Attributes:
        address: The payee.
        wallet_micro: Tokens outside of the rails.
        rails: What is on each rail, the present one first.
    """

    address: str
    wallet_micro: int
    rails: tuple[RailMoney, ...]

    @property
    def on_chain(self) -> PayeeOnChain:
        """Return what all rails know about the payee; account and limits are the present rail's."""
        present = self.rails[0].on_chain
        states = [money.on_chain for money in self.rails]
        return replace(
            present,
            withdrawable_micro=sum(state.withdrawable_micro for state in states),
            owed_micro=sum(state.owed_micro for state in states),
        )

    @property
    def matured_micro(self) -> int:
        """Return what is to be released, as far as the store knows."""
        return sum(money.matured_micro for money in self.rails)

    @property
    def free_micro(self) -> int:
        """Return what the payee can take out now: debts count on the rail that they are of."""
        return sum(money.free_micro for money in self.rails)


def payee_money(store: Store, chain: Chain, address: str, now: int) -> PayeeMoney:
    """Return a payee's money as chain and store have it now, on every rail.

    Raises:
        Retry: The node does not answer.
    """
    names = rails(chain.deployment)
    return PayeeMoney(
        address,
        chain.view("EuroToken", "balanceOf", address),
        tuple(_on_rail(store, chain, rail, address, now) for rail in names),
    )


def _on_rail(store: Store, chain: Chain, rail: str, address: str, now: int) -> RailMoney:
    with store.read() as session:
        rows = releases.unreleased(session, address, now, products_of(chain.deployment, rail))
    return RailMoney(
        rail,
        payee_on_chain(chain, address, rail),
        tuple(sorted({row.release_at for row in rows})[:_TIMES]),
        sum(row.amount_micro for row in rows),
    )


def release_calls(money: PayeeMoney) -> list[Call]:
    """Return the payee's own releases, one per rail: each orders a payout, however small.

    Raises:
        Rejected: Nothing has matured, and nothing is left to be paid out.
    """
    due = [part for part in money.rails if part.is_due]
    if not due:
        raise Rejected(
            PayeeMoneyReason.NOTHING,
            f"nothing of {money.address} has matured, and less than a cent is left to be paid out; "
            "nothing was sent. Next: wait for the end of a payment's dispute window",
        )
    return [Call(part.rail, "release", (money.address, part.matured)) for part in due]


def withdraw_calls(money: PayeeMoney, to: str, amount_micro: int) -> list[Call]:
    """Return the withdrawals of an amount to an address, from former rails first.

    Raises:
        Rejected: It is more than the payee can take out.
    """
    if amount_micro > money.free_micro:
        raise Rejected(
            PayeeMoneyReason.TOO_MUCH,
            f"{euro(money.free_micro)} can be taken out: {euro(money.on_chain.withdrawable_micro)} "
            f"are withdrawable, and {euro(money.on_chain.owed_micro)} of them are owed to "
            "agreements; nothing was sent",
        )
    parts = _shares(money, amount_micro, lambda part: part.free_micro)
    return [Call(rail, "withdraw", (to, share)) for rail, share in parts]


def repay_calls(chain: Chain, money: PayeeMoney, amount_micro: int | None) -> list[Call]:
    """Return the calls that pay debts out of the payee's wallet: allowance, and repayment.

    Args:
        chain: The node's client.
        money: The payee's money.
        amount_micro: The most to pay; None: all that is owed.

    Raises:
        Rejected: It owes nothing, or its wallet holds less.
        Retry: The node does not answer.
    """
    owed = money.on_chain.owed_micro
    if not owed:
        raise Rejected(PayeeMoneyReason.NOTHING, f"{money.address} owes nothing; nothing was sent")
    amount = min(owed, owed if amount_micro is None else amount_micro)
    if amount > money.wallet_micro:
        raise Rejected(
            PayeeMoneyReason.TOO_MUCH,
            f"the wallet {money.address} holds {euro(money.wallet_micro)}, less than "
            f"{euro(amount)}; nothing was sent. Next: give a smaller --amount, or wait: the "
            "payee's next money pays its debts by itself",
        )
    calls = []
    for rail, share in _shares(money, amount, lambda part: part.on_chain.owed_micro):
        spender = chain.deployment.addresses[rail]
        if chain.view("EuroToken", "allowance", money.address, spender) < share:
            calls.append(Call("EuroToken", "approve", (spender, share)))
        calls.append(Call(rail, "repay", (share,)))
    return calls


def _shares(
    money: PayeeMoney, amount_micro: int, most: Callable[[RailMoney], int]
) -> list[tuple[str, int]]:
    """Return (rail, its share) of an amount; one rail alone has all of it."""
    if len(money.rails) == 1:
        return [(money.rails[0].rail, amount_micro)]
    shares, left = [], amount_micro
    for part in reversed(money.rails):
        share = min(left, most(part))
        if share:
            shares.append((part.rail, share))
        left -= share
    return shares


def payout_account_calls(chain: Chain, iban: str | None, minimum_micro: int) -> list[Call]:
    """Return the calls that name a payee's bank account on every rail, and its minimum.

    Args:
        chain: The node's client.
        iban: The account; None: none, and releases become withdrawable tokens.
        minimum_micro: The rail and other strangers order no payout below it. Rails of 0.5.0 know
            no minimum.
    """
    account = payout_account(iban) if iban else NO_ACCOUNT
    return [
        Call(
            rail,
            "setPayoutAccount",
            (account, minimum_micro) if chain.knows(rail, "payoutLimits") else (account,),
        )
        for rail in rails(chain.deployment)
    ]


def euro(micro: int) -> str:
    """Return micro-euro exactly as people read them, such as "12.500000 EUR"."""
    whole, rest = divmod(micro, 10**6)
    return f"{whole:,}.{rest:06} EUR"
