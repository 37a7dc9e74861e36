"""Energy attestation tokens: signed by other code, read here, and checked as a chain."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cwt import COSE, COSEKey

from device_adapters.evidence import Report, check_file
from device_adapters.keys import PublicKey, genuine, read_der
from device_adapters.protocols.eat import decode, split
from device_adapters.protocols.sealed.examples import BY_GATEWAY
from device_adapters.registers import Direction
from device_adapters.registry import read
from device_adapters.types import Curve, Event, Message

SERIAL = bytes.fromhex("0123A1B2C3D4E5F6EE")
NAME = SERIAL.hex().upper()


class Element:
    """A secure element that signs tokens in one of the two forms."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        numbers = self._key.public_key().public_numbers()
        self.key = PublicKey(Curve.SECP256R1, numbers.x, numbers.y)

    def sign(self, form: str, claims: dict[int, Any]) -> bytes:
        if form == "COSE":
            pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            key = COSEKey.from_pem(pem, alg="ES256")
            return COSE.new(alg_auto_inclusion=True).encode_and_sign(cbor2.dumps(claims), key)
        content = cbor2.dumps(claims, canonical=True)
        r, s = read_der(self._key.sign(content, ec.ECDSA(hashes.SHA256())))
        raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return cbor2.dumps(claims | {9: raw}, canonical=True)

    def chain(self, form: str, length: int, **first: Any) -> list[bytes]:
        tokens: list[bytes] = []
        for number in range(1, length + 1):
            previous = sha256(tokens[-1]).digest() if tokens else None
            claims = {1: SERIAL, 2: 1_772_348_460 + number, 3: 250, 4: number, 5: previous}
            tokens.append(self.sign(form, claims | {-70_005: 250 * number}))
        return tokens


ELEMENT = Element()
KEY = ELEMENT.key.der.hex()
FORMS = ("COSE", "plain")


def codes(report: Report, kind: str = "billable") -> list[list[str]]:
    records = report.as_json()["records"]
    return [[reason["code"] for reason in record[f"{kind}_reasons"]] for record in records]


@pytest.mark.parametrize("form", FORMS)
def test_decode__token_of_a_secure_element__is_genuine_and_a_reading_of_generation(
    form: str,
) -> None:
    token = ELEMENT.chain(form, 2)[1]
    event = decode(token)
    assert (event.device, event.counter, event.kind) == (NAME, (1 << 39) + 2, "meter.reading")
    assert event.facts["delta"] == 250_000
    (reading,) = event.facts["readings"]
    assert (reading["register"], reading["obis"]) == (500_000, "01-00:02.08.00*FF")
    assert genuine(event.signed, ELEMENT.key)
    assert not genuine(event.signed, Element().key)


@pytest.mark.parametrize("form", FORMS)
def test_read__a_sequence_of_tokens__gives_their_events_in_order(form: str) -> None:
    tokens = ELEMENT.chain(form, 3)
    assert split(b"".join(tokens)) == tokens
    events = read(Message("eat", NAME, b"".join(tokens)))
    assert [type(event) for event in events] == [Event] * 3
    assert [event.facts["sequence"] for event in events] == [1, 2, 3]
    assert events[1].facts["previous"] == sha256(tokens[0]).hexdigest()


@pytest.mark.parametrize("form", FORMS)
def test_check__whole_chain__is_genuine_and_billable_as_export(form: str) -> None:
    data = b"".join(ELEMENT.chain(form, 3))
    report = check_file(data, KEY, direction=Direction.EXPORT)
    assert (report.exit_code, report.protocol) == (0, "eat")
    assert codes(report) == [[], [], []]
    assert report.summary["settleable"] == 3
    assert codes(check_file(data, KEY)) == [["register_missing"]] * 3  # consumption is not in it


@pytest.mark.parametrize("form", FORMS)
def test_check__a_token_left_out_or_replaced__is_named(form: str) -> None:
    tokens, other = ELEMENT.chain(form, 3), ELEMENT.chain(form, 3)
    report = check_file(tokens[0] + tokens[2], KEY, direction=Direction.EXPORT)
    assert codes(report) == [[], []]
    warnings = report.as_json()["records"][1]["warnings"]
    assert [warning["code"] for warning in warnings] == ["chain_gap"]
    report = check_file(tokens[0] + other[1] + tokens[2], KEY, direction=Direction.EXPORT)
    assert report.exit_code == 0
    assert codes(report) == [[], ["chain_broken"], ["chain_broken"]]
    report = check_file(b"".join([*tokens, other[1]]), KEY, direction=Direction.EXPORT)
    assert codes(report) == [[], [], [], ["chain_forked"]]
    assert codes(check_file(b"".join([*tokens, tokens[1]]), KEY, direction=Direction.EXPORT)) == [
        [] for _ in range(4)
    ]


def test_check__token_without_register__shows_its_energy_and_is_not_billable() -> None:
    claims = {1: SERIAL, 2: 1_772_348_460, 3: 250, 4: 1, 5: None}
    report = check_file(ELEMENT.sign("COSE", claims), KEY, direction=Direction.EXPORT)
    (record,) = report.as_json()["records"]
    assert (record["kind"], record["delta"], record["genuine"]) == ("energy.delta", 250_000, True)
    assert codes(report) == [["register_missing"]]


@pytest.mark.parametrize("form", FORMS)
def test_check__another_key_or_a_changed_byte__is_never_genuine(form: str) -> None:
    token = ELEMENT.chain(form, 1)[0]
    assert codes(check_file(token, Element().key.der.hex()), "genuine") == [["signature_forged"]]
    for position in range(len(token) - 64):
        tampered = bytearray(token)
        tampered[position] ^= 1
        report = check_file(bytes(tampered), KEY, protocol="eat")
        assert report.exit_code in (1, 2), position


def test_recognise__a_sealed_record__is_not_taken_for_a_token() -> None:
    assert check_file(BY_GATEWAY).protocol == "sealed"
    assert check_file(ELEMENT.chain("COSE", 1)[0]).protocol == "eat"
