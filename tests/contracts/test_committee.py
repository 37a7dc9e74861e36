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
from tests.support.contracts.contract_rail import DOMAINS, ORACLE_KEYS, _address
from tests.support.contracts.settled import NOBODY, arguments


def keys_of(contracts, *domains):
    """Member keys of these trust domains, in ascending signer order."""
    return [
        key for key, domain in zip(contracts.oracles, DOMAINS, strict=True) if domain in domains
    ]


@pytest.fixture
def batch(contracts):
    return contracts.batch(contracts.claim())


def test_quorum__three_of_four_from_two_domains__answers_the_domains(contracts, batch):
    hashes = [claim_hash(claim) for claim in batch.claims]
    signatures = contracts.attest(
        replace(batch, rail=contracts.payer.address), keys_of(contracts, 1, 3)
    )
    bitmap = contracts.committee.requireQuorum(
        batch.product, hashes, signatures, sender=contracts.payer
    )
    assert bitmap == 1 << 1 | 1 << 3


def test_quorum__wrong_signers__revert_by_name(contracts, batch):
    good = contracts.attest(batch)
    assert contracts.would_settle(batch, good) == ""
    assert contracts.would_settle(batch, good[::-1]) == "SignersUnsorted"
    assert contracts.would_settle(batch, [good[0], *good[:2]]) == "SignersUnsorted"
    assert contracts.would_settle(batch, good[:2]) == "QuorumMissing"
    outsider = contracts.attest(batch, [*contracts.oracles[:2], ORACLE_KEYS[6]])
    assert contracts.would_settle(batch, outsider) == "NotAMember"
    contracts.committee.unseat(_address(contracts.oracles[1]), sender=contracts.steward)
    assert contracts.would_settle(batch, good) == "NotAMember"


def test_quorum__enough_signatures_of_one_domain__reverts(contracts):
    members = [_address(key) for key in contracts.oracles]
    committee = contracts.deploy("OracleCommittee", contracts.steward, members, [1, 1, 1, 2], 2)
    rail = contracts.deploy_rail(committee, contracts.registry)
    product = contracts.deploy("MeteredEnergy", rail, contracts.registry)
    rail.allowProduct(product, True, sender=contracts.steward)
    batch = contracts.batch(contracts.claim(), rail=rail, product=product)

    def bitmap(keys):
        signatures = contracts.attest(batch, keys, committee=committee)
        return contracts.refusal_args(
            rail.settle, arguments(batch), signatures, sender=contracts.payer
        )

    assert bitmap(contracts.oracles[:3]) == ("DomainsMissing", (1, 2))
    assert bitmap(contracts.oracles[1:]) == ("", ())


def test_quorum__high_s_or_v_of_0_or_short__reverts(contracts, batch):
    good = contracts.attest(batch)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    s = int.from_bytes(good[0][32:64], "big")
    twin = good[0][:32] + (order - s).to_bytes(32, "big") + bytes([55 - good[0][64]])
    assert contracts.would_settle(batch, [twin, *good[1:]]) == "ECDSAInvalidSignatureS"
    low_v = good[0][:64] + bytes([good[0][64] - 27])
    assert contracts.would_settle(batch, [low_v, *good[1:]]) == "ECDSAInvalidSignature"
    assert contracts.would_settle(batch, [good[0][:64], *good[1:]]) == "ECDSAInvalidSignatureLength"


def test_replay__signatures_for_another_context__move_nothing(contracts, batch):
    twin_rail = contracts.deploy_rail(contracts.committee, contracts.registry)
    members = [_address(key) for key in contracts.oracles]
    twin_committee = contracts.deploy("OracleCommittee", contracts.steward, members, DOMAINS, 2)
    twin_product = contracts.deploy("MeteredEnergy", contracts.rail, contracts.registry)
    other_claim = contracts.batch(replace(batch.claims[0], last_counter=18))
    cases = {
        "chain": contracts.attest(batch, chain_id=1),
        "committee": contracts.attest(batch, committee=twin_committee),
        "rail": contracts.attest(replace(batch, rail=twin_rail.address)),
        "product": contracts.attest(replace(batch, product=twin_product.address)),
        "claim": contracts.attest(other_claim),
        "fewer claims": contracts.attest(contracts.batch(*batch.claims, *batch.claims)),
    }
    accepted = [name for name, signed in cases.items() if not contracts.would_settle(batch, signed)]
    assert accepted == []
    assert contracts.would_settle(batch, contracts.attest(batch)) == ""  # 1 of n, and only this


def test_threshold__any_size__is_n_minus_f_as_python_says(contracts):
    members = [_address(key) for key in ORACLE_KEYS]
    for size in range(1, len(members) + 1):
        committee = contracts.deploy(
            "OracleCommittee", contracts.steward, members[:size], [1] * size, 1
        )
        assert committee.quorum() == quorum(size)
    empty = contracts.deploy("OracleCommittee", contracts.steward, [], [], 0)
    assert empty.quorum() == 2**256 - 1


def witness(contracts, batch, key, index=0, claim=None):
    hashes = [claim_hash(signed) for signed in batch.claims]
    signed_claim = claim or batch.claims[index]
    row = (
        signed_claim.agreement,
        signed_claim.sequence,
        signed_claim.first_counter,
        signed_claim.last_counter,
        signed_claim.evidence,
        signed_claim.facts,
    )
    return (batch.product, hashes, index, row, contracts.attest(batch, [key])[0])


def report(contracts, a, b):
    return contracts.refusal(
        contracts.committee.reportEquivocation, contracts.rail, a, b, sender=contracts.stranger
    )


def test_equivocation__two_claims_of_one_sequence__bars_for_ever(contracts, batch):
    liar, member = contracts.oracles[0], _address(contracts.oracles[0])
    lie = contracts.batch(contracts.claim(b"\1" * 32), replace(batch.claims[0], facts=b"other"))
    a, b = witness(contracts, batch, liar), witness(contracts, lie, liar, index=1)
    contracts.committee.reportEquivocation(contracts.rail, a, b, sender=contracts.stranger)
    assert contracts.committee.memberOf(member)[2] is True
    assert contracts.would_settle(batch, contracts.attest(batch)) == "Barred"
    assert contracts.committee.quorum() == 3  # the threshold did not fall
    assert contracts.would_settle(batch, contracts.attest(batch, contracts.oracles[1:])) == ""
    contracts.committee.unseat(member, sender=contracts.steward)
    again = contracts.refusal(contracts.committee.seat, member, 1, sender=contracts.steward)
    assert again == "Barred"
    assert report(contracts, a, b) == "Barred"


def test_equivocation__what_is_none__reverts(contracts, batch):
    liar, other = contracts.oracles[:2]
    first = batch.claims[0]
    lie = contracts.batch(replace(first, facts=b"other"))
    good = witness(contracts, batch, liar)
    assert report(contracts, good, witness(contracts, lie, liar)) == ""
    assert report(contracts, good, good) == "NotEquivocation"
    assert report(contracts, good, witness(contracts, lie, other)) == "NotEquivocation"
    later = contracts.batch(replace(first, sequence=2))
    assert report(contracts, good, witness(contracts, later, liar)) == "NotEquivocation"
    elsewhere = contracts.batch(replace(first, agreement=b"\2" * 32))
    assert report(contracts, good, witness(contracts, elsewhere, liar)) == "NotEquivocation"
    forged = witness(contracts, lie, liar, claim=replace(first, facts=b"never signed"))
    assert report(contracts, good, forged) == "NotEquivocation"
    beyond = (*good[:2], 7, *good[3:])
    assert report(contracts, good, beyond) == "NotEquivocation"
    outsider = ORACLE_KEYS[6]
    a, b = witness(contracts, batch, outsider), witness(contracts, lie, outsider)
    assert report(contracts, a, b) == "NotAMember"
    on_two_rails = witness(contracts, replace(lie, rail=contracts.token.address), liar)
    assert report(contracts, good, on_two_rails) == "NotEquivocation"


def test_seats__bad_ones__revert_by_name(contracts):
    seat, member = contracts.committee.seat, _address(contracts.oracles[0])
    steward, fresh = contracts.steward, _address(ORACLE_KEYS[6])
    assert contracts.refusal(seat, member, 1, sender=steward) == "AlreadySeated"
    assert contracts.refusal(seat, fresh, 0, sender=steward) == "DomainInvalid"
    assert contracts.refusal(seat, NOBODY, 1, sender=steward) == "DomainInvalid"
    assert contracts.refusal(contracts.committee.unseat, fresh, sender=steward) == "NotAMember"
    contracts.committee.seat(fresh, 9, sender=steward)
    assert (contracts.committee.seatedCount(), contracts.committee.quorum()) == (5, 4)
