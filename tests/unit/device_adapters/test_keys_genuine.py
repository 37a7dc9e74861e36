"""A signature is genuine only for its own key, content and curve."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sha3
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from device_adapters.keys import ORDERS, PublicKey, genuine, is_high_s, normalise_low_s, read_der
from device_adapters.types import Curve, DeviceKey, Rejected, Signed
from tests.support.contracts.p256_vectors import P, point_with_x
from tests.support.signing_meter import SigningMeter


def _signed(meter: SigningMeter, content: str = "content", digest: str = "SHA256") -> Signed:
    der = meter.sign(content, digest)
    return Signed(content.encode(), der, meter.curve, digest.lower())


@pytest.mark.parametrize("digest", ["SHA256", "SHA512"])
@pytest.mark.parametrize("curve", list(Curve))
def test_genuine__own_signature_on_every_curve__is_genuine(curve: Curve, digest: str) -> None:
    meter = SigningMeter(curve)
    signed = _signed(meter, digest=digest)
    assert genuine(signed, meter.key)
    assert genuine(signed, meter.key.as_device_key())
    assert not genuine(signed, SigningMeter(curve).key)
    assert not genuine(replace(signed, content=b"Content"), meter.key)


@pytest.mark.parametrize("curve", list(Curve))
def test_genuine__high_s_twin__is_genuine_and_normalises_to_low_s(curve: Curve) -> None:
    meter = SigningMeter(curve)
    signed = _signed(meter)
    r, s = read_der(signed.signature_der)
    low = normalise_low_s(r, s, curve)
    high = (r, ORDERS[curve] - low[1])
    assert is_high_s(high[1], curve) and not is_high_s(low[1], curve)
    for twin in (low, high):
        assert genuine(replace(signed, signature_der=encode_dss_signature(*twin)), meter.key)
        assert normalise_low_s(*twin, curve) == low


@pytest.mark.parametrize("curve", [Curve.SECP256R1, Curve.SECP256K1, Curve.SECP192K1])
def test_genuine__any_bit_of_signature_or_content_flipped__is_not(curve: Curve) -> None:
    meter = SigningMeter(curve)
    signed = _signed(meter)
    for position in range(len(signed.signature_der)):
        der = bytearray(signed.signature_der)
        der[position] ^= 1 << position % 8
        assert not genuine(replace(signed, signature_der=bytes(der)), meter.key), position
    for position in range(len(signed.content)):
        content = bytearray(signed.content)
        content[position] ^= 1 << position % 8
        assert not genuine(replace(signed, content=bytes(content)), meter.key), position


def test_genuine__another_declared_curve_or_digest__is_not() -> None:
    meter = SigningMeter()
    signed = _signed(meter)
    assert not genuine(replace(signed, curve=Curve.SECP256K1), meter.key)
    assert not genuine(replace(signed, digest="sha512"), meter.key)
    assert not genuine(replace(signed, digest="md5"), meter.key)


def test_genuine__key_off_its_curve_or_degenerate_signature__is_false_not_an_error() -> None:
    signed = _signed(SigningMeter())
    for curve in Curve:
        assert not genuine(replace(signed, curve=curve), DeviceKey(curve, 1, 1))
    for r, s in ((0, 0), (0, 1), (1, 0), (ORDERS[Curve.SECP256R1],) * 2):
        forged = replace(signed, signature_der=encode_dss_signature(r, s))
        assert not genuine(forged, SigningMeter().key)
    assert not genuine(replace(signed, signature_der=b""), SigningMeter().key)


def test_genuine__over_a_keccak_digest__as_eip_712_signs() -> None:
    """The content is hashed with Keccak-256, and P-256 verified over that digest as it is."""
    key, content = ec.generate_private_key(ec.SECP256R1()), b"\x19\x01" + bytes(64)
    numbers = key.public_key().public_numbers()
    public = DeviceKey(Curve.SECP256R1, numbers.x, numbers.y)
    digest = sha3.keccak_256(content).digest()
    der = key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    signed = Signed(content, der, Curve.SECP256R1, "keccak256")
    assert genuine(signed, public)
    assert not genuine(replace(signed, content=content + b"x"), public)
    assert not genuine(replace(signed, digest="sha256"), public)
    assert not genuine(replace(signed, content=digest), public)
    assert not genuine(replace(signed, digest="keccak"), public)


def test_key__whose_x_is_written_as_x_plus_p__is_no_second_name_of_it() -> None:
    """The library takes both from plain numbers; the contracts take one, and so must we."""
    x, y = point_with_x(5)
    assert PublicKey(Curve.SECP256R1, x, y).der
    with pytest.raises(Rejected):
        _ = PublicKey(Curve.SECP256R1, x + P, y).der
