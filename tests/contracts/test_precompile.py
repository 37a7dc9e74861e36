"""The attack "missing precompile": a chain without EIP-7951 answers nothing, which looks like "no".

Every test runs on both hardforks (fixture `fork`); the answers are written down once, so they are
the same on both or a test is red.

registry
├── it should find out by a known answer whether the precompile is there
├── verify: every vector of p256_vectors.py has its verdict
└── enrol, rotate: good signatures and their high-s twins pass, broken ones fail by name
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from web3 import Web3

from orchestrator.edges.chain.keystore import development_account
from tests.support.contracts.device_keys import DeviceSigner, rotation, word
from tests.support.contracts.forks import HARDFORKS, PRECOMPILE
from tests.support.contracts.p256_vectors import N, vectors

OWNER = development_account(12).address
STRANGER = development_account(13).address


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


def test_known_answer__on_a_hardfork__shows_whether_the_precompile_is_there(fork):
    assert fork.hardfork in HARDFORKS
    assert fork.deployment.p256_precompile is fork.has_precompile
    assert fork.ask("DeviceRegistry", "hasPrecompile") is fork.has_precompile
    if not fork.has_precompile:  # the trap: what is missing answers as what is invalid
        empty = fork.chain.rpc("eth_call", {"to": PRECOMPILE, "data": "0x"}, "latest")
        assert empty == "0x"


def test_verify__every_vector__has_its_verdict(fork):
    rows = vectors()
    wrong = [
        vector.name
        for vector in rows
        if fork.ask("DeviceRegistry", "verify", 0, *vector.words()) is not vector.good
    ]
    assert wrong == []
    assert len({vector.name for vector in rows}) == len(rows) > 150
    assert sum(vector.good for vector in rows) > 50


def test_verify__secp256k1__does_not_depend_on_the_hardfork(fork):
    for index in range(6):
        key, digest = DeviceSigner.k1(500 + index), bytes(Web3.keccak(index))
        other = bytes(Web3.keccak(digest))
        for signature in (key.sign(digest, high=False), key.sign(digest, high=True)):
            assert fork.ask("DeviceRegistry", "verify", 1, key.x, key.y, digest, *signature)
            assert not fork.ask("DeviceRegistry", "verify", 1, key.x, key.y, other, *signature)
            assert not fork.ask("DeviceRegistry", "verify", 0, key.x, key.y, digest, *signature)


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.name)
def test_enrol__possession_proved_so__passes_or_fails_by_name(fork, forgery):
    arguments = fork.enrolment(word(901), DeviceSigner.p256(901), OWNER)
    arguments[-2:] = forgery.of(*arguments[-2:])
    refusal = fork.refusal("DeviceRegistry", "enrol", *arguments, sender=fork.plan.registrar)
    assert refusal == ("" if forgery.good else "PossessionUnproven")


@pytest.fixture(scope="module")
def device(fork):
    """An enrolled device's name and key."""
    key = DeviceSigner.p256(902)
    fork.enrol(word(902), key, OWNER)
    return word(902), key


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.name)
@pytest.mark.parametrize("which", ["RotationUnsigned", "PossessionUnproven"])
def test_rotate__signed_so__passes_or_fails_by_name(fork, device, forgery, which):
    name, old = device
    new = DeviceSigner.p256(903)
    digest = rotation(fork.at["DeviceRegistry"].address, name, new, 1)
    by_old, by_new = old.sign(digest), new.sign(digest)
    if which == "RotationUnsigned":
        by_old = forgery.of(*by_old)
    else:
        by_new = forgery.of(*by_new)
    refusal = fork.refusal(
        "DeviceRegistry",
        "rotate",
        name,
        new.curve,
        new.x,
        new.y,
        0,
        *by_old,
        *by_new,
        sender=STRANGER,
    )
    assert refusal == ("" if forgery.good else which)


def test_key_at__rotated_by_high_s_twins__is_the_new_key(fork):
    name, old, new = word(904), DeviceSigner.p256(904), DeviceSigner.p256(905)
    fork.enrol(name, old, OWNER)
    digest = rotation(fork.at["DeviceRegistry"].address, name, new, 1)
    fork.send(
        "DeviceRegistry",
        "rotate",
        name,
        new.curve,
        new.x,
        new.y,
        0,
        *old.sign(digest, high=True),
        *new.sign(digest, high=True),
        sender=STRANGER,
    )
    assert fork.ask("DeviceRegistry", "keyAt", name, fork.now) == [1, 0, new.x, new.y]
    again = fork.refusal(
        "DeviceRegistry",
        "rotate",
        name,
        new.curve,
        new.x,
        new.y,
        0,
        *old.sign(digest, high=False),
        *new.sign(digest),
        sender=STRANGER,
    )
    assert again == "RotationUnsigned"  # the twin of a used signature has no second effect
