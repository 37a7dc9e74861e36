"""Certificates for tests: a root, an issuer below it and a device, each with what a test changes.

`Made(...)` holds a certificate with its key; `made.issue(...)` makes the next one below it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)
from cryptography.x509.oid import NameOID

from device_adapters.keys import PublicKey, load_public_key
from device_adapters.types import DeviceKey

NOW = 1_790_000_000
_AT = datetime.fromtimestamp(NOW, UTC)
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def name(text: str, **more: str) -> x509.Name:
    kinds = {"serial": NameOID.SERIAL_NUMBER, "organisation": NameOID.ORGANIZATION_NAME}
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, text)]
    return x509.Name(parts + [x509.NameAttribute(kinds[k], v) for k, v in more.items()])


def usage(*wanted: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in wanted for usage in _USAGES})


@dataclass
class Made:
    """A certificate and the key that it speaks of."""

    certificate: x509.Certificate
    key: Any

    @property
    def device_key(self) -> DeviceKey:
        return device_key(self.key)

    def issue(self, subject: x509.Name, **changes: Any) -> Made:
        return _make(subject, self, **changes)


@dataclass
class Holder:
    """Whoever has the private key of a public one; a certificate needs no more of it."""

    key: DeviceKey

    def public_key(self) -> Any:
        return load_der_public_key(PublicKey.from_device_key(self.key).der)


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def root(subject: str = "Root", **changes: Any) -> Made:
    return _make(name(subject), None, **{"ca": True} | changes)


def device_key(key: Any) -> DeviceKey:
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return load_public_key(der).as_device_key()


def pem(*chain: Made) -> bytes:
    return b"".join(link.certificate.public_bytes(Encoding.PEM) for link in chain)


def _make(
    subject: x509.Name,
    issuer: Made | None,
    *,
    ca: bool = False,
    path_length: int | None = None,
    days: tuple[int, int] = (-10, 10),
    key: Any = None,
    usages: x509.KeyUsage | None = None,
    digest: Any = None,
    bare: bool = False,
    extensions: tuple[tuple[Any, bool], ...] = (),
    issuer_name: x509.Name | None = None,
    signer: Any = None,
    key_id: Any = None,
    not_after: datetime | None = None,
) -> Made:
    """bare: without basicConstraints and keyUsage. key_id: an AuthorityKeyIdentifier."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    above = issuer.key if issuer else key
    begins, ends = (_AT + timedelta(days=n) for n in days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name or (issuer.certificate.subject if issuer else subject))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(not_after or ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(
            key_id or x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), False
        )
    )
    if not bare:
        usages = usages or usage("key_cert_sign" if ca else "digital_signature")
        builder = builder.add_extension(x509.BasicConstraints(ca, path_length), True)
        builder = builder.add_extension(usages, True)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    signer = signer or above
    if isinstance(signer, ed25519.Ed25519PrivateKey):
        return Made(builder.sign(signer, None), key)  # it hashes for itself
    return Made(builder.sign(signer, digest or hashes.SHA256()), key)
