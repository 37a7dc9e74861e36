"""Devices, parties and agreements registered over the API, by callers who keep their own keys."""

from __future__ import annotations

import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.ethereum import encode_typed_data, sign_document
from orchestrator.edges.store import agreements
from services.bank import new_iban
from services.orchestrator import registration
from tests.support.api_rail import ApiRail
from tests.support.operators_home import PAYEE, PAYER, OperatorsHome, has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
OWNER = keystore.development_account(PAYEE).address
PARTY = {
    "street": "Weg",
    "building": "1",
    "post_code": "10115",
    "town": "Berlin",
    "iban": new_iban(61),
    "name": "Ost eG",
    "address": OWNER,
}


class RegisteringRail:
    """An API that registers on the shared real chain."""

    def __init__(self, folder: Path) -> None:
        self.home = OperatorsHome(folder / "home")
        senders = self.home.senders()
        settings = self.home.settings.model_copy(update={"api_registration": True})
        context = SimpleNamespace(
            settings=settings,
            store=self.home.store,
            chain=self.home.chain.client,
            sender=senders["sender"],
            warden=senders["warden"],
            now=lambda: int(time.time()),
            safeguarding={"iban": new_iban(1)},
        )
        self.api = ApiRail(folder / "api")
        self.api.start(registration=registration(context))
        self.keys: dict[str, ec.EllipticCurvePrivateKey] = {}

    def post(self, path: str, body: dict[str, Any], caller: str = "acme") -> Any:
        return self.api.client(caller).post(path, json=body)

    def device(self, name: str) -> dict[str, Any]:
        """Return the request that enrols a new device of this name, signed by its own key."""
        key = self.keys[name] = ec.generate_private_key(ec.SECP256R1())
        digest = self.post("/v1/devices/digest", {"device": name, "owner": OWNER}).json()
        proof = key.sign(bytes.fromhex(digest["sha256"]), ec.ECDSA(Prehashed(hashes.SHA256())))
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return {"device": name, "owner": OWNER, "key": public.decode(), "proof": proof.hex()}


@pytest.fixture(scope="module")
def rail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegisteringRail]:
    rail = RegisteringRail(tmp_path_factory.mktemp("rail"))
    yield rail
    rail.api.close()
    rail.home.store.close()


def terms(name: str, **changed: Any) -> dict[str, Any]:
    return {
        "device": name,
        "product": "metered_energy",
        "payer": keystore.development_account(PAYER).address,
        "payee": OWNER,
        "terms": {"price": "0.30", "fuse": "22000"},
        "cap_micro": "500000000",
        "expiry": int(time.time()) + 86_400 * 900,  # other tests move the shared chain's clock
    } | changed


def test_partner__with_its_own_keys__enrols_a_device_and_opens_an_agreement(rail):
    enrolled = rail.post("/v1/devices", rail.device("acme-r1"))
    assert enrolled.status_code == 200, enrolled.text
    assert enrolled.json()["password"] and enrolled.json()["topic"].startswith("proofrail/acme-r1/")
    stored = rail.post("/v1/parties", PARTY, "operator")
    assert stored.json() == {name: PARTY[name] for name in ("name", "address", "iban")}
    mandate = rail.post("/v1/agreements/mandate", terms("acme-r1")).json()
    document = mandate["typed_data"]
    payer = keystore.development_account(PAYER)
    signature = payer.sign_message(encode_typed_data(full_message=document)).signature
    request = {
        "device": "acme-r1",
        "product": "metered_energy",
        "mandate": document["message"],
        "signature": "0x" + bytes(signature).hex(),
    }
    assert mandate["consent"]["owner"] == OWNER
    assert rail.post("/v1/agreements", request).json()["code"] == "consent_missing"
    by_payer = sign_document(mandate["consent"]["typed_data"], payer)
    answer = rail.post("/v1/agreements", request | {"consent": "0x" + by_payer.hex()})
    assert answer.json()["code"] == "consent_invalid"
    owner = keystore.development_account(PAYEE)
    consent = sign_document(mandate["consent"]["typed_data"], owner)
    request["consent"] = "0x" + consent.hex()
    opened = rail.post("/v1/agreements", request)
    assert opened.status_code == 200, opened.text
    assert opened.json()["agreement_id"] == mandate["agreement_id"]
    assert rail.post("/v1/agreements", request).json() == opened.json()  # repeating is safe
    identity = bytes.fromhex(mandate["agreement_id"][2:])
    assert rail.home.chain.client.view("PaymentRail", "agreementState", identity)[-1] == 1
    with rail.home.store.read() as session:
        assert agreements.get(session, mandate["agreement_id"]).device == "acme-r1"


def test_device__enrolled_again__keeps_its_password_unless_asked(rail):
    request = rail.device("acme-r2")
    assert rail.post("/v1/devices", request).json()["password"]
    assert rail.post("/v1/devices", request).json()["password"] is None
    assert rail.post("/v1/devices", request | {"new_password": True}).json()["password"]


REFUSED = [
    ({"proof": "zz"}, 422, "hex_malformed"),
    ({"owner": "0x12"}, 422, "address_malformed"),
    ({"key": "no key"}, 422, "key_malformed"),
    ({"endorsement": "no certificates"}, 422, "endorsement_malformed"),
    ({"proof": "30" + "06" + "020101" + "020101"}, 409, "contract_refuses"),
    ({"device": "borg-r1"}, 403, "role_forbidden"),
    ({"device": "acme-r 1"}, 422, "device_name_malformed"),
]


@pytest.mark.parametrize(("change", "status", "code"), REFUSED)
def test_device__with_a_wrong_part__is_refused_by_name_and_nothing_is_stored(
    rail, change, status, code
):
    name = "acme-" + sha256(code.encode()).hexdigest()[:8]
    answer = rail.post("/v1/devices", rail.device(name) | change)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    with rail.home.store.read() as session:
        assert agreements.device_by_name(session, name) is None


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"device": "acme-none"}, 409, "device_not_active"),
        ({"product": "gold"}, 422, "product_name_unknown"),
        ({"payee": None}, 422, "payee_unexpected"),
        ({"terms": {"price": "x"}}, 422, "terms_malformed"),
        ({"payer": "0x00"}, 422, "address_malformed"),
    ],
)
def test_mandate__that_cannot_be_signed__is_refused_by_name(rail, change, status, code):
    with rail.home.store.read() as session:
        enrolled = agreements.device_by_name(session, "acme-r3")
    if enrolled is None:
        rail.post("/v1/devices", rail.device("acme-r3"))
    answer = rail.post("/v1/agreements/mandate", terms("acme-r3", **change))
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_party__by_a_partner_or_with_a_wrong_iban__is_refused(rail):
    assert rail.post("/v1/parties", PARTY).json()["code"] == "role_forbidden"
    wrong = rail.post("/v1/parties", PARTY | {"iban": "DE00"}, "operator")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "iban_invalid")


def test_agreement__with_a_changed_mandate__is_refused_by_the_contract(rail):
    rail.post("/v1/devices", rail.device("acme-r4"))
    payer = keystore.development_account(PAYEE)  # the owner pays: no consent is needed
    view = rail.post("/v1/agreements/mandate", terms("acme-r4", payer=payer.address)).json()
    document = view["typed_data"]
    assert view["consent"] is None
    signature = payer.sign_message(encode_typed_data(full_message=document)).signature
    request = {
        "device": "acme-r4",
        "product": "metered_energy",
        "mandate": document["message"] | {"cap": 999_000_000},
        "signature": "0x" + bytes(signature).hex(),
    }
    assert rail.post("/v1/agreements", request).json()["code"] == "contract_refuses"
    request["mandate"] = {"payer": OWNER}
    assert rail.post("/v1/agreements", request).json()["code"] == "mandate_malformed"


def test_fleet__of_two_thousand_meters__fits_in_the_requests_of_an_opening(rail):
    rail.post("/v1/devices", rail.device("acme-r5"))
    payer = keystore.development_account(PAYEE)  # the owner pays: no consent is needed
    members = "\n".join(f"acme-meter-{number},0,{number}.5" for number in range(2_000))
    words = {"price": "0.30", "fuse": "22000", "period": "1 day", "members": members}
    fleet = {"product": "metered_fleet", "terms": words | {"started": "2026-01-01T00:00Z"}}
    answer = rail.post("/v1/agreements/mandate", terms("acme-r5", payer=payer.address, **fleet))
    assert answer.status_code == 200, answer.text
    document = answer.json()["typed_data"]
    assert len(document["message"]["terms"]) > 2 * 2_000 * 43
    signature = payer.sign_message(encode_typed_data(full_message=document)).signature
    request = {"device": "acme-r5", "product": "metered_fleet", "mandate": document["message"]}
    refused = rail.post("/v1/agreements", request | {"signature": "0x" + bytes(signature).hex()})
    assert (refused.status_code, refused.json()["code"]) == (409, "device_not_active")
    assert "and 1997 more" in refused.json()["detail"]
