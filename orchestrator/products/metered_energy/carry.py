"""Carries an agreement of MeteredEnergy of release 0.5.0: the last register, and when it was read.

What was charged so far stays charged: the next claim begins where the last one ended. A part of a
micro-euro that was not charged yet is not carried.
"""

from __future__ import annotations

from orchestrator.products.carrying import Carried, EndedAgreement, NotCarried
from orchestrator.products.metered_energy.abi import decode_terms, encode_terms

_CLAIMED = 2  # MeteredEnergy.Stage of 0.5.0
_VERSION = 3
_MWH = 10**6  # in a kWh


def carry(ended: EndedAgreement) -> Carried | NotCarried:
    """Return terms that begin with the last register that was charged."""
    terms = decode_terms(ended.terms)
    register, _, time, ahead, stage = ended.view("stateOf", ended.agreement)
    if ahead > 0:
        return NotCarried(
            f"an estimate of {-(-ahead // _MWH)} kWh is charged ahead of the meter, and the new "
            "agreement would charge it again"
        )
    if stage != _CLAIMED:
        return Carried(encode_terms(terms._replace(version=_VERSION)), ended.opened_at)
    carried = terms._replace(version=_VERSION, start_register=register, started_at=time)
    return Carried(encode_terms(carried), time)
