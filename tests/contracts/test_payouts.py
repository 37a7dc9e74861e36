"""Settled money on its way out: the window, disputes, releases, withdrawals, and the pause.

release
├── given a time that has not come: it should revert NotYetDue
├── given nothing due: it should revert NothingDue
├── given matured money and no payout account: it should become withdrawable
└── given a payout account
    ├── it should redeem the whole cents and keep the rest
    └── it should take an older rest along
dispute
├── given a stranger, a wrong proof, another payment, a refused claim, the end of the window
│   └── it should revert by name
└── given the payer within the window
    ├── it should freeze the amount, once for ever
    └── concede, retract, rule: each should end it, and only its own party may
pause
├── it should stop open and settle
└── it should never stop release, withdraw, dispute, concede, retract, rule, close, reclaim, fund
"""

from __future__ import annotations

import pytest

from tests.support.contracts.contract_rail import ACCOUNT, CENT, DAY, EURO, NONE, PRICE
from tests.support.contracts.settled import payment_id


def settled(contracts, kwh=10):
    return contracts.settle(contracts.claim(kwh=kwh))


def released(contracts, settlement):
    contracts.wait(DAY)
    contracts.rail.release(contracts.payee, [settlement.release_at], sender=contracts.stranger)
    return contracts


def test_release__before_the_window_ends__reverts(contracts):
    settlement = settled(contracts)
    refusal = contracts.refusal_args(
        contracts.rail.release, contracts.payee, [settlement.release_at], sender=contracts.payee
    )
    assert refusal == ("NotYetDue", (settlement.release_at,))


def test_release__nothing_due__reverts(contracts):
    assert (
        contracts.refusal(contracts.rail.release, contracts.payee, [], sender=contracts.payee)
        == "NothingDue"
    )
    past = [contracts.now - 5]
    assert (
        contracts.refusal(contracts.rail.release, contracts.payee, past, sender=contracts.payee)
        == "NothingDue"
    )


def test_release__no_payout_account__becomes_withdrawable_once(contracts):
    settlement = settled(contracts)
    released(contracts, settlement)
    assert contracts.rail.withdrawable(contracts.payee) == 10 * PRICE
    again = contracts.refusal(
        contracts.rail.release, contracts.payee, [settlement.release_at], sender=contracts.payee
    )
    assert again == "NothingDue"
    contracts.assert_conserved()


def test_release__same_time_named_twice__pays_once(contracts):
    settlement = settled(contracts)
    contracts.wait(DAY)
    times = [settlement.release_at, settlement.release_at]
    contracts.rail.release(contracts.payee, times, sender=contracts.stranger)
    assert contracts.rail.withdrawable(contracts.payee) == 10 * PRICE
    contracts.assert_conserved()


def test_release__payout_account__redeems_whole_cents_and_keeps_the_rest(contracts):
    contracts.rail.setPayoutAccount(ACCOUNT, sender=contracts.payee)
    row = contracts.claim(kwh=10).facts
    settlement = contracts.settle(contracts.claim(facts=_energy(row, 10_041_234)))  # 3.012370 euro
    assert settlement.amounts == [3_012_370]
    contracts.wait(DAY)
    before = contracts.token.totalSupply()
    receipt = contracts.rail.release(
        contracts.payee, [settlement.release_at], sender=contracts.stranger
    )
    order = next(log for log in receipt.events if log.event_name == "Redeemed")
    assert (order.cents, order.beneficiary, bytes(order.account)) == (301, contracts.payee, ACCOUNT)
    assert order.holder == contracts.rail.address
    assert contracts.token.totalSupply() == before - 301 * CENT
    assert contracts.rail.withdrawable(contracts.payee) == 2_370
    assert contracts.rail.totals()[4] == 301 * CENT
    contracts.assert_conserved()


def _energy(row: bytes, energy: int) -> bytes:
    return row[:32] + energy.to_bytes(32, "big") * 2 + row[96:]


def test_release__account_set_later__takes_the_older_rest_along(contracts):
    released(contracts, settled(contracts))
    contracts.rail.setPayoutAccount(ACCOUNT, sender=contracts.payee)
    contracts.rail.release(contracts.payee, [], sender=contracts.stranger)
    assert (contracts.rail.withdrawable(contracts.payee), contracts.rail.totals()[4]) == (
        0,
        10 * PRICE,
    )


def test_withdraw__own_money__moves_it_and_no_more(contracts):
    released(contracts, settled(contracts))
    rail, payee = contracts.rail, contracts.payee
    assert contracts.refusal(rail.withdraw, payee, 10 * PRICE + 1, sender=payee) == "BalanceShort"
    assert contracts.refusal(rail.withdraw, payee, 1, sender=contracts.stranger) == "BalanceShort"
    assert contracts.refusal(rail.withdraw, payee, 0, sender=payee) == "NothingDue"
    rail.withdraw(contracts.stranger, 10 * PRICE, sender=payee)
    assert contracts.token.balanceOf(contracts.stranger) == 10 * PRICE
    contracts.assert_conserved()


def test_dispute__by_the_payer_in_time__freezes_once_for_ever(contracts):
    settlement = settled(contracts)
    rail = contracts.rail
    rail.dispute(*settlement.dispute(), sender=contracts.payer)
    assert rail.totals()[1:4] == (0, 0, 10 * PRICE)
    assert rail.frozen(settlement.outcomes[0][0])[1] == 10 * PRICE
    again = contracts.refusal(rail.dispute, *settlement.dispute(), sender=contracts.payer)
    assert again == "NotDisputable"
    rail.retract(settlement.outcomes[0][0], sender=contracts.payer)
    assert (
        contracts.refusal(rail.dispute, *settlement.dispute(), sender=contracts.payer)
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
    rail, payer = contracts.rail, contracts.payer

    def refusal(*args, sender=payer):
        return contracts.refusal(rail.dispute, *args, sender=sender)

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
    settlement = contracts.settle(contracts.claim(sequence=5))
    refusal = contracts.refusal(
        contracts.rail.dispute, *settlement.dispute(), sender=contracts.payer
    )
    assert refusal == "NotDisputable"


def test_dispute__window_over__reverts_and_the_last_second_still_counts(contracts):
    settlement = settled(contracts)
    contracts.wait(DAY - 1)
    assert (
        contracts.refusal(contracts.rail.dispute, *settlement.dispute(), sender=contracts.payer)
        == ""
    )
    contracts.wait(1)
    refusal = contracts.refusal(
        contracts.rail.dispute, *settlement.dispute(), sender=contracts.payer
    )
    assert refusal == "WindowOver"


@pytest.mark.parametrize("how", ["concede", "retract", "rule refund", "rule pay"])
def test_dispute_end__each_way__money_goes_where_it_belongs(contracts, how):
    settlement = settled(contracts)
    payment = settlement.outcomes[0][0]
    contracts.rail.dispute(*settlement.dispute(), sender=contracts.payer)
    if how == "concede":
        contracts.rail.concede(payment, sender=contracts.payee)
    elif how == "retract":
        contracts.rail.retract(payment, sender=contracts.payer)
    else:
        refund = how == "rule refund"
        contracts.rail.rule(
            payment, refund, contracts.ruling(payment, refund), sender=contracts.stranger
        )
    refunded = how in ("concede", "rule refund")
    escrow = contracts.rail.agreementState(contracts.agreement)[2]
    assert escrow == 100 * EURO - (0 if refunded else 10 * PRICE)
    assert contracts.rail.withdrawable(contracts.payee) == (0 if refunded else 10 * PRICE)
    assert (
        contracts.refusal(contracts.rail.concede, payment, sender=contracts.payee) == "NotDisputed"
    )
    contracts.assert_conserved()


def test_dispute_end__by_the_wrong_party__reverts(contracts):
    settlement = settled(contracts)
    payment, rail = settlement.outcomes[0][0], contracts.rail
    contracts.rail.dispute(*settlement.dispute(), sender=contracts.payer)
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
    payment, rail = settlement.outcomes[0][0], contracts.rail
    rail.dispute(*settlement.dispute(), sender=contracts.payer)

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
    contracts.rail.dispute(*settlement.dispute(), sender=contracts.payer)
    contracts.wait(3 * DAY)
    contracts.rail.reclaim(mine, sender=contracts.payer)
    assert contracts.refusal(contracts.rail.reclaim, mine, sender=contracts.payer) == "NothingDue"
    contracts.rail.concede(settlement.outcomes[0][0], sender=contracts.payee)
    before = contracts.token.balanceOf(contracts.payer)
    contracts.rail.reclaim(mine, sender=contracts.payer)
    assert contracts.token.balanceOf(contracts.payer) == before + 10 * PRICE
    contracts.assert_conserved()


def test_pause__stops_open_and_settle_and_nothing_else(contracts):
    mine, other = contracts.agreements(2, window=30 * DAY)
    first, second = (
        contracts.settle(contracts.claim(mine)),
        contracts.settle(contracts.claim(other)),
    )
    third = settled(contracts)
    fresh = contracts.mandate(device=b"\5" * 32)
    contracts.wait(DAY)
    contracts.rail.pause(sender=contracts.guardian)

    batch = contracts.batch(contracts.claim(sequence=2))
    assert contracts.would_settle(batch, contracts.attest(batch)) == "Paused"
    consent = contracts.signed(fresh)
    refusal = contracts.refusal(
        contracts.rail.open, fresh.as_tuple(), consent, sender=contracts.payer
    )
    assert refusal == "Paused"

    contracts.rail.dispute(*first.dispute(), sender=contracts.payer)
    contracts.rail.concede(first.outcomes[0][0], sender=contracts.payee)
    contracts.rail.dispute(*second.dispute(), sender=contracts.payer)
    contracts.rail.retract(second.outcomes[0][0], sender=contracts.payer)
    contracts.rail.release(contracts.payee, [third.release_at], sender=contracts.stranger)
    contracts.rail.withdraw(contracts.payee, 20 * PRICE, sender=contracts.payee)
    contracts.rail.setPayoutAccount(NONE, sender=contracts.payee)
    contracts.mint(EURO, mine)
    contracts.rail.close(mine, sender=contracts.payer)
    contracts.wait(100 * DAY)
    contracts.rail.reclaim(mine, sender=contracts.payer)
    assert contracts.token.balanceOf(contracts.payee) == 20 * PRICE
    contracts.assert_conserved()


def test_unpause__by_the_steward__settling_goes_on(contracts):
    contracts.rail.pause(sender=contracts.guardian)
    contracts.rail.unpause(sender=contracts.steward)
    assert settled(contracts).named == ["None"]
