"""Envelopes of devices and gateways: what they say, who may send them, and each broken field."""

from __future__ import annotations

import base64
import json
from typing import Any

import cbor2
import pytest
from cwt import COSE, COSEKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey

from device_adapters.keys import PublicKey, genuine, load_public_key
from device_adapters.protocols.sealed import decode, examples, split
from device_adapters.protocols.sealed.envelope import LABELS
from device_adapters.protocols.senml.examples import METER
from device_adapters.registry import read
from device_adapters.types import (
    MAX_RECORD_BYTES,
    Curve,
    Event,
    Message,
    Reason,
    Rejected,
    canonical_name,
)
from tests.support.signing_gateway import FORMS, NOW, SigningGateway
from tests.support.signing_scanner import document, event

METER_NAME = "urn:dev:mac:0024befffe804ff1"
GATEWAY = SigningGateway()
OTHER = SigningGateway("GW-8", Curve.SECP256K1)


def _pem(key: PublicKey) -> bytes:
    body = base64.encodebytes(key.der)
    return b"-----BEGIN PUBLIC KEY-----\n" + body + b"-----END PUBLIC KEY-----\n"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("signer", [GATEWAY, OTHER], ids=["P-256", "secp256k1"])
def test_decode__sealed_by_a_gateway__is_about_the_meter_and_genuine(
    form: str, signer: SigningGateway
) -> None:
    sealed = decode(signer.seal(METER_NAME, 7, METER, form=form))
    assert (sealed.device, sealed.gateway, sealed.counter) == (METER_NAME, signer.name, 7)
    assert (sealed.kind, sealed.protocol) == ("meter.reading", "sealed")
    assert [r["register"] for r in sealed.facts["readings"]] == [1_234_567_000, 3_000_000]
    assert [r["obis"] for r in sealed.facts["readings"]] == [
        "01-00:01.08.00*FF",
        "01-00:02.08.00*FF",
    ]
    assert {r["clock"] for r in sealed.facts["readings"]} == {"S"}
    assert [r["register"] for r in sealed.facts["others"]] == ["temperature"]
    assert genuine(sealed.signed, signer.key)
    assert not genuine(sealed.signed, SigningGateway(curve=signer.curve).key)


def test_decode__sealed_by_the_device_itself__has_no_gateway() -> None:
    device = SigningGateway("D1")
    sealed = decode(device.seal("D1", 1, b'[{"n":"1-0:1.8.0","u":"J","v":7201}]'))
    assert (sealed.device, sealed.gateway) == ("D1", "")
    (reading,) = sealed.facts["readings"]
    assert reading["register"] == 2_000  # 7,201 J are 2,000.28 mWh: never more than was measured
    assert (reading["clock"], reading["at"]) == ("U", NOW * 1000)


@pytest.mark.parametrize("form", FORMS)
def test_decode__epcis_content__gives_the_events_and_the_subject(form: str) -> None:
    content = json.dumps(document(event())).encode()
    sealed = decode(GATEWAY.seal("SCANNER-2", 3, content, "epcis", form))
    assert (sealed.kind, sealed.protocol, sealed.gateway) == ("epcis", "sealed", "GW-7")
    assert sealed.subject.startswith("sscc:")
    assert sealed.facts["events"][0]["step"] == "receiving"
    assert genuine(sealed.signed, GATEWAY.key)


def test_decode__two_meters_in_one_content__counts_only_the_one_it_is_about() -> None:
    content = (
        b'[{"bn":"M-1:","n":"1-0:1.8.0","u":"kWh","v":5},'
        b'{"bn":"M-2:","n":"1-0:1.8.0","u":"kWh","v":9}]'
    )
    sealed = decode(GATEWAY.seal("M-1", 1, content))
    assert [r["register"] for r in sealed.facts["readings"]] == [5_000_000]
    assert sealed.facts["other_meters"] == ["M-2"]


def test_cwt__our_envelope__verifies_with_the_library_alone() -> None:
    record = GATEWAY.seal(METER_NAME, 7, METER)
    key = COSEKey.from_pem(_pem(GATEWAY.key), alg="ES256")
    claims = cbor2.loads(COSE.new().decode(record, key))
    assert claims[LABELS["content"]] == METER
    assert (claims[1], claims[2], claims[LABELS["counter"]]) == ("GW-7", METER_NAME, 7)


def test_joserfc__our_envelope__verifies_with_the_library_alone() -> None:
    record = OTHER.seal(METER_NAME, 7, METER, form="JWS")
    key = ECKey.import_key(_pem(OTHER.key))
    claims = json.loads(jws.deserialize_compact(record, key, algorithms=["ES256K"]).payload)
    assert claims["sub"] == METER_NAME


_NAMES = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20)
_METRICS = st.dictionaries(_NAMES, st.integers(-(2**63) + 1, 2**63 - 1), min_size=1, max_size=6)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    names=st.tuples(_NAMES, _NAMES),
    counter=st.integers(0, 2**40 - 1),
    at=st.integers(1, 2**37),
    metrics=_METRICS,
    commitment=st.none() | st.binary(min_size=32, max_size=32),
    form=st.sampled_from(list(FORMS)),
)
def test_round_trip__any_report__is_read_as_it_was_written(
    names: tuple[str, str],
    counter: int,
    at: int,
    metrics: dict[str, int],
    commitment: bytes | None,
    form: str,
) -> None:
    issuer, sub = map(canonical_name, names)
    report: dict[str, Any] = {
        "device": sub,
        "ordinal": counter,
        "from": at,
        "to": at + 1,
        "metrics": metrics,
        "coverage": 9_800,
        "sources": 2,
    }
    if commitment is not None:
        report["commitment"] = commitment
    signer = SigningGateway(issuer)
    sealed = decode(signer.seal(sub, counter, {"report": report}, form=form, at=at))
    assert (sealed.device, sealed.counter) == (sub, counter)
    assert sealed.gateway == (issuer if issuer != sub else "")
    expected = report | {"commitment": (commitment or b"").hex(), "subject": "", "consent": ""}
    assert (sealed.kind, sealed.facts) == ("report", expected)
    assert genuine(sealed.signed, signer.key)


def test_examples__the_first_two__are_genuine() -> None:
    key = load_public_key(examples.PUBLIC_KEY)
    for record in (examples.BY_GATEWAY, examples.REPORT):
        assert genuine(decode(record).signed, key)


@pytest.mark.parametrize("form", FORMS)
def test_split__several_records__are_returned_as_they_were(form: str) -> None:
    records = [GATEWAY.seal("M-1", n, b'[{"n":"a","v":1}]', form=form) for n in range(3)]
    assert split((b"" if form == "COSE" else b"\n").join(records)) == records


def test_split__a_broken_record_in_a_sequence__does_not_hide_the_good_ones_before_it() -> None:
    good = GATEWAY.seal("M-1", 1, METER.replace(b"urn:dev:mac:0024befffe804ff1", b"M-1"))
    answers = read(Message("sealed", "GW-7", good + good[:-5]))
    assert [type(answer) for answer in answers] == [Event, Rejected]
    assert answers[1].reason is Reason.TRUNCATED


@pytest.mark.parametrize(
    ("topic", "scope", "taken"),
    [
        ("GW-7", "", True),
        ("M-1", "", True),
        ("GW-8", "", False),
        ("M-2", "", False),
        ("", "GW-", True),
        ("", "M-", True),
        ("", "acme-", False),
    ],
)
def test_read__topic_and_scope__are_those_of_the_device_or_its_gateway(
    topic: str, scope: str, taken: bool
) -> None:
    record = GATEWAY.seal("M-1", 1, b'[{"n":"1-0:1.8.0","u":"Wh","v":1}]')
    (answer,) = read(Message("sealed", topic, record, scope=scope))
    assert isinstance(answer, Event) is taken
    assert taken or answer.reason is Reason.DEVICE_NOT_OF_TOPIC


def test_read__a_device_without_gateway__is_not_spoken_for_by_an_empty_name() -> None:
    record = SigningGateway("D1").seal("D1", 1, b'[{"n":"1-0:1.8.0","u":"Wh","v":1}]')
    (answer,) = read(Message("sealed", "", record, scope="D2"))
    assert answer.reason is Reason.DEVICE_NOT_OF_TOPIC


def test_read__a_record_above_the_limit__is_too_large() -> None:
    content = b'[{"n":"a","v":1}' + b" " * MAX_RECORD_BYTES + b"]"
    (answer,) = read(Message("sealed", "GW-7", GATEWAY.seal("M-1", 1, content)))
    assert answer.reason is Reason.TOO_LARGE


def test_decode__any_signed_byte_changed__is_never_genuine() -> None:
    record = GATEWAY.seal("M-1", 1, b'[{"n":"1-0:1.8.0","u":"Wh","v":1}]')
    for position in range(len(record) - 64):
        tampered = bytearray(record)
        tampered[position] ^= 1
        try:
            event_ = decode(bytes(tampered))
        except Rejected:
            continue
        assert not genuine(event_.signed, GATEWAY.key), position
