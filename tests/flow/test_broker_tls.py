"""TLS at the broker: certificates of both sides for devices, the server's for readers."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from device_adapters.inlets.device_link import DeviceLink
from device_adapters.inlets.log_inlet import Inlet
from tests.support.broker_process import HOST, BrokerProcess, take, until


class SmallCa:
    """An authority in memory that writes PEM files of certificates and keys into a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(self._signed(name, self._key, True))

    def issue(self, name: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate, secret = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        certificate.write_bytes(self._signed(name, key, False))
        secret.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return certificate, secret

    def _signed(self, name: str, key: ec.EllipticCurvePrivateKey, ca: bool) -> bytes:
        now = datetime.now(UTC)
        subject, issuer = (
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
            for text in (name, self._name)
        )
        address = x509.IPAddress(ipaddress.ip_address(HOST))
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        subject_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        certificate = (
            x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .add_extension(subject_id, critical=False)
            .add_extension(authority, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def files(tmp_path):
    return SmallCa(tmp_path, "broker-ca"), SmallCa(tmp_path, "device-ca")


def _context(ca: SmallCa, *chain: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca.path))
    if chain:
        context.load_cert_chain(*chain)
    return context


def test_tls__devices_with_a_certificate_and_readers__connect_and_others_do_not(tmp_path, files):
    broker_ca, device_ca = files
    certificate, key = broker_ca.issue("broker")
    broker = BrokerProcess(
        tmp_path,
        broker_tls_cert=certificate,
        broker_tls_key=key,
        broker_tls_client_ca=device_ca.path,
    ).start()
    password, opened = broker.password("a", "device"), []

    def link(context: ssl.SSLContext | None) -> DeviceLink:
        opened.append(DeviceLink(HOST, broker.port, "a", password, context))
        return opened[-1]

    def inlet(context: ssl.SSLContext | None) -> Inlet:
        rail = broker.password("rail", "rail")
        opened.append(Inlet(HOST, broker.nats_port, "rail", rail, tls=context))
        return opened[-1]

    try:
        good = link(_context(broker_ca, *device_ca.issue("a")))
        assert until(lambda: good.wait_ready(1))
        reader = inlet(_context(broker_ca))
        assert until(lambda: reader.wait_ready(1)), reader.refusal
        good.publish(b"own")
        assert [(m.device, m.body) for m in take(reader, b"own")] == [("a", b"own")]
        good.close()
        strangers = [
            link(_context(broker_ca)),  # no certificate
            link(_context(broker_ca, *broker_ca.issue("a-of-another-authority"))),
            link(_context(device_ca, *device_ca.issue("a2"))),  # it does not trust the broker
            link(None),
            inlet(_context(device_ca)),
        ]
        assert not any(stranger.wait_ready(2) for stranger in strangers)
    finally:
        for connection in opened:
            connection.close()
        broker.end()
