"""Device keys as secure elements hold them: sign a SHA-256 digest, with high or low s."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from eth_abi import encode

CHAIN_ID = 31337
P256_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
K1_N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
P256, K1 = 0, 1


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


@dataclass(frozen=True)
class DeviceSigner:
    """A key pair on one of the two curves that a contract can check."""

    curve: int
    private: Any

    @classmethod
    def p256(cls, secret: int) -> DeviceSigner:
        return cls(P256, ec.derive_private_key(secret, ec.SECP256R1()))

    @classmethod
    def k1(cls, secret: int) -> DeviceSigner:
        return cls(K1, ec.derive_private_key(secret, ec.SECP256K1()))

    @property
    def order(self) -> int:
        return P256_N if self.curve == P256 else K1_N

    @property
    def x(self) -> bytes:
        return word(self.private.public_key().public_numbers().x)

    @property
    def y(self) -> bytes:
        return word(self.private.public_key().public_numbers().y)

    def sign(self, digest: bytes, high: bool | None = None) -> tuple[bytes, bytes]:
        """Return (r, s); `high` picks the twin, None leaves s as it is."""
        algorithm = ec.ECDSA(Prehashed(hashes.SHA256()), deterministic_signing=True)
        r, s = decode_dss_signature(self.private.sign(digest, algorithm))
        if high is not None and (s > self.order // 2) != high:
            s = self.order - s
        return word(r), word(s)

    def enrolment(
        self, registry: str, device: bytes, owner: str, chain_id: int = CHAIN_ID
    ) -> bytes:
        kinds = ["string", "uint256", "address", "bytes32", "address"]
        return sha256(kinds, ["proofrail/enrol/v1", chain_id, registry, device, owner])


def rotation(
    registry: str,
    device: bytes,
    new: DeviceSigner,
    keys: int,
    expires_at: int = 0,
    chain_id: int = CHAIN_ID,
) -> bytes:
    kinds = [
        "string",
        "uint256",
        "address",
        "bytes32",
        "uint8",
        "bytes32",
        "bytes32",
        "uint40",
        "uint256",
    ]
    return sha256(
        kinds,
        [
            "proofrail/rotate/v1",
            chain_id,
            registry,
            device,
            new.curve,
            new.x,
            new.y,
            expires_at,
            keys,
        ],
    )


def sha256(kinds: list[str], values: list[Any]) -> bytes:
    return hashlib.sha256(encode(kinds, values)).digest()
