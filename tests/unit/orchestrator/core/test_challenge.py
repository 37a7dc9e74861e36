"""Challenges: the arguments that prove a fault of a claim's records, and where its numbers are.

challenge_cases
├── given a claim of several records
│   ├── it should ask about signature and key of each, and about each pair's counter
│   └── it should point at the numbers of the last record from its end, of the first from its begin
└── given records that the claim does not rest on: it should refuse them by name
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest

from device_adapters.types import Rejected
from oracles.merkle import climbs, evidence_root, keccak
from oracles.types import Claim
from orchestrator.core.challenge import (
    REFUSALS,
    TEXTS,
    ChallengeVerdict,
    ProvenClaim,
    RecordFault,
    challenge_cases,
    number_of,
)
from orchestrator.edges.chain.artifacts import load_artifacts

RECORDS = tuple(
    b'OCMF|{"RD":[{"RV":%d},{"RV" : -%d,"TT":"7"}]}|{"SD":""}' % (number, number + 1)
    for number in (10, 20, 30)
)
CLAIM = Claim(
    b"\1" * 32,
    3,
    11,
    13,
    evidence_root([sha256(record).digest() for record in RECORDS]),
    b"facts",
)
OUTCOME = (b"\2" * 32, b"\3" * 32, "0x" + "11" * 20, 5, 0, 9)
PROVEN = ProvenClaim(CLAIM, OUTCOME, b"\4" * 32, (b"\5" * 32,), RECORDS)


def pointed(case) -> tuple[int, bool, bytes]:
    _, _, _, records, offset, at_end = case.arguments
    assert records == list(RECORDS)
    return case.record, at_end, RECORDS[case.record - 1][offset : offset + 3]


def test_cases__of_each_record__prove_it_under_the_claims_evidence():
    for fault in (RecordFault.SIGNATURE, RecordFault.KEY):
        cases = list(challenge_cases(PROVEN, [fault]))
        assert [case.record for case in cases] == [1, 2, 3]
        for case in cases:
            number, proof, *_ = case.arguments
            fields, outcome, root, path, record, evidence = proof
            assert (number, outcome) == (number_of(fault), OUTCOME)
            assert (root, path) == (b"\4" * 32, [b"\5" * 32])
            assert fields == (b"\1" * 32, 3, 11, 13, CLAIM.evidence, b"facts")
            assert climbs(keccak(sha256(record).digest()), evidence, CLAIM.evidence)


def test_cases__of_counters__are_pairs_of_one_claim_and_of_two():
    pairs = [
        (case.arguments[1][4], case.arguments[2][4])
        for case in challenge_cases(PROVEN, [RecordFault.COUNTER])
    ]
    assert pairs == [
        (RECORDS[0], RECORDS[1]),
        (RECORDS[0], RECORDS[2]),
        (RECORDS[1], RECORDS[2]),
    ]
    other = replace(PROVEN, outcome=(b"\7" * 32, *OUTCOME[1:]))
    with_other = list(challenge_cases(PROVEN, [RecordFault.COUNTER], record=3, other=other))
    assert [case.arguments[2][4] for case in with_other] == list(RECORDS)
    assert {case.arguments[2][1][0] for case in with_other} == {b"\7" * 32}


def test_cases__of_counters_that_the_records_show__leave_out_pairs_that_differ():
    """A claim of 2,000 records has two million pairs, and the node is asked about each."""
    pages = ("T7", "T8", "T07", "F7")
    records = tuple(b'OCMF|{"PG" : "%s"}|{"SD":""}' % page.encode() for page in pages)
    unread = b"no OCMF"
    hashes = [sha256(record).digest() for record in (*records, unread)]
    claim = replace(CLAIM, evidence=evidence_root(hashes))
    proven = replace(PROVEN, claim=claim, records=(*records, unread))
    pairs = [
        (case.arguments[1][4], case.arguments[2][4])
        for case in challenge_cases(proven, [RecordFault.COUNTER])
    ]
    assert pairs[0] == (records[0], records[2])  # the same number, written otherwise
    assert pairs[1:] == [(record, unread) for record in records]
    other = list(challenge_cases(proven, [RecordFault.COUNTER], record=2, other=proven))
    assert [case.arguments[2][4] for case in other] == [unread, records[1], unread]


def test_cases__of_registers__point_at_numbers_of_the_last_and_the_first_record():
    cases = [pointed(case) for case in challenge_cases(PROVEN, [RecordFault.REGISTER])]
    assert cases == [
        (1, False, b"10}"),
        (1, False, b"-11"),
        (3, True, b"-31"),
        (3, True, b"30}"),
    ]


def test_cases__of_one_record_only__are_its_own():
    cases = list(challenge_cases(PROVEN, record=2))
    assert {case.record for case in cases} == {2}
    assert {case.fault for case in cases} == set(RecordFault) - {RecordFault.REGISTER}
    with pytest.raises(Rejected, match="rests on 3 records"):
        list(challenge_cases(PROVEN, record=4))


@pytest.mark.parametrize("records", [(), RECORDS[:2], RECORDS[::-1]])
def test_records__that_the_claim_does_not_rest_on__are_refused(records):
    with pytest.raises(Rejected, match="not those that its claim"):
        replace(PROVEN, records=records).checked()
    assert PROVEN.checked() is PROVEN


def test_words__of_the_contract__are_all_known():
    """The order of both lists is the contract's, and each answer has its words."""
    abi = load_artifacts()["Challenges"].abi
    assert (
        set(TEXTS) == set(ChallengeVerdict)
        and len(ChallengeVerdict) == 11
        and len(RecordFault) == 4
    )
    named = {item["name"] for item in abi if item["type"] == "error"}
    assert set(REFUSALS) <= named
