"""Challenges of sealed records: whose they are, and whether the device's only key signed them.

challenge of a sealed record
├── given another key, or claims that were changed: it should be won
├── given the device's own signature, in COSE or JWS, on both curves: it should lose
└── given another device, several keys, a gateway, or another form: it should lose or revert
"""

from __future__ import annotations

import base64

import cbor2
import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from device_adapters.keys import genuine
from device_adapters.protocols.sealed.envelope import open_envelope
from device_adapters.protocols.sealed.write import SealClaims, write_cose, write_jws
from device_adapters.types import Curve, DeviceKey
from oracles import merkle
from tests.support.contracts.challenged import (
    FORGER,
    ChallengedClaim,
    ChallengeFault,
    assert_lost,
    assert_won,
    judged,
    session,
)
from tests.support.contracts.contract_rail import DAY, EURO
from tests.support.contracts.device_keys import DeviceSigner

FORMS = {"cose": write_cose, "jws": write_jws}
REPORT = {"report": {"metrics": {"kwh": 10}, "note": "a.b", "list": [1, [2, {"sub": "no"}]]}}


def sealed(form: str, key: DeviceSigner, sub: str = "EVSE-1") -> bytes:
    pem = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return FORMS[form](SealClaims(sub, sub, 11, 1_700_000_000), REPORT, pem)


def is_genuine(record: bytes, key: DeviceSigner) -> bool:
    x, y = (int.from_bytes(number, "big") for number in (key.x, key.y))
    curve = Curve.SECP256K1 if key.curve else Curve.SECP256R1
    return genuine(open_envelope(record).signed, DeviceKey(curve, x, y))


@pytest.mark.parametrize("form", FORMS)
def test_signature__of_another_key__refunds_and_bars(contracts, form):
    """Attack: a hostile quorum attests a sealed record that the device never signed."""
    claim = ChallengedClaim(contracts, [sealed(form, FORGER)])
    assert_won(contracts, claim, claim.case(ChallengeFault.SIGNATURE))


@pytest.mark.parametrize("form", FORMS)
def test_signature__of_the_device__loses(contracts, form):
    record = sealed(form, contracts.key)
    assert is_genuine(record, contracts.key)
    claim = ChallengedClaim(contracts, [record])
    assert_lost(contracts, claim, claim.case(ChallengeFault.SIGNATURE), "SignatureValid")


@pytest.mark.parametrize("form", FORMS)
def test_signature__of_the_other_curve__is_checked_as_well(contracts, form):
    key, device = DeviceSigner.k1(4712), bytes(merkle.keccak(b"K1"))
    contracts.enrol(device, key)
    contracts.wait(30 * DAY)
    contracts.reset()
    agreement = contracts.open(contracts.mandate(device=device))
    contracts.mint(20 * EURO, agreement)
    record = sealed(form, key, "K1")
    assert is_genuine(record, key)
    claim = ChallengedClaim(contracts, [record], agreement=agreement)
    assert judged(contracts, claim.case(ChallengeFault.SIGNATURE)) == "SignatureValid"


def changed(form: str, record: bytes) -> bytes:
    """Return the record with another counter under the same signature."""
    if form == "jws":
        head, body, signature = record.split(b".")
        text = base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4))
        text = text.replace(b'"counter":11', b'"counter":12')
        return b".".join([head, base64.urlsafe_b64encode(text).rstrip(b"="), signature])
    message = cbor2.loads(record)
    protected, unprotected, payload, signature = message.value
    claims = cbor2.dumps(cbor2.loads(payload) | {-70_001: 12})
    return cbor2.dumps(cbor2.CBORTag(18, [protected, unprotected, claims, signature]))


@pytest.mark.parametrize("form", FORMS)
def test_signature__over_other_claims__refunds(contracts, form):
    """Attack: the quorum changes a claim in a record that the device did sign."""
    record = changed(form, sealed(form, contracts.key))
    assert not is_genuine(record, contracts.key)
    claim = ChallengedClaim(contracts, [record])
    assert judged(contracts, claim.case(ChallengeFault.SIGNATURE)) == "Proven"


def test_signature__of_a_cose_record_in_each_tag__loses(contracts):
    record = sealed("cose", contracts.key)
    message = cbor2.loads(record)
    with_kid = [message.value[0], {4: b"key"}, *message.value[2:]]
    forms = [
        record[1:],
        cbor2.dumps(cbor2.CBORTag(61, message)),
        cbor2.dumps(cbor2.CBORTag(18, with_kid)),
    ]
    claim = ChallengedClaim(contracts, forms, last_counter=13)
    for index, form in enumerate(forms):
        assert is_genuine(form, contracts.key)
        assert judged(contracts, claim.case(ChallengeFault.SIGNATURE, index)) == "SignatureValid"


@pytest.mark.parametrize("form", FORMS)
def test_record__of_another_device__loses(contracts, form):
    """Attack: a cited record of another device, whose key is another one."""
    claim = ChallengedClaim(contracts, [sealed(form, FORGER, "OTHER")])
    assert judged(contracts, claim.case(ChallengeFault.SIGNATURE)) == "OtherMeter"
    case = claim.case(ChallengeFault.SIGNATURE)
    proof = (*case[1][:4], sealed(form, FORGER), [])
    assert judged(contracts, (case[0], proof, *case[2:])) == "NotInEvidence"


def test_record__of_a_device_with_a_gateway__needs_a_ruling(contracts):
    """Attack: the gateway signed, and the record is called forged."""
    claim = ChallengedClaim(contracts, [sealed("cose", FORGER)])
    contracts.enrol(b"\7" * 32, DeviceSigner.p256(77))
    contracts.registry.assign(
        bytes(merkle.keccak(b"EVSE-1")),
        contracts.owner,
        b"\7" * 32,
        0,
        0,
        b"",
        sender=contracts.owner,
    )
    assert judged(contracts, claim.case(ChallengeFault.SIGNATURE)) == "NeedsRuling"


UNREADABLE = {
    "an unknown algorithm": lambda: b".".join(
        [base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"="), b"eyJ9", b""]
    ),
    "four parts": lambda: b"eyJhIjoxfQ.eyJhIjoxfQ.AA.AA",
    "no subject": lambda: cbor2.dumps(
        cbor2.CBORTag(18, [cbor2.dumps({1: -7}), {}, cbor2.dumps({1: "EVSE-1"}), bytes(64)])
    ),
    "a short signature": lambda: cbor2.dumps(
        cbor2.CBORTag(18, [cbor2.dumps({1: -7}), {}, cbor2.dumps({2: "EVSE-1"}), bytes(63)])
    ),
    "a list without end": lambda: b"\xd2\x84\x43\xa1\x01\x26\x9f",
    "cut off": lambda: b"\xd2\x84\x43\xa1",
    "claims of a length beyond the record": lambda: (
        b"\xd2\x84\x43\xa1\x01\x26\xa0\x5b" + b"\xff" * 8
    ),
}


@pytest.mark.parametrize("form", UNREADABLE)
def test_record__that_is_no_sealed_record__reverts(contracts, form):
    claim = ChallengedClaim(contracts, [UNREADABLE[form]()])
    assert judged(contracts, claim.case(ChallengeFault.SIGNATURE)) == "RecordUnreadable"


def test_other_faults__of_a_sealed_record__are_not_read(contracts):
    records = [sealed("cose", contracts.key), session(contracts)]
    claim = ChallengedClaim(contracts, records, last_counter=12)
    assert judged(contracts, claim.case(ChallengeFault.KEY)) == "RecordUnreadable"
    assert judged(contracts, claim.register(b'"RV":110')) == "RecordUnreadable"
