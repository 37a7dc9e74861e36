"""Certificates of the built-in authority, used by real TLS servers and clients of oracles."""

from __future__ import annotations

import http.client
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from oracles.attest import address_of
from oracles.server import Listen, OracleServer
from oracles.wire import Request
from orchestrator.edges.oracles import OracleClient, OracleTls
from orchestrator.errors import Halt, Retry
from orchestrator.operations.tls import Issued, TlsAuthority
from orchestrator.products.metered_energy import product
from tests.support.meter_streams import message, session_record
from tests.support.oracle_at import KEY, claim_of, oracle

TOKEN = "a token of more than sixteen characters"
HOST = "127.0.0.2"  # another organisation's machine


class Partners:
    """The rail's authority, an oracle's server certificate, the rail's own, and a stranger's."""

    def __init__(self, folder: Path) -> None:
        self.rail, self.strangers = TlsAuthority(folder / "rail"), TlsAuthority(folder / "other")
        for authority in (self.rail, self.strangers):
            authority.make()
        self.server = self.rail.issue("oracle-north", [HOST, "oracle.example"])
        self.client = self.rail.issue("rail")
        self.stranger = self.strangers.issue("rail")

    def tls(self, client: Issued | None) -> OracleTls:
        pair = (client.certificate, client.key) if client else (None, None)
        return OracleTls(self.rail.certificate, *pair)


@pytest.fixture(scope="module")
def partners(tmp_path_factory: pytest.TempPathFactory) -> Partners:
    return Partners(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def served(partners: Partners, tmp_path: Path) -> Iterator[OracleServer]:
    listen = Listen(
        HOST, 0, partners.server.certificate, partners.server.key, partners.rail.certificate
    )
    server = OracleServer(oracle(tmp_path), TOKEN, listen)
    server.start()
    yield server
    server.stop()


def client_of(url: str, tls: OracleTls) -> OracleClient:
    return OracleClient("north", address_of(KEY), 1, url, TOKEN, tls=tls)


def request() -> Request:
    record = session_record("M1", 1)
    return Request(product.NAME, (claim_of(record),), {}, (message(record),))


def test_oracle__of_another_organisation__attests_over_mutual_tls(served, partners):
    assert served.url.startswith(f"https://{HOST}:")
    answer = client_of(served.url, partners.tls(partners.client)).ask(request())
    assert answer.signature is not None


@pytest.mark.parametrize("who", ["nobody", "stranger"])
def test_oracle__asked_without_a_certificate_of_its_authority__answers_nothing(
    served, partners, who
):
    client = partners.stranger if who == "stranger" else None
    with pytest.raises(Retry, match="cannot be reached"):
        client_of(served.url, partners.tls(client)).ask(request())


def test_rail__at_a_server_of_another_authority__sends_nothing(served, partners):
    tls = OracleTls(
        partners.strangers.certificate, partners.client.certificate, partners.client.key
    )
    with pytest.raises(Retry, match="SSLError"):
        client_of(served.url, tls).ask(request())


def test_rail__at_a_host_that_the_certificate_does_not_name__sends_nothing(partners, tmp_path):
    listen = Listen("127.0.0.3", 0, partners.server.certificate, partners.server.key)
    server = OracleServer(oracle(tmp_path), TOKEN, listen)
    server.start()
    try:
        with pytest.raises(Retry, match="SSLError"):
            client_of(server.url, partners.tls(partners.client)).ask(request())
    finally:
        server.stop()


def test_oracle__spoken_to_without_tls__gives_no_answer(served):
    connection = http.client.HTTPConnection(HOST, served.port, timeout=60)
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        connection.request("GET", "/health", headers={"Authorization": f"Bearer {TOKEN}"})
        connection.getresponse()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "oracle.example"])
def test_listen__beyond_loopback_without_tls__is_refused(host):
    with pytest.raises(ValueError, match="without TLS"):
        Listen(host)


@pytest.mark.parametrize(
    "files", [{"certificate": Path("a")}, {"key": Path("a")}, {"client_ca": Path("a")}]
)
def test_listen__with_half_of_the_files__is_refused(files):
    with pytest.raises(ValueError):
        Listen("127.0.0.1", 0, **files)


def test_server__with_a_certificate_that_is_none__does_not_start(partners, tmp_path):
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        OracleServer(oracle(tmp_path), TOKEN, Listen(HOST, 0, broken, partners.server.key))


def test_authority__made_again__stays_and_keeps_its_key_private(partners):
    before = partners.rail.certificate.read_bytes()
    partners.rail.make()
    assert partners.rail.certificate.read_bytes() == before
    for path in (partners.rail.folder / "ca.key", partners.server.key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_certificate__of_a_client__serves_nothing(partners):
    certificate = x509.load_pem_x509_certificate(partners.client.certificate.read_bytes())
    use = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(use) == [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]


def test_authority__missing_or_readable_by_others__issues_nothing(tmp_path):
    with pytest.raises(Halt, match="no TLS authority"):
        TlsAuthority(tmp_path / "none").issue("x")
    authority = TlsAuthority(tmp_path / "open")
    authority.make()
    (tmp_path / "open" / "ca.key").chmod(0o644)
    with pytest.raises(Halt, match="chmod 600"):
        authority.issue("x")
