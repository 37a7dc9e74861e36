"""Carries an agreement of MeteredEnergy: the last registers, and when they were read.

What was charged so far stays charged: the next claim begins where the last one ended. A part of a
micro-euro that was not charged yet is not carried. A contract of 0.5.0 keeps one register of an
agreement, a later one a register for each band of its terms, which have version 3.
"""

from __future__ import annotations

from orchestrator.products.carrying import Carried, EndedAgreement, NotCarried
from orchestrator.products.metered_energy.abi import EnergyTerms, decode_terms, encode_terms

_CLAIMED = 2  # MeteredEnergy.Stage: of 0.5.0, and Anchored of a later one
_VERSION = 3
_MWH = 10**6  # in a kWh


def carry(ended: EndedAgreement) -> Carried | NotCarried:
    """Return terms that begin with the last registers that were charged."""
    terms = decode_terms(ended.terms)
    if terms.version == _VERSION:
        return _carry_bands(ended, terms)
    register, _, time, ahead, stage = ended.view("stateOf", ended.agreement)
    if ahead > 0:
        return _not_carried(ahead)
    if stage != _CLAIMED:
        return Carried(encode_terms(terms._replace(version=_VERSION)), ended.opened_at)
    carried = terms._replace(version=_VERSION, start_register=register, started_at=time)
    return Carried(encode_terms(carried), time)


def _carry_bands(ended: EndedAgreement, terms: EnergyTerms) -> Carried | NotCarried:
    bands = terms.by_band()
    states = [ended.view("stateOf", ended.agreement, band.band) for band in bands]
    _, aheads, times, _, stages = zip(*states, strict=True)
    if max(aheads) > 0:
        return _not_carried(max(aheads))
    is_known = set(stages) == {_CLAIMED}  # after readings were passed over, any may come next
    registers = [state[0] if is_known else 0 for state in states]
    if registers == [band.start_register for band in bands]:
        return Carried(ended.terms, max(ended.opened_at, *times))
    more = zip(terms.more_bands, registers[1:], strict=True)
    carried = terms._replace(
        start_register=registers[0],
        started_at=max(times) if is_known else 0,
        more_bands=tuple(band._replace(start_register=register) for band, register in more),
    )
    return Carried(encode_terms(carried), max(times))


def _not_carried(ahead: int) -> NotCarried:
    return NotCarried(
        f"an estimate of {-(-ahead // _MWH)} kWh is charged ahead of the meter, and the new "
        "agreement would charge it again"
    )
