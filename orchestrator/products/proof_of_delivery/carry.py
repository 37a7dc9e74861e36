"""Carries an agreement of ProofOfDelivery of release 0.5.0, as long as nothing was stated.

A consignment that is on its way ends where it began: what its statements are worth together cannot
be carried in terms, and a later statement means little without the earlier ones.
"""

from __future__ import annotations

from orchestrator.products.carrying import Carried, EndedAgreement, NotCarried


def carry(ended: EndedAgreement) -> Carried | NotCarried:
    """Return the same terms: no statement stands, and nothing was charged."""
    if any(ended.view("stateOf", ended.agreement)):
        return NotCarried(
            "its consignment is on its way: the statements that stand are on the former rail"
        )
    return Carried(ended.terms, ended.opened_at)
