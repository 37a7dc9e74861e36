"""Counters of devices: 36 bits, and bit 39 for the records of a second series.

agreement
├── given a first counter in the second series: it should settle what comes after it, once
└── given a first counter that a row cannot hold: it should not open
claim
└── given a last counter that a row cannot hold: it should be refused by name
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from device_adapters.types import STREAM_BIT
from tests.support.contracts.contract_rail import MORE

FISCAL = 1 << STREAM_BIT
MOST = (1 << 36) - 1


def test_settle__second_series__counts_from_its_first_counter_on(contracts):
    (agreement,) = contracts.agreements(1, first_counter=FISCAL)
    assert contracts.rail.agreementState(agreement)[1] == FISCAL
    first = contracts.claim(agreement, kwh=1, first_counter=FISCAL + 1, last_counter=FISCAL | MOST)
    assert contracts.settle(first).named == ["None"]
    assert contracts.rail.agreementState(agreement)[1] == FISCAL | MOST
    for counter in (MOST, FISCAL + 7):
        late = contracts.claim(agreement, 2, kwh=1, first_counter=counter, last_counter=counter)
        assert contracts.settle(late).named != ["None"], counter


@pytest.mark.parametrize("counter", [MOST + 1, FISCAL - 1, FISCAL | (MOST + 1)])
def test_open__counter_of_more_bits__is_refused(contracts, counter):
    opening = contracts.opening(contracts.mandate(device=MORE[0], first_counter=counter))
    refusal = contracts.refusal(contracts.rail.open, *opening, sender=contracts.stranger)
    assert refusal == "CounterTooLarge"


@pytest.mark.parametrize("counter", [MOST + 1, FISCAL - 1, FISCAL | (MOST + 1)])
def test_settle__counter_of_more_bits__is_refused_by_name(contracts, counter):
    claim = contracts.claim(last_counter=counter)
    assert contracts.settle(claim).named == ["CountersMalformed"]
    assert contracts.settle(replace(claim, last_counter=MOST)).named == ["None"]
