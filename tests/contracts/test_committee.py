"""Who attests: seats, thresholds, trust domains, equivocation, and replay of signatures.

requireQuorum
├── given a stranger, a barred or an unseated member, unsorted or repeated signers: revert by name
├── given n - f signatures of one domain: revert DomainsMissing
└── given n - f of two domains: it should answer the signers' domains
signatures for another chain, committee, rail, product or claim: they should move nothing
reportEquivocation
├── given two equal claims, two sequences, two signers, a claim not in its batch: revert
└── given two claims of one sequence by one member: it should bar that member for ever
seat, unseat: only the steward; the threshold follows the seats, the barred included
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from oracles.attest import claim_hash
from oracles.quorum import quorum
from tests.support.contracts.settled import NOBODY, arguments
from tests.support.contracts.stage import DOMAINS, ORACLE_KEYS, _address


def keys_of(stage, *domains):
    """Member keys of these trust domains, in ascending signer order."""
    return [key for key, domain in zip(stage.oracles, DOMAINS, strict=True) if domain in domains]


@pytest.fixture
def batch(stage):
    return stage.batch(stage.claim())


def test_quorum__three_of_four_from_two_domains__answers_the_domains(stage, batch):
    hashes = [claim_hash(claim) for claim in batch.claims]
    signatures = stage.attest(replace(batch, rail=stage.payer.address), keys_of(stage, 1, 3))
    found = stage.committee.requireQuorum(batch.product, hashes, signatures, sender=stage.payer)
    assert found == 1 << 1 | 1 << 3


def test_quorum__wrong_signers__revert_by_name(stage, batch):
    good = stage.attest(batch)
    assert stage.would_settle(batch, good) == ""
    assert stage.would_settle(batch, good[::-1]) == "SignersUnsorted"
    assert stage.would_settle(batch, [good[0], *good[:2]]) == "SignersUnsorted"
    assert stage.would_settle(batch, good[:2]) == "QuorumMissing"
    outsider = stage.attest(batch, [*stage.oracles[:2], ORACLE_KEYS[6]])
    assert stage.would_settle(batch, outsider) == "NotAMember"
    stage.committee.unseat(_address(stage.oracles[1]), sender=stage.steward)
    assert stage.would_settle(batch, good) == "NotAMember"


def test_quorum__enough_signatures_of_one_domain__reverts(stage):
    members = [_address(key) for key in stage.oracles]
    committee = stage.deploy("OracleCommittee", stage.steward, members, [1, 1, 1, 2], 2)
    rail = stage.deploy_rail(committee, stage.registry)
    product = stage.deploy("MeteredEnergy", rail, stage.registry)
    rail.allowProduct(product, True, sender=stage.steward)
    batch = stage.batch(stage.claim(), rail=rail, product=product)

    def found(keys):
        signatures = stage.attest(batch, keys, committee=committee)
        return stage.refusal_args(rail.settle, arguments(batch), signatures, sender=stage.payer)

    assert found(stage.oracles[:3]) == ("DomainsMissing", (1, 2))
    assert found(stage.oracles[1:]) == ("", ())


def test_quorum__high_s_or_v_of_0_or_short__reverts(stage, batch):
    good = stage.attest(batch)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    s = int.from_bytes(good[0][32:64], "big")
    twin = good[0][:32] + (order - s).to_bytes(32, "big") + bytes([55 - good[0][64]])
    assert stage.would_settle(batch, [twin, *good[1:]]) == "ECDSAInvalidSignatureS"
    low_v = good[0][:64] + bytes([good[0][64] - 27])
    assert stage.would_settle(batch, [low_v, *good[1:]]) == "ECDSAInvalidSignature"
    assert stage.would_settle(batch, [good[0][:64], *good[1:]]) == "ECDSAInvalidSignatureLength"


def test_replay__signatures_for_another_context__move_nothing(stage, batch):
    twin_rail = stage.deploy_rail(stage.committee, stage.registry)
    members = [_address(key) for key in stage.oracles]
    twin_committee = stage.deploy("OracleCommittee", stage.steward, members, DOMAINS, 2)
    twin_product = stage.deploy("MeteredEnergy", stage.rail, stage.registry)
    other_claim = stage.batch(replace(batch.claims[0], last_counter=18))
    cases = {
        "chain": stage.attest(batch, chain_id=1),
        "committee": stage.attest(batch, committee=twin_committee),
        "rail": stage.attest(replace(batch, rail=twin_rail.address)),
        "product": stage.attest(replace(batch, product=twin_product.address)),
        "claim": stage.attest(other_claim),
        "fewer claims": stage.attest(stage.batch(*batch.claims, *batch.claims)),
    }
    accepted = [name for name, signed in cases.items() if not stage.would_settle(batch, signed)]
    assert accepted == []
    assert stage.would_settle(batch, stage.attest(batch)) == ""  # 1 of n, and only this


def test_threshold__any_size__is_n_minus_f_as_python_says(stage):
    members = [_address(key) for key in ORACLE_KEYS]
    for size in range(1, len(members) + 1):
        committee = stage.deploy("OracleCommittee", stage.steward, members[:size], [1] * size, 1)
        assert committee.quorum() == quorum(size)
    empty = stage.deploy("OracleCommittee", stage.steward, [], [], 0)
    assert empty.quorum() == 2**256 - 1


def witness(stage, batch, key, index=0, claim=None):
    hashes = [claim_hash(one) for one in batch.claims]
    told = claim or batch.claims[index]
    row = (
        told.agreement,
        told.sequence,
        told.first_counter,
        told.last_counter,
        told.evidence,
        told.facts,
    )
    return (batch.product, hashes, index, row, stage.attest(batch, [key])[0])


def report(stage, a, b):
    return stage.refusal(
        stage.committee.reportEquivocation, stage.rail, a, b, sender=stage.stranger
    )


def test_equivocation__two_claims_of_one_sequence__bars_for_ever(stage, batch):
    liar, member = stage.oracles[0], _address(stage.oracles[0])
    lie = stage.batch(stage.claim(b"\1" * 32), replace(batch.claims[0], facts=b"other"))
    a, b = witness(stage, batch, liar), witness(stage, lie, liar, index=1)
    stage.committee.reportEquivocation(stage.rail, a, b, sender=stage.stranger)
    assert stage.committee.memberOf(member)[2] is True
    assert stage.would_settle(batch, stage.attest(batch)) == "Barred"
    assert stage.committee.quorum() == 3  # the threshold did not fall
    assert stage.would_settle(batch, stage.attest(batch, stage.oracles[1:])) == ""
    stage.committee.unseat(member, sender=stage.steward)
    again = stage.refusal(stage.committee.seat, member, 1, sender=stage.steward)
    assert again == "Barred"
    assert report(stage, a, b) == "Barred"


def test_equivocation__what_is_none__reverts(stage, batch):
    liar, other = stage.oracles[:2]
    first = batch.claims[0]
    lie = stage.batch(replace(first, facts=b"other"))
    good = witness(stage, batch, liar)
    assert report(stage, good, witness(stage, lie, liar)) == ""
    assert report(stage, good, good) == "NotEquivocation"
    assert report(stage, good, witness(stage, lie, other)) == "NotEquivocation"
    later = stage.batch(replace(first, sequence=2))
    assert report(stage, good, witness(stage, later, liar)) == "NotEquivocation"
    elsewhere = stage.batch(replace(first, agreement=b"\2" * 32))
    assert report(stage, good, witness(stage, elsewhere, liar)) == "NotEquivocation"
    forged = witness(stage, lie, liar, claim=replace(first, facts=b"never signed"))
    assert report(stage, good, forged) == "NotEquivocation"
    beyond = (*good[:2], 7, *good[3:])
    assert report(stage, good, beyond) == "NotEquivocation"
    outsider = ORACLE_KEYS[6]
    a, b = witness(stage, batch, outsider), witness(stage, lie, outsider)
    assert report(stage, a, b) == "NotAMember"
    on_two_rails = witness(stage, replace(lie, rail=stage.token.address), liar)
    assert report(stage, good, on_two_rails) == "NotEquivocation"


def test_seats__bad_ones__revert_by_name(stage):
    seat, member = stage.committee.seat, _address(stage.oracles[0])
    steward, fresh = stage.steward, _address(ORACLE_KEYS[6])
    assert stage.refusal(seat, member, 1, sender=steward) == "AlreadySeated"
    assert stage.refusal(seat, fresh, 0, sender=steward) == "DomainInvalid"
    assert stage.refusal(seat, NOBODY, 1, sender=steward) == "DomainInvalid"
    assert stage.refusal(stage.committee.unseat, fresh, sender=steward) == "NotAMember"
    stage.committee.seat(fresh, 9, sender=steward)
    assert (stage.committee.seatedCount(), stage.committee.quorum()) == (5, 4)
