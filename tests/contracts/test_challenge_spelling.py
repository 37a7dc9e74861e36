"""Records that no honest oracle attests, and rare ones that it does: how challenges read each.

challenge
├── given a text that ends too early, or a value of another form
│   └── it should revert by name
├── given a record that another spelling makes readable
│   └── it should be read as oracles read it
├── given a signature of another form than any key makes
│   └── it should be none
└── given several records, a gateway, or no record at all
    └── it should point at what differs
"""

from __future__ import annotations

import base64
import hashlib

import cbor2
import pytest

from oracles import merkle
from orchestrator.core.assignment import GatewayAssignment
from services.testnet import CHAIN_ID
from tests.support.contracts.challenged import (
    FORGER,
    NO_PROOF,
    ChallengedClaim,
    ChallengeFault,
    assert_lost,
    assert_won,
    judged,
    payload,
    reading,
    session,
    signed,
    times,
)
from tests.support.contracts.contract_rail import DAY, DEVICE, HOUR
from tests.support.contracts.device_keys import DeviceSigner

SIGNATURE, COUNTER = ChallengeFault.SIGNATURE, ChallengeFault.COUNTER
GATEWAY, GATEWAY_KEY = b"\7" * 32, DeviceSigner.p256(77)


def judged_each(contracts, records, fault=SIGNATURE):
    """Return what a challenge of each record of one claim would end in, by the record's name."""
    claim = ChallengedClaim(contracts, list(records.values()))
    other = NO_PROOF if fault == SIGNATURE else claim.proof(claim.records[0])
    return {
        name: judged(contracts, claim.case(fault, index, other=other))
        for index, name in enumerate(records)
    }


def ending(contracts, **changes):
    """Return a signed record whose last reading is changed."""
    begin, end = times(contracts)
    content = payload(11, reading(100, begin, "B"), reading(110, end, "E", **changes))
    return signed(content, contracts.key)


def test_texts__that_end_or_go_on_as_no_json_does__are_unreadable(contracts):
    records = {
        "a string without end": b'OCMF|{"MS":"EVSE-1',
        "no value": b'OCMF|{"XX":',
        "a bracket for a value": b'OCMF|{"XX":}|{}',
        "a comma for a value": b'OCMF|{"XX":,"MS":"EVSE-1"}|{}',
        "nothing at all": b"OCMF|{}|{}",
    }
    assert set(judged_each(contracts, records).values()) == {"RecordUnreadable"}


def test_readings__of_another_form__are_unreadable(contracts):
    begin, _ = times(contracts)
    record = session(contracts)
    records = {
        "more than 32": signed(payload(11, *[reading(1, begin)] * 33), contracts.key),
        "a value twice": record.replace(b'"RV":110', b'"RV":110,"RV":111'),
        "no meter and no gateway": record.replace(b'"MS"', b'"mS"'),
        "a short time": ending(contracts, TM="2026-03-01"),
        "a month that is none": ending(contracts, TM="2026-13-01T08:00:00,000+0000 S"),
        "a register without B": ending(contracts, RI="1-0.1.8.0"),
        "a register without D": ending(contracts, RI="1-0:1"),
        "a register with another sign": ending(contracts, RI="1-0:1.8.0/FF"),
        "a register without digits": ending(contracts, RI="1-0:.8.0"),
        "a register with a space": ending(contracts, RI="1-0 1.8.0"),
        "a signature that is neither hex nor base64": record.replace(b'"SD": "', b'"SD": "!!'),
    }
    assert set(judged_each(contracts, records).values()) == {"RecordUnreadable"}


def test_counters__of_another_form__are_unreadable(contracts):
    record = session(contracts)
    pages = {"without a number": b"T", "of another stream": b"X11", "too large": b"T" + b"9" * 13}
    records = {name: record.replace(b'"T11"', b'"' + page + b'"') for name, page in pages.items()}
    answers = judged_each(contracts, {"sound": record} | records, COUNTER)
    assert answers.pop("sound") == "CounterUsedOnce"
    assert set(answers.values()) == {"RecordUnreadable"}


def test_records__that_are_spelled_seldom__are_read_as_oracles_read_them(contracts):
    begin, end = times(contracts)
    named = payload(11, reading(100, begin, "B"), reading(110, end, "E"), GS="EVSE-1")
    records = {
        "the gateway's number": signed(named.replace('"MS":"EVSE-1",', ""), contracts.key),
        "a register's F of 200": ending(contracts, RI="1-0:1.8.0*200"),
        "no time of its own": ending(contracts, TM=None),
    }
    assert set(judged_each(contracts, records).values()) == {"SignatureValid"}


def test_signatures__that_no_key_of_the_device_makes__are_none(contracts):
    begin, end = times(contracts)
    content = payload(11, reading(100, begin, "B"), reading(110, end, "E"))
    seals = {
        "missing": {"SD": None},
        "of the other curve": {"SA": "ECDSA-secp256k1-SHA256"},
        "no integer": {"SD": "3003030101"},
        "an integer of 33 bytes": {"SD": "30230221" + "ff" * 33},
    }
    records = {name: signed(content, contracts.key, **seal) for name, seal in seals.items()}
    assert set(judged_each(contracts, records).values()) == {"Proven"}


@pytest.mark.parametrize(
    ("changes", "first", "answer"),
    [
        ({"RU": "MWh"}, {}, "RecordUnreadable"),
        ({"RU": "Wh"}, {}, "Proven"),  # a thousandth of what the claim ends with
        ({}, {"RI": None}, "RecordUnreadable"),
    ],
    ids=["a unit of no meter", "another unit", "no register"],
)
def test_register__of_readings_in_another_form__is_compared_or_not(
    contracts, changes, first, answer
):
    begin, end = times(contracts)
    content = payload(11, reading(100, begin, "B", **first), reading(110, end, "E", **changes))
    claim = ChallengedClaim(contracts, [signed(content, contracts.key)])
    assert judged(contracts, claim.register(b'"RV":110')) == answer


def test_register__that_a_claim_begins_with__agrees(contracts):
    claim = ChallengedClaim(contracts)
    case = claim.register(b'"RV":100', at_end=False)
    assert_lost(contracts, claim, case, "RegisterAgrees")


def test_register__of_a_claim_that_rests_on_a_record_of_another_meter__is_not_its_own(contracts):
    begin, end = times(contracts)
    foreign = payload(11, reading(100, begin, "B"), MS="OTHER")
    last = payload(12, reading(107, end, "E"))
    records = [signed(content, contracts.key) for content in (foreign, last)]
    claim = ChallengedClaim(contracts, records, last_counter=12)
    assert_lost(contracts, claim, claim.register(b'"RV":107'), "OtherMeter")


def test_register__without_any_record__is_not_in_evidence(contracts):
    claim = ChallengedClaim(contracts)
    case = (ChallengeFault.REGISTER, claim.proof(), NO_PROOF, [], 0, False)
    assert_lost(contracts, claim, case, "NotInEvidence")


def test_counter__the_other_record_is_in_no_evidence__loses(contracts):
    claim = ChallengedClaim(contracts)
    other = claim.proof(session(contracts, TT="never attested"), path=[])
    assert_lost(contracts, claim, claim.case(COUNTER, other=other), "NotInEvidence")


# --- gateways


def behind_gateway(contracts):
    """Assign a gateway to the device, for long enough that every oracle knows it."""
    contracts.enrol(GATEWAY, GATEWAY_KEY)
    call = DEVICE, contracts.owner, GATEWAY, 0, 0, b""
    contracts.registry.assign(*call, sender=contracts.owner)
    contracts.wait(40 * DAY)
    contracts.reset()


def test_signature__neither_the_device_s_nor_its_gateway_s__is_proved(contracts):
    """Attack: a hostile quorum attests a record that neither of the two signed."""
    behind_gateway(contracts)
    claim = ChallengedClaim(contracts, [session(contracts, key=FORGER)])
    assert_won(contracts, claim, claim.case(SIGNATURE))


def test_signature__of_a_meter_without_a_key__is_its_gateway_s_or_none(contracts):
    """Attack: the quorum attests a record of such a meter that its gateway did not sign."""
    meter = bytes(merkle.keccak(b"BARE"))
    contracts.enrol(GATEWAY, GATEWAY_KEY)
    asked = GatewayAssignment(meter, GATEWAY, 0, 0, 0)
    document = asked.typed_data(CHAIN_ID, contracts.registry.address)
    signature = contracts.sign_document(document, contracts.owner)
    call = meter, contracts.owner, GATEWAY, 0, 0, signature
    contracts.registry.assign(*call, sender=contracts.registrar)
    contracts.wait(40 * DAY)
    contracts.reset()
    agreement = contracts.agreements(1, device=meter)[0]
    records = [session(contracts, key=key, MS="BARE") for key in (FORGER, GATEWAY_KEY)]
    claim = ChallengedClaim(contracts, records, agreement=agreement, last_counter=12)
    answers = [judged(contracts, claim.case(SIGNATURE, index)) for index in (0, 1)]
    assert answers == ["Proven", "SignatureValid"]


def test_signature__the_device_s_own_behind_a_gateway__loses(contracts):
    behind_gateway(contracts)
    claim = ChallengedClaim(contracts)
    assert_lost(contracts, claim, claim.case(SIGNATURE), "SignatureValid")


def test_key__of_a_revoked_device_with_a_gateway__bars_nobody(contracts):
    """Oracles may have seen it through the gateway, so none is to blame."""
    behind_gateway(contracts)
    ahead = contracts.now + 26 * HOUR
    content = payload(11, reading(100, ahead - 60, "B"), reading(110, ahead, "E"))
    claim = ChallengedClaim(contracts, [signed(content, contracts.key)])
    case = claim.case(ChallengeFault.KEY)
    assert judged(contracts, case) == "KeyMaySign"
    contracts.registry.revoke(DEVICE, sender=contracts.owner)
    assert_won(contracts, claim, case, barred=0)


# --- sealed records


def jws(header, body=b'{"sub":"EVSE-1"}', signature=bytes(64)):
    """Return a JWS of these parts."""
    parts = (base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, body, signature))
    return b".".join(parts)


def cose(protected, unprotected, claims, key=None):
    """Return a COSE_Sign1, signed if there is a key."""
    signature = bytes(64)
    if key is not None:
        signed_text = cbor2.dumps(["Signature1", protected, b"", claims])
        signature = b"".join(key.sign(hashlib.sha256(signed_text).digest()))
    return cbor2.dumps(cbor2.CBORTag(18, [protected, unprotected, claims, signature]))


def test_sealed_records__of_another_form__are_unreadable(contracts):
    es256, claims = cbor2.dumps({1: -7}), cbor2.dumps({2: "EVSE-1"})
    records = {
        "a header that goes on": jws(b'{"alg":"ES256"x}'),
        "no algorithm": jws(b'{"typ":"x"}'),
        "a short signature": jws(b'{"alg":"ES256"}', signature=bytes(63)),
        "no base64": b"eyJ!.eyJ9.AA",
        "another algorithm": cose(cbor2.dumps({1: -8}), {}, claims),
        "a number for a subject": cose(es256, {}, cbor2.dumps({2: 7})),
        "a length that is cut off": b"\x84\x59\x01",
        "a header in no bytes": cose({1: -7}, {}, claims),
        "a header that is no map": cose(cbor2.dumps(1), {}, claims),
    }
    assert set(judged_each(contracts, records).values()) == {"RecordUnreadable"}


def test_sealed_records__with_lists_and_tags_that_nobody_signed__are_read(contracts):
    es256, claims = cbor2.dumps({1: -7}), cbor2.dumps({2: "EVSE-1"})
    records = {
        "a list": cose(es256, {33: [b"a", [1, 2]]}, claims, contracts.key),
        "a tag": cose(es256, {33: cbor2.CBORTag(1, 5)}, claims, contracts.key),
    }
    assert set(judged_each(contracts, records).values()) == {"SignatureValid"}
