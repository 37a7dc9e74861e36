"""Signatures whose s lies at the middle of the curve's order, where a low s becomes a high one.

The digest is chosen for s, as a sum over the private key and the nonce allows.

verify
└── given s at the middle, one above or next to an end: it should say what the curve's equation says
"""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.contracts.device_keys import K1, P256, DeviceSigner, word

SECRET, NONCE = 12_345, 67_890
CURVES = {P256: ec.SECP256R1(), K1: ec.SECP256K1()}


def signed_with(signer: DeviceSigner, s: int) -> tuple[bytes, bytes, bytes]:
    """Return a digest and its signature (r, s) with this s."""
    order = signer.order
    r = ec.derive_private_key(NONCE, CURVES[signer.curve]).public_key().public_numbers().x % order
    return word((s * NONCE - r * SECRET) % order), word(r), word(s)


@pytest.mark.parametrize("from_middle", [-1, 0, 1, 2])
@pytest.mark.parametrize("kind", ["p256", "k1"])
def test_verify__s_around_the_middle_of_the_order__is_a_signature(fork, kind, from_middle):
    signer = getattr(DeviceSigner, kind)(SECRET)
    digest, r, s = signed_with(signer, signer.order // 2 + from_middle)
    key = (signer.curve, signer.x, signer.y)
    assert fork.ask("DeviceRegistry", "verify", *key, digest, r, s)
    assert not fork.ask("DeviceRegistry", "verify", *key, word(7), r, s)


@pytest.mark.parametrize("from_order", [-2, -1, 0, 1])
@pytest.mark.parametrize("kind", ["p256", "k1"])
def test_verify__s_around_the_order__is_a_signature_below_it(fork, kind, from_order):
    """Beyond the order an s stands for the same number, and is refused all the same."""
    signer = getattr(DeviceSigner, kind)(SECRET)
    s = signer.order + from_order
    digest, r, _ = signed_with(signer, s % signer.order)
    key = (signer.curve, signer.x, signer.y)
    assert fork.ask("DeviceRegistry", "verify", *key, digest, r, word(s)) is (from_order < 0)
