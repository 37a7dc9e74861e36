"""What operators do, on a real chain: proofs as the contract checks them, and safe to repeat."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from eth_abi import encode
from eth_account.messages import _hash_eip191_message
from hypothesis import given, settings
from hypothesis import strategies as st
from web3 import Web3

from device_adapters.types import Curve, DeviceKey, device_id
from orchestrator.core.identity import credit_id, payment_id, payout_account
from orchestrator.core.mandate import Mandate
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.ethereum import encode_typed_data
from orchestrator.edges.store import agreements
from orchestrator.errors import Halt, Retry
from orchestrator.operations.agreements import enrolment_digest
from orchestrator.products import products
from orchestrator.products.metered_energy.product import EnergyTerms, encode_terms
from tests.support.real_chain import has_anvil
from tests.support.registry_chain import RegistryOnChain

needs_anvil = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda raw: Web3.to_checksum_address(raw))
WORDS = st.binary(min_size=32, max_size=32)
MANDATES = st.builds(
    Mandate,
    payer=ADDRESSES,
    payee=ADDRESSES,
    device=WORDS,
    product=ADDRESSES,
    cap=st.integers(0, 2**48 - 1),
    period_days=st.integers(0, 2**16 - 1),
    window=st.integers(0, 2**32 - 1),
    expiry=st.integers(0, 2**32 - 1),
    first_counter=st.integers(0, 2**40 - 1),
    required_domain=st.integers(0, 255),
    salt=WORDS,
    terms=st.binary(max_size=200),
)


@pytest.fixture
def registry(tmp_path):
    on_chain = RegistryOnChain(tmp_path)
    yield on_chain
    on_chain.store.close()


def counted(registry, index: int) -> int:
    return registry.chain.client.nonce(keystore.development_account(index).address)


@given(ADDRESSES, ADDRESSES, st.text(max_size=40), st.integers(1, 2**64))
def test_digest__any_device__is_the_abi_encoding_that_the_contract_hashes(
    registry, owner, name, chain_id
):
    kinds = ["string", "uint256", "address", "bytes32", "address"]
    values = ["proofrail/enrol/v1", chain_id, registry, device_id(name), owner]
    wanted = hashlib.sha256(encode(kinds, values)).digest()
    assert enrolment_digest(chain_id, registry, name, owner) == wanted


@settings(max_examples=60, deadline=None)
@given(MANDATES, ADDRESSES, st.integers(1, 2**32))
def test_mandate__any__hashes_as_a_wallet_hashes_it(mandate, rail, chain_id):
    signable = encode_typed_data(full_message=mandate.typed_data(chain_id, rail))
    assert signable.body == mandate.agreement_id()
    domain = b"\x19\x01" + signable.header + mandate.agreement_id()
    assert _hash_eip191_message(signable) == Web3.keccak(domain)


def test_ids__of_payment_account_and_credit__are_those_of_the_rules():
    agreement = bytes(range(32))
    assert payment_id(agreement, 7) == Web3.keccak(encode(["bytes32", "uint256"], [agreement, 7]))
    assert payout_account("de89 3704 0044 0532 0130 00") == Web3.keccak(
        text="DE89370400440532013000"
    )
    assert credit_id("DE1", "R") == Web3.keccak(text="DE1|R") != credit_id("DE", "1R")


@needs_anvil
def test_enrol__real_device_key__is_taken_and_a_second_run_sends_nothing(registry):
    device = registry.device("office-1")
    wanted = registry.enrolment(device)
    registry.agreement_ops.enrol([wanted])
    before = counted(registry, 4)
    registry.agreement_ops.enrol([wanted])
    assert counted(registry, 4) == before
    assert registry.contract_says("office-1", registry.chain.now()) == device.public
    with registry.store.read() as session:
        row = agreements.device_by_name(session, "office-1")
    assert (row.device_id, row.owner, row.key_x) == (
        "0x" + device_id("office-1").hex(),
        wanted.owner,
        hex(device.public.x),
    )


@needs_anvil
@pytest.mark.parametrize("change", ["owner", "name", "chain", "registry", "key"])
def test_enrol__proof_of_anything_else__is_refused_by_the_contract(registry, change):
    device, other = registry.device("office-2"), registry.device("office-2-other")
    at = registry.chain.deployment
    proven = {
        "chain": at.chain_id,
        "registry": at.addresses["DeviceRegistry"],
        "name": "office-2",
        "owner": "0x" + "11" * 20,
    }
    signed = (
        proven
        | {
            "owner": {"owner": "0x" + "12" * 20},
            "name": {"name": "office-3"},
            "chain": {"chain": 1},
            "registry": {"registry": at.addresses["EuroToken"]},
            "key": {},
        }[change]
    )
    digest = enrolment_digest(signed["chain"], signed["registry"], signed["name"], signed["owner"])
    signer = other if change == "key" else device
    r, s = signer.sign_digest(digest)
    before = counted(registry, 4)
    with pytest.raises(Retry, match="PossessionUnproven"):
        registry.agreement_ops.enrol([replace(registry.enrolment(device), r=r, s=s)])
    assert counted(registry, 4) == before
    with registry.store.read() as session:
        assert agreements.device_by_name(session, "office-2") is None


@needs_anvil
def test_enrol__high_s_as_secure_elements_sign__is_normalised(registry):
    device = registry.device("office-4")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    wanted = registry.enrolment(device)
    registry.agreement_ops.enrol([replace(wanted, s=order - wanted.s)])
    assert registry.contract_says("office-4", registry.chain.now()) == device.public


@needs_anvil
def test_enrol__curve_that_no_contract_checks__halts_and_sends_nothing(registry):
    wanted = registry.enrolment(registry.device("office-5"))
    with pytest.raises(Halt, match="no contract can check"):
        registry.agreement_ops.enrol([replace(wanted, key=DeviceKey(Curve.SECP384R1, 1, 2))])


@needs_anvil
def test_retire__twice__is_one_call_and_ends_the_device(registry):
    registry.agreement_ops.enrol([registry.enrolment(registry.device("office-6"))])
    registry.agreement_ops.retire("office-6")
    before = counted(registry, 4)
    registry.agreement_ops.retire("office-6")
    assert counted(registry, 4) == before
    assert registry.contract_says("office-6", registry.chain.now()) == "device_retired"


@needs_anvil
def test_open__signed_mandate__has_the_contracts_id_and_a_second_run_sends_nothing(registry):
    registry.agreement_ops.enrol([registry.enrolment(registry.device("office-7"))])
    mandate, identity = registry.agree("office-7", 14)
    assert identity == mandate.agreement_id()
    rail = registry.chain.client
    assert rail.view("PaymentRail", "agreementOf", device_id("office-7")) == identity
    account, before = keystore.development_account(14), counted(registry, 12)
    signed = ("office-7", "metered_energy", mandate, registry.agreement_ops.sign(mandate, account))
    assert registry.agreement_ops.open([signed]) == ["0x" + identity.hex()]
    assert counted(registry, 12) == before
    with registry.store.read() as session:
        row = agreements.get(session, "0x" + identity.hex())
    assert agreements.mandate_of(row) == mandate and (row.stage, row.sequence) == ("signed", 0)


@needs_anvil
def test_open__signed_by_somebody_else__is_refused_by_the_contract(registry):
    registry.agreement_ops.enrol([registry.enrolment(registry.device("office-8"))])
    account, stranger = (keystore.development_account(n) for n in (15, 16))
    mandate = registry.agreement_ops.mandate(
        "office-8",
        account.address,
        stranger.address,
        products()["metered_energy"],
        cap_micro=1,
        window_s=60,
        expiry=registry.chain.now() + 99,
        terms=encode_terms(EnergyTerms(1, 1)),
    )
    signature = registry.agreement_ops.sign(mandate, stranger)
    with pytest.raises(Retry, match="MandateSignatureInvalid"):
        registry.agreement_ops.open([("office-8", "metered_energy", mandate, signature)])


@needs_anvil
def test_pay_to_bank__repeated__is_one_call_and_another_account_is_another(registry):
    payee = keystore.development_account(17)

    def account() -> bytes:
        return registry.chain.client.view("PaymentRail", "payoutAccount", payee.address)

    for iban, calls in (("DE1", 1), ("DE 1", 1), ("DE2", 2), ("DE1", 3)):
        registry.agreement_ops.pay_to_bank(payee, iban)
        assert account() == payout_account(iban) and counted(registry, 17) == calls


@needs_anvil
def test_know__a_party_with_another_account__has_the_newest_one(registry):
    for iban in ("DE1", "DE2"):
        registry.agreement_ops.save_parties(
            [agreements.PartyRow(address="0x01", name="Nord", iban=iban)]
        )
    with registry.store.read() as session:
        [row] = agreements.parties(session)
    assert (row.iban, row.account) == ("DE2", "0x" + payout_account("DE2").hex())
