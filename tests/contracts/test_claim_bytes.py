"""The bytes of a batch: each claim under the group that its agreement belongs to, whole, in a row.

settle
├── given a claim under another group, or one that the call does not name: it should revert
├── given bytes that are cut off or left over: it should revert
└── given a claim of the longest facts: it and its neighbours should be read to the last byte
"""

from __future__ import annotations

import pytest

from orchestrator.core.batch_bytes import Group, pack_claim
from tests.support.contracts.contract_rail import EURO
from tests.support.contracts.settled import group_of, plain_facts

HEAD = 82
MOST_FACTS = 0xFFFF

# name: what differs from the agreement's own group
OTHERS = {
    "payee": lambda group: group._replace(payee="0x" + "11" * 20),
    "cap": lambda group: group._replace(cap=group.cap + 1),
    "cap without bounds": lambda group: group._replace(cap=(1 << 48) - 1),
    "period": lambda group: group._replace(period_days=group.period_days + 1),
    "window": lambda group: group._replace(window=0),
    "required domain": lambda group: group._replace(required_domain=1),
    "terms of the product": lambda group: group._replace(shared=group.shared ^ 1 << 128),
}


def refusal(contracts, claims, groups, raw):
    """How a call of these bytes ends; the quorum attested the claims."""
    batch = contracts.batch(*claims)
    argument = (batch.product, [tuple(group) for group in groups], raw)
    return contracts.refusal_args(
        contracts.rail.settle, argument, contracts.attest(batch), sender=contracts.stranger
    )


@pytest.mark.parametrize("other", OTHERS)
def test_attack__claim_under_another_group__reverts_by_name(contracts, other):
    """Attack: whoever sends the claims names a payee, a cap or prices that nobody agreed to."""
    claim, own = contracts.claim(), group_of(contracts.agreement)
    wrong = OTHERS[other](own)
    assert wrong != own
    for groups, number in (([wrong], 0), ([own, wrong], 1), ([wrong, own], 0)):
        answer = refusal(contracts, [claim], groups, pack_claim(claim, number))
        assert answer == ("GroupInvalid", (contracts.agreement, number))
    assert refusal(contracts, [claim], [wrong, own], pack_claim(claim, 1))[0] == ""


def test_attack__claim_under_the_group_of_another_agreement__reverts(contracts):
    (second,) = contracts.agreements(1, cap=900 * EURO)
    claims = sorted((contracts.claim(), contracts.claim(second)), key=lambda row: row.agreement)
    groups = [group_of(claim.agreement) for claim in claims]
    for numbers, answer in (((0, 1), ""), ((1, 0), "GroupInvalid"), ((0, 0), "GroupInvalid")):
        raw = b"".join(map(pack_claim, claims, numbers))
        assert refusal(contracts, claims, groups, raw)[0] == answer


@pytest.mark.parametrize("number", [1, 2, 0xFFFF])
@pytest.mark.parametrize("known", [True, False])
def test_group__that_the_call_does_not_name__reverts(contracts, number, known):
    agreement = contracts.agreement if known else b"\1" * 32
    claim, own = contracts.claim(agreement), group_of(contracts.agreement)
    named = ("GroupInvalid", (agreement, number))
    assert refusal(contracts, [claim], [own], pack_claim(claim, number)) == named
    assert refusal(contracts, [claim], [], pack_claim(claim, 0)) == (
        "GroupInvalid",
        (agreement, 0),
    )


def cuts(claims):
    """Bytes of two claims that are no claims, by what is wrong with them."""
    first, last = (pack_claim(claim, 0) for claim in claims)
    whole, size = first + last, len(first)
    yield from ((f"{cut} bytes too few", whole[:-cut]) for cut in (1, 10, len(last) - HEAD))
    yield from ((f"{left} bytes of a head", whole[: size + left]) for left in (1, 32, HEAD - 1))
    yield from ((f"{left} bytes too many", whole + bytes(left)) for left in (1, 32, HEAD - 1))
    yield "facts as long as can be", first + last[: HEAD - 2] + b"\xff\xff" + last[HEAD:]
    yield "facts longer by one", first + last[: HEAD - 2] + _more(claims[1]) + last[HEAD:]
    yield "first facts swallow the second claim", _swallowing(first, last, 1)
    yield "no head at all", b"\0"
    yield "the head of one alone", first[: HEAD - 1]


def _more(claim):
    return (len(claim.facts) + 1).to_bytes(2)


def _swallowing(first, last, beyond):
    size = len(first) - HEAD + len(last) + beyond
    return first[: HEAD - 2] + size.to_bytes(2) + first[HEAD:] + last


def test_bytes__cut_off_or_left_over__revert_by_name(contracts):
    (second,) = contracts.agreements(1)
    claims = sorted((contracts.claim(), contracts.claim(second)), key=lambda row: row.agreement)
    groups, whole = [group_of(second)], b"".join(pack_claim(claim, 0) for claim in claims)
    assert group_of(second) == group_of(contracts.agreement)
    assert refusal(contracts, claims, groups, whole)[0] == ""
    answers = {name: refusal(contracts, claims, groups, raw)[0] for name, raw in cuts(claims)}
    assert answers == dict.fromkeys(answers, "BatchMalformed")
    assert len(answers) == 14


def test_attack__two_claims_sent_as_one__are_none_that_anyone_attested(contracts):
    """The first one's facts reach to the end of the second: as bytes that is a claim."""
    (second,) = contracts.agreements(1)
    claims = sorted((contracts.claim(), contracts.claim(second)), key=lambda row: row.agreement)
    first, last = (pack_claim(claim, 0) for claim in claims)
    one = _swallowing(first, last, 0)
    assert refusal(contracts, claims, [group_of(second)], one)[0] == "QuorumMissing"


def test_facts__of_the_greatest_length__are_read_to_the_last_byte(contracts):
    product = contracts.add_product("PlainProduct", 0)
    agreements = contracts.agreements(3, product=product.address)
    lengths = (64, MOST_FACTS, 65)
    claims = [
        contracts.claim(agreement, facts=plain_facts(size).ljust(size - 1, b"\0") + b"\1")
        for agreement, size in zip(agreements, lengths, strict=True)
    ]
    claims[0] = contracts.claim(agreements[0], facts=plain_facts(64))
    assert [len(claim.facts) for claim in claims] == list(lengths)
    settlement = contracts.settle(*claims, product=product)
    assert settlement.amounts == [64, MOST_FACTS, 65]
    assert settlement.named == ["None"] * 3
    paid = contracts.rail.pending(contracts.payee, settlement.release_at)
    assert paid == 64 + MOST_FACTS + 65
    with pytest.raises(OverflowError):
        pack_claim(contracts.claim(facts=bytes(MOST_FACTS + 1)), 0)


def test_groups__more_than_are_used__change_nothing(contracts):
    claim, own = contracts.claim(), group_of(contracts.agreement)
    spare = [Group("0x" + "22" * 20, index, 7, 0, 0, 0) for index in range(5)]
    raw = pack_claim(claim, 5)
    batch = contracts.batch(claim)
    argument = (batch.product, [tuple(group) for group in (*spare, own)], raw)
    contracts.rail.settle(argument, contracts.attest(batch), sender=contracts.stranger)
    assert contracts.rail.agreementState(contracts.agreement)[:2] == (1, claim.last_counter)
