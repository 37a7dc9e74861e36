"""Branches that no other test takes: a requirement that is missing, and names that mean nothing.

rule
└── given a claim that required a domain, and a ruling without it: it should revert by name
resume, revoke, declareCompromised
└── given a device that nobody enrolled: each should revert by name
refusalName
└── given a number that the product never gives: it should be empty
"""

from __future__ import annotations

from tests.support.contracts.contract_rail import EURO

UNKNOWN = b"\xee" * 32


def test_attack__a_ruling_without_the_domain_that_the_claim_required__ends_nothing(contracts):
    """The claim needed trust domain 3; three others would have ruled on it without that domain."""
    device = next(contracts._spare)
    agreement = contracts.open(contracts.mandate(device=device, required_domain=3))
    contracts.mint(10 * EURO, agreement)
    payment = contracts.dispute(
        contracts.settle(contracts.claim(agreement), keys=contracts.oracles[1:])
    )

    def refusal(keys):
        signatures = contracts.ruling(payment, True, keys)
        rule = contracts.disputes.rule
        return contracts.refusal(rule, payment, True, signatures, sender=contracts.stranger)

    assert refusal(contracts.oracles[:3]) == "DomainMissing"
    assert refusal(contracts.oracles[1:]) == ""


def test_device__that_nobody_enrolled__is_refused_by_name(alone):
    registry = alone.registry
    cases = {
        (registry.resume, (UNKNOWN,), alone.registrar),
        (registry.revoke, (UNKNOWN,), alone.registrar),
        (registry.suspend, (UNKNOWN,), alone.registrar),
    }
    answers = {alone.refusal(method, *args, sender=sender) for method, args, sender in cases}
    assert answers == {"DeviceUnknown"}


def test_refusal__that_no_product_knows__has_no_name(contracts):
    for name in ("MeteredEnergy", "ProofOfDelivery", "WearableVoucher"):
        product = contracts.add_product(name)
        assert product.refusalName(0) == "Priced" and product.refusalName(200) == ""
