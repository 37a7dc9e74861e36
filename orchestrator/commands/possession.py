"""Reads a device's key, signatures and endorsement from command line options."""

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
    """Return a public key from text in any form that vendors print, or from a file."""
    from device_adapters.keys import load_public_key

    return load_public_key(text_or_file(text))


def signature(proof: str) -> Proof:
    """Return (r, s) of a hex signature in DER or raw form, given as text or file."""
    from device_adapters.keys import raw_to_der, read_der

    text = text_or_file(proof).decode("ascii", "replace").strip().removeprefix("0x")
    try:
        data = bytes.fromhex(text)
    except ValueError as error:
        raise Halt(
            "The proof is not hex. Give the signature in hex, as DER or as r and s."
        ) from error
    return read_der(raw_to_der(data) if len(data) == 64 else data)


def private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Load a simulated device's private key; the key of a real device never leaves it."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise Halt(f"{path} is not an unencrypted PEM private key. Nothing was sent.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Halt(f"{path} is not an elliptic curve key. Give a key of the curve secp256r1.")
    return key


def public_of(key: ec.EllipticCurvePrivateKey) -> PublicKey:
    """Return the public key of a private key."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from device_adapters.keys import load_public_key

    return load_public_key(
        key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )


def sign(key: ec.EllipticCurvePrivateKey, digest: bytes) -> Proof:
    """Sign a SHA-256 digest; return (r, s)."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

    from device_adapters.keys import read_der

    return read_der(key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))


def endorsement(home: Home, name: str, key: Any, chain: Path | None) -> Endorsement:
    """Return the endorsement of a device's key, checked against the rail's trusted roots.

    Args:
        chain: PEM file of the certificates; None: the built-in CA issues one (local chain only).

    Raises:
        Rejected: the certificates are not valid for this key.
        Halt: there is no endorsement, or the file cannot be read.
    """
    from orchestrator.edges.chain.keystore import LOCAL_CHAIN
    from orchestrator.operations.trust import DevelopmentCa, check_endorsement

    chain_id, settings = home.deployment.chain_id, home.settings
    if chain is None and chain_id != LOCAL_CHAIN:
        raise Halt(
            f"The key of {name} has no endorsement. Nothing was sent. Give the certificates of "
            f"its manufacturer or installer with --endorsement FILE.pem, and put their root "
            f"into {settings.trust}."
        )
    device_key = key.as_device_key()
    if chain is None:
        pem = DevelopmentCa.load(settings).issue(name, device_key)
    else:
        try:
            pem = chain.read_bytes()
        except OSError as error:
            raise Halt(f"{chain} cannot be read: {error}. Nothing was sent.") from error
    return check_endorsement(settings, chain_id, pem, name, device_key, int(time.time()))
