"""Agreements: whose consent opens one, how it is funded, how it ends.

open
├── given a signature for another chain, rail, mandate or by another key: it should revert
├── given a contract as payer: it should ask that contract (ERC-1271)
├── given an unknown, suspended or revoked device, or one in use: it should revert by name
└── given consent: it should be known, by the id that Python computes, with what was agreed
close: the payer or the device's owner; it should end the facts now, and leave claims the grace
reclaim: anyone, after expiry and grace; it should return the escrow and free the device
fund, onMint: it should book what arrived, and no more than half of what the row holds
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from web3 import Web3

from tests.support.contracts.contract_rail import DAY, DEVICE, EURO, HOUR, KWH, facts
from tests.support.contracts.settled import NOBODY

FRESH = Web3.keccak(text="EVSE-2")


@pytest.fixture
def fresh(contracts):
    contracts.enrol(FRESH, contracts.key.p256(8))
    return contracts.mandate(device=FRESH)


def refusal(contracts, mandate, signature=None, rail=None):
    signature = contracts.signed(mandate) if signature is None else signature
    rail, consent = rail or contracts.rail, contracts.consent(mandate)
    opening = (mandate.as_tuple(), signature, consent)
    return contracts.refusal(rail.open, *opening, sender=contracts.stranger)


def test_open__with_consent__is_kept_as_agreed(contracts, fresh):
    agreement = contracts.open(fresh)
    assert tuple(contracts.rail.agreementState(agreement)) == (0, 10, 0, 0, fresh.expiry, 1)
    assert tuple(contracts.rail.agreementTerms(agreement)) == (
        contracts.payer,
        contracts.payee,
        FRESH,
        contracts.product.address,
        50 * EURO,
        30,
        DAY,
        0,
    )
    assert contracts.rail.agreementOf(FRESH) == agreement
    assert refusal(contracts, fresh) == "AgreementExists"


def test_open__every_field_changed_after_signing__reverts(contracts, fresh):
    signature = contracts.signed(fresh)
    contracts.enrol(b"\4" * 32, contracts.key.p256(44))
    other = contracts.add_product("MeteredEnergy")
    changes = {
        "payer": contracts.stranger.address,
        "payee": contracts.stranger.address,
        "device": b"\4" * 32,
        "product": other.address,
        "cap": fresh.cap + 1,
        "period_days": 0,
        "window": fresh.window + 1,
        "start": fresh.start + 1,
        "expiry": fresh.expiry + 1,
        "first_counter": 9,
        "required_domain": 1,
        "bond": fresh.bond + 1,
        "schedule": 1,
        "cites": b"\1" * 32,
        "salt": b"\1" * 32,
        "terms": fresh.terms[:-1] + b"\1",
    }
    assert {*changes, "fleet", "version"} == set(fresh.__dataclass_fields__)  # no fleets yet
    assert refusal(contracts, fresh, signature) == ""
    for name, value in changes.items():
        changed = replace(fresh, **{name: value})
        assert refusal(contracts, changed, signature) == "MandateSignatureInvalid", name


def test_open__signed_for_another_chain_rail_or_by_another_key__reverts(contracts, fresh):
    rail = contracts.deploy_rail(contracts.committee, contracts.registry)
    rail.allowProduct(contracts.product, sender=contracts.steward)
    invalid = "MandateSignatureInvalid"
    assert refusal(contracts, fresh, contracts.signed(fresh, chain_id=1)) == invalid
    assert refusal(contracts, fresh, contracts.signed(fresh, rail=rail)) == invalid
    assert refusal(contracts, fresh, contracts.signed(fresh), rail=rail) == invalid
    assert refusal(contracts, fresh, contracts.signed(fresh, account=contracts.payee)) == invalid
    assert refusal(contracts, fresh, b"") == invalid
    assert refusal(contracts, fresh, bytes(65)) == invalid


def test_open__payer_is_a_contract__its_own_word_counts(contracts, fresh):
    wallet = contracts.deploy("Wallet", contracts.payer)
    mandate = replace(fresh, payer=wallet.address)
    assert refusal(contracts, mandate) == ""
    bad = contracts.signed(mandate, account=contracts.stranger)
    assert refusal(contracts, mandate, bad) == "MandateSignatureInvalid"


def test_open__bad_mandates__revert_by_name(contracts, fresh):
    cases = {
        "MandateExpired": {"expiry": contracts.now - 1},
        "WindowTooLong": {"window": 90 * DAY + 1},
        "StartOutOfRange": {"start": contracts.now - 401 * DAY},
        "BondOutOfRange": {"bond": 0},
        "ScheduleInvalid": {"schedule": 1 << 58},
        "FleetUnsupported": {"fleet": b"\1" * 32},
        "PayeeInvalid": {"payee": contracts.rail.address},
        "PayeeMissing": {"payee": NOBODY},
        "ProductNotAllowed": {"product": contracts.token.address},
        "DeviceNotActive": {"device": b"\3" * 32},
        "DeviceHasAgreement": {"device": DEVICE},
    }
    for name, changes in cases.items():
        assert refusal(contracts, replace(fresh, **changes)) == name


def test_open__device_not_active__reverts(contracts, fresh):
    contracts.registry.suspend(FRESH, sender=contracts.registrar)
    assert refusal(contracts, fresh) == "DeviceNotActive"
    contracts.registry.resume(FRESH, sender=contracts.registrar)
    assert refusal(contracts, fresh) == ""
    contracts.registry.revoke(FRESH, sender=contracts.owner)
    assert refusal(contracts, fresh) == "DeviceNotActive"


def test_open__product_no_longer_allowed__reverts(contracts, fresh):
    contracts.rail.disallowProduct(contracts.product, sender=contracts.guardian)
    assert refusal(contracts, fresh) == "ProductNotAllowed"


def test_open__device_of_an_expired_agreement__is_free_again(contracts):
    contracts.wait(92 * DAY)
    again = contracts.mandate(start=0, expiry=contracts.now + DAY)
    overlapping = contracts.mandate(start=contracts.now - 3 * DAY)
    assert refusal(contracts, overlapping) == "StartOutOfRange"  # its facts are the old one's
    assert contracts.rail.agreementOf(DEVICE) == contracts.agreement
    agreement = contracts.open(again)
    assert contracts.rail.agreementOf(DEVICE) == agreement
    contracts.wait(DAY)
    contracts.rail.reclaim(contracts.agreement, sender=contracts.payer)
    assert contracts.rail.agreementOf(DEVICE) == agreement  # the old one no longer holds the device


def test_close__by_payer_or_owner__ends_the_facts_now(contracts):
    for who in (
        contracts.payee,
        contracts.stranger,
        contracts.steward,
        contracts.guardian,
        contracts.minter,
    ):
        assert (
            contracts.refusal(contracts.rail.close, contracts.agreement, sender=who) == "NotParty"
        )
    assert (
        contracts.refusal(contracts.rail.close, contracts.agreement, sender=contracts.owner) == ""
    )
    contracts.rail.close(contracts.agreement, sender=contracts.owner)
    closed = contracts.now
    assert contracts.rail.agreementState(contracts.agreement)[4] == closed
    assert contracts.rail.agreementEnd(contracts.agreement)[:2] == (closed + DAY, DAY)
    contracts.wait(DAY // 2)
    contracts.rail.close(contracts.agreement, sender=contracts.payer)
    assert contracts.rail.agreementState(contracts.agreement)[4] == closed


def test_close__facts_of_before__still_settle_and_later_ones_do_not(contracts):
    """Attack on 0.3.0: a stranger's agreement held a device, and its owner could not end it."""
    contracts.rail.close(contracts.agreement, sender=contracts.owner)
    contracts.wait(DAY // 2)
    closed = contracts.rail.agreementState(contracts.agreement)[4]
    row = facts(10 * KWH, 11 * KWH, closed - HOUR, closed + 1)
    assert contracts.settle(contracts.claim(facts=row)).named == ["product 12"]  # TimeAhead
    assert contracts.settle(contracts.claim()).named == ["None"]
    contracts.wait(DAY)
    assert contracts.settle(contracts.claim(sequence=2)).named == ["Expired"]


def test_reclaim__after_the_expiry__returns_the_escrow_once_to_the_payer(contracts):
    early = contracts.refusal(contracts.rail.reclaim, contracts.agreement, sender=contracts.payer)
    assert early == "NotYetDue"
    contracts.wait(92 * DAY)
    contracts.rail.reclaim(
        contracts.agreement, sender=contracts.stranger
    )  # it needs no party's key
    assert contracts.token.balanceOf(contracts.payer) == 100 * EURO
    assert contracts.token.balanceOf(contracts.stranger) == 0
    assert contracts.rail.totals()[0] == 0
    again = contracts.refusal(contracts.rail.reclaim, contracts.agreement, sender=contracts.payer)
    assert again == "NothingDue"
    assert contracts.refusal(contracts.rail.close, contracts.agreement, sender=contracts.payer) == (
        "AgreementIsNotLive"
    )


def test_fund__with_an_allowance__books_what_arrives(contracts):
    contracts.mint(9 * EURO)
    short = contracts.refusal(
        contracts.rail.fund, contracts.agreement, EURO, sender=contracts.payer
    )
    assert short == "ERC20InsufficientAllowance"
    contracts.token.approve(contracts.rail, 9 * EURO, sender=contracts.payer)
    contracts.rail.fund(contracts.agreement, 9 * EURO, sender=contracts.payer)
    assert contracts.rail.agreementState(contracts.agreement)[2] == 109 * EURO
    contracts.assert_conserved()


def test_fund__too_much_nothing_or_not_live__reverts(contracts):
    def refusal(agreement, amount):
        return contracts.refusal(contracts.rail.fund, agreement, amount, sender=contracts.payer)

    assert refusal(contracts.agreement, 0) == "AmountTooLarge"
    assert refusal(contracts.agreement, 1 << 48) == "AmountTooLarge"
    assert refusal(b"\1" * 32, EURO) == "UnknownAgreement"
    contracts.wait(92 * DAY)
    assert refusal(contracts.agreement, EURO) == "AgreementIsNotLive"


def test_fund__token_that_keeps_a_share__reverts(contracts):
    token = contracts.deploy("TaxedToken")
    rail = contracts.deploy(
        "PaymentRail", contracts.access, token, contracts.committee, contracts.registry
    )
    product = contracts.deploy("MeteredEnergy", rail, contracts.registry)
    rail.allowProduct(product, sender=contracts.steward)
    mandate = contracts.mandate(product=product.address)
    rail.open(mandate.as_tuple(), contracts.signed(mandate, rail=rail), b"", sender=contracts.owner)
    token.mint(contracts.payer, EURO, sender=contracts.payer)
    token.approve(rail, EURO, sender=contracts.payer)
    refusal = contracts.refusal(rail.fund, mandate.agreement_id(), EURO, sender=contracts.payer)
    assert refusal == "BalanceShort"


def test_on_mint__beyond_the_most__reverts_and_mints_nothing(contracts):
    most = contracts.rail.MAX_ESCROW()
    assert most == (1 << 43) - 1
    too_much = most + 1 - 100 * EURO
    refusal = contracts.refusal(
        contracts.token.mintToEscrow,
        b"\1" * 32,
        contracts.rail,
        contracts.agreement,
        too_much,
        sender=contracts.minter,
    )
    assert refusal == "AmountTooLarge"
    contracts.mint(too_much - 1, contracts.agreement)
    assert contracts.rail.agreementState(contracts.agreement)[2] == most


def test_on_mint__agreement_over__is_taken_for_the_payer_to_reclaim(contracts):
    contracts.wait(92 * DAY)
    contracts.rail.reclaim(contracts.agreement, sender=contracts.payer)
    contracts.mint(EURO, contracts.agreement)
    contracts.rail.reclaim(contracts.agreement, sender=contracts.payer)
    assert contracts.token.balanceOf(contracts.payer) == 101 * EURO
