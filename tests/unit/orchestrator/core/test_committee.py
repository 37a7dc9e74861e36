"""The committee after any history of its contract's logs."""

from __future__ import annotations

import pytest

from oracles.attest import checksummed
from orchestrator.core.committee import committee_of, unseating_risks

A, B, C, D, E = (checksummed(bytes([n]) * 20) for n in range(1, 6))
FOUR = [("MemberSeated", {"member": m, "domain": n}) for n, m in enumerate((A, B, C, D), 1)]


def log(name: str, member: str, **more: object) -> tuple[str, dict]:
    return name, {"member": member.lower(), **more}


@pytest.mark.parametrize(
    ("later", "members", "need", "tolerated"),
    [
        ([], {A, B, C, D}, 3, 1),
        ([log("MemberUnseated", A)], {B, C, D}, 3, 0),
        # barred and silenced members still count in n: no threshold falls
        ([log("MemberBarred", A)], {B, C, D}, 3, 1),
        ([log("MemberBarredForRulings", A)], {B, C, D}, 3, 1),
        ([log("MemberSilenced", A)], {B, C, D}, 3, 1),
        ([log("MemberSilenced", A), log("MemberSeated", A, domain=1)], {A, B, C, D}, 3, 1),
        ([log("MemberUnseated", A), log("MemberSeated", E, domain=9)], {B, C, D, E}, 3, 1),
        ([log("MemberUnseated", A), log("MemberSeated", A, domain=9)], {A, B, C, D}, 3, 1),
        ([log("MemberBarred", A), log("MemberUnseated", A)], {B, C, D}, 3, 0),
        ([log("Settled", A)], {A, B, C, D}, 3, 1),
    ],
)
def test_committee__after_logs__has_who_counts(later, members, need, tolerated):
    committee = committee_of([*FOUR, *later], 2)
    assert set(committee.members) == members
    assert (committee.need, committee.tolerated, committee.min_domains) == (need, tolerated, 2)
    if later and later[-1][1].get("domain"):  # a new seat may have another domain
        changed = checksummed(bytes.fromhex(later[-1][1]["member"][2:]))
        assert committee.members[changed] == later[-1][1]["domain"]


@pytest.mark.parametrize(
    ("later", "required", "risks"),
    [
        ([log("MemberSeated", E, domain=1)], {1: 2}, []),  # three of four, and domain 1 stays
        ([], {1: 2, 4: 7}, ["all 3 members", "domain 1 has no member then", "the 2 live"]),
        ([log("MemberSilenced", B)], {}, ["2 members can sign then, and a quorum needs 3"]),
        ([log("MemberUnseated", m) for m in (B, C, D)], {}, ["nobody has a seat", "0 trust"]),
        ([log("MemberSilenced", m) for m in (B, C)], {}, ["of 1 trust domains then", "needs 2"]),
    ],
)
def test_unseating__of_a_member__names_what_the_others_could_not_do(later, required, risks):
    committee = committee_of([*FOUR, *later], 2)
    text = "; ".join(unseating_risks(committee, A, required))
    assert all(risk in text for risk in risks), text
    assert bool(text) is bool(risks) and "domain 4" not in text


def test_committee__without_a_seat__has_a_quorum_that_nothing_reaches():
    committee = committee_of([], 2)
    assert committee.need > 255 and committee.tolerated == 0 and committee.members == {}
