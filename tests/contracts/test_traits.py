"""What a product may ask of the rail: late claims, shared devices, payees of its own naming.

LATE
├── given no trait and counters at or below the last claimed: it should refuse CountersReplayed
└── given the trait
    ├── it should hand the claim over as late, and never move the last counter back
    └── it should still refuse counters from before the agreement
SHARED: a device may have several live agreements, and holds none of them
ANY_PAYEE
├── a mandate with a payee should not open; without the trait one without
├── it should pay whom the product names, each claim another, and dispute, concede, retract follow
└── given a payee where there should be none, or none where there should be one: it should revert
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.contracts.settled import NOBODY, plain_facts
from tests.support.contracts.stage import DAY, DEVICE, EURO, KWH, PRICE

LATE, SHARED, ANY_PAYEE = 1, 2, 4


@pytest.fixture
def product(stage):
    """Makes a product of these traits, which answers what the facts say."""
    return lambda traits: stage.add_product("PlainProduct", traits)


def row(stage, agreement, sequence, first, last, amount=EURO, payee=NOBODY):
    return stage.claim(
        agreement,
        sequence,
        first_counter=first,
        last_counter=last,
        facts=plain_facts(amount, payee),
    )


def told(done):
    """(device, limit, late) of the quote that the product heard."""
    (log,) = [log for log in done.receipt.events if log.event_name == "Told"]
    return bytes(log.device), log.limit, log.late


def open_refusal(stage, **changes):
    mandate = stage.mandate(**changes)
    signature = stage.consent(mandate)
    return stage.refusal(stage.rail.open, mandate.as_tuple(), signature, sender=stage.stranger)


def test_quote__of_every_claim__names_the_agreement_s_device_and_its_room(stage, product):
    plain, device = product(0), b"\x0d" * 32
    stage.enrol(device, stage.key.p256(89))
    mandate = stage.mandate(product=plain.address, device=device, cap=3 * EURO)
    receipt = stage.rail.open(mandate.as_tuple(), stage.consent(mandate), sender=stage.payer)
    (opened,) = [log for log in receipt.events if log.event_name == "Opened"]
    mine = mandate.agreement_id()
    assert (bytes(opened.agreement), bytes(opened.device)) == (mine, device)
    stage.mint(9 * EURO, mine)
    done = stage.settle(row(stage, mine, 1, 11, 11), product=plain)
    assert told(done) == (device, 3 * EURO, False)


def test_late__product_without_the_trait__refuses_counters_replayed(stage, product):
    plain = product(SHARED | ANY_PAYEE)
    (mine,) = stage.agreements(1, product=plain.address, payee=NOBODY)
    claims = [
        row(stage, mine, 1, 20, 29, payee=stage.payee),
        row(stage, mine, 2, 12, 13, payee=stage.payee),
    ]
    named = [stage.settle(claim, product=plain).named for claim in claims]
    assert named == [["None"], ["CountersReplayed"]]


def test_late__with_the_trait__is_told_and_never_moves_the_last_counter_back(stage, product):
    plain = product(LATE)
    (mine,) = stage.agreements(1, product=plain.address)
    seen = []
    for sequence, (first, last) in enumerate([(20, 29), (12, 13), (29, 40), (30, 50)], start=1):
        done = stage.settle(row(stage, mine, sequence, first, last), product=plain)
        assert done.named == ["None"]
        seen.append((told(done)[2], stage.rail.agreementState(mine)[1]))
    assert seen == [(False, 29), (True, 29), (True, 40), (True, 50)]


def test_late__counters_of_before_the_agreement__are_replays(stage, product):
    plain = product(LATE)
    (mine,) = stage.agreements(1, product=plain.address, first_counter=10)
    stage.settle(row(stage, mine, 1, 20, 29), product=plain)
    assert stage.settle(row(stage, mine, 2, 10, 12), product=plain).named == ["CountersReplayed"]
    assert stage.settle(row(stage, mine, 2, 11, 12), product=plain).named == ["None"]


def test_late__same_batch_again__is_stopped_by_the_sequence(stage, product):
    plain = product(LATE)
    (mine,) = stage.agreements(1, product=plain.address)
    claim = row(stage, mine, 1, 20, 29)
    assert stage.settle(claim, product=plain).named == ["None"]
    assert stage.settle(claim, product=plain).named == ["SequenceUnexpected"]


def test_shared__one_device__serves_several_agreements_and_holds_none(stage, product):
    plain = product(SHARED)
    busy = {"product": plain.address, "device": DEVICE}
    first, second = sorted(stage.open(stage.mandate(**busy)) for _ in range(2))
    assert bytes(stage.rail.agreementOf(DEVICE)) == stage.agreement  # the one that is not shared
    for one in (first, second):
        stage.mint(EURO, one)
    done = stage.settle(*[row(stage, one, 1, 11, 11) for one in (first, second)], product=plain)
    assert done.named == ["None", "None"]
    stage.wait(91 * DAY)
    stage.rail.reclaim(first, sender=stage.payer)
    assert bytes(stage.rail.agreementOf(DEVICE)) == stage.agreement


def test_shared__without_the_trait__a_device_has_one_agreement(stage, product):
    plain = product(LATE | ANY_PAYEE)
    assert open_refusal(stage, product=plain.address, payee=NOBODY) == "DeviceHasAgreement"


def test_any_payee__mandate_with_a_payee__does_not_open(stage, product):
    free = b"\x0c" * 32
    stage.enrol(free, stage.key.p256(88))
    any_, plain = product(ANY_PAYEE), product(LATE | SHARED)
    assert open_refusal(stage, product=any_.address, device=free) == "PayeeUnexpected"
    assert open_refusal(stage, product=any_.address, device=free, payee=NOBODY) == ""
    assert open_refusal(stage, product=plain.address, device=free, payee=NOBODY) == "PayeeMissing"
    assert open_refusal(stage, product=plain.address, device=free) == ""


def test_any_payee__claims_of_one_agreement__pay_whom_the_product_names(stage, product):
    plain = product(ANY_PAYEE)
    mine = stage.agreements(2, product=plain.address, payee=NOBODY)
    done = stage.settle(
        row(stage, mine[0], 1, 11, 11, EURO, stage.payee),
        row(stage, mine[1], 1, 11, 11, 2 * EURO, stage.owner),
        product=plain,
    )
    assert [one[2] for one in done.outcomes] == [stage.payee, stage.owner]
    assert stage.rail.settledAt(done.root) == stage.now
    stage.wait(1)
    again = stage.settle(row(stage, mine[0], 2, 12, 12, 3 * EURO, stage.owner), product=plain)
    rail = stage.rail
    assert rail.pending(stage.owner, done.release_at) == 2 * EURO
    assert rail.pending(stage.owner, again.release_at) == 3 * EURO
    stage.wait(DAY)
    rail.release(stage.owner, [done.release_at, again.release_at], sender=stage.stranger)
    assert rail.withdrawable(stage.owner) == 5 * EURO
    stage.assert_conserved()


@pytest.mark.parametrize("how", ["concede", "retract"])
def test_any_payee__dispute__ends_by_and_for_the_payee_of_the_claim(stage, product, how):
    plain = product(ANY_PAYEE)
    (mine,) = stage.agreements(1, product=plain.address, payee=NOBODY)
    done = stage.settle(row(stage, mine, 1, 11, 11, EURO, stage.owner), product=plain)
    rail, payment = stage.rail, done.outcomes[0][0]
    rail.dispute(*done.dispute(), sender=stage.payer)
    assert tuple(rail.frozen(payment))[1:] == (EURO, stage.owner)
    assert stage.refusal(rail.concede, payment, sender=stage.payee) == "NotParty"
    if how == "concede":
        rail.concede(payment, sender=stage.owner)
    else:
        rail.retract(payment, sender=stage.payer)
    assert rail.withdrawable(stage.owner) == (EURO if how == "retract" else 0)
    assert rail.agreementState(mine)[2] == (9 if how == "retract" else 10) * EURO
    stage.assert_conserved()


def test_any_payee__credit__is_owed_by_the_payee_of_that_claim(stage, product):
    plain = product(ANY_PAYEE)
    (mine,) = stage.agreements(1, product=plain.address, payee=NOBODY)
    stage.settle(row(stage, mine, 1, 11, 11, -EURO, stage.owner), product=plain)
    assert (stage.rail.owed(stage.owner), stage.rail.owed(stage.payee)) == (EURO, 0)


@pytest.mark.parametrize("amount", [EURO, 0, -EURO])
@pytest.mark.parametrize(("traits", "named"), [(ANY_PAYEE, False), (LATE | SHARED, True)])
def test_payee__none_where_one_is_due_or_one_too_many__reverts(
    stage, product, traits, named, amount
):
    plain = product(traits)
    mandated = NOBODY if traits & ANY_PAYEE else stage.payee.address
    (mine,) = stage.agreements(1, product=plain.address, payee=mandated)
    wrong = row(stage, mine, 1, 11, 11, amount, stage.payee if named else NOBODY)
    right = replace(wrong, facts=plain_facts(amount, NOBODY if named else stage.payee))
    found = [
        stage.would_settle(batch, stage.attest(batch))
        for batch in (stage.batch(one, product=plain) for one in (wrong, right))
    ]
    assert found == ["ProductAnswerInvalid", ""]


def test_refused_claim__whatever_payee_it_names__is_refused_and_pays_nobody(stage, product):
    plain = product(ANY_PAYEE)
    (mine,) = stage.agreements(1, product=plain.address, payee=NOBODY)
    done = stage.settle(row(stage, mine, 1, 11, 11, 99 * EURO, stage.owner), product=plain)
    assert done.named == ["EscrowShort"] and done.outcomes[0][2] == NOBODY


def test_traits__changed_after_the_listing__are_not_read_again(stage):
    shifty = stage.deploy("ShiftyProduct")
    stage.rail.allowProduct(shifty, True, sender=stage.steward)
    shifty.become(ANY_PAYEE | SHARED, sender=stage.stranger)
    stage.rail.allowProduct(shifty, True, sender=stage.steward)
    assert open_refusal(stage, product=shifty.address, payee=NOBODY) == "PayeeMissing"
    assert open_refusal(stage, product=shifty.address) == "DeviceHasAgreement"


def test_metered_energy__asks_for__late_claims_alone(stage):
    assert stage.product.traits() == LATE
    assert stage.settle(stage.claim(kwh=2)).amounts == [2 * KWH * PRICE // KWH]
