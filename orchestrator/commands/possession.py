"""What a person hands over about a key: the key itself, signatures, a PEM to sign with, a chain."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.commands.home import Home, text_or_file
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

    from device_adapters.keys import PublicKey
    from orchestrator.core.endorsement import Endorsement

Proof = tuple[int, int]  # r, s


def public_key(text: str) -> PublicKey:
    """A public key in any form vendors print it, or the file that holds it."""
    from device_adapters.keys import load_public_key

    return load_public_key(text_or_file(text))


def signature(proof: str) -> Proof:
    """(r, s) of a hex signature, DER or r and s; the text or its file."""
    from device_adapters.keys import raw_to_der, read_der

    text = text_or_file(proof).decode("ascii", "replace").strip().removeprefix("0x")
    try:
        data = bytes.fromhex(text)
    except ValueError as error:
        raise Halt("The proof is not hex. Give the signature as hex, DER or r and s.") from error
    return read_der(raw_to_der(data) if len(data) == 64 else data)


def private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """A simulated device's key; a real one's never leaves it."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise Halt(f"{path} holds no unencrypted PEM private key. Nothing was sent.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Halt(f"{path} is no elliptic curve key; devices sign with secp256r1.")
    return key


def public_of(key: ec.EllipticCurvePrivateKey) -> PublicKey:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from device_adapters.keys import load_public_key

    return load_public_key(
        key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )


def sign(key: ec.EllipticCurvePrivateKey, digest: bytes) -> Proof:
    """(r, s) over a SHA-256 digest."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

    from device_adapters.keys import read_der

    return read_der(key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))


def endorsement(home: Home, name: str, key: Any, chain: Path | None) -> Endorsement:
    """Who vouches for a device's key: the chain in a file, or on the local chain the built-in CA.

    Checked against the rail's trusted roots; Rejected by name, or Halt with the next step.
    """
    from orchestrator.edges.chain.keystore import LOCAL_CHAIN
    from orchestrator.operations.trust import DevelopmentCa, endorsed

    chain_id, settings = home.deployment.chain_id, home.settings
    if chain is None and chain_id != LOCAL_CHAIN:
        raise Halt(
            f"Nobody vouches for the key of {name}. Nothing was sent. Give the chain of its "
            f"manufacturer or installer with --endorsement FILE.pem, and its root in "
            f"{settings.trust}."
        )
    device_key = key.as_device_key()
    if chain is None:
        pem = DevelopmentCa.load(settings).issue(name, device_key)
    else:
        try:
            pem = chain.read_bytes()
        except OSError as error:
            raise Halt(f"{chain} cannot be read: {error}. Nothing was sent.") from error
    return endorsed(settings, chain_id, pem, name, device_key, int(time.time()))
