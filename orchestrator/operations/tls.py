"""The built-in certificate authority for TLS between the parts of a rail, and what it issues.

For a development rail and for partners without an authority of their own. A certificate is for one
name and one use: servers (API, broker, oracle) or clients (device, rail).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from orchestrator.edges.chain.keystore import write_private
from orchestrator.errors import Halt

CA_FILE, CA_KEY_FILE = "ca.pem", "ca.key"
_CA_DAYS = 3_650
_BACKDATED = timedelta(hours=1)  # clocks of devices differ


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, as files.

    Attributes:
        certificate: PEM of the certificate.
        key: PEM of the private key; only its owner may read it.
        ends: Its last moment, UTC.
    """

    certificate: Path
    key: Path
    ends: datetime


class TlsAuthority:
    """A certificate authority in one folder: `ca.pem` for everybody, `ca.key` for nobody else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def certificate(self) -> Path:
        return self.folder / CA_FILE

    def make(self, now: datetime | None = None) -> None:
        """Make the authority; one that exists stays."""
        if self.certificate.exists():
            return
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "proofrail TLS authority")])
        begins = now or datetime.now(UTC)
        builder = (
            _builder(name, name, key.public_key(), begins, _CA_DAYS)
            .add_extension(x509.BasicConstraints(True, 0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
        )
        write_private(self.folder / CA_KEY_FILE, _key_pem(key))
        certificate = builder.sign(key, hashes.SHA256())
        write_private(self.certificate, certificate.public_bytes(serialization.Encoding.PEM))
        self.certificate.chmod(0o644)

    def issue(
        self,
        name: str,
        hosts: Sequence[str] = (),
        *,
        days: int = 397,
        folder: Path | None = None,
        now: datetime | None = None,
    ) -> Issued:
        """Issue a certificate and a new key.

        Args:
            name: The common name: a device's name for a client, any name for a server.
            hosts: Host names and addresses of a server; none: a client's certificate.
            days: Its validity.
            folder: Where its two files go; default: next to the authority.

        Raises:
            Halt: there is no authority here, or its key is unreadable.
        """
        ca, ca_key = self._load()
        key, begins = ec.generate_private_key(ec.SECP256R1()), now or datetime.now(UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        use = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        alternatives = [_host(host) for host in hosts] or [x509.DNSName(name)]
        builder = (
            _builder(subject, ca.subject, key.public_key(), begins, days)
            .add_extension(x509.BasicConstraints(False, None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
                critical=False,
            )
        )
        certificate = builder.sign(ca_key, hashes.SHA256())
        target = folder or self.folder
        issued = Issued(
            target / f"{name}.pem", target / f"{name}.key", certificate.not_valid_after_utc
        )
        write_private(issued.key, _key_pem(key))
        write_private(issued.certificate, certificate.public_bytes(serialization.Encoding.PEM))
        issued.certificate.chmod(0o644)
        return issued

    def _load(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        path = self.folder / CA_KEY_FILE
        try:
            if path.stat().st_mode & 0o077:
                raise Halt(f"Other users can read the private key {path}. Run: chmod 600 {path}")
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
            certificate = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        except FileNotFoundError as error:
            raise Halt(
                f"There is no TLS authority in {self.folder} ({error.filename} is missing). Make "
                "one with `proofrail tls authority`, or use certificates of your own authority."
            ) from error
        except (OSError, ValueError, TypeError) as error:
            raise Halt(
                f"The TLS authority in {self.folder} cannot be read: {error}. Restore the folder "
                "from a backup."
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise Halt(f"{path} is not an elliptic curve key. Restore it from a backup.")
        return certificate, key


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    begins: datetime,
    days: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins - _BACKDATED)
        .not_valid_after(begins + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
