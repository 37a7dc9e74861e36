"""Branches that no other test takes: a requirement that is missing, and names that mean nothing.

rule
└── given a claim that required a domain, and a ruling without it: it should revert by name
resume, revoke, declareCompromised
└── given a device that nobody enrolled: each should revert by name
refusalName
└── given a number that the product never gives: it should be empty
allowProduct, disallowProduct
└── given no contract, or one that was never listed: each should revert by name
concede
├── given a debt that is larger than what the refund leaves: the rest of the debt should stay
└── given a debt that it cancels: the next debt should be paid in its place
stateOf
└── given a note in the rail, and a band that the agreement lacks: it should be empty
price
├── given a refund that is larger than the correction: the rest of it should cover the next one
├── given a wearable that the version before knows to have spent twice: it should pay nothing
└── given a device that was adopted: its first proof of possession should be no statement
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.products.metered_energy import product as energy
from orchestrator.products.metered_energy.product import EnergyFacts, EnergyTerms, ReadingKind
from orchestrator.products.wearable_voucher import product as voucher
from orchestrator.products.wearable_voucher.abi import VoucherTerms
from services.testnet import CHAIN_ID
from tests.support.contracts.contract_rail import DAY, EURO, HOUR, IMPORT, KWH, PRICE
from tests.support.contracts.delivery_contract import DeliveryContract
from tests.support.contracts.energy_contract import LIMIT, EnergyContract
from tests.support.contracts.settled import NOBODY, plain_facts
from tests.support.contracts.voucher_contract import VoucherContract

UNKNOWN = b"\xee" * 32
MOST_GRACE = 2**24 - 1  # seconds; what the rail keeps of it
MOST_SUM = 2**48 - 1


@pytest.fixture
def plain(contracts):
    """A product that answers what the facts say, with two agreements."""
    contracts.plain = contracts.add_product("PlainProduct", 0)
    contracts.mine = contracts.agreements(2, product=contracts.plain.address)
    return contracts


def settle(plain, index, sequence, amount):
    """Settle one claim of an agreement for an amount."""
    claim = plain.claim(plain.mine[index], sequence, facts=plain_facts(amount))
    settlement = plain.settle(claim, product=plain.plain)
    assert settlement.amounts == [amount]
    return settlement


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
    for name in ("MeteredEnergy", "MeteredFleet", "ProofOfDelivery", "WearableVoucher"):
        product = contracts.add_product(name)
        assert product.refusalName(0) == "Priced" and product.refusalName(200) == ""


def test_product__without_code_or_never_listed__is_neither_allowed_nor_taken_off(contracts):
    rail, nobody = contracts.rail, contracts.stranger
    answers = {
        contracts.refusal(rail.allowProduct, nobody, sender=contracts.steward),
        contracts.refusal(rail.disallowProduct, nobody, sender=contracts.guardian),
    }
    assert answers == {"ProductNotAllowed"}


def test_dispute__of_a_payment_that_nobody_disputed__is_none(contracts):
    assert tuple(contracts.disputes.disputeOf(UNKNOWN)) == (NOBODY, 0, 0, 0, 0)


def test_grace__that_a_product_asks_for__is_cut_at_what_the_rail_keeps(contracts):
    """A wearable's vouchers may be half a year old at most; the rail's slot holds no more."""
    product = contracts.add_product("WearableVoucher")
    agreed = VoucherTerms(CHAIN_ID, product.address, EURO, 0, (), 0, 5, EURO, MOST_GRACE)
    terms = voucher.encode_terms(agreed)
    mandate = contracts.mandate(
        device=next(contracts._spare), product=product.address, payee=NOBODY, terms=terms
    )
    _, grace, *_ = contracts.rail.agreementEnd(contracts.open(mandate))
    assert grace == MOST_GRACE


def test_refund__next_to_a_debt_that_is_larger__leaves_the_debt(plain):
    settle(plain, 0, 1, 4 * EURO)
    payment = plain.dispute(settle(plain, 0, 2, EURO))
    settle(plain, 0, 3, -2 * EURO)
    plain.disputes.concede(payment, sender=plain.payee)
    assert plain.rail.owedTo(plain.payee, plain.mine[0]) == 2 * EURO
    assert plain.rail.agreementEnd(plain.mine[0])[3:] == (5 * EURO, 3 * EURO)
    plain.assert_conserved()


def test_debt__behind_one_that_a_refund_cancelled__is_paid(plain):
    payment = plain.dispute(settle(plain, 0, 1, 4 * EURO))
    settle(plain, 0, 2, -4 * EURO)
    settle(plain, 1, 1, 3 * EURO)
    settle(plain, 1, 2, -2 * EURO)
    plain.disputes.concede(payment, sender=plain.payee)
    assert plain.rail.owed(plain.payee) == 2 * EURO
    plain.mint(2 * EURO, to=plain.payee)
    plain.token.approve(plain.rail, 2 * EURO, sender=plain.payee)
    receipt = plain.rail.repay(2 * EURO, sender=plain.payee)
    paid = [(bytes(e.agreement), e.amount) for e in receipt.events if e.event_name == "DebtPaid"]
    assert paid == [(plain.mine[1], 2 * EURO)]
    assert plain.rail.owed(plain.payee) == 0
    plain.assert_conserved()


def test_correction__smaller_than_the_refund_before__leaves_the_rest_of_it(contracts):
    meter = EnergyContract(contracts)
    agreement = meter.open(energy.encode_terms(EnergyTerms(PRICE, 22_000, continuous=True)))

    def amount(number, *numbers, kind=ReadingKind.ACTUAL):
        claim = meter.at(EnergyFacts(*numbers, kind, IMPORT)), LIMIT, False
        counters = {"counters": [(number - 1, number, number)]}
        [(charge, refusal)] = meter.answers(agreement, [claim], **counters)
        meter.settle(agreement, [claim], **counters)
        assert refusal == 0
        return charge

    assert amount(1, 0, 3 * KWH, 3 * KWH, 0, HOUR, kind=ReadingKind.ESTIMATED) == 3 * PRICE
    meter.rail.refunded(meter.product, agreement, 2 * PRICE, sender=contracts.stranger)
    assert amount(2, 0, 2 * KWH, -KWH, 0, 2 * HOUR) == 0
    assert meter.product.refundedOf(agreement) == PRICE


@pytest.fixture(scope="module")
def tied(fork):
    """A version of the vouchers' product, and the one that follows it."""
    former = VoucherContract(fork)
    following = VoucherContract(fork)
    following.link("setPredecessor", former.contract.address)
    return former, following


def carried(following, band):
    """Return the wearable's next agreement, at the version that follows."""
    terms = band.terms._replace(contract=following.contract.address)
    band = replace(band, contract=following, agreement=band.agreement[::-1], terms=terms)
    band.open(band.base)
    return band


def test_wearable__that_spent_twice_at_the_version_before__is_lost_at_the_next(tied):
    former, following = tied
    honest, guilty = former.wearable(), former.wearable()
    twice = [guilty.voucher(to, 2 * EURO, 1, 5, 300) for to in "AB"]
    assert guilty.report(*twice) == ""
    answers = [
        band.pay(band.voucher("C", EURO, 1, 6, 400), at=500)[:3]
        for band in (carried(following, honest), carried(following, guilty))
    ]
    assert answers == [(EURO, "", ""), (0, "", "DoubleSpent")]


def test_days__of_a_limit_without_bounds__are_kept_as_far_as_the_sum_reaches(tied):
    """Two days of half of all that the sum can hold would be nothing at all, cut at its bits."""
    former, _ = tied
    band = former.wearable(per_day=2**47, max_age=30 * DAY)
    assert band.pay(band.voucher("A", EURO, 1, 1, 100), at=200).amount == EURO
    late = 3 * DAY + 100
    assert band.pay(band.voucher("A", 2 * EURO, 2, 2, late), at=late + 100).amount == EURO
    state = former.fork.ask(former.contract, "stateOf", band.device)
    assert state[4] == MOST_SUM


def test_enrolment__at_the_registry_before__is_no_statement_of_a_delivery(fork):
    delivery = DeliveryContract(fork)
    recipient = delivery.recipient()
    access, committee = (fork.at[name].address for name in ("RailAccess", "OracleCommittee"))
    former = delivery.registry.address
    following = fork.create("DeviceRegistry", access, committee, former)
    fork.send(following, "adopt", recipient.device, sender=delivery.owner)
    contract = fork.create("ProofOfDelivery", delivery.rail.address, following.address)
    consignment = recipient.open(contract=contract)
    due = {"received": 100, "delivered_at": recipient.due, "signed_at": recipient.due}
    for registry in (former, following.address):
        digest = recipient.key.enrolment(registry, recipient.device, delivery.owner)
        copied = consignment.facts(due, signed=(digest, *recipient.key.sign(digest)))
        assert consignment.state(copied) == (0, "SignatureUsed")
    assert consignment.state(consignment.facts(due))[1] == ""


def test_state__of_a_band_that_the_agreement_lacks__is_empty(contracts):
    assert contracts.settle(contracts.claim()).named == ["None"]
    assert contracts.rail.noteOf(contracts.agreement)[0] != 0
    assert contracts.product.stateOf(contracts.agreement, 0).register == 10 * KWH
    assert tuple(contracts.product.stateOf(contracts.agreement, 1)) == (0, 0, 0, 0, 0)
