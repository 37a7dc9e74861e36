"""Challenges: a fault of a record is proved on chain, without any oracle.

challenge
├── given a proved fault (signature, counter, register, key)
│   └── it should refund the payer, return the bond, bar who could know
├── given a false one
│   └── it should pay the bond to the payee and change nothing else
├── given a record that it does not read, or what oracles may have seen otherwise
│   └── it should revert by name and cost nothing
└── given the end of the window, an ended dispute, another contract's claim
    └── it should revert by name
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from oracles import merkle
from tests.support.contracts.challenged import (
    FORGER,
    REASONS,
    ChallengedClaim,
    ChallengeFault,
    assert_won,
    challenge,
    judged,
    moved_rail,
    pay_bond,
    payload,
    reading,
    session,
    signed,
    times,
)
from tests.support.contracts.contract_rail import (
    DAY,
    DEVICE,
    EURO,
    HOUR,
    KWH,
    PRICE,
    _address,
    facts,
)
from tests.support.contracts.device_keys import DeviceSigner

# --- faults that are proved


def test_signature__another_key_made_it__refunds_and_bars_who_attested(contracts):
    """Attack: a hostile quorum attests a record that the device never signed."""
    claim = ChallengedClaim(contracts, [session(contracts, key=FORGER)])
    assert_won(contracts, claim, claim.case(ChallengeFault.SIGNATURE))


def test_signature__a_digit_was_changed__refunds(contracts):
    """Attack: the quorum changes a register in a record that the device did sign."""
    record = session(contracts).replace(b'"RV":110', b'"RV":111')
    claim = ChallengedClaim(contracts, [record])
    assert_won(contracts, claim, claim.case(ChallengeFault.SIGNATURE))


def test_register__the_claim_ends_with_another_one__refunds_and_bars(contracts):
    """Attack: the meter showed 105 kWh at the end, and a quorum attests 110."""
    claim = ChallengedClaim(contracts, [session(contracts, last=105)])
    assert_won(contracts, claim, claim.register(b'"RV":105'))


def test_register__the_claim_begins_with_another_one__refunds_and_bars(contracts):
    """Attack: the meter showed 104.5 kWh at the begin, and a quorum attests 100."""
    claim = ChallengedClaim(contracts, [session(contracts, first=104.5)])
    assert_won(contracts, claim, claim.register(b'"RV":104.5', at_end=False))


def test_register__the_claim_names_a_register_that_the_record_lacks__refunds(contracts):
    """Attack: a quorum evades the comparison: its claim is of 1-0:1.8.0*00, which nobody read."""
    begin, end = times(contracts)
    other = facts(100 * KWH, 110 * KWH, begin, end).replace(b"\1\0\1\x08\0\xff", b"\1\0\1\x08\0\0")
    claim = ChallengedClaim(contracts, facts=other)
    assert_won(contracts, claim, claim.register(b'"RV":110'))


def test_register__another_time_than_the_meter_said__refunds(contracts):
    begin, end = times(contracts)
    claim = ChallengedClaim(contracts, facts=facts(100 * KWH, 110 * KWH, begin, end + 60))
    assert_won(contracts, claim, claim.register(b'"RV":110'))


def test_register__a_claim_of_several_records__all_of_them_are_shown(contracts):
    begin, end = times(contracts)
    records = [
        signed(payload(11, reading(100, begin, "B")), contracts.key),
        signed(payload(12, reading(107, end, "E")), contracts.key),
    ]
    claim = ChallengedClaim(contracts, records, last_counter=12)
    assert judged(contracts, claim.register(b'"RV":107', records=records[1:])) == "NotInEvidence"
    assert_won(contracts, claim, claim.register(b'"RV":107'))


def test_counter__two_records_of_one_claim_hold_it__refunds_and_bars(contracts):
    """Attack: a quorum counts two sessions under one counter of the device."""
    records = [session(contracts), session(contracts, TT="again")]
    claim = ChallengedClaim(contracts, records)
    other = claim.proof(records[1])
    assert_won(contracts, claim, claim.case(ChallengeFault.COUNTER, other=other))


def test_counter__two_agreements_were_paid_for_it__the_later_is_refunded(contracts):
    """Attack: payer of a second agreement is charged for a record that the first one paid."""
    record = session(contracts)
    earlier = ChallengedClaim(contracts, [record])
    contracts.rail.close(contracts.agreement, sender=contracts.payer)
    contracts.wait(3 * DAY)
    contracts.rail.reclaim(contracts.agreement, sender=contracts.payer)
    begin, end = times(contracts)
    second = contracts.open(contracts.mandate(first_counter=5))
    contracts.mint(20 * EURO, second)
    later = ChallengedClaim(
        contracts, [record], agreement=second, facts=facts(100 * KWH, 110 * KWH, begin, end)
    )
    case = later.case(ChallengeFault.COUNTER, other=earlier.proof(record))
    assert REASONS[contracts.challenges.judge(case)[0]] == "Proven"
    backwards = earlier.case(ChallengeFault.COUNTER, other=later.proof(record))
    assert judged(contracts, backwards) == "WindowOver"
    assert challenge(contracts, case) == ("Proven", 3)
    assert contracts.rail.agreementState(second).escrow == 20 * EURO


def test_counter__oracles_that_signed_one_of_the_two_payments__are_not_barred(contracts):
    """Attack: payer and payee agree to old counters again, and have an oracle barred that came
    later and could not know of the first payment."""
    record = session(contracts)
    earlier = ChallengedClaim(contracts, [record])
    contracts.rail.close(contracts.agreement, sender=contracts.payer)
    contracts.wait(3 * DAY)
    contracts.rail.reclaim(contracts.agreement, sender=contracts.payer)
    second = contracts.open(contracts.mandate(first_counter=5))
    contracts.mint(20 * EURO, second)
    oracles, contracts.oracles = contracts.oracles, contracts.oracles[1:] + contracts.oracles[:1]
    later = ChallengedClaim(contracts, [record], agreement=second)
    contracts.oracles = oracles
    case = later.case(ChallengeFault.COUNTER, other=earlier.proof(record))
    assert challenge(contracts, case) == ("Proven", 2)


def test_key__declared_stolen_since_before__refunds_and_bars_nobody(contracts):
    """Attack: an owner has a whole quorum barred by declaring its key stolen some days ago."""
    begin = contracts.now - 2 * DAY
    content = payload(11, reading(100, begin, "B"), reading(110, begin + HOUR, "E"))
    claim = ChallengedClaim(
        contracts,
        [signed(content, contracts.key)],
        facts=facts(100 * KWH, 110 * KWH, begin, begin + HOUR),
    )
    case = claim.case(ChallengeFault.KEY)
    assert judged(contracts, case) == "KeyMaySign"
    contracts.registry.declareCompromised(DEVICE, begin - HOUR, sender=contracts.owner)
    assert_won(contracts, claim, case, barred=0)


def test_key__a_payer_that_owns_the_device__needs_a_ruling(contracts):
    """Attack: a payer uses energy, then declares its own meter's key stolen for the week."""
    begin = contracts.now - 2 * DAY
    content = payload(11, reading(100, begin, "B"), reading(110, begin + HOUR, "E"), MS="MINE")
    device, key = bytes(merkle.keccak(b"MINE")), DeviceSigner.p256(4711)
    contracts.enrol(device, key, owner=contracts.payer)
    contracts.wait(5 * DAY)
    begin += 5 * DAY
    content = payload(11, reading(100, begin, "B"), reading(110, begin + HOUR, "E"), MS="MINE")
    mandate = contracts.mandate(device=device)
    contracts.rail.open(
        mandate.as_tuple(),
        contracts.signed(mandate),
        contracts.consent(mandate, contracts.payer),
        sender=contracts.stranger,
    )
    contracts.mint(20 * EURO, mandate.agreement_id())
    claim = ChallengedClaim(
        contracts,
        [signed(content, key)],
        agreement=mandate.agreement_id(),
        facts=facts(100 * KWH, 110 * KWH, begin, begin + HOUR),
    )
    contracts.registry.declareCompromised(device, begin - HOUR, sender=contracts.payer)
    assert judged(contracts, claim.case(ChallengeFault.KEY)) == "NeedsRuling"


@pytest.mark.parametrize(("ahead", "barred"), [(HOUR, 0), (26 * HOUR, 3)])
def test_key__revoked_before_the_record__bars_only_who_could_know(contracts, ahead, barred):
    """Attack: a record is dated ahead, settled, and its device revoked before that date: the
    oracles saw an active device."""
    begin, end = contracts.now - 3 * DAY, contracts.now - 3 * DAY + HOUR
    # the product asks the registry for the time in the facts, so these are of before
    true_time = contracts.now + ahead
    content = payload(11, reading(100, true_time - 60, "B"), reading(110, true_time, "E"))
    claim = ChallengedClaim(
        contracts,
        [signed(content, contracts.key)],
        facts=facts(100 * KWH, 110 * KWH, begin, end),
    )
    contracts.registry.revoke(DEVICE, sender=contracts.owner)
    assert_won(contracts, claim, claim.case(ChallengeFault.KEY), barred=barred)


@pytest.mark.parametrize(
    ("after", "answer"), [(HOUR, "NeedsRuling"), (30 * HOUR, "SignatureValid")]
)
def test_signature__of_a_device_that_was_adopted_within_the_day__needs_a_ruling(
    contracts, after, answer
):
    """Attack: a key comes back in the next registry, so that it seems to have held all day."""
    moved = moved_rail(contracts)
    moved.wait(after)
    begin, end = moved.now - HOUR // 2, moved.now
    content = payload(11, reading(100, begin, "B"), reading(110, end, "E"))
    claim = ChallengedClaim(
        moved,
        [signed(content, moved.key)],
        facts=facts(100 * KWH, 110 * KWH, begin, end),
    )
    assert judged(moved, claim.case(ChallengeFault.SIGNATURE)) == answer


def test_signature__forged_on_a_device_s_first_day__is_proved(contracts):
    """A device's first key is what every oracle saw, however new it is."""
    key, device = DeviceSigner.p256(99), bytes(merkle.keccak(b"NEW"))
    contracts.enrol(device, key)
    begin = contracts.now + 1
    mandate = contracts.mandate(device=device, start=begin)
    agreement = contracts.open(mandate)
    contracts.mint(20 * EURO, agreement)
    contracts.wait(2 * HOUR)
    readings = reading(100, begin + 60, "B"), reading(110, begin + HOUR, "E")
    record = signed(payload(11, *readings, MS="NEW"), FORGER)
    claim = ChallengedClaim(
        contracts,
        [record],
        agreement=agreement,
        facts=facts(100 * KWH, 110 * KWH, begin + 60, begin + HOUR),
    )
    assert_won(contracts, claim, claim.case(ChallengeFault.SIGNATURE))


# --- when, and who


def test_challenge__proofs_that_do_not_fit__revert_by_name(contracts):
    claim = ChallengedClaim(contracts, [session(contracts, key=FORGER)])
    fault, proof, *rest = claim.case(ChallengeFault.SIGNATURE)
    richer = (*proof[1][:3], proof[1][3] + 1, *proof[1][4:])
    assert judged(contracts, (fault, (proof[0], richer, *proof[2:]), *rest)) == "OutcomeInvalid"
    later = (proof[0][0], 2, *proof[0][2:])
    assert judged(contracts, (fault, (later, *proof[1:]), *rest)) == "OutcomeInvalid"
    other = (*proof[0][:4], b"\1" * 32, proof[0][5])
    assert judged(contracts, (fault, (other, *proof[1:]), *rest)) == "OutcomeInvalid"
    assert judged(contracts, (fault, (*proof[:2], b"\1" * 32, *proof[3:]), *rest)) == (
        "OutcomeInvalid"
    )


def test_challenge__window_over__reverts_and_an_open_dispute_keeps_it_open(contracts):
    claim = ChallengedClaim(contracts, [session(contracts, key=FORGER)])
    start = contracts.node.snapshot()
    contracts.wait(DAY)
    assert judged(contracts, claim.case(ChallengeFault.SIGNATURE)) == "WindowOver"
    contracts.node.restore(start)
    payment = contracts.dispute(claim.settlement)
    contracts.wait(2 * DAY)
    escrow = contracts.rail.agreementState(contracts.agreement).escrow
    assert challenge(contracts, claim.case(ChallengeFault.SIGNATURE)) == ("Proven", 3)
    assert contracts.token.balanceOf(contracts.payer) == EURO  # the bond of the dispute
    assert contracts.token.balanceOf(contracts.disputes) == 0
    assert contracts.rail.agreementState(contracts.agreement).escrow == escrow + 10 * PRICE
    refusal = contracts.refusal(contracts.disputes.expire, payment, sender=contracts.stranger)
    assert refusal == "NotDisputed"
    assert judged(contracts, claim.case(ChallengeFault.SIGNATURE)) == "NotChallengeable"


def test_challenge__lost_in_an_open_dispute__leaves_it_open(contracts):
    """Attack: a payee's friend ends a dispute with a challenge that fails."""
    claim = ChallengedClaim(contracts)
    payment = contracts.dispute(claim.settlement)
    assert challenge(contracts, claim.case(ChallengeFault.SIGNATURE)) == ("SignatureValid", 0)
    assert contracts.disputes.disputeOf(payment).challenger == contracts.payer.address
    assert contracts.token.balanceOf(contracts.disputes) == EURO


def test_challenge__while_paused__works(contracts):
    claim = ChallengedClaim(contracts, [session(contracts, key=FORGER)])
    contracts.rail.pause(sender=contracts.guardian)
    assert_won(contracts, claim, claim.case(ChallengeFault.SIGNATURE))


def test_challenge__without_a_bond__reverts(contracts):
    claim = ChallengedClaim(contracts)
    for fault in (ChallengeFault.SIGNATURE, ChallengeFault.KEY):
        refusal = contracts.refusal(
            contracts.challenges.challenge, claim.case(fault), sender=contracts.stranger
        )
        assert refusal == "ERC20InsufficientAllowance"


def test_bond__is_never_more_than_the_amount(contracts):
    begin, end = times(contracts)
    small = facts(100 * KWH, 101 * KWH, begin, end)
    claim = ChallengedClaim(contracts, facts=small)
    assert contracts.challenges.bondOf(contracts.agreement, claim.settlement.amounts[0]) == PRICE
    challenge(contracts, claim.case(ChallengeFault.SIGNATURE))
    assert contracts.token.balanceOf(contracts.payee) == PRICE
    assert contracts.challenges.bondOf(contracts.agreement, -5) == 0


def test_challenge__that_the_guardian_stopped__refunds_no_more(contracts):
    claim = ChallengedClaim(contracts, [session(contracts, key=FORGER)])
    contracts.committee.stopChallenges(contracts.rail, sender=contracts.guardian)
    pay_bond(contracts)
    refusal = contracts.refusal(
        contracts.challenges.challenge,
        claim.case(ChallengeFault.SIGNATURE),
        sender=contracts.stranger,
    )
    assert refusal == "NotChallenges"


def test_bar__of_a_whole_quorum__stops_settlement_until_others_are_seated(contracts):
    claim = ChallengedClaim(contracts, [session(contracts, key=FORGER)])
    challenge(contracts, claim.case(ChallengeFault.SIGNATURE))
    _, end = times(contracts)
    honest = contracts.claim(sequence=1, facts=facts(110 * KWH, 120 * KWH, end, end + HOUR))
    honest = replace(honest, sequence=2, first_counter=21, last_counter=29)
    batch = contracts.batch(honest)
    assert contracts.would_settle(batch, contracts.attest(batch, contracts.oracles)) == (
        "QuorumMissing"
    )
    fresh = [bytes([9]) * 31 + bytes([number]) for number in (5, 6, 7)]
    for key in contracts.oracles[:3]:
        contracts.committee.unseat(_address(key), sender=contracts.steward)
    for domain, key in enumerate(fresh, start=1):
        contracts.committee.seat(_address(key), domain, sender=contracts.steward)
    assert contracts.settle(honest, keys=fresh).named == ["None"]
