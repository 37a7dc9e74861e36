"""Mandates of both versions, owners' consents and skips: hash, type and document as on chain."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sha3

from device_adapters.types import Rejected
from oracles.types import SkippedClaim
from orchestrator.core.claim_skip import skip_document
from orchestrator.core.mandate import FIELDS, Mandate, mandate_hash, opened_mandate, type_hash
from orchestrator.core.owner_consent import OwnerConsent
from orchestrator.core.registration import read_mandate
from orchestrator.edges.chain.ethereum import encode_typed_data

ROOT = Path(__file__).resolve().parents[4]
RAIL = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
CLAIMS = (ROOT / "contracts" / "libraries" / "Claims.sol").read_text()


def mandate(version: int, **changes: object) -> Mandate:
    later = {"start": 1_800_000_000, "bond": 10_000_000, "schedule": 7, "cites": b"\x09" * 32}
    values = {
        "payer": "0x" + "11" * 20,
        "payee": "0x" + "22" * 20,
        "device": b"\x03" * 32,
        "product": "0x" + "44" * 20,
        "cap": 500_000_000,
        "period_days": 30,
        "window": 86_400,
        "expiry": 1_900_000_000,
        "first_counter": 5,
        "required_domain": 2,
        "salt": b"\x06" * 32,
        "terms": b"terms of any length",
    }
    return Mandate(**values | (later if version == 2 else {}) | changes, version=version)


@pytest.mark.parametrize("version", [1, 2])
def test_agreement_id__of_each_version__is_what_a_wallet_signs(version):
    signed = mandate(version)
    signable = encode_typed_data(full_message=signed.typed_data(31337, RAIL))
    assert signable.body == signed.agreement_id()
    assert list(signed.values()) == [name for name, _ in FIELDS[version]]
    assert signed.typed_data(31337, RAIL)["domain"]["version"] == str(version)


def test_type__of_version_2__is_that_of_the_contract():
    assert type_hash(2) == sha3.keccak_256(solidity_type("MANDATE_TYPE")).digest()


def solidity_type(name: str) -> bytes:
    """Return the text that a constant of Claims.sol hashes."""
    body = re.search(rf"{name} =\s*keccak256\((.*?)\);", CLAIMS, re.DOTALL)[1]
    return "".join(re.findall(r'"([^"]*)"', body)).encode()


@pytest.mark.parametrize(
    ("document", "name"),
    [
        (
            OwnerConsent(b"\x01" * 32, "0x" + "44" * 20, bytes(32), 3).typed_data(31337, RAIL),
            "CONSENT_TYPE",
        ),
        (skip_document(SkippedClaim(b"\x02" * 32, 4, 77), 31337, RAIL), "SKIP_TYPE"),
    ],
)
def test_documents__of_owners_and_parties__have_the_contract_s_type_and_domain(document, name):
    kind = document["primaryType"]
    fields = ",".join(f"{field['type']} {field['name']}" for field in document["types"][kind])
    assert f"{kind}({fields})".encode() == solidity_type(name)
    assert document["domain"]["version"] == "2"
    assert encode_typed_data(full_message=document).body  # a wallet can sign it


@pytest.mark.parametrize(
    ("field", "value"), [("cap", 1 << 48), ("schedule", -1), ("requiredDomain", 256)]
)
def test_mandate_hash__number_that_does_not_fit__is_refused(field, value):
    with pytest.raises(OverflowError, match=field):
        mandate_hash(mandate(2).values() | {field: value}, 2)


def test_opened_mandate__of_both_events__has_the_agreed_product():
    former = {"agreement": "0x01", "product": "0x44", "expiry": 7}
    assert opened_mandate(former)["product"] == "0x44"
    assert (
        opened_mandate({"agreement": "0x01", "mandate": {"product": "0x55"}})["product"] == "0x55"
    )


def test_mandate__that_names_devices_in_cites__is_not_registered():
    """Nobody would enforce it: which devices a claim hears stands in the product's terms."""
    named = mandate(2, bond=1)
    message = {
        name: "0x" + value.hex() if isinstance(value, bytes) else value
        for name, value in named.values().items()
    }
    message["schedule"] = 0
    with pytest.raises(Rejected) as refusal:
        read_mandate(message)
    assert "cites is 0" in refusal.value.detail
    message["cites"] = "0x" + "00" * 32
    assert read_mandate(message).cites == bytes(32)
