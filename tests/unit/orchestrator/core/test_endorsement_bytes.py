"""Endorsements as bytes: what is no chain is refused, and no flipped byte slips through."""

from __future__ import annotations

from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from device_adapters.types import Rejected
from orchestrator.core.endorsement import MAX_CHAIN_BYTES, EndorsementReason, check
from tests.support.endorsing import NOW, name, pem, root

F = EndorsementReason
ROOT = root()
MAKER = ROOT.issue(name("Maker"), ca=True, path_length=0)
DEVICE = MAKER.issue(name("cp-1"))
SOUND = check(pem(DEVICE, MAKER), [ROOT.certificate], "cp-1", DEVICE.device_key, NOW)


@pytest.mark.parametrize(
    ("chain", "wanted"),
    [
        (b"", F.MALFORMED),
        (b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", F.MALFORMED),
        (b"\xff" * 40, F.MALFORMED),
        (b" " * (MAX_CHAIN_BYTES + 1), F.TOO_LONG),
        (pem(*[ROOT] * 9), F.TOO_LONG),
    ],
    ids=["nothing", "no base64", "no text", "64 KiB", "nine"],
)
def test_read__no_chain__is_refused(chain, wanted):
    with pytest.raises(Rejected) as refused:
        check(chain, [ROOT.certificate], "cp-1", DEVICE.device_key, NOW)
    assert refused.value.reason is wanted


def test_read__unsigned_count_of_unused_bits__cannot_make_another_certificate_of_the_same():
    """Only where the signature's last bit is zero does DER let one bit count as unused."""
    issued = (MAKER.issue(name("cp-1")) for _ in range(100))
    leaf = next(identity for identity in issued if identity.certificate.signature[-1] % 2 == 0)
    der, size = leaf.certificate.public_bytes(Encoding.DER), len(leaf.certificate.signature)
    other = der[: -size - 1] + b"\x01" + der[-size:]
    chain = armoured(other) + pem(MAKER)
    with pytest.raises(Rejected, match="whole number of bytes"):
        check(chain, [ROOT.certificate], "cp-1", leaf.device_key, NOW)
    chain = armoured(der) + pem(MAKER)
    assert check(chain, [ROOT.certificate], "cp-1", leaf.device_key, NOW)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, len(pem(DEVICE, MAKER, ROOT)) - 1), st.integers(1, 255))
def test_check__any_byte_flipped__is_refused_or_the_same(position, flip):
    chain = bytearray(pem(DEVICE, MAKER, ROOT))
    chain[position] ^= flip
    same_or_refused(bytes(chain))


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 1), st.data(), st.integers(1, 255))
def test_check__any_byte_of_a_certificate_flipped__is_refused_or_the_same(which, data, flip):
    chain = [identity.certificate.public_bytes(Encoding.DER) for identity in (DEVICE, MAKER)]
    spoiled = bytearray(chain[which])
    spoiled[data.draw(st.integers(0, len(spoiled) - 1))] ^= flip
    chain[which] = bytes(spoiled)
    same_or_refused(b"".join(armoured(der) for der in chain))


def armoured(der: bytes) -> bytes:
    text = b64encode(der)
    return b"-----BEGIN CERTIFICATE-----\n" + text + b"\n-----END CERTIFICATE-----\n"


def same_or_refused(chain: bytes) -> None:
    try:
        endorsement = check(chain, [ROOT.certificate], "cp-1", DEVICE.device_key, NOW)
    except Rejected as refused:
        assert refused.reason in set(EndorsementReason)
    else:
        assert endorsement == SOUND
