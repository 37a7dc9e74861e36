"""The attack "missing precompile": a chain without EIP-7951 answers nothing, which looks like "no".

Every test runs on both hardforks; the answers are written down once, so they are the same on both
or a test is red.

registry
├── it should find out by a known answer whether the precompile is there
├── verify: every vector of p256_vectors.py and k1_vectors.py has its verdict, the one of OpenSSL
└── enrol, rotate: good signatures and their high-s twins pass, broken ones fail by name
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from web3 import Web3

from services.testnet import Testnet
from tests.support.contracts import k1_vectors, p256_vectors
from tests.support.contracts.contract_rail import HOUR
from tests.support.contracts.device_keys import K1, P256, DeviceSigner, rotation, word
from tests.support.contracts.forks import HARDFORKS, PRECOMPILE
from tests.support.contracts.onchain import Node
from tests.support.contracts.p256_vectors import N, Vector
from tests.support.contracts.registry_alone import RegistryAlone


@dataclass(frozen=True)
class Forgery:
    """What becomes of a good (r, s): `change` of the numbers, and whether it still signs."""

    name: str
    change: object
    good: bool

    def of(self, r: bytes, s: bytes) -> tuple[bytes, bytes]:
        r2, s2 = self.change(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
        return word(r2 % 2**256), word(s2 % 2**256)


FORGERIES = [
    Forgery("as signed", lambda r, s: (r, s), True),
    Forgery("high-s twin", lambda r, s: (r, max(s, N - s)), True),
    Forgery("low-s twin", lambda r, s: (r, min(s, N - s)), True),
    Forgery("both zero", lambda r, s: (0, 0), False),
    Forgery("r zero", lambda r, s: (0, s), False),
    Forgery("s zero", lambda r, s: (r, 0), False),
    Forgery("r is n", lambda r, s: (N, s), False),
    Forgery("s is n", lambda r, s: (r, N), False),
    Forgery("s + n", lambda r, s: (r, s + N), False),
    Forgery("s + 1", lambda r, s: (r, s + 1), False),
    Forgery("swapped", lambda r, s: (s, r), False),
    Forgery("all ones", lambda r, s: (2**256 - 1, 2**256 - 1), False),
]


@pytest.fixture(scope="module", params=HARDFORKS)
def registry(request):
    """A registry on a chain with the P-256 precompile, then on one without."""
    with Testnet(hardfork=request.param) as chain:
        node = Node(chain.url)
        node.rpc("anvil_setBlockTimestampInterval", 1)
        yield RegistryAlone(node)


def test_known_answer__on_a_hardfork__shows_whether_the_precompile_is_there(fork):
    assert fork.hardfork in HARDFORKS
    assert fork.deployment.p256_precompile is fork.has_precompile
    assert fork.ask("DeviceRegistry", "hasPrecompile") is fork.has_precompile
    if not fork.has_precompile:  # the trap: what is missing answers as what is invalid
        empty = fork.chain.rpc("eth_call", {"to": PRECOMPILE, "data": "0x"}, "latest")
        assert empty == "0x"


CURVES = {
    P256: (p256_vectors.vectors, ec.SECP256R1()),
    K1: (k1_vectors.vectors, ec.SECP256K1()),
}


@pytest.mark.parametrize("curve", CURVES)
def test_verify__every_vector__has_its_verdict(registry, curve):
    verify, rows = registry.registry.verify, CURVES[curve][0]()
    wrong = [vector.name for vector in rows if verify(curve, *vector.words()) is not vector.good]
    assert wrong == []
    assert len({vector.name for vector in rows}) == len(rows) > 100
    assert sum(vector.good for vector in rows) > 10


@pytest.mark.parametrize("curve", CURVES)
def test_vectors__checked_by_openssl__have_the_verdict_of_the_contract(curve):
    """An independent judge: what the contract answers is not only what we believe."""
    rows, named = CURVES[curve][0](), CURVES[curve][1]
    assert [v.name for v in rows if _openssl_says(named, v) is not v.good] == []


def _openssl_says(curve: ec.EllipticCurve, vector: Vector) -> bool:
    x, y, digest, _, _ = vector.words()
    algorithm = ec.ECDSA(Prehashed(hashes.SHA256()))
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\x04" + x + y)
        key.verify(encode_dss_signature(vector.r, vector.s), digest, algorithm)
    except (ValueError, InvalidSignature):
        return False
    return True


def test_verify__curves_mixed_up__is_a_no_on_both(registry):
    for index in range(6):
        key, digest = DeviceSigner.k1(500 + index), bytes(Web3.keccak(index))
        verify, proof = registry.registry.verify, key.sign(digest)
        assert verify(K1, key.x, key.y, digest, *proof)
        assert not verify(P256, key.x, key.y, digest, *proof)


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.name)
def test_enrol__possession_proved_so__passes_or_fails_by_name(registry, forgery):
    arguments = registry.enrolment(word(901), DeviceSigner.p256(901))
    arguments[-2:] = forgery.of(*arguments[-2:])
    enrol, sender = registry.registry.enrol, registry.registrar
    refusal = registry.refusal(enrol, *arguments, sender=sender)
    assert refusal == ("" if forgery.good else "PossessionUnproven")


@pytest.fixture(scope="module")
def device(registry):
    """An enrolled device's name and key."""
    key = DeviceSigner.p256(902)
    registry.enrol(word(902), key)
    return word(902), key


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.name)
@pytest.mark.parametrize("which", ["RotationUnsigned", "PossessionUnproven"])
def test_rotate__signed_so__passes_or_fails_by_name(registry, device, forgery, which):
    name, old = device
    call = registry.rotation(DeviceSigner.p256(903), old, device=name)
    at = slice(5, 7) if which == "RotationUnsigned" else slice(7, 9)
    call[at] = forgery.of(*call[at])
    refusal = registry.refusal(registry.registry.rotate, *call, sender=registry.stranger)
    assert refusal == ("" if forgery.good else which)


def test_key_at__rotated_by_high_s_twins__is_the_new_key(registry):
    name, old, new = word(904), DeviceSigner.p256(904), DeviceSigner.p256(905)
    registry.enrol(name, old)
    digest = rotation(registry.registry.address, name, new, 1)
    call = [name, new.curve, new.x, new.y, 0]
    twins = [*old.sign(digest, high=True), *new.sign(digest, high=True)]
    registry.registry.rotate(*call, *twins, sender=registry.stranger)
    assert list(registry.registry.keyAt(name, registry.now)) == [1, 0, new.x, new.y]
    registry.wait(HOUR)
    other = [*old.sign(digest, high=False), *new.sign(digest)]
    again = registry.refusal(registry.registry.rotate, *call, *other, sender=registry.stranger)
    assert again == "RotationUnsigned"  # the twin of a used signature has no second effect
