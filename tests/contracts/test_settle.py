"""Settling batches: what is paid, what is refused by name, what stops a whole batch.

settle
├── given a paused rail, an empty batch, 257 claims, an unlisted product
│   └── it should revert by name
├── given fewer signatures than the quorum, or all of one domain
│   └── it should revert by name
└── given the quorum
    ├── when all claims are good
    │   ├── it should move escrow to pending, once per claim
    │   └── it should leave the Merkle root that Python computes
    └── when one claim is bad
        ├── it should refuse that one by name and settle its neighbours
        └── it should not use up the sequence
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from oracles import merkle
from tests.support.contracts.settled import arguments
from tests.support.contracts.stage import DAY, DEVICE, EURO, HOUR, KWH, NONE, PRICE, facts, terms

SOME = bytes(31) + b"\x01"


def test_settle__one_good_claim__moves_escrow_to_pending(stage):
    done = stage.settle(stage.claim(kwh=10))
    assert (done.amounts, done.named) == ([10 * PRICE], ["None"])
    assert stage.rail.pending(stage.payee, done.release_at) == 10 * PRICE
    assert stage.rail.totals()[:2] == (100 * EURO - 10 * PRICE, 10 * PRICE)
    state = stage.rail.agreementState(stage.agreement)
    assert tuple(state)[:4] == (1, 19, 100 * EURO - 10 * PRICE, 10 * PRICE)
    stage.assert_conserved()


def test_settle__batch_of_five__nets_per_payee_and_leaves_the_root_of_python(stage):
    claims = [stage.claim(one, kwh=3) for one in stage.agreements(5)]
    done = stage.settle(*claims)
    assert done.root == merkle.root(done.leaves)
    assert stage.rail.settledAt(done.root) == stage.now
    assert stage.rail.pending(stage.payee, done.release_at) == 5 * 3 * PRICE
    assert done.number == 1 == stage.rail.settlements()


def test_settle__same_batch_twice__second_time_refuses_every_claim(stage):
    batch = stage.batch(stage.claim())
    stage.settle(*batch.claims)
    again = stage.settle(*batch.claims)
    assert (again.amounts, again.named) == ([0], ["SequenceUnexpected"])


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"agreement": SOME}, "UnknownAgreement"),
        ({"sequence": 2}, "SequenceUnexpected"),
        ({"sequence": 0}, "SequenceUnexpected"),
        ({"first_counter": 10}, "CountersReplayed"),
        ({"first_counter": 20}, "CountersMalformed"),
        ({"facts": b"\x01"}, "product 2"),
    ],
)
def test_settle__one_bad_claim__is_named_and_its_neighbours_settle(stage, changes, refusal):
    others = stage.agreements(2)
    bad = replace(stage.claim(), **changes)
    claims = sorted([bad, *map(stage.claim, others)], key=lambda one: one.agreement)
    done = stage.settle(*claims)
    assert done.named[claims.index(bad)] == refusal
    assert sorted(done.named).count("None") == 2
    good = stage.settle(stage.claim())  # the sequence was not used up
    assert good.named == ["None"]


def test_settle__claims_out_of_order_or_twice__refuses_the_later_ones(stage):
    first, second = stage.agreements(2)
    claims = [stage.claim(second), stage.claim(first), stage.claim(second)]
    done = stage.settle(*claims)
    assert done.named == ["None", "Unsorted", "Unsorted"]


def test_settle__zero_agreement__is_unsorted_not_a_hole(stage):
    done = stage.settle(replace(stage.claim(), agreement=NONE))
    assert done.named == ["Unsorted"]


def test_settle__after_the_expiry__refuses_expired(stage):
    stage.wait(91 * DAY)
    assert stage.settle(stage.claim()).named == ["Expired"]


def test_settle__after_the_reclaim__refuses_not_live(stage):
    stage.wait(91 * DAY)
    stage.rail.reclaim(stage.agreement, sender=stage.payer)
    assert stage.settle(stage.claim()).named == ["NotLive"]


def test_settle__product_of_another_agreement__refuses_wrong_product(stage):
    rogue = stage.deploy("RogueProduct")
    stage.rail.allowProduct(rogue, True, sender=stage.steward)
    batch = stage.batch(stage.claim(), product=rogue)
    receipt = stage.rail.settle(arguments(batch), stage.attest(batch), sender=stage.stranger)
    assert bytes(receipt.events[0].outcomes)[6] == 2  # WrongProduct


def test_settle__required_domain_absent__refuses_domain_missing(stage):
    (mine,) = stage.agreements(1, required_domain=3)
    domains = {stage.committee.memberOf(member)[0]: key for member, key in _members(stage)}
    assert set(domains) == {1, 2, 3}
    without = [key for member, key in _members(stage) if stage.committee.memberOf(member)[0] != 3]
    assert stage.settle(stage.claim(mine), keys=without).named == ["DomainMissing"]
    assert stage.settle(stage.claim(mine), keys=stage.oracles).named == ["None"]


def _members(stage):
    from tests.support.contracts.stage import _address

    return [(_address(key), key) for key in stage.oracles]


def test_settle__over_the_cap__refuses_until_the_next_period(stage):
    (mine,) = stage.agreements(1, cap=4 * EURO, period_days=1)
    assert stage.settle(stage.claim(mine, 1)).named == ["None"]  # 3 euro
    assert stage.settle(stage.claim(mine, 2)).named == ["CapExceeded"]
    stage.wait(DAY)
    assert stage.settle(stage.claim(mine, 2)).named == ["None"]
    assert stage.rail.agreementState(mine)[3] == 3 * EURO
    assert stage.settle(stage.claim(mine, 3)).named == ["CapExceeded"]


def test_settle__cap_for_life__never_rolls_over(stage):
    (mine,) = stage.agreements(1, cap=4 * EURO, period_days=0)
    assert stage.settle(stage.claim(mine, 1)).named == ["None"]
    stage.wait(60 * DAY)
    assert stage.settle(stage.claim(mine, 2)).named == ["CapExceeded"]


def test_settle__many_periods_later__starts_at_the_current_one(stage):
    (mine,) = stage.agreements(1, cap=4 * EURO, period_days=7)
    stage.wait(22 * DAY)
    assert stage.settle(stage.claim(mine, 1)).named == ["None"]
    stage.wait(5 * DAY)  # day 27: still the period of days 21 to 28
    assert stage.settle(stage.claim(mine, 2)).named == ["CapExceeded"]
    stage.wait(2 * DAY)
    assert stage.settle(stage.claim(mine, 2)).named == ["None"]


def test_settle__escrow_too_short__refuses_and_settles_once_funded(stage):
    (mine,) = stage.agreements(1)  # holds 10 euro
    dear = stage.claim(mine, kwh=40)  # 12 euro
    assert stage.settle(dear).named == ["EscrowShort"]
    stage.mint(2 * EURO, mine)
    done = stage.settle(dear)
    assert done.amounts == [12 * EURO] and stage.rail.agreementState(mine)[2] == 0


def test_settle__without_enough_signers__reverts_by_name(stage):
    batch = stage.batch(stage.claim())
    assert stage.would_settle(batch, stage.attest(batch)) == ""
    assert stage.would_settle(batch, stage.attest(batch)[:2]) == "QuorumMissing"
    assert stage.would_settle(batch, []) == "QuorumMissing"


def test_settle__empty_or_too_large__reverts_by_name(stage):
    empty = stage.batch()
    assert stage.would_settle(empty, stage.attest(empty)) == "BatchEmpty"
    big = stage.batch(*[stage.claim()] * 257)
    assert stage.would_settle(big, stage.attest(big)) == "BatchTooLarge"


def test_settle__product_never_listed__reverts(stage):
    batch = stage.batch(stage.claim(), product=stage.stranger)
    assert stage.would_settle(batch, stage.attest(batch)) == "ProductNotAllowed"


def test_settle__product_no_longer_allowed__still_settles_its_agreements(stage):
    stage.rail.allowProduct(stage.product, False, sender=stage.steward)
    assert stage.settle(stage.claim()).named == ["None"]


@pytest.mark.parametrize(("amount", "short"), [(10**12, False), (1, True)])
def test_settle__product_overcharges_or_answers_short__reverts(stage, amount, short):
    rogue = _rogue(stage)
    rogue.tell(amount, short, "0x" + "00" * 20, b"", sender=stage.stranger)
    batch = stage.batch(stage.claim(stage.rogue_agreement), product=rogue)
    assert stage.would_settle(batch, stage.attest(batch)) == "ProductAnswerInvalid"


def test_settle__product_calls_back_into_the_rail__reverts(stage):
    rogue = _rogue(stage)
    rogue.tell(
        1,
        False,
        stage.rail,
        stage.rail.release.encode_input(stage.payee, []),
        sender=stage.stranger,
    )
    batch = stage.batch(stage.claim(stage.rogue_agreement), product=rogue)
    assert stage.would_settle(batch, stage.attest(batch)) == "ReentrancyGuardReentrantCall"


def _rogue(stage):
    rogue = stage.deploy("RogueProduct")
    stage.rail.allowProduct(rogue, True, sender=stage.steward)
    (stage.rogue_agreement,) = stage.agreements(1, product=rogue.address)
    return rogue


def test_settle__tiny_readings__charge_what_one_large_reading_would(stage):
    (mine,) = stage.agreements(1)
    begin, paid, at = stage.now0 - DAY, 0, 0
    for sequence, energy in enumerate([333, 1, 7, 1_000, 12_345, 3], start=1):
        row = facts(at, at + energy, begin, begin)
        paid += stage.settle(stage.claim(mine, sequence, facts=row)).amounts[0]
        at += energy
    assert paid == at * PRICE // KWH


NOW = 1_800_000_000
STARTED = terms(continuous=True, start=5 * KWH)


@pytest.mark.parametrize(
    ("agreed", "row", "answer"),
    [
        (terms(), facts(KWH, 0, NOW, NOW + HOUR, 0), "RegisterBackwards"),
        (terms(start=2 * KWH), facts(KWH, 3 * KWH, NOW, NOW + HOUR), "RegisterBackwards"),
        (STARTED, facts(6 * KWH, 7 * KWH, NOW, NOW + HOUR), "RegisterDiscontinuous"),
        (STARTED, facts(5 * KWH, 7 * KWH, NOW, NOW + HOUR, KWH), "EnergyIncomplete"),
        (STARTED, facts(5 * KWH, 7 * KWH, NOW, NOW + HOUR), "Priced"),
        (terms(continuous=True), facts(6 * KWH, 7 * KWH, NOW, NOW + HOUR), "Priced"),
        (terms(), facts(0, KWH, NOW, NOW + HOUR, KWH + 1), "EnergyAboveRegister"),
        (terms(), facts(0, KWH, NOW, NOW - 1), "TimeBackwards"),
        (terms(), facts(0, 22 * KWH, NOW, NOW + HOUR), "Priced"),
        (terms(), facts(0, 22 * KWH + 366_667, NOW, NOW + HOUR), "FuseExceeded"),
        (terms(), facts(0, 22 * KWH + 366_666, NOW, NOW + HOUR), "Priced"),
        (terms(), facts(0, KWH, NOW, NOW + HOUR)[:-1], "FactsMalformed"),
        (terms(), facts(0, KWH, NOW, NOW + HOUR) + b"\0", "FactsMalformed"),
        (terms(), b"\xff" * 160, "FactsMalformed"),
    ],
)
def test_metered_energy__facts__are_priced_or_refused_by_name(stage, agreed, row, answer):
    (mine,) = stage.agreements(1, terms=agreed)
    done = stage.settle(stage.claim(mine, facts=row))
    code = done.refusals[0]
    assert stage.product.refusalName(max(code - 100, 0)) == answer
    assert (done.amounts[0] > 0) == (answer == "Priced")


def test_metered_energy__second_claim__must_not_run_back_nor_leave_a_gap(stage):
    (mine,) = stage.agreements(1, terms=STARTED)
    stage.settle(stage.claim(mine, 1, facts=facts(5 * KWH, 6 * KWH, NOW, NOW + HOUR)))
    cases = {
        "TimeBackwards": facts(6 * KWH, 7 * KWH, NOW + HOUR - 1, NOW + 2 * HOUR),
        "RegisterBackwards": facts(5 * KWH, 7 * KWH, NOW + HOUR, NOW + 2 * HOUR),
        "RegisterDiscontinuous": facts(6 * KWH + 1, 7 * KWH, NOW + HOUR, NOW + 2 * HOUR),
    }
    for name, row in cases.items():
        done = stage.settle(stage.claim(mine, 2, facts=row))
        assert stage.product.refusalName(done.refusals[0] - 100) == name
    last = facts(6 * KWH, 7 * KWH, NOW + HOUR, NOW + 2 * HOUR)
    assert stage.settle(stage.claim(mine, 2, facts=last)).named == ["None"]


@pytest.mark.parametrize("raw", [b"", terms()[:-1], terms(fuse=0), b"\xff" * 128])
def test_metered_energy__bad_terms__cannot_be_agreed(stage, raw):
    device = b"\7" * 32
    stage.enrol(device, stage.key.p256(99))
    mandate = stage.mandate(device=device, terms=raw)
    signature = stage.consent(mandate)
    found = stage.refusal(stage.rail.open, mandate.as_tuple(), signature, sender=stage.stranger)
    assert found == "TermsMalformed"


def test_metered_energy__called_by_another_than_the_rail__refuses(stage):
    for sender in (stage.steward, stage.guardian, stage.minter, stage.payer, stage.stranger):
        found = stage.refusal(stage.product.open, DEVICE, DEVICE, terms(), sender=sender)
        assert found == "NotTheRail"
        assert stage.refusal(stage.product.price, [], sender=sender) == "NotTheRail"


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 7, 8, 13, 256])
def test_merkle__any_width__agrees_with_python(stage, width):
    trees = stage.deploy("Trees")
    leaves = (
        [bytes([index]) * 32 for index in range(width)]
        if width < 256
        else [merkle.keccak(bytes([index])) for index in range(256)]
    )
    assert bytes(trees.root(leaves)) == merkle.root(leaves)
