"""Tokens outside the rails: divided among a waterfall's holders, and moved between sub-accounts."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from orchestrator.core import ledger
from orchestrator.core.chain_posting import entries_of_block
from orchestrator.core.ledger import TEUR, WALLETS, Entry, holder, share, undivided
from orchestrator.core.outside import TokenHistory
from orchestrator.core.waterfall import NOBODY, WaterfallTerms
from orchestrator.edges.chain.client import DecodedLog

RAIL, FACTORY, TOKEN = "0x" + "ab" * 20, "0x" + "fa" * 20, "0x" + "70" * 20
W, ANNA, BERT, CLEO, OTHER = ("0x" + byte * 20 for byte in ("a1", "b1", "b2", "b3", "cc"))
TERMS = WaterfallTerms(bytes(32), ((ANNA, 2_500), (BERT, 7_500)))


@dataclass
class LoggedChain:
    """Logs of a chain with one log a block, and what rules ask about them."""

    logs: list[DecodedLog] = field(default_factory=list)
    since: dict[str, int] = field(default_factory=dict)
    rails: frozenset[str] = frozenset({RAIL})

    def __post_init__(self) -> None:
        self.outside = TokenHistory(
            self._named("WaterfallCreated"), self._transfers, lambda: self.since
        )
        self.claims = self.payee = self.settled = None

    def _named(self, name: str) -> Any:
        return lambda: [log for log in self.logs if log.name == name]

    def _transfers(self, address: str) -> list[DecodedLog]:
        moved = self._named("Transfer")()
        return [log for log in moved if address in (log.args["from"], log.args["to"])]

    def around(self, log: DecodedLog) -> list[DecodedLog]:
        return [other for other in self.logs if other.tx_hash == log.tx_hash]

    def add(self, name: str, address: str, tx: str = "", **args: Any) -> DecodedLog:
        place = len(self.logs) + 1
        block = self.logs[-1].block_number if tx and self.logs else place
        log = DecodedLog(name, args, tx or f"0x{place}", block, f"0xb{place}", place, address)
        self.logs.append(log)
        return log

    def move(self, giver: str, taker: str, amount: int, tx: str = "") -> None:
        self.add("Transfer", TOKEN, tx, **{"from": giver, "to": taker, "value": amount})

    def create(self, terms: WaterfallTerms = TERMS, at: str = W) -> None:
        label, senior, seniorShare, seniorLimit, holders, shares = terms.as_tuple()
        named = {
            "label": "0x" + label.hex(),
            "senior": senior,
            "seniorShare": seniorShare,
            "seniorLimit": seniorLimit,
            "holders": holders,
            "shares": shares,
        }
        self.add("WaterfallCreated", FACTORY, waterfall=at, terms=named)

    def entries(self) -> list[Entry]:
        return entries_of_block("0xb", 9, self.logs, self)

    def balances(self) -> dict[str, int]:
        sums = ledger.balances(p for item in self.entries() for p in item.postings)
        return {account: -total for (account, _), total in sums.items() if total}


def test_transfer__no_waterfall__is_no_entry():
    chain = LoggedChain()
    chain.move(OTHER, ANNA, 5)
    assert chain.entries() == []


def test_transfer__into_a_waterfall__is_divided_and_the_rest_waits():
    chain = LoggedChain()
    chain.create()
    chain.move(RAIL, W, 10)
    chain.move(OTHER, W, 2)
    assert [item.kind for item in chain.entries()] == ["transferred"] * 2
    first, second = ({p.account: p.amount_minor for p in e.postings} for e in chain.entries())
    assert first == {WALLETS: 10, share(W, ANNA): -2, share(W, BERT): -7, undivided(W): -1}
    assert second == {WALLETS: 2, share(W, ANNA): -1, share(W, BERT): -2, undivided(W): 1}


def test_transfer__holder_takes__moves_to_its_wallet_and_out_of_it():
    chain = LoggedChain()
    chain.create()
    chain.move(RAIL, W, 8)
    chain.move(W, BERT, 6)
    assert chain.balances() == {WALLETS: -8, share(W, ANNA): 2, holder(BERT): 6}
    chain.move(BERT, OTHER, 5)
    chain.move(BERT, ANNA, 1)
    assert chain.balances() == {WALLETS: -3, share(W, ANNA): 2, holder(ANNA): 1}


def test_transfer__payout_of_a_share__leaves_the_holders_account():
    chain = LoggedChain()
    chain.create()
    chain.move(RAIL, W, 80_000)
    chain.move(W, NOBODY, 20_000, tx="0xp")
    order = {"order": "0x01", "holder": W, "beneficiary": ANNA, "account": "0x", "cents": 2}
    chain.add("Redeemed", TOKEN, "0xp", **order)
    transferred, redeemed = chain.entries()[1:]
    assert {p.account: p.amount_minor for p in transferred.postings} == {
        share(W, ANNA): 20_000,
        WALLETS: -20_000,
    }
    assert redeemed == ledger.redeemed("0x01", WALLETS, 2).dated(9, "block:0xb")
    assert chain.balances()[share(W, BERT)] == 60_000 and share(W, ANNA) not in chain.balances()


def test_created__tokens_from_before__are_recognised_for_waterfall_and_holders():
    chain = LoggedChain()
    chain.move(NOBODY, ANNA, 30)
    chain.move(ANNA, W, 8)
    chain.create()
    [recognised] = chain.entries()
    assert recognised.kind == "recognised"
    assert {p.account: p.amount_minor for p in recognised.postings} == {
        WALLETS: 30,
        share(W, ANNA): -2,
        share(W, BERT): -6,
        holder(ANNA): -22,
    }


def test_created__second_waterfall__recognises_only_new_holders():
    chain = LoggedChain()
    chain.create()
    chain.move(OTHER, ANNA, 5)
    chain.move(OTHER, CLEO, 7)
    chain.create(WaterfallTerms(bytes(32), ((ANNA, 5_000), (CLEO, 5_000))), at="0x" + "a2" * 20)
    assert chain.balances() == {WALLETS: -12, holder(ANNA): 5, holder(CLEO): 7}


def test_created__rail_as_a_holder__keeps_the_accounts_of_its_own():
    chain = LoggedChain()
    chain.move(OTHER, RAIL, 50)
    chain.create(WaterfallTerms(bytes(32), ((RAIL, 10_000),)))
    chain.move(RAIL, OTHER, 20)
    assert chain.entries() == []


def test_created__before_the_rail_knew_the_factory__counts_from_then_on():
    """Blocks up to 3 were posted without the factory; its log is read late, after them."""
    chain = LoggedChain(since={FACTORY: 3})
    chain.create()
    chain.move(RAIL, W, 4)  # posted without a waterfall
    chain.move(W, ANNA, 1)
    chain.move(RAIL, W, 4)
    created, *posted, later = chain.logs
    early = [entries_of_block("0xb", 9, [log], chain) for log in posted]
    assert early == [[], []]
    [recognised] = entries_of_block("0xb", 9, [created], chain, "late")
    assert {p.account: p.amount_minor for p in recognised.postings} == {
        WALLETS: 4,
        holder(ANNA): -1,
        share(W, BERT): -3,
    }
    [following] = entries_of_block("0xb", 9, [later], chain)
    assert {p.account: p.amount_minor for p in following.postings} == {
        WALLETS: 4,
        share(W, ANNA): -1,
        share(W, BERT): -3,
    }


def test_random__any_order__every_account_is_what_the_tokens_say():
    for seed in range(200):
        dice, chain = random.Random(seed), LoggedChain()
        people = [ANNA, BERT, CLEO, OTHER, RAIL]
        cut, limit = dice.randint(1, 9_999), dice.choice([1, 1_000, 10**9])
        senior = (CLEO, dice.randint(1, 10_000), limit) if seed % 2 else ()
        terms = WaterfallTerms(bytes(32), ((ANNA, cut), (BERT, 10_000 - cut)), *senior)
        held: Counter[str] = Counter(dict.fromkeys([*people, W], 0))
        begin, received, taken = dice.randint(0, 9), 0, Counter[str]()
        for step in range(40):
            if step == begin:
                chain.create(terms)
            taker, amount = dice.choice([W, W, *people]), dice.randint(0, 5_000)
            due = terms.earned(received)
            if step > begin and dice.random() < 0.3:
                person = dice.choice(list(due))
                amount, taker = due[person] - taken[person], person
                giver = W
                taken[person] += amount
            else:
                giver = NOBODY if dice.random() < 0.5 else dice.choice(people)
                amount = amount if giver == NOBODY else min(amount, held[giver])
                received += amount if taker == W else 0
            chain.move(giver, taker, amount)
            held[giver] -= amount
            held[taker] += amount
        balances, due = chain.balances(), terms.earned(received)
        for person in due:
            assert balances.get(share(W, person), 0) == due[person] - taken[person]
            assert balances.get(holder(person), 0) == held[person]
        assert balances.get(undivided(W), 0) == received - sum(due.values())
        assert sum(balances.values()) == 0 and all(
            p.asset == TEUR for item in chain.entries() for p in item.postings
        )
