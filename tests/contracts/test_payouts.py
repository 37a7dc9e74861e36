"""Settled money on its way out: the window, releases, withdrawals, and the pause.

release
├── given a time that has not come: it should revert NotYetDue
├── given nothing due: it should revert NothingDue
├── given matured money and no payout account: it should become withdrawable
└── given a payout account
    ├── it should redeem the whole cents and keep the rest
    └── it should take an older rest along
pause
├── it should stop open and settle
└── it should never stop release, withdraw, dispute, concede, retract, rule, close, reclaim, fund
"""

from __future__ import annotations

import pytest

from tests.support.contracts.contract_rail import (
    ACCOUNT,
    CENT,
    DAY,
    EURO,
    NONE,
    PRICE,
    RELEASED,
)


def settled(contracts, kwh=10):
    return contracts.settle(contracts.claim(kwh=kwh))


def released(contracts, settlement):
    contracts.wait(RELEASED)
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
    contracts.wait(RELEASED)
    times = [settlement.release_at, settlement.release_at]
    contracts.rail.release(contracts.payee, times, sender=contracts.stranger)
    assert contracts.rail.withdrawable(contracts.payee) == 10 * PRICE
    contracts.assert_conserved()


def test_release__payout_account__redeems_whole_cents_and_keeps_the_rest(contracts):
    contracts.rail.setPayoutAccount(ACCOUNT, 0, sender=contracts.payee)
    row = contracts.claim(kwh=10).facts
    settlement = contracts.settle(contracts.claim(facts=_energy(row, 10_041_234)))  # 3.012370 euro
    assert settlement.amounts == [3_012_370]
    contracts.wait(RELEASED)
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
    """Return facts with another reading at the end, all of it charged."""
    return row[:24] + energy.to_bytes(8, "big") * 2


def test_release__account_set_later__takes_the_older_rest_along(contracts):
    released(contracts, settled(contracts))
    contracts.rail.setPayoutAccount(ACCOUNT, 0, sender=contracts.payee)
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


def test_pause__stops_open_and_settle_and_nothing_else(contracts):
    mine, other = contracts.agreements(2, window=30 * DAY)
    first, second = (
        contracts.settle(contracts.claim(mine)),
        contracts.settle(contracts.claim(other)),
    )
    third = settled(contracts)
    fresh = contracts.mandate(device=b"\5" * 32)
    contracts.wait(RELEASED)
    contracts.rail.pause(sender=contracts.guardian)

    batch = contracts.batch(contracts.claim(sequence=2))
    assert contracts.would_settle(batch, contracts.attest(batch)) == "Paused"
    opening = contracts.opening(fresh)
    assert contracts.refusal(contracts.rail.open, *opening, sender=contracts.payer) == "Paused"

    contracts.disputes.concede(contracts.dispute(first), sender=contracts.payee)
    contracts.disputes.retract(contracts.dispute(second), sender=contracts.payer)
    contracts.rail.release(contracts.payee, [third.release_at], sender=contracts.stranger)
    contracts.rail.withdraw(contracts.payee, 20 * PRICE, sender=contracts.payee)
    contracts.rail.setPayoutAccount(NONE, 0, sender=contracts.payee)
    contracts.mint(EURO, mine)
    contracts.rail.close(mine, sender=contracts.payer)
    contracts.wait(130 * DAY)
    contracts.rail.reclaim(mine, sender=contracts.payer)
    assert contracts.token.balanceOf(contracts.payee) == 20 * PRICE
    contracts.assert_conserved()


def test_unpause__by_the_steward__settling_goes_on(contracts):
    contracts.rail.pause(sender=contracts.guardian)
    contracts.rail.unpause(sender=contracts.steward)
    assert settled(contracts).named == ["None"]


def test_attack__guardian_pauses_for_ever__a_pause_ends_by_itself_and_cools_down(contracts):
    """On 0.3.0 one key could stop every settlement without end."""
    rail, guardian = contracts.rail, contracts.guardian
    rail.pause(sender=guardian)
    assert contracts.refusal(rail.pause, sender=guardian) == "PausedLately"
    contracts.wait(7 * DAY)
    assert not rail.paused()
    assert settled(contracts).named == ["None"]
    contracts.wait(13 * DAY)
    assert contracts.refusal(rail.pause, sender=guardian) == "PausedLately"
    contracts.wait(RELEASED)
    assert contracts.refusal(rail.pause, sender=guardian) == ""
    for other in (contracts.steward, contracts.payer, contracts.stranger):
        assert contracts.refusal(rail.pause, sender=other) == "NotInRole"


@pytest.mark.parametrize("window", [0, DAY])
def test_attack__pause_close_and_reclaim__attested_money_settles_first(contracts, window):
    """On 0.3.0 a payer closed during a pause and took what was attested and could not settle."""
    (mine,) = contracts.agreements(1, window=window)
    contracts.rail.pause(sender=contracts.guardian)
    contracts.rail.close(mine, sender=contracts.payer)
    contracts.wait(7 * DAY)
    early = contracts.refusal(contracts.rail.reclaim, mine, sender=contracts.payer)
    assert early == "NotYetDue"
    assert contracts.settle(contracts.claim(mine)).named == ["None"]
    contracts.wait(RELEASED)
    contracts.rail.reclaim(mine, sender=contracts.stranger)
    assert contracts.token.balanceOf(contracts.payer) == 10 * EURO - 10 * PRICE


def test_unpause__early__gives_only_the_pause_s_length(contracts):
    ends_at = contracts.rail.agreementEnd(contracts.agreement)[0]
    contracts.rail.pause(sender=contracts.guardian)
    begun = contracts.now
    contracts.wait(RELEASED)
    contracts.rail.unpause(sender=contracts.steward)
    paused = contracts.now - begun
    assert contracts.rail.agreementEnd(contracts.agreement)[0] == ends_at + paused
    assert contracts.rail.pauses() == (contracts.now, paused)
    again = contracts.refusal(contracts.rail.unpause, sender=contracts.steward)
    assert again == "NotYetDue"


def test_attack__stranger_turns_cents_into_orders__one_a_day_and_none_below_the_minimum(contracts):
    """On 0.3.0 a stranger turned 20 cents into 20 bank payouts."""
    rail, payee = contracts.rail, contracts.payee
    rail.setPayoutAccount(ACCOUNT, EURO, sender=payee)
    releases = []
    for sequence in range(1, 5):
        releases.append(contracts.settle(contracts.claim(sequence=sequence, kwh=1)).release_at)
        contracts.wait(DAY // 4)  # within it they would share a release
    contracts.wait(RELEASED)

    def orders(times, sender):
        receipt = rail.release(payee, times, sender=sender)
        return [log.cents for log in receipt.events if log.event_name == "Redeemed"]

    stranger = contracts.stranger
    assert orders(releases[:3], stranger) == []  # 0.90 euro: below the payee's minimum
    assert orders(releases[3:], stranger) == [120]
    releases = [contracts.settle(contracts.claim(sequence=5, kwh=10)).release_at]
    contracts.wait(RELEASED)
    assert orders(releases, stranger) == [300]


@pytest.mark.parametrize(("above", "orders"), [(0, 1), (1, 0)])
def test_release__by_a_stranger__orders_from_the_minimum_itself_on(contracts, above, orders):
    minimum = 10 * PRICE + above
    contracts.rail.setPayoutAccount(ACCOUNT, minimum, sender=contracts.payee)
    settlement = settled(contracts)
    contracts.wait(RELEASED)
    times = [settlement.release_at]
    receipt = contracts.rail.release(contracts.payee, times, sender=contracts.stranger)
    assert [log.event_name for log in receipt.events].count("Redeemed") == orders


def test_payee__releases_as_often_and_as_little_as_it_likes(contracts):
    rail, payee = contracts.rail, contracts.payee
    rail.setPayoutAccount(ACCOUNT, 99 * EURO, sender=payee)
    releases = []
    for sequence in (1, 2):
        settlement = contracts.settle(contracts.claim(sequence=sequence, kwh=1))
        releases.append(settlement.release_at)
        contracts.wait(DAY // 4)  # within it they would share a release
    contracts.wait(RELEASED)
    for release in releases:
        receipt = rail.release(payee, [release], sender=payee)
        assert "Redeemed" in [log.event_name for log in receipt.events]
    assert rail.payoutLimits(payee) == (99 * EURO, 0)


def test_sweep__donations__leave_and_nothing_else_does(contracts):
    rail, token = contracts.rail, contracts.token
    assert contracts.refusal(rail.sweep, contracts.payer, sender=contracts.steward) == "NothingDue"
    contracts.mint(3 * EURO)
    token.transfer(rail, 3 * EURO, sender=contracts.payer)
    for other in (contracts.guardian, contracts.payer, contracts.stranger):
        refusal = contracts.refusal(rail.sweep, other, sender=other)
        assert refusal == "AccessManagedUnauthorized"
    rail.sweep(contracts.stranger, sender=contracts.steward)
    assert token.balanceOf(contracts.stranger) == 3 * EURO
    contracts.assert_conserved()
