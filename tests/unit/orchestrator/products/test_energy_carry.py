"""What an agreement of metered energy of this release carries into one that follows it.

carry
├── given bands that were charged: it should begin with their last registers, at their time
├── given nothing charged: it should keep the terms
├── given readings that were passed over: it should begin with any register
└── given an estimate ahead of the meter: it should not be carried
"""

from __future__ import annotations

from orchestrator.products.carrying import Carried, EndedAgreement, NotCarried
from orchestrator.products.metered_energy.abi import (
    DatedPrice,
    EnergyTerms,
    TariffBand,
    decode_terms,
    encode_terms,
)
from orchestrator.products.metered_energy.carry import carry

AGREEMENT, OPENED, READ, KWH = b"\1" * 32, 1_000, 5_000, 10**6
TERMS = EnergyTerms(
    300_000,
    22_000,
    continuous=True,
    start_register=7 * KWH,
    band=1,
    more_bands=(TariffBand(2, 3 * KWH, (DatedPrice(0, 200_000),)),),
)
OPEN, ANCHORED = 1, 2


def ended(*states: tuple[int, ...]) -> EndedAgreement:
    """Return an agreement whose bands 1 and 2 are in these states."""

    def view(function: str, agreement: bytes, band: int) -> tuple[int, ...]:
        assert (function, agreement) == ("stateOf", AGREEMENT)
        return states[band - 1]

    return EndedAgreement(AGREEMENT, encode_terms(TERMS), OPENED, (), view)


def test_carry__bands_that_were_charged__begins_with_their_last_registers():
    carried = carry(ended((9 * KWH, 0, READ, 17, ANCHORED), (4 * KWH, -5, READ, 0, ANCHORED)))
    assert isinstance(carried, Carried) and carried.start == READ
    assert decode_terms(carried.terms) == TERMS._replace(
        start_register=9 * KWH,
        started_at=READ,
        more_bands=(TERMS.more_bands[0]._replace(start_register=4 * KWH),),
    )


def test_carry__nothing_charged__keeps_the_terms():
    states = ((7 * KWH, 0, OPENED, 0, ANCHORED), (3 * KWH, 0, OPENED, 0, ANCHORED))
    assert carry(ended(*states)) == Carried(encode_terms(TERMS), OPENED)


def test_carry__readings_passed_over__begins_with_any_register():
    carried = carry(ended((9 * KWH, 0, READ, 0, OPEN), (4 * KWH, 0, READ, 0, OPEN)))
    assert isinstance(carried, Carried) and carried.start == READ
    terms = decode_terms(carried.terms)
    starts = (terms.start_register, terms.started_at, terms.more_bands[0].start_register)
    assert starts == (0, 0, 0)


def test_carry__estimate_ahead_of_a_band__stays_where_it_is():
    answer = carry(ended((9 * KWH, 0, READ, 0, ANCHORED), (4 * KWH, 1, READ, 0, ANCHORED)))
    assert isinstance(answer, NotCarried) and "an estimate of 1 kWh" in answer.why
