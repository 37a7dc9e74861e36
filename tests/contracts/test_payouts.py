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
    └── concede, retract, rule: each should end it, and only for whom it is meant
pause
├── it should stop open and settle
└── it should never stop release, withdraw, dispute, concede, retract, rule, close, reclaim, fund
"""

from __future__ import annotations

import pytest

from tests.support.contracts.settled import payment_id
from tests.support.contracts.stage import ACCOUNT, CENT, DAY, EURO, NONE, PRICE


def settled(stage, kwh=10):
    return stage.settle(stage.claim(kwh=kwh))


def released(stage, done):
    stage.wait(DAY)
    stage.rail.release(stage.payee, [done.release_at], sender=stage.stranger)
    return stage


def test_release__before_the_window_ends__reverts(stage):
    done = settled(stage)
    found = stage.refusal_args(
        stage.rail.release, stage.payee, [done.release_at], sender=stage.payee
    )
    assert found == ("NotYetDue", (done.release_at,))


def test_release__nothing_due__reverts(stage):
    assert stage.refusal(stage.rail.release, stage.payee, [], sender=stage.payee) == "NothingDue"
    past = [stage.now - 5]
    assert stage.refusal(stage.rail.release, stage.payee, past, sender=stage.payee) == "NothingDue"


def test_release__no_payout_account__becomes_withdrawable_once(stage):
    done = settled(stage)
    released(stage, done)
    assert stage.rail.withdrawable(stage.payee) == 10 * PRICE
    again = stage.refusal(stage.rail.release, stage.payee, [done.release_at], sender=stage.payee)
    assert again == "NothingDue"
    stage.assert_conserved()


def test_release__same_time_named_twice__pays_once(stage):
    done = settled(stage)
    stage.wait(DAY)
    times = [done.release_at, done.release_at]
    stage.rail.release(stage.payee, times, sender=stage.stranger)
    assert stage.rail.withdrawable(stage.payee) == 10 * PRICE
    stage.assert_conserved()


def test_release__payout_account__redeems_whole_cents_and_keeps_the_rest(stage):
    stage.rail.setPayoutAccount(ACCOUNT, sender=stage.payee)
    row = stage.claim(kwh=10).facts
    done = stage.settle(stage.claim(facts=_energy(row, 10_041_234)))  # 3.012370 euro
    assert done.amounts == [3_012_370]
    stage.wait(DAY)
    before = stage.token.totalSupply()
    receipt = stage.rail.release(stage.payee, [done.release_at], sender=stage.stranger)
    order = next(log for log in receipt.events if log.event_name == "Redeemed")
    assert (order.cents, order.beneficiary, bytes(order.account)) == (301, stage.payee, ACCOUNT)
    assert order.holder == stage.rail.address
    assert stage.token.totalSupply() == before - 301 * CENT
    assert stage.rail.withdrawable(stage.payee) == 2_370
    assert stage.rail.totals()[4] == 301 * CENT
    stage.assert_conserved()


def _energy(row: bytes, energy: int) -> bytes:
    return row[:32] + energy.to_bytes(32, "big") * 2 + row[96:]


def test_release__account_set_later__takes_the_older_rest_along(stage):
    released(stage, settled(stage))
    stage.rail.setPayoutAccount(ACCOUNT, sender=stage.payee)
    stage.rail.release(stage.payee, [], sender=stage.stranger)
    assert (stage.rail.withdrawable(stage.payee), stage.rail.totals()[4]) == (0, 10 * PRICE)


def test_withdraw__own_money__moves_it_and_no_more(stage):
    released(stage, settled(stage))
    rail, payee = stage.rail, stage.payee
    assert stage.refusal(rail.withdraw, payee, 10 * PRICE + 1, sender=payee) == "BalanceShort"
    assert stage.refusal(rail.withdraw, payee, 1, sender=stage.stranger) == "BalanceShort"
    assert stage.refusal(rail.withdraw, payee, 0, sender=payee) == "NothingDue"
    rail.withdraw(stage.stranger, 10 * PRICE, sender=payee)
    assert stage.token.balanceOf(stage.stranger) == 10 * PRICE
    stage.assert_conserved()


def test_dispute__by_the_payer_in_time__freezes_once_for_ever(stage):
    done = settled(stage)
    rail = stage.rail
    rail.dispute(*done.dispute(), sender=stage.payer)
    assert rail.totals()[1:4] == (0, 0, 10 * PRICE)
    assert rail.frozen(done.outcomes[0][0])[1] == 10 * PRICE
    again = stage.refusal(rail.dispute, *done.dispute(), sender=stage.payer)
    assert again == "NotDisputable"
    rail.retract(done.outcomes[0][0], sender=stage.payer)
    assert stage.refusal(rail.dispute, *done.dispute(), sender=stage.payer) == "NotDisputable"
    stage.assert_conserved()


def test_dispute__bad_callers_and_proofs__revert_by_name(stage):
    others = stage.agreements(2)
    claims = sorted(map(stage.claim, [stage.agreement, *others]), key=lambda one: one.agreement)
    done = stage.settle(*claims)
    agreement, sequence, outcome, root, proof = done.dispute(0)
    rail, payer = stage.rail, stage.payer

    def refusal(*args, sender=payer):
        return stage.refusal(rail.dispute, *args, sender=sender)

    assert refusal(agreement, sequence, outcome, root, proof) == ""
    for other in (stage.payee, stage.stranger, stage.steward, stage.guardian):
        assert refusal(agreement, sequence, outcome, root, proof, sender=other) == "NotParty"
    assert refusal(agreement, sequence, outcome, root, proof[:-1]) == "ProofInvalid"
    assert refusal(agreement, sequence, outcome, proof[0], proof[1:]) == "ProofInvalid"
    richer = (*outcome[:3], outcome[3] + 1, *outcome[4:])
    assert refusal(agreement, sequence, richer, root, proof) == "ProofInvalid"
    assert refusal(claims[1].agreement, sequence, outcome, root, proof) == "NotDisputable"
    assert refusal(agreement, sequence + 1, outcome, root, proof) == "NotDisputable"
    unknown = b"\1" * 32
    assert refusal(unknown, sequence, outcome, root, proof) == "UnknownAgreement"


def test_dispute__refused_claim__is_not_disputable(stage):
    done = stage.settle(stage.claim(sequence=5))
    found = stage.refusal(stage.rail.dispute, *done.dispute(), sender=stage.payer)
    assert found == "NotDisputable"


def test_dispute__window_over__reverts_and_the_last_second_still_counts(stage):
    done = settled(stage)
    stage.wait(DAY - 1)
    assert stage.refusal(stage.rail.dispute, *done.dispute(), sender=stage.payer) == ""
    stage.wait(1)
    found = stage.refusal(stage.rail.dispute, *done.dispute(), sender=stage.payer)
    assert found == "WindowOver"


@pytest.mark.parametrize("how", ["concede", "retract", "rule refund", "rule pay"])
def test_dispute_end__each_way__money_goes_where_it_belongs(stage, how):
    done = settled(stage)
    payment = done.outcomes[0][0]
    stage.rail.dispute(*done.dispute(), sender=stage.payer)
    if how == "concede":
        stage.rail.concede(payment, sender=stage.payee)
    elif how == "retract":
        stage.rail.retract(payment, sender=stage.payer)
    else:
        refund = how == "rule refund"
        stage.rail.rule(payment, refund, stage.ruling(payment, refund), sender=stage.stranger)
    refunded = how in ("concede", "rule refund")
    escrow = stage.rail.agreementState(stage.agreement)[2]
    assert escrow == 100 * EURO - (0 if refunded else 10 * PRICE)
    assert stage.rail.withdrawable(stage.payee) == (0 if refunded else 10 * PRICE)
    assert stage.refusal(stage.rail.concede, payment, sender=stage.payee) == "NotDisputed"
    stage.assert_conserved()


def test_dispute_end__by_the_wrong_party__reverts(stage):
    done = settled(stage)
    payment, rail = done.outcomes[0][0], stage.rail
    stage.rail.dispute(*done.dispute(), sender=stage.payer)
    for other in (stage.payer, stage.stranger, stage.steward, stage.guardian, stage.minter):
        assert stage.refusal(rail.concede, payment, sender=other) == "NotParty"
    for other in (stage.payee, stage.stranger, stage.steward, stage.guardian, stage.minter):
        assert stage.refusal(rail.retract, payment, sender=other) == "NotParty"


def test_rule__signatures_of_another_meaning__revert(stage):
    done = settled(stage)
    payment, rail = done.outcomes[0][0], stage.rail
    rail.dispute(*done.dispute(), sender=stage.payer)

    def refusal(signatures, refund=True):
        return stage.refusal(rail.rule, payment, refund, signatures, sender=stage.steward)

    assert refusal(stage.ruling(payment, True)) == ""
    assert refusal(stage.ruling(payment, True), refund=False) != ""
    assert refusal(stage.ruling(payment_id(stage.agreement, 2), True)) != ""
    assert refusal(stage.ruling(payment, True, rail=stage.token)) != ""
    assert refusal(stage.ruling(payment, True, chain_id=1)) != ""
    assert refusal(stage.ruling(payment, True)[:2]) == "QuorumMissing"
    assert refusal(stage.attest(stage.batch(stage.claim()))) != ""


def test_concede__agreement_already_reclaimed__the_payer_gets_it_by_a_second_reclaim(stage):
    (mine,) = stage.agreements(1, window=30 * DAY, expiry=stage.now + 2 * DAY)
    done = stage.settle(stage.claim(mine))
    stage.rail.dispute(*done.dispute(), sender=stage.payer)
    stage.wait(3 * DAY)
    stage.rail.reclaim(mine, sender=stage.payer)
    assert stage.refusal(stage.rail.reclaim, mine, sender=stage.payer) == "NothingDue"
    stage.rail.concede(done.outcomes[0][0], sender=stage.payee)
    before = stage.token.balanceOf(stage.payer)
    stage.rail.reclaim(mine, sender=stage.payer)
    assert stage.token.balanceOf(stage.payer) == before + 10 * PRICE
    stage.assert_conserved()


def test_pause__stops_open_and_settle_and_nothing_else(stage):
    mine, other = stage.agreements(2, window=30 * DAY)
    first, second = stage.settle(stage.claim(mine)), stage.settle(stage.claim(other))
    third = settled(stage)
    fresh = stage.mandate(device=b"\5" * 32)
    stage.wait(DAY)
    stage.rail.pause(sender=stage.guardian)

    batch = stage.batch(stage.claim(sequence=2))
    assert stage.would_settle(batch, stage.attest(batch)) == "Paused"
    consent = stage.consent(fresh)
    found = stage.refusal(stage.rail.open, fresh.as_tuple(), consent, sender=stage.payer)
    assert found == "Paused"

    stage.rail.dispute(*first.dispute(), sender=stage.payer)
    stage.rail.concede(first.outcomes[0][0], sender=stage.payee)
    stage.rail.dispute(*second.dispute(), sender=stage.payer)
    stage.rail.retract(second.outcomes[0][0], sender=stage.payer)
    stage.rail.release(stage.payee, [third.release_at], sender=stage.stranger)
    stage.rail.withdraw(stage.payee, 20 * PRICE, sender=stage.payee)
    stage.rail.setPayoutAccount(NONE, sender=stage.payee)
    stage.mint(EURO, mine)
    stage.rail.close(mine, sender=stage.payer)
    stage.wait(100 * DAY)
    stage.rail.reclaim(mine, sender=stage.payer)
    assert stage.token.balanceOf(stage.payee) == 20 * PRICE
    stage.assert_conserved()


def test_unpause__by_the_steward__settling_goes_on(stage):
    stage.rail.pause(sender=stage.guardian)
    stage.rail.unpause(sender=stage.steward)
    assert settled(stage).named == ["None"]
