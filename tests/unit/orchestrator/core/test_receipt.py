"""A receipt says what the rail decided, and no byte of it can be changed."""

from __future__ import annotations

import base64
import hmac
import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as some
from joserfc import jws
from joserfc.jwk import ECKey

from device_adapters.types import Rejected
from orchestrator.core.receipt import ReceiptRecord, Receipts, public_key_of, read_receipt

PEM = ec.derive_private_key(11, ec.SECP256R1()).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
RECEIPTS = Receipts(PEM)
KEY = public_key_of(RECEIPTS.public_pem)
ANSWERS = [
    ReceiptRecord("ab" * 32, 5, "accepted", "0x" + "cd" * 32),
    ReceiptRecord("ef" * 32, None, "malformed"),
]
RECEIPT = RECEIPTS.sign("cp-1", ANSWERS, 1_750_000_000)


def _reason(receipt: bytes, key: ECKey = KEY) -> str:
    with pytest.raises(Rejected) as refused:
        read_receipt(receipt, key)
    return str(refused.value.reason)


def test_receipt__read_with_the_rails_key__is_the_payload_of_the_wire_format():
    assert read_receipt(RECEIPT, KEY) == {
        "device": "cp-1",
        "at": 1_750_000_000,
        "records": [
            {
                "evidence": "ab" * 32,
                "counter": 5,
                "outcome": "accepted",
                "event": "0x" + "cd" * 32,
            },
            {"evidence": "ef" * 32, "counter": None, "outcome": "malformed", "event": ""},
        ],
    }
    header = json.loads(base64.urlsafe_b64decode(RECEIPT.split(b".")[0] + b"=="))
    assert header == {"alg": "ES256", "kid": ECKey.import_key(PEM).thumbprint()}


def test_receipt__any_byte_changed__refused():
    for place in range(len(RECEIPT)):
        for bit in (0x01, 0x20):
            changed = bytearray(RECEIPT)
            changed[place] ^= bit
            assert _reason(bytes(changed)).startswith("receipt_")


def test_receipt__payload_of_another_under_this_signature__forged():
    other = RECEIPTS.sign("cp-1", ANSWERS[:1], 1_750_000_000)
    mixed = b".".join((*other.split(b".")[:2], RECEIPT.split(b".")[2]))
    assert _reason(mixed) == "receipt_forged"


def test_receipt__of_another_key__named_so():
    other = ec.derive_private_key(12, ec.SECP256R1()).public_key()
    pem = other.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert _reason(RECEIPT, public_key_of(pem)) == "receipt_other_key"


def _spelled(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")


@pytest.mark.parametrize("algorithm", ["HS256", "none", "ES384", "es256"])
def test_receipt__that_chooses_its_own_algorithm__refused(algorithm):
    header = _spelled(json.dumps({"alg": algorithm, "kid": KEY.kid}).encode())
    signed = header + b"." + RECEIPT.split(b".")[1]
    confused = hmac.digest(RECEIPTS.public_pem, signed, "sha256")  # the public key as a secret
    for seal in (confused, b""):
        assert _reason(signed + b"." + _spelled(seal)) == "receipt_algorithm"


@pytest.mark.parametrize(
    "payload", [b"1", b"{}", b'{"device":"a","at":1,"records":[{}]}', b"[" * 9_000]
)
def test_receipt__signed_but_of_another_shape__malformed(payload):
    key = ECKey.import_key(PEM)
    token = jws.serialize_compact({"alg": "ES256", "kid": KEY.kid}, payload, key)
    assert _reason(token.encode()) == "receipt_malformed"


@given(some.one_of(some.binary(max_size=300), some.text("eyJ.-_AQ=", max_size=80).map(str.encode)))
def test_receipt__random_bytes__only_the_declared_error(noise):
    assert _reason(noise).startswith("receipt_")


@pytest.mark.parametrize("pem", [b"", b"x", RECEIPTS.public_pem])
def test_receipts__key_that_cannot_sign__refused(pem):
    with pytest.raises(Rejected):
        Receipts(pem)


def test_public_key__of_a_private_pem__is_only_the_public_part():
    assert not public_key_of(PEM).is_private
