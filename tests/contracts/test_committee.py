"""Who attests: seats, thresholds, trust domains, contradictions, and replay of signatures.

requireQuorum
├── signatures that do not count are skipped: f hostile members of n stop nothing
├── given too few that count, or those of one domain: revert by name
└── given n - f of two domains: it should answer the signers' domains and indexes
signatures for another chain, committee, rail, product or claim: they should move nothing
rulingQuorum: those who attested the payment do not count while the others could be a quorum
compromiseQuorum: for the calling registry, this device, time and number
reportEquivocation, reportRulings: bar for ever who signed two answers, and nobody else
seat, unseat, silence: the steward with the delay, the guardian at once but never below a quorum
"""

from __future__ import annotations

import pytest
from web3 import Web3

from oracles.attest import claim_hash
from oracles.quorum import quorum
from oracles.types import Claim
from tests.support.contracts.contract_rail import DAY, DEVICE, DOMAINS, ORACLE_KEYS, _address
from tests.support.contracts.powers_alone import PAYMENT
from tests.support.contracts.quorum_checks import (
    HASHES,
    STRANGER_KEY,
    answered,
    bits,
    checked,
    junk,
)


def keys_of(powers, *domains):
    """Member keys of these trust domains."""
    return [key for key, domain in zip(powers.oracles, DOMAINS, strict=True) if domain in domains]


def test_quorum__three_of_four_from_two_domains__answers_domains_and_signers(powers):
    keys = keys_of(powers, 1, 3)
    domains, signers = answered(powers, powers.attest_hashes(HASHES, keys))
    assert domains == 1 << 1 | 1 << 3
    assert signers == bits(powers, *keys)


@pytest.mark.parametrize("seats", [4, 7, 10])
def test_attack__f_hostile_members__stop_no_settlement(powers, seats):
    """On 0.3.0 one signature that did not count made the whole batch revert, for ever."""
    keys = [bytes([11]) * 31 + bytes([index + 1]) for index in range(seats)]
    committee = powers.deploy_committee(keys, [1 + index % 3 for index in range(seats)])
    f = (seats - 1) // 3
    honest = powers.attest_hashes(HASHES, keys[f:], committee=committee)
    hostile = junk(powers.attest_hashes(HASHES, keys[:1], committee=committee)[0])
    hostile += powers.attest_hashes(HASHES[:1], keys[:f], committee=committee)
    hostile += powers.attest_hashes(HASHES, [STRANGER_KEY], committee=committee)
    mixed = [*hostile, *reversed(honest), *hostile]
    _, signers = answered(powers, mixed, committee)
    assert signers == bits(powers, *keys[f:], committee=committee)
    assert checked(powers, [*hostile, *honest[1:]], committee)[0] == "QuorumMissing"


def test_attack__unseated_member_among_the_signers__is_skipped(powers):
    """On 0.3.0 the rail read the committee once: its next settlement met NotAMember for ever."""
    gone = powers.oracles[0]
    signed = powers.attest_hashes(HASHES, powers.oracles)
    powers.do(powers.committee.unseat, _address(gone))
    _, signers = answered(powers, signed)
    assert signers == bits(powers, *powers.oracles[1:])


def test_attack__one_signature_many_times__counts_once(powers):
    good = powers.attest_hashes(HASHES)
    assert checked(powers, [good[0]] * 9) == ("QuorumMissing", (1, 3))
    assert checked(powers, [good[0], good[1], good[0]]) == ("QuorumMissing", (2, 3))
    assert checked(powers, [good[2], good[0], good[0], good[1]]) == ("", ())


def test_quorum__malformed_signatures__do_not_count(powers):
    good = powers.attest_hashes(HASHES)
    for bad in junk(good[0]):
        assert checked(powers, [bad, *good[1:]]) == ("QuorumMissing", (2, 3)), bad.hex()
    assert checked(powers, []) == ("QuorumMissing", (0, 3))


def test_quorum__enough_signatures_of_one_domain__reverts(powers):
    committee = powers.deploy_committee(powers.oracles, [1, 1, 1, 2])

    def refusal(keys):
        return checked(powers, powers.attest_hashes(HASHES, keys, committee=committee), committee)

    assert refusal(powers.oracles[:3]) == ("DomainsMissing", (1, 2))
    assert refusal(powers.oracles[1:]) == ("", ())


def test_replay__signatures_for_another_context__move_nothing(powers):
    twin = powers.deploy_committee(powers.oracles, DOMAINS)
    cases = {
        "chain": powers.attest_hashes(HASHES, chain_id=1),
        "committee": powers.attest_hashes(HASHES, committee=twin),
        "rail": powers.attest_hashes(HASHES, rail=powers.stranger),
        "product": powers.attest_hashes(HASHES, product=powers.stranger),
        "claims": powers.attest_hashes(HASHES[::-1]),
        "fewer claims": powers.attest_hashes(HASHES[:1]),
        "ruling": powers.ruling(HASHES[0], True),
    }
    accepted = [name for name, signed in cases.items() if not checked(powers, signed)[0]]
    assert accepted == []
    assert checked(powers, powers.attest_hashes(HASHES)) == ("", ())


def test_threshold__any_size__is_n_minus_f_as_python_says(powers):
    for size in range(1, len(ORACLE_KEYS) + 1):
        committee = powers.deploy_committee(ORACLE_KEYS[:size], [1] * size, 1)
        assert committee.quorum() == quorum(size)
    assert powers.deploy_committee([], [], 0).quorum() == 2**256 - 1


# --- rulings


def ruled(powers, signatures, excluded=0, committee=None, payment=PAYMENT, refund=True):
    method = (committee or powers.committee).rulingQuorum
    args = (powers.rail, payment, refund, excluded, signatures)
    return powers.refusal_args(method, *args, sender=powers.stranger)


def test_ruling__another_payment_rail_or_answer__moves_nothing(powers):
    good = powers.ruling(PAYMENT, True)
    assert ruled(powers, good) == ("", ())
    assert ruled(powers, good, payment=HASHES[0])[0] == "QuorumMissing"
    assert ruled(powers, good, refund=False)[0] == "QuorumMissing"
    elsewhere = powers.ruling(PAYMENT, True, rail=powers.stranger)
    assert ruled(powers, elsewhere)[0] == "QuorumMissing"
    assert ruled(powers, powers.attest_hashes([PAYMENT]))[0] == "QuorumMissing"


def test_ruling__oracles_that_attested_the_payment__do_not_count_where_others_suffice(powers):
    """Seven seats, and four of them came after the payment was attested by three."""
    keys = [bytes([12]) * 31 + bytes([index + 1]) for index in range(10)]
    committee = powers.deploy_committee(keys, [1, 2, 3, 1, 2, 3, 1, 2, 3, 1])
    attesters, others = keys[:3], keys[3:]
    excluded = bits(powers, *attesters, committee=committee)

    def refusal(signers):
        signed = powers.ruling(PAYMENT, True, signers, committee=committee)
        return ruled(powers, signed, excluded, committee)

    assert refusal(others) == ("", ())  # seven others are the quorum of ten
    assert refusal([*attesters, *others[:6]]) == ("QuorumMissing", (6, 7))
    committee.silence(_address(others[0]), sender=powers.guardian)
    assert refusal([*attesters, *others[1:]]) == ("", ())  # six others cannot be a quorum
    assert refusal(others) == ("QuorumMissing", (6, 7))


def test_ruling__only_domain_of_those_who_attested__still_counts(powers):
    """Else no ruling could ever carry a domain that the agreement requires."""
    keys = [bytes([13]) * 31 + bytes([index + 1]) for index in range(10)]
    committee = powers.deploy_committee(keys, [9, 1, 1, 1, 1, 2, 2, 2, 2, 2])
    excluded = bits(powers, keys[0], committee=committee)
    signed = powers.ruling(PAYMENT, True, keys[:7], committee=committee)
    assert ruled(powers, signed, excluded, committee) == ("", ())
    only = bits(powers, keys[1], committee=committee)
    assert ruled(powers, signed, only, committee) == ("QuorumMissing", (6, 7))


def test_compromise__quorum_for_this_registry_device_time_and_number(powers):
    method = powers.committee.compromiseQuorum
    good = powers.compromise(DEVICE, 5, 1)

    def refusal(device=DEVICE, since=5, number=1, signed=good, sender=powers.rail):
        return powers.refusal(method, device, since, number, signed, sender=sender)

    assert refusal() == ""
    assert {
        refusal(device=HASHES[0]),
        refusal(since=0),
        refusal(number=2),
        refusal(sender=powers.stranger),
        refusal(signed=good[:2]),
    } == {"QuorumMissing"}


def test_attack__oracle_rules_both_ways__is_barred_for_ever(powers):
    """On 0.3.0 an oracle could sign both answers and deny it."""
    liar, other = powers.oracles[:2]
    (refund,) = powers.ruling(PAYMENT, True, [liar])
    (stand,) = powers.ruling(PAYMENT, False, [liar])
    report = powers.committee.reportRulings

    def refusal(a, b, payment=PAYMENT, rail=powers.rail):
        return powers.refusal(report, rail, payment, a, b, sender=powers.stranger)

    assert refusal(refund, powers.ruling(PAYMENT, False, [other])[0]) == "NotEquivocation"
    assert refusal(refund, refund) == refusal(stand, refund) == "NotEquivocation"
    assert refusal(refund, powers.ruling(HASHES[0], False, [liar])[0]) == "NotEquivocation"
    assert refusal(refund, stand, rail=powers.stranger) == "NotEquivocation"
    outside = [powers.ruling(PAYMENT, answer, [STRANGER_KEY])[0] for answer in (True, False)]
    assert refusal(*outside) == "NotAMember"
    receipt = report(powers.rail, PAYMENT, refund, stand, sender=powers.stranger)
    (log,) = receipt.events
    assert (log.event_name, log.member) == ("MemberBarredForRulings", _address(liar))
    assert bytes(log.payment) == PAYMENT
    assert powers.committee.memberOf(_address(liar)).barred is True
    assert ruled(powers, powers.ruling(PAYMENT, True)) == ("QuorumMissing", (2, 3))
    assert ruled(powers, powers.ruling(PAYMENT, True, powers.oracles)) == ("", ())
    assert refusal(refund, stand) == "Barred"


# --- equivocation about claims


def claim(agreement=DEVICE, sequence=1, facts=b"facts"):
    return Claim(agreement, sequence, 1, 9, Web3.keccak(text="evidence"), facts)


def witness(powers, claims, key, index=0, shown=None):
    hashes = [claim_hash(signed) for signed in claims]
    it = shown or claims[index]
    fields = (it.agreement, it.sequence, it.first_counter, it.last_counter, it.evidence, it.facts)
    return (powers.payer, hashes, index, fields, powers.attest_hashes(hashes, [key])[0])


def report(powers, a, b):
    method = powers.committee.reportEquivocation
    return powers.refusal(method, powers.rail, a, b, sender=powers.stranger)


def test_equivocation__two_claims_of_one_sequence__bars_for_ever(powers):
    liar, member = powers.oracles[0], _address(powers.oracles[0])
    a = witness(powers, [claim()], liar)
    b = witness(powers, [claim(b"\1" * 32), claim(facts=b"other")], liar, index=1)
    powers.committee.reportEquivocation(powers.rail, a, b, sender=powers.stranger)
    assert powers.committee.memberOf(member).barred is True
    assert checked(powers, powers.attest_hashes(HASHES)) == ("QuorumMissing", (2, 3))
    assert checked(powers, powers.attest_hashes(HASHES, powers.oracles)) == ("", ())
    assert powers.committee.quorum() == 3  # the threshold did not fall
    powers.do(powers.committee.unseat, member)
    assert powers.after_delay(powers.committee.seat, member, 1) == "Barred"
    assert report(powers, a, b) == "Barred"


def test_equivocation__what_is_none__reverts(powers):
    liar, other = powers.oracles[:2]
    good, lie = witness(powers, [claim()], liar), [claim(facts=b"other")]
    assert report(powers, good, witness(powers, lie, liar)) == ""
    assert report(powers, good, good) == "NotEquivocation"
    assert report(powers, good, witness(powers, lie, other)) == "NotEquivocation"
    next_one = witness(powers, [claim(sequence=2, facts=b"other")], liar)
    assert report(powers, good, next_one) == "NotEquivocation"
    unlisted = witness(powers, [claim()], liar, shown=lie[0])
    assert report(powers, good, unlisted) == "NotEquivocation"
    beyond = (*good[:2], 1, *good[3:])
    assert report(powers, beyond, witness(powers, lie, liar)) == "NotEquivocation"
    outside = [witness(powers, batch, STRANGER_KEY) for batch in ([claim()], lie)]
    assert report(powers, *outside) == "NotAMember"


# --- seats


def test_seats__leaving_and_rejoining__keeps_the_index_and_follows_the_threshold(powers):
    committee, member = powers.committee, _address(powers.oracles[0])
    fresh = _address(ORACLE_KEYS[5])
    index = committee.memberOf(member).index
    powers.do(committee.unseat, member)
    assert (committee.seatedCount(), committee.quorum()) == (3, 3)
    assert powers.after_delay(committee.unseat, member) == "NotAMember"
    powers.do(committee.seat, fresh, 2)
    powers.do(committee.seat, member, 3)
    assert (committee.seatedCount(), committee.quorum()) == (5, 4)
    assert committee.memberOf(member)[:2] == (3, True) and committee.memberOf(member).index == index
    assert committee.memberCount() == 5 and committee.memberAt(4) == fresh
    assert powers.after_delay(committee.seat, member, 3) == "AlreadySeated"
    for invalid in (("0x" + "00" * 20, 1), (_address(STRANGER_KEY), 0)):
        assert powers.after_delay(committee.seat, *invalid) == "DomainInvalid"


def test_silence__by_the_guardian__counts_in_n_until_seated_again(powers):
    committee, member = powers.committee, _address(powers.oracles[0])
    for other in (powers.stranger, powers.steward, powers.minter):
        assert powers.refusal(committee.silence, member, sender=other) == "NotInRole"
    (log,) = committee.silence(member, sender=powers.guardian).events
    assert (log.event_name, log.member) == ("MemberSilenced", member)
    assert committee.quorum() == 3
    assert checked(powers, powers.attest_hashes(HASHES)) == ("QuorumMissing", (2, 3))
    assert checked(powers, powers.attest_hashes(HASHES, powers.oracles[1:])) == ("", ())
    powers.do(committee.seat, member, 1)
    assert checked(powers, powers.attest_hashes(HASHES)) == ("", ())
    assert committee.seatedCount() == 4


def test_attack__guardian_silences_all_members__cannot_go_below_a_quorum(powers):
    """A stolen guardian key would stop every settlement for ever; a pause at least ends."""
    committee = powers.committee
    first, second, third, _ = (_address(key) for key in powers.oracles)
    powers.committee.silence(first, sender=powers.guardian)
    again = powers.refusal_args(committee.silence, second, sender=powers.guardian)
    assert again == ("TooManySilent", (2, 3))
    assert powers.refusal(committee.silence, first, sender=powers.guardian) == "AlreadySilent"
    stranger = powers.refusal(committee.silence, _address(STRANGER_KEY), sender=powers.guardian)
    assert stranger == "NotAMember"
    two_domains = powers.deploy_committee(powers.oracles, [1, 1, 1, 2])
    only = _address(powers.oracles[3])
    last = powers.refusal(two_domains.silence, only, sender=powers.guardian)
    assert last == "TooManySilent"  # the other three are of one domain
    assert powers.refusal(two_domains.silence, third, sender=powers.guardian) == ""


def test_constructor__lists_or_members_that_do_not_fit__refused(powers):
    members = [_address(key) for key in powers.oracles]

    def refusal(members, domains):
        return powers.creation_refusal("OracleCommittee", powers.access, members, domains, 2)

    assert refusal(members, [1, 2, 3]) == "MembersMismatch"
    assert refusal([members[0], members[0]], [1, 2]) == "AlreadySeated"
    many = [f"0x{index:040x}" for index in range(1, 218)]
    assert refusal(many[:216], [1] * 216) == ""
    assert refusal(many, [1] * 217) == "TooManyMembers"


def test_waiting__a_scheduled_seat__is_not_a_seat(powers):
    fresh = _address(ORACLE_KEYS[5])
    powers.schedule(powers.committee.seat, fresh, 2)
    powers.wait(3 * DAY)
    assert powers.committee.memberOf(fresh).seated is False and powers.committee.quorum() == 3
