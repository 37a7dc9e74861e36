"""Disputes: a bond, a deadline, and four ways to end; refunds and corrections of one charge.

dispute
├── given a stranger, a wrong proof, another payment, a refused claim, the end of the window
│   └── it should revert by name
└── given the payer within the window
    ├── it should take the bond and freeze the amount, once for ever
    └── concede, retract, rule, expire: each should end it, and only its own party may
refund
├── given a correction of the same charge, before or after: it should be given back once
└── given a product that fails to hear of it: it should reach the payer all the same
"""

from __future__ import annotations

import pytest

from tests.support.contracts.contract_rail import DAY, EURO, PRICE
from tests.support.contracts.settled import NOBODY, payment_id, plain_facts


def settled(contracts, kwh=10):
    return contracts.settle(contracts.claim(kwh=kwh))


@pytest.fixture
def plain(contracts):
    """The rail with PlainProduct, whose facts are its answer."""
    contracts.plain = contracts.add_product("PlainProduct", 0)
    return contracts


def charge(contracts, agreement, sequence, amount):
    claim = contracts.claim(agreement, sequence, facts=plain_facts(amount))
    return contracts.settle(claim, product=contracts.plain)


def given_back(contracts, agreement):
    _, _, _, charged, back = contracts.rail.agreementEnd(agreement)
    return charged, back


def test_dispute__by_the_payer_in_time__freezes_once_for_ever(contracts):
    settlement = settled(contracts)
    rail = contracts.rail
    payment = contracts.dispute(settlement)
    assert rail.totals()[1:4] == (0, 0, 10 * PRICE)
    assert rail.frozen(settlement.outcomes[0][0])[1] == 10 * PRICE
    again = contracts.refusal(
        contracts.disputes.dispute, *settlement.dispute(), sender=contracts.payer
    )
    assert again == "NotDisputable"
    assert contracts.token.balanceOf(contracts.disputes) == EURO
    contracts.disputes.retract(payment, sender=contracts.payer)
    assert (
        contracts.refusal(contracts.disputes.dispute, *settlement.dispute(), sender=contracts.payer)
        == "NotDisputable"
    )
    contracts.assert_conserved()


def test_dispute__bad_callers_and_proofs__revert_by_name(contracts):
    others = contracts.agreements(2)
    claims = sorted(
        map(contracts.claim, [contracts.agreement, *others]), key=lambda claim: claim.agreement
    )
    settlement = contracts.settle(*claims)
    agreement, sequence, outcome, root, proof = settlement.dispute(0)
    contracts.mint(EURO)
    contracts.token.approve(contracts.disputes, EURO, sender=contracts.payer)

    def refusal(*args, sender=contracts.payer):
        return contracts.refusal(contracts.disputes.dispute, *args, sender=sender)

    assert refusal(agreement, sequence, outcome, root, proof) == ""
    for other in (contracts.payee, contracts.stranger, contracts.steward, contracts.guardian):
        assert refusal(agreement, sequence, outcome, root, proof, sender=other) == "NotParty"
    assert refusal(agreement, sequence, outcome, root, proof[:-1]) == "ProofInvalid"
    assert refusal(agreement, sequence, outcome, proof[0], proof[1:]) == "ProofInvalid"
    richer = (*outcome[:3], outcome[3] + 1, *outcome[4:])
    assert refusal(agreement, sequence, richer, root, proof) == "ProofInvalid"
    assert refusal(claims[1].agreement, sequence, outcome, root, proof) == "NotDisputable"
    assert refusal(agreement, sequence + 1, outcome, root, proof) == "NotDisputable"
    unknown = b"\1" * 32
    assert refusal(unknown, sequence, outcome, root, proof) == "UnknownAgreement"


def test_dispute__refused_claim__is_not_disputable(contracts):
    (other,) = contracts.agreements(1)
    claims = [contracts.claim(other), contracts.claim(sequence=5)]
    claims.sort(key=lambda claim: claim.agreement)
    settlement = contracts.settle(*claims)
    refused = settlement.named.index("SequenceUnexpected")
    refusal = contracts.refusal(
        contracts.disputes.dispute, *settlement.dispute(refused), sender=contracts.payer
    )
    assert refusal == "NotDisputable"


def test_dispute__window_over__reverts_and_the_last_second_still_counts(contracts):
    settlement = settled(contracts)
    contracts.mint(EURO)
    contracts.token.approve(contracts.disputes, EURO, sender=contracts.payer)
    contracts.wait(settlement.release_at - contracts.now - 3)
    assert (
        contracts.refusal(contracts.disputes.dispute, *settlement.dispute(), sender=contracts.payer)
        == ""
    )
    contracts.wait(3)
    refusal = contracts.refusal(
        contracts.disputes.dispute, *settlement.dispute(), sender=contracts.payer
    )
    assert refusal == "WindowOver"


ENDS = {  # how -> (is the payment refunded, does the bond return)
    "concede": (True, True),
    "retract in the window": (False, True),
    "retract later": (False, False),
    "rule refund": (True, True),
    "rule pay": (False, False),
    "expire": (False, False),
}


@pytest.mark.parametrize("how", ENDS)
def test_dispute_end__each_way__money_and_bond_go_where_they_belong(contracts, how):
    """Attack on 0.3.0: a payer froze every payment without cost, evidence or end."""
    payment, disputes = contracts.dispute(settled(contracts)), contracts.disputes
    refunded, returned = ENDS[how]
    if how == "concede":
        disputes.concede(payment, sender=contracts.payee)
    elif how.startswith("retract"):
        contracts.wait(2 * DAY if how == "retract later" else 0)
        disputes.retract(payment, sender=contracts.payer)
    elif how == "expire":
        due = contracts.refusal(disputes.expire, payment, sender=contracts.stranger)
        assert due == "NotExpired"
        contracts.wait(31 * DAY)
        disputes.expire(payment, sender=contracts.stranger)
    else:
        signatures = contracts.ruling(payment, refunded)
        disputes.rule(payment, refunded, signatures, sender=contracts.stranger)
    escrow = contracts.rail.agreementState(contracts.agreement)[2]
    assert escrow == 100 * EURO - (0 if refunded else 10 * PRICE)
    assert contracts.rail.withdrawable(contracts.payee) == (0 if refunded else 10 * PRICE)
    assert contracts.token.balanceOf(contracts.payer) == (EURO if returned else 0)
    assert contracts.token.balanceOf(contracts.payee) == (0 if returned else EURO)
    assert contracts.token.balanceOf(disputes) == 0
    again = contracts.refusal(disputes.concede, payment, sender=contracts.payee)
    assert again == "NotDisputed"
    contracts.assert_conserved()


def test_dispute__payment_below_the_bond__costs_no_more_than_the_payment(contracts):
    """A payer with little money can still dispute."""
    settlement = settled(contracts, kwh=1)
    contracts.mint(PRICE)
    contracts.token.approve(contracts.disputes, PRICE, sender=contracts.payer)
    contracts.disputes.dispute(*settlement.dispute(), sender=contracts.payer)
    assert contracts.disputes.disputeOf(settlement.outcomes[0][0])[1] == PRICE


def test_dispute__without_the_bond__reverts(contracts):
    refusal = contracts.refusal(
        contracts.disputes.dispute, *settled(contracts).dispute(), sender=contracts.payer
    )
    assert refusal == "ERC20InsufficientAllowance"


def test_expire__rail_paused_meanwhile__waits_for_the_pause_s_length_longer(contracts):
    payment = contracts.dispute(settled(contracts))
    deadline = contracts.disputes.disputeOf(payment)[2]
    contracts.rail.pause(sender=contracts.guardian)
    assert contracts.disputes.disputeOf(payment)[2] == deadline + 7 * DAY
    contracts.wait(31 * DAY)
    early = contracts.refusal(contracts.disputes.expire, payment, sender=contracts.stranger)
    assert early == "NotExpired"


def test_dispute_in_a_pause_that_ends_early__then_a_whole_pause__waits_for_the_whole_pause(
    contracts,
):
    """Attack on version 2: disputed in a pause that ended early, a payment was dead too early.

    The days that the first pause did not last were taken off the second one, so the deadline
    passed, and the bond was lost, while rulings were still to come.
    """
    settlement = settled(contracts)
    contracts.rail.pause(sender=contracts.guardian)
    payment = contracts.dispute(settlement)
    opened = contracts.node.timestamp()
    contracts.rail.unpause(sender=contracts.steward)
    deadline = contracts.disputes.disputeOf(payment)[2]
    assert opened + 30 * DAY <= deadline <= opened + 30 * DAY + 60
    contracts.wait(14 * DAY)
    contracts.rail.pause(sender=contracts.guardian)
    assert contracts.disputes.disputeOf(payment)[2] == deadline + 7 * DAY


def test_refund_then_correction__of_one_charge__is_given_back_once(plain):
    """Attack on 0.3.0: a refund by ruling and then the honest correction left the payee in debt."""
    (mine,) = plain.agreements(1, product=plain.plain.address)
    payment = plain.dispute(charge(plain, mine, 1, 5 * EURO))
    plain.disputes.concede(payment, sender=plain.payee)
    assert given_back(plain, mine) == (5 * EURO, 5 * EURO)
    corrected = charge(plain, mine, 2, -5 * EURO)
    assert (corrected.named, corrected.amounts) == (["None"], [0])
    assert plain.rail.owed(plain.payee) == 0
    plain.assert_conserved()


def test_correction_then_refund__debt_still_open__is_cancelled(plain):
    (mine,) = plain.agreements(1, product=plain.plain.address)
    payment = plain.dispute(charge(plain, mine, 1, 5 * EURO))
    charge(plain, mine, 2, -3 * EURO)
    assert plain.rail.owedTo(plain.payee, mine) == 3 * EURO
    plain.disputes.concede(payment, sender=plain.payee)
    assert plain.rail.owed(plain.payee) == 0
    assert plain.rail.agreementState(mine)[2] == 10 * EURO
    assert given_back(plain, mine) == (5 * EURO, 5 * EURO)
    plain.assert_conserved()


@pytest.mark.parametrize("paid", [3 * EURO, EURO])
def test_correction_then_refund__debt_already_paid__the_payee_keeps_that_part(plain, paid):
    (mine,) = plain.agreements(1, product=plain.plain.address)
    payment = plain.dispute(charge(plain, mine, 1, 5 * EURO))
    charge(plain, mine, 2, -3 * EURO)
    plain.mint(paid, to=plain.payee)
    plain.token.approve(plain.rail, paid, sender=plain.payee)
    plain.rail.repay(paid, sender=plain.payee)
    plain.disputes.concede(payment, sender=plain.payee)
    assert plain.rail.agreementState(mine)[2] == 10 * EURO
    assert plain.rail.withdrawable(plain.payee) == paid
    assert plain.rail.owed(plain.payee) == plain.rail.totals()[5] == 0
    assert given_back(plain, mine) == (5 * EURO, 5 * EURO)
    plain.assert_conserved()


def test_refund__product__hears_of_it_and_cannot_stop_it(contracts):
    for name, heard in (("PlainProduct", 1), ("RogueProduct", 0)):
        args = (contracts.rail, contracts.registry, 0) if heard else ()
        product = contracts.allow(contracts.deploy(name, *args))
        (mine,) = contracts.agreements(1, product=product.address)
        if name == "RogueProduct":
            product.answerWith(5 * EURO, False, NOBODY, b"", sender=contracts.payer)
        row = contracts.claim(mine, facts=plain_facts(5 * EURO))
        payment = contracts.dispute(contracts.settle(row, product=product))
        receipt = contracts.disputes.concede(payment, sender=contracts.payee)
        assert [log.event_name for log in receipt.events].count("RefundHeard") == heard
        assert contracts.rail.agreementState(mine)[2] == 10 * EURO


def test_dispute_end__by_the_wrong_party__reverts(contracts):
    settlement = settled(contracts)
    payment, rail = contracts.dispute(settlement), contracts.disputes
    for other in (
        contracts.payer,
        contracts.stranger,
        contracts.steward,
        contracts.guardian,
        contracts.minter,
    ):
        assert contracts.refusal(rail.concede, payment, sender=other) == "NotParty"
    for other in (
        contracts.payee,
        contracts.stranger,
        contracts.steward,
        contracts.guardian,
        contracts.minter,
    ):
        assert contracts.refusal(rail.retract, payment, sender=other) == "NotParty"


def test_rule__signatures_of_another_meaning__revert(contracts):
    settlement = settled(contracts)
    payment, rail = contracts.dispute(settlement), contracts.disputes

    def refusal(signatures, refund=True):
        return contracts.refusal(rail.rule, payment, refund, signatures, sender=contracts.steward)

    assert refusal(contracts.ruling(payment, True)) == ""
    assert refusal(contracts.ruling(payment, True), refund=False) != ""
    assert refusal(contracts.ruling(payment_id(contracts.agreement, 2), True)) != ""
    assert refusal(contracts.ruling(payment, True, rail=contracts.token)) != ""
    assert refusal(contracts.ruling(payment, True, chain_id=1)) != ""
    assert refusal(contracts.ruling(payment, True)[:2]) == "QuorumMissing"
    assert refusal(contracts.attest(contracts.batch(contracts.claim()))) != ""


def test_concede__agreement_already_reclaimed__the_payer_gets_it_by_a_second_reclaim(contracts):
    (mine,) = contracts.agreements(1, window=30 * DAY, expiry=contracts.now + 2 * DAY)
    settlement = contracts.settle(contracts.claim(mine))
    contracts.dispute(settlement)
    contracts.wait(33 * DAY)
    contracts.rail.reclaim(mine, sender=contracts.payer)
    assert contracts.refusal(contracts.rail.reclaim, mine, sender=contracts.payer) == "NothingDue"
    contracts.disputes.concede(settlement.outcomes[0][0], sender=contracts.payee)
    before = contracts.token.balanceOf(contracts.payer)
    contracts.rail.reclaim(mine, sender=contracts.payer)
    assert contracts.token.balanceOf(contracts.payer) == before + 10 * PRICE
    contracts.assert_conserved()
