"""Public keys are read in every printed form, and every bad one is rejected with a reason."""

from __future__ import annotations

import base64
import textwrap

import ecdsa.curves
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st
from pyocmf.crypto import fallback

from device_adapters.keys import ORDERS, PublicKey, load_public_key
from device_adapters.types import Curve, DeviceKey, Reason, Rejected
from tests.support.signing_meter import CURVES, SigningMeter


def _pem(der: bytes) -> str:
    body = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"


def _printed(key: PublicKey) -> dict[str, str | bytes]:
    ocpp = f"oca:base16:asn1:{key.der.hex()}".encode()
    return {
        "pem": _pem(key.der),
        "hex der": key.der.hex(),
        "hex der in groups": " ".join(textwrap.wrap(key.der.hex().upper(), 4)),
        "hex der with colons": ":".join(textwrap.wrap(key.der.hex(), 2)),
        "base64 der": base64.b64encode(key.der).decode(),
        "base64 der on lines": "\n".join(textwrap.wrap(base64.b64encode(key.der).decode(), 40)),
        "base64url der": base64.urlsafe_b64encode(key.der).rstrip(b"=").decode(),
        "hex point": key.point.hex(),
        "hex point with 0x": "0x" + key.point.hex(),
        "base64 point": base64.b64encode(key.point).decode(),
        "der": key.der,
        "point": key.point,
        "as sent over OCPP": base64.b64encode(ocpp).decode(),
    }


@pytest.mark.parametrize("curve", list(Curve))
def test_load_public_key__every_form_of_every_curve__gives_the_same_key(curve: Curve) -> None:
    key = SigningMeter(curve).key
    for form, text in _printed(key).items():
        assert load_public_key(text) == key, form


@pytest.mark.parametrize("curve", list(Curve))
def test_load_public_key__compressed_point_with_hint__gives_the_key(curve: Curve) -> None:
    key = SigningMeter(curve).key
    size = (len(key.point) - 1) // 2
    compressed = bytes([2 + key.y % 2]) + key.point[1 : 1 + size]
    assert load_public_key(compressed.hex(), curve) == key


def test_load_public_key__compressed_point_without_hint__is_taken_on_secp256r1() -> None:
    key = SigningMeter(Curve.SECP256R1).key
    compressed = bytes([2 + key.y % 2]) + key.point[1:33]
    assert load_public_key(compressed.hex()) == key


def test_load_public_key__point_of_another_curve_than_hinted__is_read_on_its_own() -> None:
    key = SigningMeter(Curve.SECP256K1).key
    assert load_public_key(key.point.hex(), Curve.SECP256R1) == key


def test_public_key__to_device_key_and_back__is_the_same() -> None:
    key = SigningMeter().key
    assert key.as_device_key() == DeviceKey(key.curve, key.x, key.y)
    assert PublicKey.from_device_key(key.as_device_key()) == key


def _reason(text: str | bytes) -> Reason:
    with pytest.raises(Rejected) as caught:
        load_public_key(text)
    return caught.value.reason


def test_load_public_key__private_key__is_refused_and_not_echoed() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(Rejected) as caught:
        load_public_key(pem)
    assert caught.value.reason is Reason.KEY_NOT_PUBLIC
    assert pem.splitlines()[1].decode() not in str(caught.value)
    assert caught.value.raw == b""


def test_load_public_key__bad_keys__have_named_reasons() -> None:
    point = SigningMeter().key.point
    rsa_key = rsa.generate_private_key(65537, 2048).public_key()
    p224 = ec.generate_private_key(ec.SECP224R1()).public_key()
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert _reason("") is Reason.KEY_MALFORMED
    assert _reason("hello") is Reason.KEY_MALFORMED
    assert _reason(point[:-2].hex()) is Reason.KEY_MALFORMED
    assert _reason("00" * 5_000) is Reason.KEY_MALFORMED
    assert _reason(point[:-1] + bytes([point[-1] ^ 1])) is Reason.KEY_OFF_CURVE
    assert _reason(rsa_key.public_bytes(*spki)) is Reason.KEY_CURVE_UNKNOWN
    assert _reason(p224.public_bytes(*spki).hex()) is Reason.KEY_CURVE_UNKNOWN


def test_load_public_key__point_at_infinity_or_zero__is_not_a_key() -> None:
    for encoded in (b"\x00", b"\x04" + bytes(64), b"\x04" + b"\xff" * 64):
        assert _reason(encoded).startswith("key_")
        assert _reason(encoded.hex()).startswith("key_")


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_load_public_key__random_bytes_and_text__only_the_declared_error(junk: str | bytes) -> None:
    try:
        load_public_key(junk)
    except Rejected as refusal:
        assert refusal.reason.startswith("key_")


_GOOD = SigningMeter().key


@given(st.data())
def test_load_public_key__mutated_keys__only_the_declared_error(data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(sorted(_printed(_GOOD))))
    text = _printed(_GOOD)[form]
    mutated = bytearray(text.encode() if isinstance(text, str) else text)
    for _ in range(data.draw(st.integers(1, 3))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    try:
        load_public_key(bytes(mutated))
    except Rejected as refusal:
        assert refusal.reason.startswith("key_")


def test_orders__of_all_curves__are_those_of_another_library() -> None:
    curves = {
        Curve.SECP256R1: ecdsa.curves.NIST256p,
        Curve.SECP256K1: ecdsa.curves.SECP256k1,
        Curve.SECP192R1: ecdsa.curves.NIST192p,
        Curve.SECP192K1: fallback._secp192k1(),
        Curve.SECP384R1: ecdsa.curves.NIST384p,
        Curve.SECP521R1: ecdsa.curves.NIST521p,
        Curve.BRAINPOOLP256R1: ecdsa.curves.BRAINPOOLP256r1,
        Curve.BRAINPOOLP384R1: ecdsa.curves.BRAINPOOLP384r1,
    }
    assert {curve: int(other.order) for curve, other in curves.items()} == ORDERS
    assert set(CURVES) | {Curve.SECP192K1} == set(Curve)
