"""Challenges of payments whose dispute has ended, or of which a fault was proved before.

challenge
├── given a dispute that ended, in any way
│   ├── it should move no money, return the bond and bar who attested
│   ├── it should pay the bond to the payee where it is lost
│   └── it should revert by name from 30 days after the window on
├── given a fault that was proved before
│   ├── it should bar those that it spared, and move no money
│   └── it should revert by name where it bars nobody else
└── given what changed since the oracles looked: it should bar nobody
"""

from __future__ import annotations

from copy import copy
from typing import Any

import pytest

from tests.support.contracts.challenged import (
    FORGER,
    ChallengedClaim,
    ChallengeFault,
    able,
    assert_won,
    challenge,
    judged,
    payload,
    reading,
    session,
    signed,
)
from tests.support.contracts.contract_rail import (
    DAY,
    DEVICE,
    EURO,
    HOUR,
    KWH,
    ContractRail,
    facts,
)
from tests.support.contracts.device_keys import DeviceSigner


def concede(contracts: ContractRail, payment: bytes) -> None:
    contracts.disputes.concede(payment, sender=contracts.payee)


def retract(contracts: ContractRail, payment: bytes) -> None:
    contracts.disputes.retract(payment, sender=contracts.payer)


def rule_stand(contracts: ContractRail, payment: bytes) -> None:
    """Have those who attested rule: one of four is left, which is no quorum without them."""
    ruling = contracts.ruling(payment, False)
    contracts.disputes.rule(payment, False, ruling, sender=contracts.stranger)


def expire(contracts: ContractRail, payment: bytes) -> None:
    contracts.node.mine_at(contracts.disputes.disputeOf(payment).deadline + 1)
    contracts.disputes.expire(payment, sender=contracts.stranger)


ENDINGS = (concede, retract, rule_stand, expire)


def money(contracts: ContractRail) -> tuple[Any, ...]:
    """Return all that a challenge could move, but for what the challenger holds."""
    holders = (
        contracts.payer,
        contracts.payee,
        contracts.disputes,
        contracts.challenges,
        contracts.rail,
    )
    return (
        contracts.rail.totals(),
        contracts.rail.agreementState(contracts.agreement),
        contracts.rail.withdrawable(contracts.payee),
        *(contracts.token.balanceOf(holder) for holder in holders),
    )


def forged_claim(contracts: ContractRail) -> ChallengedClaim:
    return ChallengedClaim(contracts, [session(contracts, key=FORGER)])


def recent_claim(contracts: ContractRail, key: DeviceSigner) -> ChallengedClaim:
    """Settle a session of two days ago: its device can still be declared stolen for that day."""
    begin = contracts.now - 2 * DAY
    content = payload(11, reading(100, begin, "B"), reading(110, begin + HOUR, "E"))
    claim_facts = facts(100 * KWH, 110 * KWH, begin, begin + HOUR)
    return ChallengedClaim(contracts, [signed(content, key)], facts=claim_facts)


# --- after a dispute


@pytest.mark.parametrize("end", ENDINGS)
def test_challenge__after_a_dispute_ended__bars_who_attested_and_moves_no_money(contracts, end):
    """Attack: a payee concedes, payer and payee agree on a dispute and end it, or the hostile
    quorum rules on its own payment, so that no challenge can bar who attested."""
    claim = forged_claim(contracts)
    end(contracts, contracts.dispute(claim.settlement))
    case, before = claim.case(ChallengeFault.SIGNATURE), money(contracts)
    assert challenge(contracts, case) == ("Proven", 3)
    assert able(contracts) == 0
    assert money(contracts) == before
    assert contracts.token.balanceOf(contracts.stranger) == EURO  # the bond came back
    assert contracts.challenges.isProven(claim.payment)
    again = contracts.refusal(contracts.challenges.challenge, case, sender=contracts.stranger)
    assert again == "NotChallengeable"


@pytest.mark.parametrize("end", ENDINGS)
def test_challenge__lost_after_a_dispute_ended__pays_the_bond_to_the_payee(contracts, end):
    claim = ChallengedClaim(contracts)
    end(contracts, contracts.dispute(claim.settlement))
    before, paid = contracts.rail.totals(), contracts.token.balanceOf(contracts.payee)
    case = claim.case(ChallengeFault.SIGNATURE)
    assert challenge(contracts, case) == ("SignatureValid", 0)
    assert contracts.token.balanceOf(contracts.payee) == paid + EURO
    assert contracts.token.balanceOf(contracts.stranger) == 0
    assert contracts.token.balanceOf(contracts.challenges) == 0
    assert contracts.rail.totals() == before and able(contracts) == 3
    assert not contracts.challenges.isProven(claim.payment)


def test_challenge__thirty_days_after_the_window_of_an_ended_dispute__reverts(contracts):
    claim = forged_claim(contracts)
    concede(contracts, contracts.dispute(claim.settlement))
    case, end = claim.case(ChallengeFault.SIGNATURE), claim.settlement.release_at + 30 * DAY
    contracts.node.mine_at(end - 1)
    assert judged(contracts, case) == "Proven"
    contracts.node.mine_at(end)
    refusal = contracts.refusal_args(contracts.challenges.judge, case, sender=contracts.stranger)
    assert refusal == ("WindowOver", (end,))


# --- after a fault that was proved


@pytest.mark.parametrize("disputed", [False, True])
def test_challenge__won_before__reverts_and_refunds_once(contracts, disputed):
    claim = forged_claim(contracts)
    if disputed:
        contracts.dispute(claim.settlement)
    assert not contracts.challenges.isProven(claim.payment)
    case = claim.case(ChallengeFault.SIGNATURE)
    assert_won(contracts, claim, case)
    assert contracts.challenges.isProven(claim.payment)
    assert judged(contracts, case) == "NotChallengeable"
    assert judged(contracts, claim.case(ChallengeFault.KEY)) == "NotChallengeable"


def test_challenge__a_friend_proved_what_bars_nobody__the_other_fault_bars(contracts):
    """Attack: the device's owner declares its key stolen, and a friend of the hostile quorum proves
    that before others prove that the record is forged."""
    claim = recent_claim(contracts, FORGER)
    begin = contracts.now - 2 * DAY
    contracts.registry.declareCompromised(DEVICE, begin - HOUR, sender=contracts.owner)
    assert_won(contracts, claim, claim.case(ChallengeFault.KEY), barred=0)
    before = money(contracts)
    assert judged(contracts, claim.case(ChallengeFault.KEY)) == "ProvenBefore"
    case = claim.case(ChallengeFault.SIGNATURE)
    assert challenge(contracts, case) == ("Proven", 3)
    assert money(contracts) == before and able(contracts) == 0
    assert judged(contracts, case) == "NotChallengeable"


def test_challenge__a_fault_that_barred_some__another_one_bars_the_rest(contracts):
    """Attack: a counter that was paid twice is proved first, since it spares who signed once."""
    record = session(contracts, key=FORGER)
    earlier = ChallengedClaim(contracts, [record])
    contracts.rail.close(contracts.agreement, sender=contracts.payer)
    contracts.wait(3 * DAY)
    contracts.rail.reclaim(contracts.agreement, sender=contracts.payer)
    second = contracts.open(contracts.mandate(first_counter=5))
    contracts.mint(20 * EURO, second)
    oracles, contracts.oracles = contracts.oracles, contracts.oracles[1:] + contracts.oracles[:1]
    later = ChallengedClaim(contracts, [record], agreement=second)
    contracts.oracles = oracles
    counter = later.case(ChallengeFault.COUNTER, other=earlier.proof(record))
    assert challenge(contracts, counter) == ("Proven", 2)
    before = money(contracts)
    assert judged(contracts, counter) == "ProvenBefore"
    assert challenge(contracts, later.case(ChallengeFault.SIGNATURE)) == ("Proven", 1)
    assert money(contracts) == before and contracts.rail.agreementState(second).escrow == 20 * EURO
    assert judged(contracts, counter) == "NotChallengeable"


def test_challenge__on_the_next_contract__bars_nobody_twice_and_moves_no_money(contracts):
    """The next contract for challenges does not know what this one proved; the rail does."""
    claim = forged_claim(contracts)
    case = claim.case(ChallengeFault.SIGNATURE)
    assert_won(contracts, claim, case)
    parts = (contracts.rail, contracts.token, contracts.committee, contracts.registry)
    after = copy(contracts)
    after.challenges = after.deploy("Challenges", *parts)
    after.committee.setChallenges(after.rail, after.challenges, sender=after.steward)
    before = money(after)
    assert challenge(after, case) == ("Proven", 0)
    assert money(after) == before


# --- what an honest oracle could not know


def test_key__declared_stolen_after_a_dispute_ended__bars_nobody(contracts):
    """Attack: after payer and payee ended a dispute, the owner declares the key stolen for days
    that are over, to bar honest oracles in the time that the dispute gave."""
    claim = recent_claim(contracts, contracts.key)
    begin = contracts.now - 2 * DAY
    retract(contracts, contracts.dispute(claim.settlement))
    contracts.node.mine_at(claim.settlement.release_at + DAY)
    contracts.registry.declareCompromised(DEVICE, begin - HOUR, sender=contracts.owner)
    before = money(contracts)
    assert challenge(contracts, claim.case(ChallengeFault.KEY)) == ("Proven", 0)
    assert money(contracts) == before and able(contracts) == 3
    assert judged(contracts, claim.case(ChallengeFault.SIGNATURE)) == "SignatureValid"


def test_key__revoked_after_a_dispute_ended__is_no_fault(contracts):
    claim = recent_claim(contracts, contracts.key)
    retract(contracts, contracts.dispute(claim.settlement))
    contracts.node.mine_at(claim.settlement.release_at + DAY)
    contracts.registry.revoke(DEVICE, sender=contracts.owner)
    assert challenge(contracts, claim.case(ChallengeFault.KEY)) == ("KeyMaySign", 0)
    assert able(contracts) == 3
