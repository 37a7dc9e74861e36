"""Quorums: counts, domains, order, and evidence of an oracle that signed two claims."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles.quorum import Attested, Missing, Reached, equivocations, quorum, reached
from oracles.types import Attestation, Batch, Claim

MEMBERS = {f"0x{n:040x}": domain for n, domain in ((9, 1), (5, 1), (7, 2), (3, 3))}


def _attested(*addresses: str) -> list[Attestation]:
    return [Attestation(address, address.encode().ljust(65, b"\0")) for address in addresses]


@pytest.mark.parametrize("f", range(1, 30))
def test_quorum__n_is_3f_plus_1__is_2f_plus_1(f):
    assert quorum(3 * f + 1) == 2 * f + 1


@given(st.integers(1, 200))
def test_quorum__any_committee__two_quorums_share_an_honest_member(n):
    f = (n - 1) // 3
    assert 2 * quorum(n) - n > f
    assert quorum(n) <= n - f  # honest members alone can reach it


def test_reached__three_of_four_from_two_domains__ascending_signer_order():
    result = reached(_attested(*MEMBERS), MEMBERS, need=3, min_domains=2)
    assert isinstance(result, Reached)
    addresses = [int(a.oracle, 16) for a in result.attestations]
    assert addresses == sorted(addresses) and len(addresses) == 3


def test_reached__one_domain_only__says_that_a_domain_is_missing():
    first, second = list(MEMBERS)[:2]
    result = reached(_attested(first, second), MEMBERS, need=2, min_domains=2)
    assert result == Missing(0, 1, ())


def test_reached__strangers_and_repeated_signatures__count_for_nothing():
    member = next(iter(MEMBERS))
    result = reached(_attested(member, member, "0x" + "f" * 40), MEMBERS, need=3, min_domains=2)
    assert result == Missing(2, 1, ())


def test_reached__a_required_domain_is_absent__is_named_though_the_count_is_enough():
    nine, five, seven, three = MEMBERS
    result = reached(_attested(nine, five, seven), MEMBERS, 3, 2, required_domains=(3, 0))
    assert result == Missing(0, 0, (3,))
    result = reached(_attested(nine, five, seven, three), MEMBERS, 3, 2, required_domains=(3,))
    assert isinstance(result, Reached) and three in {a.oracle for a in result.attestations}


def test_reached__every_subset__agrees_with_a_plain_count():
    for size in range(5):
        for subset in combinations(MEMBERS, size):
            domains = {MEMBERS[address] for address in subset}
            enough = size >= 3 and len(domains) >= 2
            result = reached(_attested(*subset), MEMBERS, 3, 2)
            assert isinstance(result, Reached) == enough
            if isinstance(result, Reached):
                chosen = {MEMBERS[a.oracle] for a in result.attestations}
                assert len(result.attestations) >= 3 and len(chosen) >= 2


def _signed(oracle: str, *claims: Claim) -> Attested:
    return Attested(Batch("0x" + "1" * 40, "0x" + "2" * 40, claims), Attestation(oracle, b""))


def _claim(agreement: int, sequence: int, facts: bytes = b"") -> Claim:
    return Claim(agreement.to_bytes(32, "big"), sequence, 1, 2, b"\x05" * 32, facts)


def test_equivocations__two_claims_for_one_sequence_by_one_oracle__are_paired():
    honest = _signed("0xa", _claim(1, 1), _claim(2, 1))
    again = _signed("0xa", _claim(1, 1), _claim(3, 1))  # the same claim in another batch is allowed
    lie = _signed("0xa", _claim(2, 1, b"more"))
    other = _signed("0xb", _claim(2, 1, b"most"))  # oracles may differ from each other
    (proof,) = equivocations([honest, again, lie, other])
    assert (proof.oracle, proof.agreement, proof.sequence) == ("0xa", _claim(2, 1).agreement, 1)
    assert (proof.first, proof.second) == (honest, lie)
