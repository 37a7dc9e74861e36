"""Agreements: whose consent opens one, how it is funded, how it ends.

open
├── given a signature for another chain, rail, mandate or by another key: it should revert
├── given a contract as payer: it should ask that contract (ERC-1271)
├── given an unknown, suspended or revoked device, or one in use: it should revert by name
└── given consent: it should be known, by the id that Python computes, with what was agreed
close: the payer or the device's owner; it should bring the expiry forward, never back
reclaim: anyone, after the expiry; it should return the escrow to the payer and free the device
fund, onMint: it should book what arrived, and no more than the slot holds
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from web3 import Web3

from tests.support.contracts.settled import NOBODY
from tests.support.contracts.stage import DAY, DEVICE, EURO

FRESH = Web3.keccak(text="EVSE-2")


@pytest.fixture
def fresh(stage):
    stage.enrol(FRESH, stage.key.p256(8))
    return stage.mandate(device=FRESH)


def refusal(stage, mandate, signature=None, rail=None):
    signature = stage.consent(mandate) if signature is None else signature
    rail = rail or stage.rail
    return stage.refusal(rail.open, mandate.as_tuple(), signature, sender=stage.stranger)


def test_open__with_consent__is_kept_as_agreed(stage, fresh):
    agreement = stage.open(fresh)
    assert tuple(stage.rail.agreementState(agreement)) == (0, 10, 0, 0, fresh.expiry, 1)
    assert tuple(stage.rail.agreementTerms(agreement)) == (
        stage.payer,
        stage.payee,
        FRESH,
        stage.product.address,
        50 * EURO,
        30,
        DAY,
        0,
    )
    assert stage.rail.agreementOf(FRESH) == agreement
    assert refusal(stage, fresh) == "AgreementExists"


def test_open__every_field_changed_after_signing__reverts(stage, fresh):
    consent = stage.consent(fresh)
    stage.enrol(b"\4" * 32, stage.key.p256(44))
    other = stage.deploy("MeteredEnergy", stage.rail, stage.registry)
    stage.rail.allowProduct(other, True, sender=stage.steward)
    changes = {
        "payer": stage.stranger.address,
        "payee": stage.stranger.address,
        "device": b"\4" * 32,
        "product": other.address,
        "cap": fresh.cap + 1,
        "period_days": 0,
        "window": fresh.window + 1,
        "expiry": fresh.expiry + 1,
        "first_counter": 9,
        "required_domain": 1,
        "salt": b"\1" * 32,
        "terms": fresh.terms[:-1] + b"\1",
    }
    assert set(changes) == set(fresh.__dataclass_fields__)
    assert refusal(stage, fresh, consent) == ""
    for name, value in changes.items():
        changed = replace(fresh, **{name: value})
        assert refusal(stage, changed, consent) == "MandateSignatureInvalid", name


def test_open__signed_for_another_chain_rail_or_by_another_key__reverts(stage, fresh):
    rail = stage.deploy_rail(stage.committee, stage.registry)
    rail.allowProduct(stage.product, True, sender=stage.steward)
    invalid = "MandateSignatureInvalid"
    assert refusal(stage, fresh, stage.consent(fresh, chain_id=1)) == invalid
    assert refusal(stage, fresh, stage.consent(fresh, rail=rail)) == invalid
    assert refusal(stage, fresh, stage.consent(fresh), rail=rail) == invalid
    assert refusal(stage, fresh, stage.consent(fresh, account=stage.payee)) == invalid
    assert refusal(stage, fresh, b"") == invalid
    assert refusal(stage, fresh, bytes(65)) == invalid


def test_open__payer_is_a_contract__its_own_word_counts(stage, fresh):
    wallet = stage.deploy("Wallet", stage.payer)
    mandate = replace(fresh, payer=wallet.address)
    assert refusal(stage, mandate) == ""
    bad = stage.consent(mandate, account=stage.stranger)
    assert refusal(stage, mandate, bad) == "MandateSignatureInvalid"


def test_open__bad_mandates__revert_by_name(stage, fresh):
    cases = {
        "MandateExpired": {"expiry": stage.now - 1},
        "WindowTooLong": {"window": 90 * DAY + 1},
        "PayeeMissing": {"payee": NOBODY},
        "ProductNotAllowed": {"product": stage.token.address},
        "DeviceNotActive": {"device": b"\3" * 32},
        "DeviceHasAgreement": {"device": DEVICE},
    }
    for name, changes in cases.items():
        assert refusal(stage, replace(fresh, **changes)) == name


def test_open__device_not_active__reverts(stage, fresh):
    stage.registry.suspend(FRESH, sender=stage.registrar)
    assert refusal(stage, fresh) == "DeviceNotActive"
    stage.registry.resume(FRESH, sender=stage.registrar)
    assert refusal(stage, fresh) == ""
    stage.registry.revoke(FRESH, sender=stage.owner)
    assert refusal(stage, fresh) == "DeviceNotActive"


def test_open__product_no_longer_allowed__reverts(stage, fresh):
    stage.rail.allowProduct(stage.product, False, sender=stage.steward)
    assert refusal(stage, fresh) == "ProductNotAllowed"


def test_open__device_of_an_expired_agreement__is_free_again(stage):
    stage.wait(91 * DAY)
    again = stage.mandate()
    assert stage.rail.agreementOf(DEVICE) == stage.agreement
    agreement = stage.open(again)
    assert stage.rail.agreementOf(DEVICE) == agreement
    stage.rail.reclaim(stage.agreement, sender=stage.payer)
    assert stage.rail.agreementOf(DEVICE) == agreement  # the old one no longer holds the device


def test_close__by_payer_or_owner__brings_the_expiry_forward_only(stage):
    for who in (stage.payee, stage.stranger, stage.steward, stage.guardian, stage.minter):
        assert stage.refusal(stage.rail.close, stage.agreement, sender=who) == "NotParty"
    assert stage.refusal(stage.rail.close, stage.agreement, sender=stage.owner) == ""
    stage.rail.close(stage.agreement, sender=stage.payer)
    soonest = stage.now + DAY
    assert stage.rail.agreementState(stage.agreement)[4] == soonest
    stage.wait(DAY // 2)
    assert stage.settle(stage.claim()).named == ["None"]
    stage.rail.close(stage.agreement, sender=stage.payer)
    assert stage.rail.agreementState(stage.agreement)[4] == soonest


def test_reclaim__after_the_expiry__returns_the_escrow_once_to_the_payer(stage):
    early = stage.refusal(stage.rail.reclaim, stage.agreement, sender=stage.payer)
    assert early == "NotYetDue"
    stage.wait(91 * DAY)
    stage.rail.reclaim(stage.agreement, sender=stage.stranger)  # nobody's key is needed for it
    assert stage.token.balanceOf(stage.payer) == 100 * EURO
    assert stage.token.balanceOf(stage.stranger) == 0
    assert stage.rail.totals()[0] == 0
    again = stage.refusal(stage.rail.reclaim, stage.agreement, sender=stage.payer)
    assert again == "NothingDue"
    assert stage.refusal(stage.rail.close, stage.agreement, sender=stage.payer) == (
        "AgreementIsNotLive"
    )


def test_fund__with_an_allowance__books_what_arrives(stage):
    stage.mint(9 * EURO)
    short = stage.refusal(stage.rail.fund, stage.agreement, EURO, sender=stage.payer)
    assert short == "ERC20InsufficientAllowance"
    stage.token.approve(stage.rail, 9 * EURO, sender=stage.payer)
    stage.rail.fund(stage.agreement, 9 * EURO, sender=stage.payer)
    assert stage.rail.agreementState(stage.agreement)[2] == 109 * EURO
    stage.assert_conserved()


def test_fund__too_much_nothing_or_not_live__reverts(stage):
    def found(agreement, amount):
        return stage.refusal(stage.rail.fund, agreement, amount, sender=stage.payer)

    assert found(stage.agreement, 0) == "AmountTooLarge"
    assert found(stage.agreement, 1 << 48) == "AmountTooLarge"
    assert found(b"\1" * 32, EURO) == "UnknownAgreement"
    stage.wait(91 * DAY)
    assert found(stage.agreement, EURO) == "AgreementIsNotLive"


def test_fund__token_that_keeps_a_share__reverts(stage):
    token = stage.deploy("TaxedToken")
    rail = stage.deploy(
        "PaymentRail", stage.steward, stage.guardian, token, stage.committee, stage.registry
    )
    product = stage.deploy("MeteredEnergy", rail, stage.registry)
    rail.allowProduct(product, True, sender=stage.steward)
    mandate = stage.mandate(product=product.address)
    rail.open(mandate.as_tuple(), stage.consent(mandate, rail=rail), sender=stage.payer)
    token.mint(stage.payer, EURO, sender=stage.payer)
    token.approve(rail, EURO, sender=stage.payer)
    found = stage.refusal(rail.fund, mandate.agreement_id(), EURO, sender=stage.payer)
    assert found == "BalanceShort"


def test_on_mint__beyond_the_slot__reverts_and_mints_nothing(stage):
    too_much = (1 << 48) - 100 * EURO
    found = stage.refusal(
        stage.token.mintToEscrow,
        b"\1" * 32,
        stage.rail,
        stage.agreement,
        too_much,
        sender=stage.minter,
    )
    assert found == "AmountTooLarge"
    stage.mint(too_much - 1, stage.agreement)
    assert stage.rail.agreementState(stage.agreement)[2] == (1 << 48) - 1


def test_on_mint__agreement_over__is_taken_for_the_payer_to_reclaim(stage):
    stage.wait(91 * DAY)
    stage.rail.reclaim(stage.agreement, sender=stage.payer)
    stage.mint(EURO, stage.agreement)
    stage.rail.reclaim(stage.agreement, sender=stage.payer)
    assert stage.token.balanceOf(stage.payer) == 101 * EURO
