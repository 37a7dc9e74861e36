"""Amounts below zero: no token moves when they settle; the payee owes them and pays oldest first.

settle
├── given an amount below zero
│   ├── it should move no token and leave a debt of the payee to that agreement
│   └── it should give that much of the period's cap back, never more than was spent
└── given charges and debts in one batch: each should be booked as if it came alone
release
├── given debts and matured money: it should pay the debts first, oldest first, and then the payee
├── given more debts than money: it should pay a part, and the rest of it by the next release
└── given 33 debts: it should pay 32 in one call
repay: by the payee's own tokens, as much as is owed and no more
dispute: a debt is no payment, there is nothing to freeze
"""

from __future__ import annotations

import pytest

from oracles import merkle
from tests.support.contracts.contract_rail import ACCOUNT, CENT, DAY, EURO, RELEASED, SHARED
from tests.support.contracts.settled import arguments, plain_facts

PERIOD = 30 * DAY


@pytest.fixture
def plain(contracts):
    """A product that answers what the facts say, with three agreements in ascending order."""
    contracts.plain = contracts.add_product("PlainProduct", 0)
    contracts.mine = contracts.agreements(3, product=contracts.plain.address)
    contracts.sequence = dict.fromkeys(contracts.mine, 0)
    return contracts


def settle(contracts, *amounts: int):
    """One claim per agreement for the amounts given, in order; None leaves an agreement out."""
    claims = []
    for agreement, amount in zip(contracts.mine, amounts, strict=False):
        if amount is not None:
            contracts.sequence[agreement] += 1
            claims.append(
                contracts.claim(agreement, contracts.sequence[agreement], facts=plain_facts(amount))
            )
    settlement = contracts.settle(*claims, product=contracts.plain)
    assert set(settlement.named) == {"None"}
    return settlement


def release(contracts, *settlements):
    contracts.wait(RELEASED)
    times = [settlement.release_at for settlement in settlements]
    return contracts.rail.release(contracts.payee, times, sender=contracts.stranger)


def paid(receipt):
    return [
        (bytes(log.agreement), log.amount) for log in receipt.events if log.event_name == "DebtPaid"
    ]


def escrow(contracts, index):
    return contracts.rail.agreementState(contracts.mine[index])[2]


def test_debt__settles__as_a_debt_and_moves_no_token(plain):
    settle(plain, 5 * EURO)
    before = tuple(plain.rail.totals())
    settlement = settle(plain, -2 * EURO)
    assert settlement.amounts == [-2 * EURO]
    assert settlement.outcomes[0][2:] == (plain.payee, -2 * EURO, 0, 0)  # releaseAt is zero
    assert plain.rail.settledAt(settlement.root)[0] == plain.now  # the root that Python computes
    assert tuple(plain.rail.totals()) == (*before[:5], 2 * EURO)
    assert plain.rail.owed(plain.payee) == 2 * EURO
    assert escrow(plain, 0) == 5 * EURO
    plain.assert_conserved()


def test_debt__leaf__is_the_one_that_python_computes(plain):
    settle(plain, EURO, None, EURO)
    settlement = settle(plain, -1, 7, -EURO)
    assert settlement.amounts == [-1, 7, -EURO]
    assert settlement.root == merkle.root(settlement.leaves)


def test_attack__corrections_raise_what_the_cap_allows__only_once_they_are_paid(plain):
    """On 0.3.0 unpaid corrections let 39.60 euro leave an escrow that was capped at 20 euro."""

    def spent():
        return plain.rail.agreementState(plain.mine[0])[3]

    settle(plain, 5 * EURO)
    settle(plain, -2 * EURO)
    assert spent() == 5 * EURO
    plain.mint(2 * EURO, to=plain.payee)
    plain.token.approve(plain.rail, 2 * EURO, sender=plain.payee)
    plain.rail.repay(2 * EURO, sender=plain.payee)
    assert spent() == 3 * EURO


def test_debt__more_than_was_charged__is_cut(plain):
    settle(plain, 5 * EURO)
    settle(plain, -2 * EURO)
    assert settle(plain, -9 * EURO).amounts == [-3 * EURO]
    assert plain.rail.owed(plain.payee) == 5 * EURO
    assert plain.rail.agreementEnd(plain.mine[0])[3:] == (5 * EURO, 5 * EURO)


def test_debt__on_an_agreement_without_escrow__settles(plain):
    settle(plain, 10 * EURO)
    assert escrow(plain, 0) == 0
    settle(plain, -10 * EURO)
    settle(plain, 0)
    assert plain.rail.owed(plain.payee) == 10 * EURO


def test_release__debts_of_several_agreements__are_paid_oldest_first(plain):
    first = settle(plain, 4 * EURO, None, 6 * EURO)
    settle(plain, None, None, -1 * EURO)
    settle(plain, -2 * EURO)
    settle(plain, None, None, -3 * EURO)
    receipt = release(plain, first)
    mine = plain.mine
    assert paid(receipt) == [(mine[2], 4 * EURO), (mine[0], 2 * EURO)]
    (log,) = [log for log in receipt.events if log.event_name == "Released"]
    assert log.amount == 10 * EURO  # what left pending, the debts included
    assert plain.rail.withdrawable(plain.payee) == 4 * EURO
    assert (escrow(plain, 0), escrow(plain, 2)) == (8 * EURO, 8 * EURO)
    assert plain.rail.owed(plain.payee) == 0 == plain.rail.totals()[5]
    plain.assert_conserved()


def test_release__money_short_of_a_debt__pays_a_part_and_the_next_one_the_rest(plain):
    release(plain, settle(plain, None, 7 * EURO))
    plain.rail.withdraw(plain.payee, 7 * EURO, sender=plain.payee)
    first = settle(plain, 3 * EURO)
    settle(plain, -2 * EURO, -7 * EURO)
    assert paid(release(plain, first)) == [
        (plain.mine[0], 2 * EURO),
        (plain.mine[1], EURO),
    ]
    assert plain.rail.withdrawable(plain.payee) == 0
    assert plain.rail.owed(plain.payee) == 6 * EURO
    second = settle(plain, None, None, 8 * EURO)
    assert paid(release(plain, second)) == [(plain.mine[1], 6 * EURO)]
    assert plain.rail.withdrawable(plain.payee) == 2 * EURO
    plain.assert_conserved()


def test_release__payout_account__redeems_only_what_debts_left(plain):
    plain.rail.setPayoutAccount(ACCOUNT, 0, sender=plain.payee)
    first = settle(plain, 3 * EURO)
    settle(plain, -EURO - 1)
    receipt = release(plain, first)
    (order,) = [log for log in receipt.events if log.event_name == "Redeemed"]
    assert order.cents == 199
    assert plain.rail.withdrawable(plain.payee) == CENT - 1
    plain.assert_conserved()


def test_release__all_of_it_owed__pays_the_debt_and_nothing_else(plain):
    plain.rail.setPayoutAccount(ACCOUNT, 0, sender=plain.payee)
    first = settle(plain, 3 * EURO)
    settle(plain, -3 * EURO)
    receipt = release(plain, first)
    assert [log.event_name for log in receipt.events] == ["DebtPaid", "Released"]
    assert plain.rail.totals()[4] == 0 and escrow(plain, 0) == 10 * EURO


def test_release__money_of_another_payee__pays_no_debt_of_this_one(plain):
    settle(plain, EURO)
    settle(plain, -EURO)
    device = b"\x0b" * 32
    plain.enrol(device, plain.key.p256(77))
    other = plain.open(
        plain.mandate(device=device, product=plain.plain.address, payee=plain.owner.address)
    )
    plain.mint(5 * EURO, other)
    settlement = plain.settle(plain.claim(other, facts=plain_facts(EURO)), product=plain.plain)
    plain.wait(RELEASED)
    plain.rail.release(plain.owner, [settlement.release_at], sender=plain.stranger)
    assert plain.rail.withdrawable(plain.owner) == EURO
    assert plain.rail.owed(plain.payee) == EURO and plain.rail.owed(plain.owner) == 0


def test_attack__dust_debts_shield_a_large_one__what_is_owed_never_leaves(plain):
    """On 0.3.0 a call paid 32 debts, and what matured beyond them left with more debts open."""
    shared = plain.add_product("PlainProduct", SHARED)
    mine = sorted(plain.open(plain.mandate(product=shared.address)) for _ in range(33))
    for agreement in mine:
        plain.mint(EURO, agreement)

    def batch(amounts, sequence):
        rows = zip(mine, amounts, strict=True)
        return plain.settle(
            *[plain.claim(one, sequence, facts=plain_facts(amount)) for one, amount in rows],
            product=shared,
        )

    first = batch([CENT] * 32 + [EURO], 1)
    batch([-1] * 32 + [-EURO], 2)
    plain.rail.setPayoutAccount(ACCOUNT, 0, sender=plain.payee)
    receipt = release(plain, first)
    assert len(paid(receipt)) == 32
    assert plain.rail.owed(plain.payee) == EURO
    assert plain.rail.withdrawable(plain.payee) >= EURO
    greedy = plain.refusal(plain.rail.withdraw, plain.payee, EURO, sender=plain.payee)
    assert greedy == "BalanceShort"
    again = plain.rail.release(plain.payee, [], sender=plain.stranger)
    assert paid(again) == [(mine[32], EURO)]
    assert plain.rail.owed(plain.payee) == 0
    plain.assert_conserved()


def test_attack__retracted_money__pays_debts_before_it_can_leave(plain):
    """On 0.3.0 withdrawable and retracted money never paid debts."""
    payment = plain.dispute(settle(plain, 4 * EURO))
    plain.disputes.retract(payment, sender=plain.payer)
    settle(plain, -3 * EURO)
    refusal = plain.refusal(plain.rail.withdraw, plain.payee, 2 * EURO, sender=plain.payee)
    assert refusal == "BalanceShort"
    receipt = plain.rail.withdraw(plain.payee, EURO, sender=plain.payee)
    assert paid(receipt) == [(plain.mine[0], 3 * EURO)]
    assert plain.rail.owed(plain.payee) == 0 == plain.rail.withdrawable(plain.payee)
    plain.assert_conserved()


def test_repay__own_tokens__pays_oldest_debts_up_to_what_is_owed(plain):
    settle(plain, 3 * EURO, 2 * EURO)
    settle(plain, -2 * EURO, -EURO)
    rail, token, payee = plain.rail, plain.token, plain.payee
    plain.mint(9 * EURO, to=payee)
    assert plain.refusal(rail.repay, EURO, sender=payee) == "ERC20InsufficientAllowance"
    token.approve(rail, 9 * EURO, sender=payee)
    assert plain.refusal(rail.repay, 0, sender=payee) == "NothingDue"
    assert plain.refusal(rail.repay, EURO, sender=plain.stranger) == "NothingDue"
    assert paid(rail.repay(EURO, sender=payee)) == [(plain.mine[0], EURO)]
    assert paid(rail.repay(8 * EURO, sender=payee)) == [
        (plain.mine[0], EURO),
        (plain.mine[1], EURO),
    ]
    assert token.balanceOf(payee) == 6 * EURO
    assert (escrow(plain, 0), escrow(plain, 1)) == (9 * EURO, 9 * EURO)
    assert plain.refusal(rail.repay, EURO, sender=payee) == "NothingDue"
    plain.assert_conserved()


def test_repay__token_that_keeps_a_share__reverts(plain):
    token = plain.deploy("TaxedToken")
    rail = plain.deploy("PaymentRail", plain.access, token, plain.committee, plain.registry)
    product = plain.deploy("PlainProduct", rail, plain.registry, 0)
    rail.allowProduct(product, sender=plain.steward)
    mandate = plain.mandate(product=product.address)
    rail.open(mandate.as_tuple(), plain.signed(mandate, rail=rail), b"", sender=plain.owner)
    token.mint(plain.token.address, EURO, sender=plain.payer)
    token.mint(rail, EURO, sender=plain.payer)
    plain.node.rpc("anvil_impersonateAccount", token.address)
    plain.node.rpc("anvil_setBalance", token.address, hex(10**18))
    rail.onMint(mandate.agreement_id(), EURO, sender=token.address)
    for sequence, amount in ((1, CENT), (2, -CENT)):
        row = plain.claim(mandate.agreement_id(), sequence, facts=plain_facts(amount))
        batch = plain.batch(row, rail=rail, product=product)
        rail.settle(arguments(batch), plain.attest(batch), sender=plain.stranger)
    token.mint(plain.payee, EURO, sender=plain.payer)
    token.approve(rail, EURO, sender=plain.payee)
    assert plain.refusal(rail.repay, CENT, sender=plain.payee) == "BalanceShort"


def test_debt__agreement_ended__is_paid_into_it_and_reclaimed_by_anyone(plain):
    first = settle(plain, 3 * EURO)
    settle(plain, -EURO)
    plain.rail.close(plain.mine[0], sender=plain.payer)
    plain.wait(2 * DAY)
    plain.rail.reclaim(plain.mine[0], sender=plain.stranger)
    release(plain, first)
    before = plain.token.balanceOf(plain.payer)
    plain.rail.reclaim(plain.mine[0], sender=plain.stranger)
    assert plain.token.balanceOf(plain.payer) == before + EURO
    plain.assert_conserved()


def test_dispute__debt__is_nothing_to_freeze(plain):
    settle(plain, EURO)
    settlement = settle(plain, -EURO)
    refusal = plain.refusal(plain.disputes.dispute, *settlement.dispute(), sender=plain.payer)
    assert refusal == "NotDisputable"


def test_dispute__charge_shown_as_a_debt_or_the_reverse__is_no_leaf(plain):
    settle(plain, None, EURO)
    settlement = settle(plain, EURO, -EURO)
    for index, amount in ((0, -EURO), (1, EURO)):
        agreement, sequence, outcome, root, proof = settlement.dispute(index)
        turned = (*outcome[:3], amount, *outcome[4:])
        refusal = plain.refusal(
            plain.disputes.dispute, agreement, sequence, turned, root, proof, sender=plain.payer
        )
        assert refusal == "ProofInvalid"
