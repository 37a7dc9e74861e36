"""What k stolen oracle keys can take: nothing below the quorum, at most caps and escrow above it.

The attacker also chose the product, one that believes every fact, so that only the rail and the
committee stand in its way. Losses are counted at settlement, before any dispute. The figures are a
line of `make assurance`.

k stolen keys of n, those of most trust domains first
├── given k below the quorum, in any choice of k: every settlement and ruling should revert
├── given the quorum from one trust domain: the same
├── given a quorum
│   ├── an agreement should lose at most its cap per period, and never more than its escrow
│   ├── an agreement that requires a domain whose key is not stolen should lose nothing
│   └── a ruling should move at most the frozen payment and the bond
└── given signatures for another rail, chain or committee: they should move nothing
"""

from __future__ import annotations

from copy import copy
from itertools import combinations

import pytest

from oracles.quorum import quorum
from tests.support.contracts.contract_rail import DAY, EURO, ORACLE_KEYS, _address
from tests.support.contracts.settled import arguments, plain_facts

DOMAINS = {4: (1, 2, 3, 4), 7: (1, 2, 3, 1, 2, 3, 4)}  # the last one alone is of domain 4
PERIOD = 30
CAP = 50 * EURO
# (escrow, required domain): more than the cap, less than the cap, and one that names a domain
AGREEMENTS = ((120 * EURO, 0), (10 * EURO, 0), (120 * EURO, 4))
MOST = 2**47 - 1  # the largest amount that a price can be
PAID = 20 * EURO  # an honest payment that the attacker rules on


class RailWithCommittee:
    """A rail of a committee of n, a product that believes everything, and funded agreements."""

    def __init__(self, contracts, n, domains):
        c = self.c = copy(contracts)
        self.keys = ORACLE_KEYS[:n]
        c.oracles = self.keys
        members = [_address(key) for key in self.keys]
        c.committee = c.deploy("OracleCommittee", c.access, members, domains, 2)
        c.rail = c.deploy_rail(c.committee, c.registry)
        c.disputes = c.at("Disputes", c.rail.disputes())
        c.consents = c.at("Consents", c.rail.consents())
        c.product = c.add_product("PlainProduct", 0)
        self.escrows = {}
        for escrow, domain in AGREEMENTS:
            mandate = c.mandate(
                device=next(c._spare), cap=CAP, period_days=PERIOD, required_domain=domain
            )
            agreement = c.open(mandate)
            c.mint(escrow, agreement)
            self.escrows[agreement] = (escrow, domain)

    def next_sequence(self, agreement):
        return self.c.rail.agreementState(agreement)[0] + 1

    def claim(self, agreement, amount, ahead=0):
        number = self.next_sequence(agreement) + ahead
        return self.c.claim(agreement, number, 0, facts=plain_facts(amount))

    def invent(self, agreement, amounts, stolen, ahead=0, **wrong):
        """Settle a batch of invented claims with stolen keys; return what it took.

        Args:
            ahead: how far the first claim's sequence is from the one that is due.
        """
        claims = [self.claim(agreement, amount, ahead + i) for i, amount in enumerate(amounts)]
        batch = self.c.batch(*claims)
        signatures = self.c.attest(batch, list(stolen), **wrong)
        if self.c.would_settle(batch, signatures):
            return 0
        before = self.c.rail.totals()[0]
        self.c.rail.settle(arguments(batch), signatures, sender=self.c.stranger)
        return before - self.c.rail.totals()[0]


def loot(rail, agreement, stolen):
    """Take all that stolen keys can within one period; return it in minor units."""
    escrow = rail.escrows[agreement][0]
    most = min(CAP, escrow)
    taken = 0
    for amount in (MOST, escrow + 1, CAP + 1):
        taken += rail.invent(agreement, [amount], stolen)
    taken += rail.invent(agreement, [most, most], stolen)  # both in one batch
    for ahead in (-1, 0, 1):  # the same again, the next one, one too far
        for amount in (most, 1):
            taken += rail.invent(agreement, [amount], stolen, ahead)
    return taken


def bound(rail, agreement, stolen, n, domains, periods=1):
    """What may be lost at most: nothing without a quorum and the required domain."""
    escrow, required = rail.escrows[agreement]
    reached = {domains[rail.keys.index(key)] for key in stolen}
    if len(stolen) < quorum(n) or len(reached) < 2 or (required and required not in reached):
        return 0
    return min(escrow, CAP * periods)


@pytest.fixture(params=[4, 7], ids=["n=4", "n=7"])
def attacked(request, contracts):
    rail = RailWithCommittee(contracts, request.param, DOMAINS[request.param])
    rail.n, rail.domains = request.param, DOMAINS[request.param]
    return rail


def test_attack__k_stolen_keys__take_no_more_than_caps_and_escrow(attacked, record_property):
    rail, node = attacked, attacked.c.node
    losses = []
    for k in range(rail.n + 1):
        stolen, start = rail.keys[:k], node.snapshot()
        total = 0
        for agreement in rail.escrows:
            lost = loot(rail, agreement, stolen)
            most = bound(rail, agreement, stolen, rail.n, rail.domains)
            assert lost == most, (k, lost, most)  # the attack is as strong as the bound allows
            total += lost
        if total:  # the next period opens the cap again, the escrow stays the end
            rail.c.wait(PERIOD * DAY)
            for agreement in rail.escrows:
                before = bound(rail, agreement, stolen, rail.n, rail.domains)
                lost = loot(rail, agreement, stolen)
                most = bound(rail, agreement, stolen, rail.n, rail.domains, periods=2)
                assert before + lost == most, (k, lost, most)
        assert (total == 0) == (k < quorum(rail.n))
        losses.append(f"k={k}: {total // EURO} EUR")
        node.restore(start)
    record_property(f"stolen keys of {rail.n}", ", ".join(losses))


def test_attack__any_choice_of_keys_below_the_quorum__takes_nothing(attacked):
    rail, c = attacked, attacked.c
    agreement = next(iter(rail.escrows))
    batch = c.batch(rail.claim(agreement, EURO))
    for k in range(quorum(rail.n)):
        for stolen in combinations(rail.keys, k):
            assert c.would_settle(batch, c.attest(batch, list(stolen))) == "QuorumMissing"
            repeated = c.attest(batch, list(stolen) * 3)
            assert c.would_settle(batch, repeated) == "QuorumMissing"
    assert c.would_settle(batch, c.attest(batch, rail.keys)) == ""


def test_attack__a_quorum_of_one_trust_domain__takes_nothing(contracts):
    rail = RailWithCommittee(contracts, 4, (1, 1, 1, 4))
    for agreement in rail.escrows:
        assert loot(rail, agreement, rail.keys[:3]) == 0
        assert rail.invent(agreement, [EURO], rail.keys) == EURO


def test_attack__signatures_for_another_rail_chain_or_committee__take_nothing(attacked, contracts):
    rail = attacked
    agreement = next(iter(rail.escrows))
    for wrong in ({"chain_id": 1}, {"committee": contracts.committee}):
        assert rail.invent(agreement, [EURO], rail.keys, **wrong) == 0
    elsewhere = rail.c.batch(rail.claim(agreement, EURO), rail=contracts.rail)
    here = rail.c.batch(rail.claim(agreement, EURO))
    assert rail.c.would_settle(here, rail.c.attest(elsewhere)) == "QuorumMissing"


@pytest.mark.parametrize("refund", [True, False], ids=["to the payer", "to the payee"])
def test_attack__k_stolen_keys_rule_on_a_payment__move_it_and_the_bond_at_most(attacked, refund):
    """An honest quorum attested; the attacker is the payer, or the payee, of the payment."""
    rail, c = attacked, attacked.c
    agreement = next(iter(rail.escrows))
    need = quorum(rail.n)
    settlement = c.settle(rail.claim(agreement, PAID), keys=rail.keys[-need:])
    payment = c.dispute(settlement)
    for k in range(rail.n + 1):
        stolen, start = rail.keys[:k], c.node.snapshot()
        signatures = c.ruling(payment, refund, list(stolen))
        refusal = c.refusal(c.disputes.rule, payment, refund, signatures, sender=c.stranger)
        assert (refusal == "") == (k >= need), (k, refusal)
        if refusal == "":
            before = wealth(c)
            c.disputes.rule(payment, refund, signatures, sender=c.stranger)
            moved = [after - now for after, now in zip(wealth(c), before, strict=True)]
            assert moved == ([PAID, EURO, 0, 0] if refund else [0, 0, PAID, EURO])
            again = c.refusal(c.disputes.rule, payment, refund, signatures, sender=c.stranger)
            assert again == "NotDisputed"
        c.node.restore(start)


def wealth(c):
    """Escrow, and the payer's money; the payee's in the rail, and outside."""
    return [
        c.rail.totals()[0],
        c.token.balanceOf(c.payer),
        c.rail.withdrawable(c.payee),
        c.token.balanceOf(c.payee),
    ]
