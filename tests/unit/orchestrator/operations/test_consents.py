"""Consents of device owners, on the real contracts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from device_adapters.types import Rejected, device_id
from orchestrator.core.registration import RegistrationReason
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.client import Call
from orchestrator.edges.chain.ethereum import sign_document
from orchestrator.edges.chain.sender import ChainCall, send_and_wait
from orchestrator.edges.store import agreements
from orchestrator.errors import Halt, Retry
from orchestrator.operations import consents
from orchestrator.operations.agreements import AgreementOps
from orchestrator.products import products
from orchestrator.products.metered_energy.product import EnergyTerms, encode_terms
from tests.support.real_chain import REGISTRAR, has_anvil
from tests.support.registry_chain import OWNER, RegistryOnChain

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
STRANGER, PAYER = 33, 31
DAY = 86_400


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryOnChain]:
    registry = RegistryOnChain(tmp_path_factory.mktemp("registry"))
    yield registry
    registry.store.close()


@pytest.fixture(scope="module")
def elsewhere(registry: RegistryOnChain) -> AgreementOps:
    """Operations of a home that does not hold the owner's key."""
    senders = {
        "registrar": registry.chain.sender(registry.store, REGISTRAR),
        "sender": registry.chain.sender(registry.store, 12),
    }
    return AgreementOps(senders, registry.chain.now, lambda: None)


def signed_mandate(registry: RegistryOnChain, name: str, payer: int = PAYER):
    account = keystore.development_account(payer)
    ops = registry.agreement_ops
    mandate = ops.mandate(
        name,
        account.address,
        "0x" + "22" * 20,
        products()["metered_energy"],
        cap_micro=10**9,
        window_s=60,
        terms=encode_terms(EnergyTerms(300_000, 22_000)),
        expiry=registry.chain.now() + 10 * DAY,
    )
    return (name, "metered_energy", mandate, ops.sign(mandate, account))


def enrolled(registry: RegistryOnChain, name: str) -> str:
    registry.agreement_ops.enrol([registry.enrolment(registry.device(name))])
    return name


def stage(registry: RegistryOnChain, mandate) -> str:
    with registry.store.read() as session:
        return agreements.get(session, "0x" + mandate.agreement_id().hex()).stage


def test_attack__stranger_binds_a_free_device_to_an_agreement__needs_its_owner(registry, elsewhere):
    """On 0.3.0 anyone opened an agreement about any free device; its owner waited for months."""
    item = signed_mandate(registry, enrolled(registry, "consent-1"), STRANGER)
    mandate, signature = item[2:]
    with pytest.raises(consents.ConsentMissing, match="has not consented"):
        elsewhere.open([item])
    stranger = keystore.development_account(STRANGER)
    owner, wanted = elsewhere.consent_needed(mandate)
    assert owner == registry.owner.address
    forged = consents.sign(wanted, registry.chain.deployment, stranger)
    for consent in (b"", forged):  # the contract says the same
        call = Call("PaymentRail", "open", (mandate.as_tuple(), signature, consent))
        with pytest.raises(Retry, match="OwnerDidNotConsent"):
            registry.chain.client.quote(stranger.address, call)
    with pytest.raises(Halt, match=r"signature is of .*owner is"):
        elsewhere.save_consent(wanted, owner, forged)


def test_consent__by_the_owner_elsewhere__opens_the_mandate_that_waits(registry, elsewhere):
    item = signed_mandate(registry, enrolled(registry, "consent-2"))
    with pytest.raises(consents.ConsentMissing):
        elsewhere.open([item])
    owner, wanted = elsewhere.consent_needed(item[2])
    document = consents.document(wanted, registry.chain.deployment)
    elsewhere.save_consent(wanted, owner, sign_document(document, registry.owner))
    identity = "0x" + item[2].agreement_id().hex()
    elsewhere.open_stored(identity)
    status = registry.chain.client.view("PaymentRail", "agreementState", item[2].agreement_id())[-1]
    assert status == 1
    elsewhere.open([item])  # the same again changes nothing


def test_consent__of_an_owner_that_pays__is_not_asked_for(registry, elsewhere):
    item = signed_mandate(registry, enrolled(registry, "consent-3"), OWNER)
    assert elsewhere.consent_needed(item[2]) is None
    elsewhere.open([item])


def test_consent__to_a_product_that_shares_devices__is_kept_until_it_is_revoked(
    registry, elsewhere
):
    """One signature is good for all agreements of the device with that product."""
    name, chain = enrolled(registry, "consent-4"), registry.chain.client
    product = chain.deployment.addresses["ProofOfDelivery"]
    device = device_id(name)
    owner, wanted = consents.needed(chain, device, product, b"\x01" * 32)
    again = consents.needed(chain, device, product, b"\x02" * 32)
    assert wanted.agreement == bytes(32) and (owner, wanted) == again
    signature = consents.sign(wanted, registry.chain.deployment, registry.owner)
    elsewhere.save_consent(wanted, owner, signature)
    with registry.store.read() as session:
        assert consents.stored(session, wanted, owner) == signature
    sender = registry.chain.sender(registry.store, OWNER)
    revoke = ChainCall("revoke", name, Call("Consents", "revokeConsents", (device,)))
    send_and_wait(sender, [revoke], 0, lambda: None)
    _, asked_again = consents.needed(chain, device, product, bytes(32))
    assert asked_again.number == wanted.number + 1
    with registry.store.read() as session:
        assert consents.stored(session, asked_again, owner) is None


def test_attack__contractor_s_own_device_judges_its_repair__makes_no_mandate(registry):
    """The device belongs to the owner of the asset, not to the contractor that is paid."""
    name, ops = enrolled(registry, "pump-1"), registry.agreement_ops
    payer, owner = keystore.development_account(PAYER).address, registry.owner.address
    given = {"cap_micro": 10**9, "window_s": 60, "expiry": registry.chain.now() + DAY, "terms": b""}
    escrow, savings = (products()[name] for name in ("maintenance_escrow", "energy_savings"))
    with pytest.raises(Rejected) as refused:
        ops.mandate(name, payer, owner, escrow, **given)
    assert refused.value.reason == RegistrationReason.PAYEE_UNEXPECTED
    assert refused.value.detail.startswith("pump-1 belongs to the payee")
    assert ops.mandate(name, payer, keystore.development_account(STRANGER).address, escrow, **given)
    assert ops.mandate(name, payer, owner, savings, **given)


def test_needed__device_or_product_that_is_not_there__is_refused(registry):
    chain = registry.chain.client
    product = chain.deployment.addresses["MeteredEnergy"]
    with pytest.raises(Halt, match="not enrolled"):
        consents.needed(chain, b"\x09" * 32, product, bytes(32))
    with pytest.raises(Halt, match="no product"):
        consents.needed(chain, device_id("consent-1"), "0x" + "33" * 20, bytes(32))


def test_open__on_contracts_of_an_earlier_release__is_refused_by_name(registry, monkeypatch):
    item = signed_mandate(registry, enrolled(registry, "consent-5"))
    deployment = registry.chain.deployment
    monkeypatch.delitem(deployment.addresses, "RailAccess")
    with pytest.raises(Halt, match="earlier release"):
        registry.agreement_ops.open([item])
