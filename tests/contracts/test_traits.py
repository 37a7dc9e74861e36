"""What a product may ask of the rail: late claims, shared devices, payees of its own naming.

LATE
├── given no trait and counters at or below the last claimed: it should refuse CountersReplayed
└── given the trait
    ├── it should mark the claim as late, and never move the last counter back
    └── it should still refuse counters from before the agreement
SHARED: a device may have several live agreements, and holds none of them
ANY_PAYEE
├── a mandate with a payee should not open; without the trait one without
├── it should pay the payee that the product names, each claim another; a dispute should follow it
└── given a reply that names no payee: it should revert
No trait: what stands for a payee in a reply is the note, so no product can name one it may not.
STEADY: quotes should name no device as long as the registry has said nothing of it
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.contracts.contract_rail import (
    DAY,
    DEVICE,
    EURO,
    KWH,
    MORE,
    NONE,
    PRICE,
    RELEASED,
)
from tests.support.contracts.settled import NOBODY, plain_facts

LATE, SHARED, ANY_PAYEE, STEADY = 1, 2, 4, 8


@pytest.fixture
def product(contracts):
    """Makes a product of these traits, which answers what the facts say."""
    return lambda traits: contracts.add_product("PlainProduct", traits)


def row(contracts, agreement, sequence, first, last, amount=EURO, payee=NOBODY):
    return contracts.claim(
        agreement,
        sequence,
        first_counter=first,
        last_counter=last,
        facts=plain_facts(amount, payee),
    )


def quoted(settlement):
    """(device, limit, late) of the quote that the product heard."""
    (log,) = [log for log in settlement.receipt.events if log.event_name == "Quoted"]
    return bytes(log.device), log.limit, log.late


def open_refusal(contracts, **changes):
    """The owner calls, so it needs to sign no consent."""
    mandate = contracts.mandate(**changes)
    opening = (mandate.as_tuple(), contracts.signed(mandate), b"")
    return contracts.refusal(contracts.rail.open, *opening, sender=contracts.owner)


def test_quote__of_every_claim__names_the_agreement_s_device_and_limit(contracts, product):
    plain, device = product(0), b"\x0d" * 32
    contracts.enrol(device, contracts.key.p256(89))
    mandate = contracts.mandate(product=plain.address, device=device, cap=3 * EURO)
    receipt = contracts.rail.open(*contracts.opening(mandate), sender=contracts.payer)
    (opened,) = [log for log in receipt.events if log.event_name == "Opened"]
    mine = mandate.agreement_id()
    assert (bytes(opened.agreement), bytes(opened.device)) == (mine, device)
    assert opened.start == mandate.start
    contracts.mint(9 * EURO, mine)
    settlement = contracts.settle(row(contracts, mine, 1, 11, 11), product=plain)
    assert quoted(settlement) == (device, 3 * EURO, False)


def test_late__product_without_the_trait__refuses_counters_replayed(contracts, product):
    plain = product(SHARED | ANY_PAYEE)
    (mine,) = contracts.agreements(1, product=plain.address, payee=NOBODY)
    claims = [
        row(contracts, mine, 1, 20, 29, payee=contracts.payee),
        row(contracts, mine, 2, 12, 13, payee=contracts.payee),
    ]
    named = [contracts.settle(claim, product=plain).named for claim in claims]
    assert named == [["None"], ["CountersReplayed"]]


def test_late__with_the_trait__is_marked_and_never_moves_the_last_counter_back(contracts, product):
    plain = product(LATE)
    (mine,) = contracts.agreements(1, product=plain.address)
    seen = []
    for sequence, (first, last) in enumerate([(20, 29), (12, 13), (29, 40), (30, 50)], start=1):
        settlement = contracts.settle(row(contracts, mine, sequence, first, last), product=plain)
        assert settlement.named == ["None"]
        seen.append((quoted(settlement)[2], contracts.rail.agreementState(mine)[1]))
    assert seen == [(False, 29), (True, 29), (True, 40), (True, 50)]


def test_late__counters_of_before_the_agreement__are_replays(contracts, product):
    plain = product(LATE)
    (mine,) = contracts.agreements(1, product=plain.address, first_counter=10)
    contracts.settle(row(contracts, mine, 1, 20, 29), product=plain)
    assert contracts.settle(row(contracts, mine, 2, 10, 12), product=plain).named == [
        "CountersReplayed"
    ]
    assert contracts.settle(row(contracts, mine, 2, 11, 12), product=plain).named == ["None"]


def test_late__same_batch_again__is_stopped_by_the_sequence(contracts, product):
    plain = product(LATE)
    (mine,) = contracts.agreements(1, product=plain.address)
    claim = row(contracts, mine, 1, 20, 29)
    assert contracts.settle(claim, product=plain).named == ["None"]
    assert contracts.settle(claim, product=plain).named == ["SequenceUnexpected"]


def test_shared__one_device__serves_several_agreements_and_holds_none(contracts, product):
    plain = product(SHARED)
    busy = {"product": plain.address, "device": DEVICE}
    first, second = sorted(contracts.open(contracts.mandate(**busy)) for _ in range(2))
    assert (
        bytes(contracts.rail.agreementOf(DEVICE)) == contracts.agreement
    )  # the one that is not shared
    for agreement in (first, second):
        contracts.mint(EURO, agreement)
    settlement = contracts.settle(
        *[row(contracts, agreement, 1, 11, 11) for agreement in (first, second)], product=plain
    )
    assert settlement.named == ["None", "None"]
    contracts.wait(92 * DAY)
    contracts.rail.reclaim(first, sender=contracts.payer)
    assert bytes(contracts.rail.agreementOf(DEVICE)) == contracts.agreement


def test_shared__without_the_trait__a_device_has_one_agreement(contracts, product):
    plain = product(LATE | ANY_PAYEE)
    assert open_refusal(contracts, product=plain.address, payee=NOBODY) == "DeviceHasAgreement"


def test_any_payee__mandate_with_a_payee__does_not_open(contracts, product):
    free = b"\x0c" * 32
    contracts.enrol(free, contracts.key.p256(88))
    any_, plain = product(ANY_PAYEE), product(LATE | SHARED)
    assert open_refusal(contracts, product=any_.address, device=free) == "PayeeUnexpected"
    assert open_refusal(contracts, product=any_.address, device=free, payee=NOBODY) == ""
    assert (
        open_refusal(contracts, product=plain.address, device=free, payee=NOBODY) == "PayeeMissing"
    )
    assert open_refusal(contracts, product=plain.address, device=free) == ""


def test_any_payee__claims_of_one_agreement__pay_the_payee_that_the_product_names(
    contracts, product
):
    plain = product(ANY_PAYEE)
    mine = contracts.agreements(2, product=plain.address, payee=NOBODY)
    settlement = contracts.settle(
        row(contracts, mine[0], 1, 11, 11, EURO, contracts.payee),
        row(contracts, mine[1], 1, 11, 11, 2 * EURO, contracts.owner),
        product=plain,
    )
    assert [outcome[2] for outcome in settlement.outcomes] == [contracts.payee, contracts.owner]
    assert contracts.rail.settledAt(settlement.root)[0] == contracts.now
    contracts.wait(DAY // 4)  # settlements within a quarter of the window share a release time
    again = contracts.settle(
        row(contracts, mine[0], 2, 12, 12, 3 * EURO, contracts.owner), product=plain
    )
    rail = contracts.rail
    assert rail.pending(contracts.owner, settlement.release_at) == 2 * EURO
    assert rail.pending(contracts.owner, again.release_at) == 3 * EURO
    contracts.wait(RELEASED)
    rail.release(
        contracts.owner, [settlement.release_at, again.release_at], sender=contracts.stranger
    )
    assert rail.withdrawable(contracts.owner) == 5 * EURO
    contracts.assert_conserved()


@pytest.mark.parametrize("how", ["concede", "retract"])
def test_any_payee__dispute__ends_by_and_for_the_payee_of_the_claim(contracts, product, how):
    plain = product(ANY_PAYEE)
    (mine,) = contracts.agreements(1, product=plain.address, payee=NOBODY)
    settlement = contracts.settle(
        row(contracts, mine, 1, 11, 11, EURO, contracts.owner), product=plain
    )
    rail, disputes, payment = contracts.rail, contracts.disputes, contracts.dispute(settlement)
    assert tuple(rail.frozen(payment))[1:] == (EURO, contracts.owner)
    assert contracts.refusal(disputes.concede, payment, sender=contracts.payee) == "NotParty"
    if how == "concede":
        disputes.concede(payment, sender=contracts.owner)
    else:
        disputes.retract(payment, sender=contracts.payer)
    assert rail.withdrawable(contracts.owner) == (EURO if how == "retract" else 0)
    assert rail.agreementState(mine)[2] == (9 if how == "retract" else 10) * EURO
    contracts.assert_conserved()


def test_any_payee__debt__is_owed_by_the_payee_of_that_claim(contracts, product):
    plain = product(ANY_PAYEE)
    (mine,) = contracts.agreements(1, product=plain.address, payee=NOBODY)
    contracts.settle(row(contracts, mine, 1, 11, 11, EURO, contracts.payee), product=plain)
    contracts.settle(row(contracts, mine, 2, 12, 12, -EURO, contracts.owner), product=plain)
    assert (contracts.rail.owed(contracts.owner), contracts.rail.owed(contracts.payee)) == (EURO, 0)


@pytest.mark.parametrize("amount", [EURO, 0, -EURO])
def test_any_payee__reply_that_names_none__reverts(contracts, product, amount):
    plain = product(ANY_PAYEE)
    (mine,) = contracts.agreements(1, product=plain.address, payee=NOBODY)
    wrong = row(contracts, mine, 1, 11, 11, amount, NOBODY)
    right = replace(wrong, facts=plain_facts(amount, contracts.payee))
    refusals = [
        contracts.would_settle(batch, contracts.attest(batch))
        for batch in (contracts.batch(claim, product=plain) for claim in (wrong, right))
    ]
    assert refusals == ["ProductAnswerInvalid", ""]


@pytest.mark.parametrize(("traits", "names"), [(LATE, True), (STEADY, False), (9, False)])
def test_steady__quote_of_a_quiet_device__names_none(contracts, product, traits, names):
    plain = product(traits)
    mandate = contracts.mandate(product=plain.address, device=MORE[0])
    mine = contracts.open(mandate)
    contracts.mint(EURO, mine)
    settlement = contracts.settle(row(contracts, mine, 1, 11, 11), product=plain)
    assert quoted(settlement)[0] == (MORE[0] if names else NONE)
    assert contracts.rail.noteOf(mine).steady == (not names)


def test_refused_claim__with_any_payee__is_refused_and_pays_nobody(contracts, product):
    plain = product(ANY_PAYEE)
    (mine,) = contracts.agreements(1, product=plain.address, payee=NOBODY)
    settlement = contracts.settle(
        row(contracts, mine, 1, 11, 11, 99 * EURO, contracts.owner), product=plain
    )
    assert settlement.named == ["EscrowShort"] and settlement.outcomes[0][2] == NOBODY


def test_traits__changed_after_the_listing__are_not_read_again(contracts):
    shifty = contracts.allow(contracts.deploy("ShiftyProduct"))
    shifty.become(ANY_PAYEE | SHARED, sender=contracts.stranger)
    contracts.rail.allowProduct(shifty, sender=contracts.steward)
    assert open_refusal(contracts, product=shifty.address, payee=NOBODY) == "PayeeMissing"
    assert open_refusal(contracts, product=shifty.address) == "DeviceHasAgreement"


def test_metered_energy__asks_for__late_claims_and_steady_rows(contracts):
    assert contracts.product.traits() == LATE | STEADY
    assert contracts.settle(contracts.claim(kwh=2)).amounts == [2 * KWH * PRICE // KWH]
