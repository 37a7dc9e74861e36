"""Settling batches: what is paid, what is refused by name, what stops a whole batch.

settle
├── given a paused rail, an empty batch, 1025 claims, an unlisted product
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

import struct
from dataclasses import replace

import pytest

from oracles import merkle
from tests.support.contracts.contract_rail import (
    DAY,
    DEVICE,
    EURO,
    HOUR,
    KWH,
    NONE,
    PRICE,
    facts,
    terms,
)
from tests.support.contracts.settled import arguments

SOME = bytes(31) + b"\x01"


def test_settle__one_good_claim__moves_escrow_to_pending(contracts):
    settlement = contracts.settle(contracts.claim(kwh=10))
    assert (settlement.amounts, settlement.named) == ([10 * PRICE], ["None"])
    assert contracts.rail.pending(contracts.payee, settlement.release_at) == 10 * PRICE
    assert contracts.rail.totals()[:2] == (100 * EURO - 10 * PRICE, 10 * PRICE)
    state = contracts.rail.agreementState(contracts.agreement)
    assert tuple(state)[:4] == (1, 19, 100 * EURO - 10 * PRICE, 10 * PRICE)
    contracts.assert_conserved()


def test_settle__batch_of_five__nets_per_payee_and_leaves_the_root_of_python(contracts):
    claims = [contracts.claim(agreement, kwh=3) for agreement in contracts.agreements(5)]
    settlement = contracts.settle(*claims)
    assert settlement.root == merkle.root(settlement.leaves)
    assert contracts.rail.settledAt(settlement.root)[0] == contracts.now
    assert contracts.rail.pending(contracts.payee, settlement.release_at) == 5 * 3 * PRICE
    assert settlement.number == 1 == contracts.rail.settlements()


def test_settle__same_batch_twice__second_time_refuses_every_claim(contracts):
    batch = contracts.batch(contracts.claim())
    contracts.settle(*batch.claims)
    again = contracts.settle(*batch.claims)
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
def test_settle__one_bad_claim__is_named_and_its_neighbours_settle(contracts, changes, refusal):
    others = contracts.agreements(2)
    bad = replace(contracts.claim(), **changes)
    claims = sorted([bad, *map(contracts.claim, others)], key=lambda claim: claim.agreement)
    settlement = contracts.settle(*claims)
    assert settlement.named[claims.index(bad)] == refusal
    assert sorted(settlement.named).count("None") == 2
    good = contracts.settle(contracts.claim())  # the sequence was not used up
    assert good.named == ["None"]


def test_settle__claims_out_of_order_or_twice__refuses_the_later_ones(contracts):
    first, second = contracts.agreements(2)
    claims = [contracts.claim(second), contracts.claim(first), contracts.claim(second)]
    settlement = contracts.settle(*claims)
    assert settlement.named == ["None", "Unsorted", "Unsorted"]


def test_settle__zero_agreement__is_unsorted_not_a_hole(contracts):
    settlement = contracts.settle(replace(contracts.claim(), agreement=NONE))
    assert settlement.named == ["Unsorted"]


def test_settle__after_the_expiry__refuses_expired(contracts):
    contracts.wait(90 * DAY)
    assert contracts.settle(contracts.claim()).named == ["None"]  # within the grace
    contracts.wait(DAY)
    assert contracts.settle(contracts.claim(sequence=2)).named == ["Expired"]


def test_settle__on_the_day_of_the_expiry__takes_facts_until_now_and_none_from_later(contracts):
    """The row knows the day alone; the second is read, and what lies between has not happened."""
    midnight = contracts.now - contracts.now % DAY + 3 * DAY
    (mine,) = contracts.agreements(1, expiry=midnight + DAY // 2)
    contracts.wait(midnight + HOUR - contracts.now)
    for end, name in ((2 * HOUR, "product 12"), (0, "None")):  # TimeAhead
        row = facts(0, 10 * KWH, contracts.now - 5 * HOUR, contracts.now + end)
        assert contracts.settle(contracts.claim(mine, facts=row)).named == [name]


def test_settle__after_the_reclaim__refuses_not_live(contracts):
    contracts.wait(92 * DAY)
    contracts.rail.reclaim(contracts.agreement, sender=contracts.payer)
    assert contracts.settle(contracts.claim()).named == ["NotLive"]


def test_settle__product_of_another_agreement__refuses_wrong_product(contracts):
    rogue = contracts.allow(contracts.deploy("RogueProduct"))
    batch = contracts.batch(contracts.claim(), product=rogue)
    receipt = contracts.rail.settle(
        arguments(batch), contracts.attest(batch), sender=contracts.stranger
    )
    assert bytes(receipt.events[0].outcomes)[6] == 2  # WrongProduct


def test_settle__required_domain_absent__refuses_domain_missing(contracts):
    (mine,) = contracts.agreements(1, required_domain=3)
    domains = {contracts.committee.memberOf(member)[0]: key for member, key in _members(contracts)}
    assert set(domains) == {1, 2, 3}
    without = [
        key for member, key in _members(contracts) if contracts.committee.memberOf(member)[0] != 3
    ]
    assert contracts.settle(contracts.claim(mine), keys=without).named == ["DomainMissing"]
    assert contracts.settle(contracts.claim(mine), keys=contracts.oracles).named == ["None"]


def _members(contracts):
    from tests.support.contracts.contract_rail import _address

    return [(_address(key), key) for key in contracts.oracles]


def test_settle__over_the_cap__refuses_until_the_next_period(contracts):
    (mine,) = contracts.agreements(1, cap=4 * EURO, period_days=1)
    assert contracts.settle(contracts.claim(mine, 1)).named == ["None"]  # 3 euro
    assert contracts.settle(contracts.claim(mine, 2)).named == ["CapExceeded"]
    contracts.wait(DAY)
    assert contracts.settle(contracts.claim(mine, 2)).named == ["None"]
    assert contracts.rail.agreementState(mine)[3] == 3 * EURO
    assert contracts.settle(contracts.claim(mine, 3)).named == ["CapExceeded"]


def test_settle__cap_for_life__never_rolls_over(contracts):
    (mine,) = contracts.agreements(1, cap=4 * EURO, period_days=0)
    assert contracts.settle(contracts.claim(mine, 1)).named == ["None"]
    contracts.wait(60 * DAY)
    assert contracts.settle(contracts.claim(mine, 2)).named == ["CapExceeded"]


def test_settle__many_periods_later__starts_at_the_current_one(contracts):
    (mine,) = contracts.agreements(1, cap=4 * EURO, period_days=7)
    week = contracts.now // (7 * DAY) + 4
    contracts.node.mine_at(week * 7 * DAY + DAY)
    assert contracts.settle(contracts.claim(mine, 1)).named == ["None"]
    contracts.node.mine_at((week + 1) * 7 * DAY - HOUR)
    assert contracts.settle(contracts.claim(mine, 2)).named == ["CapExceeded"]
    contracts.node.mine_at((week + 1) * 7 * DAY)
    assert contracts.settle(contracts.claim(mine, 2)).named == ["None"]


def test_settle__escrow_too_short__refuses_and_settles_once_funded(contracts):
    (mine,) = contracts.agreements(1)  # holds 10 euro
    dear = contracts.claim(mine, kwh=40)  # 12 euro
    assert contracts.settle(dear).named == ["EscrowShort"]
    contracts.mint(2 * EURO, mine)
    settlement = contracts.settle(dear)
    assert settlement.amounts == [12 * EURO] and contracts.rail.agreementState(mine)[2] == 0


def test_settle__without_enough_signers__reverts_by_name(contracts):
    batch = contracts.batch(contracts.claim())
    assert contracts.would_settle(batch, contracts.attest(batch)) == ""
    assert contracts.would_settle(batch, contracts.attest(batch)[:2]) == "QuorumMissing"
    assert contracts.would_settle(batch, []) == "QuorumMissing"


def test_settle__empty_or_too_large__reverts_by_name(contracts):
    empty = contracts.batch()
    assert contracts.would_settle(empty, contracts.attest(empty)) == "BatchEmpty"
    big = contracts.batch(*[contracts.claim()] * 1_025)
    assert contracts.would_settle(big, contracts.attest(big)) == "BatchTooLarge"


def test_attack__refused_only_batch__moves_nothing(contracts):
    """On 0.3.0 a batch of refused claims alone moved `settledAt` and used up a number."""
    before = contracts.rail.settlements()
    settlement = contracts.settle(contracts.claim(sequence=5))
    assert (settlement.named, settlement.number) == (["SequenceUnexpected"], 0)
    assert contracts.rail.settledAt(settlement.root) == (0, 0)
    assert contracts.rail.settlements() == before


def test_settle__who_attested__is_kept_with_the_root(contracts):
    settlement = contracts.settle(contracts.claim())
    at, signers = contracts.rail.settledAt(settlement.root)
    assert at == contracts.now
    assert sorted(contracts.committee.memberAt(bit) for bit in range(4) if signers >> bit & 1) == (
        sorted(member for member, _ in _members(contracts)[:3])
    )


def test_attack__facts_until_the_end_of_time__are_refused(contracts):
    """On 0.3.0 facts "until 2^40-1" got past the fuse, and no later claim was taken."""
    begin = contracts.now0 - DAY
    for end in (contracts.now + 2 * HOUR, (1 << 32) - 1):
        row = facts(0, 40 * KWH, begin, end)
        assert contracts.settle(contracts.claim(facts=row)).named == ["product 12"]  # TimeAhead
    assert contracts.settle(contracts.claim()).named == ["None"]


def test_settle__product_never_listed__reverts(contracts):
    batch = contracts.batch(contracts.claim(), product=contracts.stranger)
    assert contracts.would_settle(batch, contracts.attest(batch)) == "ProductNotAllowed"


def test_settle__product_no_longer_allowed__still_settles_its_agreements(contracts):
    contracts.rail.disallowProduct(contracts.product, sender=contracts.guardian)
    assert contracts.settle(contracts.claim()).named == ["None"]


@pytest.mark.parametrize(("amount", "short"), [(10**12, False), (1, True)])
def test_settle__product_overcharges_or_answers_short__reverts(contracts, amount, short):
    rogue = _rogue(contracts)
    rogue.answerWith(amount, short, "0x" + "00" * 20, b"", sender=contracts.stranger)
    batch = contracts.batch(contracts.claim(contracts.rogue_agreement), product=rogue)
    assert contracts.would_settle(batch, contracts.attest(batch)) == "ProductAnswerInvalid"


def test_settle__product_calls_back_into_the_rail__reverts(contracts):
    rogue = _rogue(contracts)
    rogue.answerWith(
        1,
        False,
        contracts.rail,
        contracts.rail.release.encode_input(contracts.payee, []),
        sender=contracts.stranger,
    )
    batch = contracts.batch(contracts.claim(contracts.rogue_agreement), product=rogue)
    assert contracts.would_settle(batch, contracts.attest(batch)) == "ReentrancyGuardReentrantCall"


def _rogue(contracts):
    rogue = contracts.allow(contracts.deploy("RogueProduct"))
    (contracts.rogue_agreement,) = contracts.agreements(1, product=rogue.address)
    return rogue


def test_settle__tiny_readings__charge_what_one_large_reading_would(contracts):
    (mine,) = contracts.agreements(1)
    begin, paid, at = contracts.now0 - DAY, 0, 0
    for sequence, energy in enumerate([333, 1, 7, 1_000, 12_345, 3], start=1):
        row = facts(at, at + energy, begin, begin)
        paid += contracts.settle(contracts.claim(mine, sequence, facts=row)).amounts[0]
        at += energy
    assert paid == at * PRICE // KWH


NOW = HOUR  # seconds from two days before the test's clock


def shifted(row: bytes, by: int) -> bytes:
    """Return facts with both times moved on; what is no facts stays as it is."""
    if len(row) < 10 or row[0] != 3:
        return row
    begin, end = struct.unpack(">ii", row[2:10])
    return row[:2] + struct.pack(">II", begin + by, end + by) + row[10:]


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
def test_metered_energy__facts__are_priced_or_refused_by_name(contracts, agreed, row, answer):
    row = shifted(row, contracts.now0 - 2 * DAY)
    (mine,) = contracts.agreements(1, terms=agreed)
    settlement = contracts.settle(contracts.claim(mine, facts=row))
    code = settlement.refusals[0]
    assert contracts.product.refusalName(max(code - 100, 0)) == answer
    assert (settlement.amounts[0] > 0) == (answer == "Priced")


def test_metered_energy__second_claim__must_not_run_back_nor_leave_a_gap(contracts):
    (mine,) = contracts.agreements(1, terms=STARTED)
    begin = contracts.now0 - DAY
    contracts.settle(contracts.claim(mine, 1, facts=facts(5 * KWH, 6 * KWH, begin, begin + HOUR)))
    cases = {
        "TimeBackwards": facts(6 * KWH, 7 * KWH, begin + HOUR - 1, begin + 2 * HOUR),
        "RegisterBackwards": facts(5 * KWH, 7 * KWH, begin + HOUR, begin + 2 * HOUR),
        "RegisterDiscontinuous": facts(6 * KWH + 1, 7 * KWH, begin + HOUR, begin + 2 * HOUR),
    }
    for name, row in cases.items():
        settlement = contracts.settle(contracts.claim(mine, 2, facts=row))
        assert contracts.product.refusalName(settlement.refusals[0] - 100) == name
    last = facts(6 * KWH, 7 * KWH, begin + HOUR, begin + 2 * HOUR)
    assert contracts.settle(contracts.claim(mine, 2, facts=last)).named == ["None"]


@pytest.mark.parametrize("raw", [b"", terms()[:-1], terms(fuse=0), b"\xff" * 128])
def test_metered_energy__bad_terms__cannot_be_agreed(contracts, raw):
    device = b"\7" * 32
    contracts.enrol(device, contracts.key.p256(99))
    mandate = contracts.mandate(device=device, terms=raw)
    opening = contracts.opening(mandate)
    refusal = contracts.refusal(contracts.rail.open, *opening, sender=contracts.stranger)
    assert refusal == "TermsMalformed"


def test_metered_energy__called_by_another_than_the_rail__refuses(contracts):
    for sender in (
        contracts.steward,
        contracts.guardian,
        contracts.minter,
        contracts.payer,
        contracts.stranger,
    ):
        refusal = contracts.refusal(
            contracts.product.open, DEVICE, DEVICE, 0, terms(), sender=sender
        )
        assert refusal == "NotTheRail"
        price = contracts.product.price
        assert contracts.refusal(price, [], 0, b"", sender=sender) == "NotTheRail"


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 7, 8, 13, 256])
def test_merkle__any_width__agrees_with_python(contracts, width):
    trees = contracts.deploy("Trees")
    leaves = (
        [bytes([index]) * 32 for index in range(width)]
        if width < 256
        else [merkle.keccak(bytes([index])) for index in range(256)]
    )
    assert bytes(trees.root(leaves)) == merkle.root(leaves)
