"""Rulings are counted as OracleCommittee.rulingQuorum counts them."""

from __future__ import annotations

import pytest

from orchestrator.core.ruling import Member, RulingRules, count_ruling


def rules(domains, attested=(), required=0, need=None, mute=(), min_domains=2) -> RulingRules:
    """Return the rules of a committee whose members a, b, c ... are of these trust domains."""
    members = [
        Member("abcdefghij"[index], domain, index, "abcdefghij"[index] not in mute)
        for index, domain in enumerate(domains)
    ]
    bits = sum(1 << member.index for member in members if member.address in attested)
    quorum = len(domains) - (len(domains) - 1) // 3
    return RulingRules(members, need or quorum, min_domains, required, bits)


def test_ruling__signed_by_the_oracles_that_attested_it__does_not_count_where_others_could_decide():
    """On 0.3.0 the oracles that attested a false claim also ruled on it."""
    committee = rules((1, 1, 2, 3, 1, 2, 3), attested="ab", need=5)
    count = count_ruling(committee, "abcde")
    assert (count.counting, count.ignored) == (("c", "d", "e"), ("a", "b"))
    assert not count.is_enough and count.signatures == 2 and count.waiting == ("f", "g")
    assert count_ruling(committee, "cdefg").is_enough


def test_ruling__where_the_others_are_no_quorum__counts_everybody():
    committee = rules((1, 1, 2, 3), attested="abc")
    assert committee.excluded == 0
    assert count_ruling(committee, "abc").is_enough


def test_ruling__where_the_others_lack_a_trust_domain__counts_everybody():
    committee = rules((1, 2, 2, 2, 2, 2), attested="a", need=4)
    assert committee.excluded == 0
    assert count_ruling(committee, "abcd").is_enough


def test_ruling__of_silenced_members__neither_counts_nor_makes_the_others_a_quorum():
    committee = rules((1, 2, 1, 2, 1, 2, 1), attested="ab", need=5, mute="g")
    assert committee.excluded == 0  # five others, one of them silenced
    count = count_ruling(committee, "abcdg")
    assert (count.counting, count.ignored, count.signatures) == (("a", "b", "c", "d"), ("g",), 1)
    assert "g" not in count.waiting


@pytest.mark.parametrize("signers, enough", [("abc", False), ("abd", True)])
def test_ruling__of_an_agreement_with_a_required_domain__needs_it_among_the_signers(
    signers, enough
):
    """On 0.3.0 a claim needed its domain and the ruling about it did not."""
    count = count_ruling(rules((1, 1, 2, 3), required=3), signers)
    assert (count.is_enough, count.required_domain) == (enough, 0 if enough else 3)


def test_ruling__of_one_trust_domain__lacks_another():
    count = count_ruling(rules((1, 1, 1, 2)), "abc")
    assert (count.signatures, count.domains, count.is_enough) == (0, 1, False)


def test_ruling__signed_by_strangers__ignores_them():
    count = count_ruling(rules((1, 1, 2, 3)), ["a", "z"])
    assert (count.counting, count.ignored, count.signatures) == (("a",), ("z",), 2)
