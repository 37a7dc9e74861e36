"""Trusted roots for device endorsements, checked endorsements, and a built-in development CA.

In the home folder: `trust/devices/*.pem` are the trusted roots, `endorsements/<sha256>.pem` the
checked chains (named by the hash in the registry), `keys/device-ca.pem` the key of the built-in CA.
That CA is for the local chain only; other chains refuse its root by name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from device_adapters.keys import PublicKey
from device_adapters.types import DeviceKey, Rejected
from orchestrator.core import endorsement
from orchestrator.core.endorsement import Endorsement
from orchestrator.edges.chain.keystore import LOCAL_CHAIN, write_private
from orchestrator.errors import Halt
from orchestrator.settings import Settings

_NAME = x509.Name(
    [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "proofrail development"),
        x509.NameAttribute(NameOID.COMMON_NAME, "proofrail development device CA"),
    ]
)
_ROOT_YEARS = 20
_SLACK = timedelta(days=1)  # clocks differ, so a certificate is valid from one day earlier
_PRINTABLE = re.compile(r"[A-Za-z0-9 '()+,./:=?-]+")  # a serial number is one (X.520)
_NEVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # RFC 5280, 4.1.2.5


class DevelopmentCa:
    """The built-in CA of one home: issues device certificates directly below its root."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, root: x509.Certificate) -> None:
        self._key, self._root = key, root

    @classmethod
    def make(cls, settings: Settings, now: int) -> DevelopmentCa:
        """Return the CA of this home; the first call creates it, with a private key file."""
        if _key_file(settings).exists():
            return cls.load(settings)
        key = ec.generate_private_key(ec.SECP256R1())
        begins = datetime.fromtimestamp(now, UTC) - _SLACK
        root = _certificate(
            _NAME, key.public_key(), begins, begins + timedelta(days=365 * _ROOT_YEARS), key, None
        )
        write_private(_root_file(settings), root.public_bytes(Encoding.PEM))
        write_private(
            _key_file(settings),
            key.private_bytes(
                Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )
        return cls(key, root)

    @classmethod
    def load(cls, settings: Settings) -> DevelopmentCa:
        """Return the CA of this home; raises Halt if there is none or its key is not private."""
        path = _key_file(settings)
        if not path.exists():
            raise Halt(
                f"This rail has no built-in CA ({path} is missing). Give the certificates of the "
                "device's manufacturer or installer with --endorsement."
            )
        if path.stat().st_mode & 0o077:
            raise Halt(f"Other users can read the private key {path}. Run: chmod 600 {path}")
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
            root = x509.load_pem_x509_certificate(_root_file(settings).read_bytes())
        except (OSError, ValueError, TypeError) as error:
            raise Halt(f"The built-in CA of {settings.home} cannot be read: {error}") from error
        return cls(key, root)

    def issue(self, device: str, key: DeviceKey, ends_at: int = 0) -> bytes:
        """Return a PEM chain for a device's public key: its certificate, then the root.

        The same arguments give the same bytes, so that an interrupted enrolment can be repeated.

        Args:
            device: The device's name.
            ends_at: End of validity in Unix seconds; 0: no end.
        """
        loaded = serialization.load_der_public_key(PublicKey.from_device_key(key).der)
        ends = datetime.fromtimestamp(ends_at, UTC) if ends_at else _NEVER
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, "proofrail device"),
                x509.NameAttribute(NameOID.SERIAL_NUMBER, device),
            ]
            if _PRINTABLE.fullmatch(device)
            else [x509.NameAttribute(NameOID.COMMON_NAME, device)]
        )
        begins = self._root.not_valid_before_utc
        leaf = _certificate(subject, loaded, begins, ends, self._key, self._root)
        return leaf.public_bytes(Encoding.PEM) + self._root.public_bytes(Encoding.PEM)


def trusted_roots(settings: Settings, chain_id: int) -> list[x509.Certificate]:
    """Return the roots in trust/devices.

    Raises:
        Halt: a root is unreadable, or a development root is used outside the local chain.
    """
    roots = []
    for path in sorted(settings.trust.glob("*.pem")):
        try:
            roots += endorsement.read(path.read_bytes())
        except Rejected as error:
            raise Halt(
                f"{path} has no usable roots: {error.detail}. Correct the file or move it away."
            ) from error
    if chain_id != LOCAL_CHAIN and any(root.subject == _NAME for root in roots):
        raise Halt(
            f"{settings.trust} trusts a development CA, and chain {chain_id} is not the "
            f"local chain {LOCAL_CHAIN}. Nothing was sent. Move its root away."
        )
    return roots


def check_endorsement(
    settings: Settings, chain_id: int, chain: bytes, device: str, key: DeviceKey, now: int
) -> Endorsement:
    """Check a PEM chain against this home's roots; raises Rejected with an EndorsementReason."""
    return endorsement.check(chain, trusted_roots(settings, chain_id), device, key, now)


def save_endorsement(settings: Settings, checked: Endorsement) -> None:
    """Save a checked chain in the home folder, before its hash goes on chain."""
    write_private(endorsement_file(settings, checked.sha256.hex()), checked.pem)


def endorsement_file(settings: Settings, sha256: str) -> Path:
    """Return the path of the chain whose device certificate has this SHA-256 (hex)."""
    return settings.endorsements / f"{sha256}.pem"


def load_endorsement(settings: Settings, sha256: str) -> Sequence[x509.Certificate]:
    """Return a saved chain, the device's certificate first; empty if there is none."""
    path = endorsement_file(settings, sha256)
    return endorsement.read(path.read_bytes()) if sha256 and path.is_file() else ()


def _key_file(settings: Settings) -> Path:
    return settings.keys / "device-ca.pem"


def _root_file(settings: Settings) -> Path:
    return settings.trust / "development.pem"


def _certificate(
    subject: x509.Name,
    key: Any,
    begins: datetime,
    ends: datetime,
    signer: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
) -> x509.Certificate:
    """Return a certificate signed by `issuer`; None: a self-signed root. Profile: RFC 5280, 4.2."""
    is_root = issuer is None
    usage = x509.KeyUsage(
        digital_signature=not is_root,
        key_cert_sign=is_root,
        crl_sign=is_root,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    path_length = 0 if is_root else None
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key)
        .serial_number(_serial(subject, key, ends))
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(is_root, path_length), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, hashes.SHA256(), ecdsa_deterministic=True)  # RFC 6979
    )


def _serial(subject: x509.Name, key: Any, ends: datetime) -> int:
    """Return a serial number from 152 bits of the content's hash (RFC 5280, 4.1.2.2)."""
    spki = key.public_bytes(Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    content = subject.public_bytes() + spki + ends.isoformat().encode()
    return 1 << 152 | int.from_bytes(sha256(content).digest()[:19])
