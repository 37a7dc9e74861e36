"""The register of a claim against the meter's reading: how the contract reads a record.

comparison
├── given readings that take over members, other zones, other spellings: it should read them
├── given another register in the record: it should compare the claim's own
├── given a begin that may not be the claim's: it should need a ruling
└── given an error in any record of the claim: it should need a ruling
"""

from __future__ import annotations

from datetime import UTC, datetime

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
from tests.support.contracts.contract_rail import DAY, EURO, HOUR, KWH, facts, terms
from tests.support.contracts.settled import plain_facts

OTHER = "01-00:02.08.00*FF"


def own(contracts, *readings, counter=11, **claim):
    """Return a claim of one record with these readings."""
    content = payload(counter, *readings)
    return ChallengedClaim(contracts, [signed(content, contracts.key)], **claim)


def zoned(seconds: int, hours: int, mark: str) -> str:
    """Return a time as OCMF writes it, in another zone."""
    local = datetime.fromtimestamp(seconds + hours * HOUR, UTC)
    return local.strftime(f"%Y-%m-%dT%H:%M:%S{mark}")


SPELLINGS = {
    "as it is": {},
    "Wh": {"RV": 110_000, "RU": "Wh"},
    "with decimals": {"RV": 110.000000},
    "finer than a milliwatt-hour": {"RV": 110.00000049},
    "register and unit of the reading before": {"RI": None, "RU": None, "ST": None},
    "no flags": {"EF": None},
    "decimal groups of a vendor": {"RI": "1-0:1.8.0*255"},
    "no medium, no F": {"RI": "1.8.0"},
    "another separator": {"RI": "01-00:01.08.00&ff"},
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_register__in_each_spelling__agrees(contracts, spelling):
    """Attack: a spelling that the contract misreads has honest oracles barred."""
    begin, end = times(contracts)
    last = reading(110, end, "E") | SPELLINGS[spelling]
    last = {name: value for name, value in last.items() if value is not None}
    claim = own(contracts, reading(100, begin, "B"), last)
    assert judged(contracts, claim.register(b'"RV":110')) == "RegisterAgrees"


ZONES = {"+0100 S": 1, "-0530 S": -5.5, "Z": 0, "+02:00": 2, ".123456+0000 U": 0}


@pytest.mark.parametrize("zone", ZONES)
def test_register__in_each_zone__agrees(contracts, zone):
    begin, end = times(contracts)
    local = zoned(end, ZONES[zone], zone)
    claim = own(contracts, reading(100, begin, "B"), reading(110, end, "E", TM=local))
    assert judged(contracts, claim.register(b'"RV":110')) == "RegisterAgrees"


def test_register__taken_over_from_the_reading_before__is_compared(contracts):
    """Attack: a quorum's wrong register hides in a reading that does not repeat RI, RU and ST."""
    begin, end = times(contracts)
    short = {"TM": reading(0, end)["TM"], "TX": "E", "RV": 105}
    claim = own(contracts, reading(100, begin, "B"), short)
    assert judged(contracts, claim.register(b'"RV":105')) == "Proven"


def test_register__next_to_another_one__is_the_claims_own(contracts):
    begin, end = times(contracts)
    readings = (
        reading(100, begin, "B"),
        reading(7, begin, "B", RI=OTHER),
        reading(110, end, "E"),
        reading(9, end, "E", RI=OTHER),
    )
    claim = own(contracts, *readings)
    assert judged(contracts, claim.register(b'"RV":110')) == "RegisterAgrees"
    assert judged(contracts, claim.register(b'"RV":9')) == "NotThatNumber"


BEGINS = {  # readings of the record, and the terms -> whether its begin is the claim's
    "a session": (("B", "E"), {}, "Proven"),
    "no letters": ((None, None), {}, "NeedsRuling"),
    "two begins": (("B", "B"), {}, "NeedsRuling"),
    "terms that are continuous": (("B", "E"), {"continuous": True}, "NeedsRuling"),
}


@pytest.mark.parametrize("case", BEGINS)
def test_begin__of_a_claim__counts_only_where_a_session_begins_it(contracts, case):
    """Attack: a claim begins with the reading before, or with a later session, and a challenger
    points at the first reading of its record."""
    marks, changes, answer = BEGINS[case]
    agreement = contracts.agreement
    if changes:
        contracts.rail.close(agreement, sender=contracts.payer)
        contracts.wait(3 * DAY)
        contracts.rail.reclaim(agreement, sender=contracts.payer)
        agreement = contracts.open(contracts.mandate(terms=terms(**changes)))
        contracts.mint(20 * EURO, agreement)
    begin, end = times(contracts)
    readings = reading(100.5, begin, marks[0]), reading(110, end, marks[1])
    claim = own(contracts, *readings, agreement=agreement)
    assert judged(contracts, claim.register(b'"RV":100.5', at_end=False)) == answer


def test_register__of_a_fiscal_record__has_no_session(contracts):
    """Attack: in the fiscal stream letters are no sessions: a claim begins with the one before."""
    contracts.rail.close(contracts.agreement, sender=contracts.payer)
    contracts.wait(3 * DAY)
    contracts.rail.reclaim(contracts.agreement, sender=contracts.payer)
    agreement = contracts.open(contracts.mandate(first_counter=1 << 39))
    contracts.mint(20 * EURO, agreement)
    begin, end = times(contracts)
    content = payload(11, reading(100.5, begin, "B"), reading(105, end, "E"), PG="F11")
    counter = (1 << 39) + 11
    claim = ChallengedClaim(
        contracts,
        [signed(content, contracts.key)],
        agreement=agreement,
        first_counter=counter,
        last_counter=counter,
    )
    begins = claim.register(b'"RV":100.5', at_end=False)
    assert judged(contracts, begins) == "NeedsRuling"
    assert judged(contracts, claim.register(b'"RV":105')) == "Proven"


def test_register__after_an_error_in_an_earlier_record__needs_a_ruling(contracts):
    """Attack: an error in one record ends the claim before its last one, and a challenger points
    at the reading of that."""
    begin, end = times(contracts)
    records = [
        signed(payload(11, reading(100, begin, "B", EF="E")), contracts.key),
        signed(payload(12, reading(105, end, "E")), contracts.key),
    ]
    claim = ChallengedClaim(contracts, records, last_counter=12)
    assert judged(contracts, claim.register(b'"RV":105')) == "NeedsRuling"


def test_register__of_an_estimate__needs_a_ruling(contracts):
    """Attack: an estimate is no reading of the meter, so none can contradict it."""
    contracts.rail.close(contracts.agreement, sender=contracts.payer)
    contracts.wait(3 * DAY)
    contracts.rail.reclaim(contracts.agreement, sender=contracts.payer)
    agreement = contracts.open(contracts.mandate(terms=terms(continuous=True)))
    contracts.mint(20 * EURO, agreement)
    begin, end = times(contracts)
    estimate = facts(100 * KWH, 110 * KWH, begin, end, kind=1)
    claim = own(
        contracts,
        reading(100, begin),
        reading(105, end),
        agreement=agreement,
        facts=estimate,
    )
    assert judged(contracts, claim.register(b'"RV":105')) == "NeedsRuling"


def test_challenge__of_a_claim_that_moved_no_money__reverts(contracts):
    begin, end = times(contracts)
    nothing = facts(100 * KWH, 100 * KWH, begin, end)
    claim = own(contracts, reading(100, begin, "B"), reading(100, end, "E"), facts=nothing)
    assert claim.settlement.amounts == [0]
    assert judged(contracts, claim.case(ChallengeFault.SIGNATURE)) == "NotChallengeable"


def test_counter__of_the_earlier_payment__is_not_its_fault(contracts):
    """Attack: the payee of the second payment has the first one refunded, which is in dispute."""
    record = session(contracts)
    earlier = ChallengedClaim(contracts, [record])
    contracts.dispute(earlier.settlement)
    contracts.rail.close(contracts.agreement, sender=contracts.payer)
    contracts.wait(3 * DAY)
    contracts.rail.reclaim(contracts.agreement, sender=contracts.payer)
    second = contracts.open(contracts.mandate(first_counter=5))
    contracts.mint(20 * EURO, second)
    later = ChallengedClaim(contracts, [record], agreement=second)
    case = earlier.case(ChallengeFault.COUNTER, other=later.proof(record))
    assert judged(contracts, case) == "CounterUsedOnce"


def test_counter__in_two_claims_of_a_product_that_cites__needs_a_ruling(contracts):
    """Attack: one claim cites a record of another, as its product allows, and both are honest."""
    plain = contracts.add_product("PlainProduct", 0)
    contracts.rail.close(contracts.agreement, sender=contracts.payer)
    record, claims = session(contracts), []
    product, contracts.product = contracts.product, plain
    previous = contracts.agreement
    for _ in range(2):
        contracts.wait(3 * DAY)
        contracts.rail.reclaim(previous, sender=contracts.payer)
        previous = contracts.open(contracts.mandate())
        contracts.mint(20 * EURO, previous)
        amount = plain_facts(3 * EURO)
        claims.append(ChallengedClaim(contracts, [record], agreement=previous, facts=amount))
        contracts.rail.close(previous, sender=contracts.payer)
    contracts.product = product
    case = claims[1].case(ChallengeFault.COUNTER, other=claims[0].proof(record))
    assert judged(contracts, case) == "NeedsRuling"
