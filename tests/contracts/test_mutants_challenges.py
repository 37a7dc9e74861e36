"""The largest and the latest that a challenge takes, and one beyond.

records
├── given one record of the most bytes: it should be read, and one byte more should not
├── given several of the most bytes together: they should be read, and one byte more should not
├── given a control character in the algorithm's name: they should not be read
└── given readings of another register alone: the last of them is not what the claim ends with
"""

from __future__ import annotations

import hashlib

import pytest

from tests.support.contracts.challenged import (
    ChallengedClaim,
    ChallengeFault,
    judged,
    payload,
    reading,
    session,
    signed,
    times,
)

OTHER = "01-00:02.08.00*FF"
MOST_RECORD, MOST_RECORDS = 4_096, 24_576


def sized(contracts, size, counter=11):
    """Return a record of a session with so many bytes."""
    begin, end = times(contracts)

    def padded(length: int) -> bytes:
        readings = reading(100, begin, "B"), reading(110, end, "E")
        content = payload(counter, *readings, TT="x" * length)
        r, s = contracts.key.sign(hashlib.sha256(content.encode()).digest())
        return signed(content, contracts.key, SD=(r + s).hex())

    record = padded(size - len(padded(0)))
    assert len(record) == size
    return record


@pytest.mark.parametrize(
    ("size", "reason"), [(MOST_RECORD, "SignatureValid"), (MOST_RECORD + 1, "RecordTooLarge")]
)
def test_record__of_the_most_bytes__is_read_and_one_more_is_not(contracts, size, reason):
    claim = ChallengedClaim(contracts, [sized(contracts, size)])
    assert judged(contracts, claim.case(ChallengeFault.SIGNATURE)) == reason


@pytest.mark.parametrize(("last", "reason"), [(2_048, "RegisterAgrees"), (2_049, "RecordTooLarge")])
def test_records__of_the_most_bytes_together__are_read_and_one_more_is_not(contracts, last, reason):
    sizes = [*[MOST_RECORD] * 5, 2_048, last]
    assert sum(sizes) == MOST_RECORDS + (reason == "RecordTooLarge")
    records = [sized(contracts, size, 11 + number) for number, size in enumerate(sizes)]
    claim = ChallengedClaim(contracts, records, last_counter=17)
    assert judged(contracts, claim.register(b'"RV":110')) == reason


def test_algorithm__with_a_control_character_for_a_hyphen__is_not_read(contracts):
    record = session(contracts).replace(b"ECDSA-secp256r1", b"ECDSA\rsecp256r1")
    claim = ChallengedClaim(contracts, [record])
    assert judged(contracts, claim.case(ChallengeFault.SIGNATURE)) == "RecordUnreadable"


def test_register__of_another_register_alone__is_wrong_at_its_last_reading(contracts):
    begin, end = times(contracts)
    readings = (reading(kwh, time, RI=OTHER) for kwh, time in ((100, begin), (110, end)))
    claim = ChallengedClaim(contracts, [signed(payload(11, *readings), contracts.key)])
    assert judged(contracts, claim.register(b'"RV":110')) == "Proven"
    assert judged(contracts, claim.register(b'"RV":100')) == "NotThatNumber"
