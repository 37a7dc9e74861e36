"""The device owner's consent, and claims that payer and payee pass over together.

open
├── given no consent, another's, another agreement's, another product's or a revoked one
│   └── it should revert OwnerDidNotConsent
├── given the owner as payer or as caller: it should need no signature
└── given a product that shares devices: one consent should serve each of its agreements
skip
├── given both signatures: it should count as a settled claim of nothing
│   ├── given counters that it passes over: the product should hear of it
│   └── given a product that fails: it should count all the same
└── given one signature, another's, another sequence or counters that fall: it should revert
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from web3 import Web3

from tests.support.contracts.contract_rail import (
    DAY,
    DEVICE,
    EURO,
    HOUR,
    KWH,
    NONE,
    PRICE,
    SHARED,
    facts,
    terms,
)
from tests.support.contracts.settled import NOBODY, plain_facts
from tests.support.contracts.settled import skipping as signed_skip

FRESH = Web3.keccak(text="EVSE-2")


@pytest.fixture
def fresh(contracts):
    contracts.enrol(FRESH, contracts.key.p256(8))
    return contracts.mandate(device=FRESH)


def refusal(contracts, mandate, consent, sender=None):
    opening = (mandate.as_tuple(), contracts.signed(mandate), consent)
    sender = sender or contracts.stranger
    return contracts.refusal(contracts.rail.open, *opening, sender=sender)


def test_attack__stranger_binds_a_free_device__needs_its_owner(contracts, fresh):
    """On 0.3.0 anyone who signed a mandate held any free device, again and again."""
    other = contracts.mandate(device=FRESH)
    metered = contracts.add_product("MeteredEnergy")
    signatures = {
        "none": b"",
        "the payer's": contracts.consent(fresh, account=contracts.payer),
        "of another agreement": contracts.consent(other),
        "of the product": contracts.consent(fresh, shared=True),
        "of another product": contracts.consent(contracts.mandate(product=metered.address)),
        "of another number": contracts.consent(fresh, number=1),
    }
    for name, signature in signatures.items():
        assert refusal(contracts, fresh, signature) == "OwnerDidNotConsent", name
    assert refusal(contracts, fresh, contracts.consent(fresh)) == ""


def test_open__owner_is_payer_or_caller__needs_no_signature(contracts, fresh):
    assert refusal(contracts, fresh, b"", sender=contracts.owner) == ""
    device = b"\x0e" * 32
    contracts.enrol(device, contracts.key.p256(90), owner=contracts.payer)
    assert refusal(contracts, contracts.mandate(device=device), b"") == ""


def test_open__owner_is_a_contract__its_own_word_counts(contracts):
    wallet = contracts.deploy("Wallet", contracts.owner)
    contracts.enrol(FRESH, contracts.key.p256(8), owner=wallet)
    mandate = contracts.mandate(device=FRESH)
    assert refusal(contracts, mandate, contracts.consent(mandate)) == ""
    bad = contracts.consent(mandate, account=contracts.stranger)
    assert refusal(contracts, mandate, bad) == "OwnerDidNotConsent"


def test_revoke_consents__what_was_signed_before__opens_nothing(contracts, fresh):
    consents = contracts.consents
    assert contracts.refusal(consents.revokeConsents, FRESH, sender=contracts.payer) == "NotOwner"
    consents.revokeConsents(FRESH, sender=contracts.owner)
    assert consents.consentNumber(FRESH) == 1
    assert refusal(contracts, fresh, contracts.consent(fresh)) == "OwnerDidNotConsent"
    assert refusal(contracts, fresh, contracts.consent(fresh, number=1)) == ""


def test_shared__one_consent_to_the_product__serves_each_agreement(contracts):
    shared = contracts.add_product("PlainProduct", SHARED)
    mandates = [contracts.mandate(product=shared.address) for _ in range(2)]
    consent = contracts.consent(mandates[0], shared=True)
    for mandate in mandates:
        assert refusal(contracts, mandate, contracts.consent(mandate)) == "OwnerDidNotConsent"
        assert refusal(contracts, mandate, consent) == ""


def test_open__consent_of_another_rail_or_chain__does_not_count(contracts, fresh):
    rail = contracts.deploy_rail(contracts.committee, contracts.registry)
    rail.allowProduct(contracts.product, sender=contracts.steward)
    opening = (fresh.as_tuple(), contracts.signed(fresh, rail=rail), contracts.consent(fresh))
    other = contracts.refusal(rail.open, *opening, sender=contracts.stranger)
    assert other == "OwnerDidNotConsent"


def skipping(contracts, sequence=1, last=19, agreement=None, signers=None):
    """Return the arguments of `skip` for the rail's own agreement unless another is named."""
    return signed_skip(contracts, agreement or contracts.agreement, sequence, last, signers)


def test_attack__one_refused_claim_ends_an_agreement__both_parties_pass_over_it(contracts):
    """On 0.3.0 a claim that was refused for good blocked its sequence for ever."""
    plain = contracts.add_product("PlainProduct", 0)
    (mine,) = contracts.agreements(1, product=plain.address)

    def settle(sequence, amount, first):
        row = contracts.claim(mine, sequence, facts=plain_facts(amount), first_counter=first)
        return contracts.settle(row, product=plain)

    assert settle(1, 99 * EURO, 11).named == ["EscrowShort"]
    receipt = contracts.rail.skip(*skipping(contracts, 1, 19, mine), sender=contracts.stranger)
    (log,) = [log for log in receipt.events if log.event_name == "ClaimSkipped"]
    assert (bytes(log.agreement), log.sequence, log.lastCounter) == (mine, 1, 19)
    assert contracts.rail.agreementState(mine)[:3] == (1, 19, 10 * EURO)
    assert settle(2, EURO, 19).named == ["CountersReplayed"]
    assert settle(2, EURO, 21).named == ["None"]
    contracts.assert_conserved()


def test_attack__refused_claim_of_continuous_terms__the_next_one_begins_anywhere(contracts):
    """On 0.3.0 it blocked its agreement; a skip alone left the register where it was: still dead.

    A skip that passes over no counters passes over no record: the register has to go on.
    """
    (mine,) = contracts.agreements(1, terms=terms(continuous=True, start=KWH), first_counter=10)

    def settle(sequence, start, end, first, kind=0):
        begin = contracts.now0 - 10 * DAY + sequence * DAY // 4
        read = facts(start, end, begin, begin + 5 * HOUR, kind=kind)
        row = contracts.claim(mine, sequence, facts=read)
        return contracts.settle(replace(row, first_counter=first, last_counter=first))

    def skip(sequence, last):
        arguments = skipping(contracts, sequence, last, mine)
        contracts.rail.skip(*arguments, sender=contracts.stranger)

    assert settle(1, KWH, 3 * KWH, 11).amounts == [2 * PRICE]
    skip(2, 11)
    assert settle(3, 4 * KWH, 9 * KWH, 12).named == ["product 4"]  # RegisterDiscontinuous
    skip(3, 15)
    state = contracts.product.stateOf(mine, 0)
    assert (state.register, state.stage) == (3 * KWH, 1)
    late = settle(4, 2 * KWH, 9 * KWH, 15, kind=3)
    assert late.named == ["product 13"]  # LateCountersUnknown: never charged
    assert settle(4, 2 * KWH, 9 * KWH, 16).amounts == [7 * PRICE]
    assert settle(5, 8 * KWH, 9 * KWH, 17).named == ["product 3"]  # RegisterBackwards
    contracts.assert_conserved()


def test_skip__product_that_fails__cannot_stop_it(contracts):
    rogue = contracts.allow(contracts.deploy("RogueProduct"))
    (mine,) = contracts.agreements(1, product=rogue.address)
    contracts.rail.skip(*skipping(contracts, 1, 19, mine), sender=contracts.stranger)
    assert contracts.rail.agreementState(mine)[:2] == (1, 19)


def test_skip__unsigned_or_out_of_turn__reverts_by_name(contracts):
    def refused(*arguments):
        return contracts.refusal(contracts.rail.skip, *arguments, sender=contracts.stranger)

    payer, payee = contracts.payer, contracts.payee
    assert refused(*skipping(contracts)) == ""
    for signers in ((payee, payee), (payer, payer), (payer, contracts.owner)):
        assert refused(*skipping(contracts, signers=signers)) == "SkipUnsigned"
    for sequence in (0, 2):
        assert refused(*skipping(contracts, sequence)) == "SkipInvalid"
    assert refused(*skipping(contracts, 1, 9)) == "SkipInvalid"
    arguments = skipping(contracts)
    assert refused(*arguments[:2], 20, *arguments[3:]) == "SkipUnsigned"
    contracts.rail.skip(*arguments, sender=contracts.stranger)
    assert refused(*arguments) == "SkipInvalid"
    contracts.wait(92 * DAY)
    contracts.rail.reclaim(contracts.agreement, sender=payer)
    assert refused(*skipping(contracts, 2)) == "AgreementIsNotLive"


def test_skip__claims_name_their_payees__the_device_s_owner_signs(contracts):
    plain = contracts.add_product("PlainProduct", 4)  # ANY_PAYEE
    (mine,) = contracts.agreements(1, product=plain.address, payee=NOBODY)
    owner_signs = skipping(contracts, agreement=mine, signers=(contracts.payer, contracts.owner))
    payee_signs = skipping(contracts, agreement=mine)
    skip, stranger = contracts.rail.skip, contracts.stranger
    assert contracts.refusal(skip, *payee_signs, sender=stranger) == "SkipUnsigned"
    assert contracts.refusal(skip, *owner_signs, sender=stranger) == ""
    assert bytes(contracts.rail.agreementOf(DEVICE)) != NONE
