"""An oracle of another organisation, set up by `proofrail-oracle` at an address of its own.

It listens on 127.0.0.2, asks for a certificate of the rail's authority, and has a folder, a key and
a server certificate that the rail never sees.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.edges.store import payments
from orchestrator.operations.tls import TlsAuthority
from tests.support.source_tree import ROOT
from tests.support.whole_rail import WholeRail

HOST, NAME = "127.0.0.2", "auditor"


class ForeignOracle:
    """The auditor's own folder and process, in place of the one that the rail started for it."""

    def __init__(self, rail: WholeRail, folder: Path) -> None:
        self.rail, self.home = rail, folder / "oracle"
        with socket.create_server((HOST, 0)) as free:
            self.url = f"https://{HOST}:{free.getsockname()[1]}"
        self.process: subprocess.Popen[bytes] | None = None
        self._log = (folder / "oracle.log").open("wb")

    def run(self, *arguments: object) -> None:
        words = [sys.executable, "-m", "services.oracle_home", *map(str, arguments)]
        subprocess.run([*words, "--home", str(self.home)], cwd=ROOT, check=True)

    def set_up(self) -> None:
        """Exchange files as docs/ORACLES.md describes."""
        stack, settings = self.rail.stack, self.rail.stack.settings
        earlier = settings.home / "oracles" / NAME
        authority = TlsAuthority(settings.tls)
        authority.make()
        authority.issue("rail")
        self.run(
            *("init", "--name", NAME, "--domain", 3, "--rpc", settings.rpc_url),
            *("--deployment", settings.deployment, "--host", HOST),
            *("--port", self.url.rpartition(":")[2], "--rail-ca", authority.certificate),
            *("--broker", f"{settings.broker_host}:{settings.nats_port}"),
            *("--key", earlier / "key.json"),
        )
        shutil.copy(earlier / "oracle.sqlite3", self.home / "oracle.sqlite3")
        admit = ["oracle", "admit", self.home / "card.json", "--token-file", self.home / "token"]
        admit += ["--password-out", self.home / "broker.password"]
        (admitted,) = self.rail.commands([str(word) for word in admit])
        assert admitted.returncode == 0, admitted.stderr
        stack.environment |= {
            "PROOFRAIL_ORACLE_TLS_CA": str(settings.tls / "oracles.pem"),
            "PROOFRAIL_ORACLE_TLS_CERT": str(settings.tls / "rail.pem"),
            "PROOFRAIL_ORACLE_TLS_KEY": str(settings.tls / "rail.key"),
        }
        self.point_rail_at(self.url)

    def up(self) -> None:
        words = [sys.executable, "-m", "services.oracle_home", "up", "--home", str(self.home)]
        self.process = subprocess.Popen(words, cwd=ROOT, stdout=self._log, stderr=self._log)
        self.rail.until((self.home / "ready.json").exists, "the oracle to serve")

    def point_rail_at(self, url: str) -> str:
        """Restart the orchestrator with another address of the auditor; return the former one."""
        stack = self.rail.stack
        [former] = [oracle.url for oracle in stack.settings.oracles if oracle.name == NAME]
        changed = [
            oracle.model_copy(update={"url": url}) if oracle.name == NAME else oracle
            for oracle in stack.settings.oracles
        ]
        stack.settings = stack.settings.model_copy(update={"oracles": tuple(changed)})
        stack.stop("orchestrator")
        stack.start_rail()
        return former

    def give_back(self) -> None:
        """Let the rail's own auditor in again: it has another token, and an older password."""
        settings = self.rail.stack.settings
        earlier = settings.home / "oracles" / NAME
        shutil.copy(earlier / "token", settings.keys / f"{NAME}.token")
        password = self.home / "broker.password"
        if password.exists():
            shutil.copy(password, earlier / "broker.password")

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
        self._log.close()


@pytest.fixture
def foreign(rail: WholeRail, tmp_path: Path) -> Iterator[ForeignOracle]:
    [former] = [oracle.url for oracle in rail.stack.settings.oracles if oracle.name == NAME]
    environment = dict(rail.stack.environment)
    rail.until_settled()
    rail.stack.stop(f"oracle-{NAME}")
    oracle = ForeignOracle(rail, tmp_path)
    try:
        yield oracle
    finally:
        oracle.stop()
        oracle.give_back()
        rail.stack.environment = environment
        oracle.point_rail_at(former)  # first: it has the port that the next line starts it at
        rail.stack.restart_oracle(NAME)


def test_oracle__of_another_organisation__signs_over_mutual_tls(rail, foreign):
    foreign.set_up()
    foreign.up()
    earlier = {row.payment_id for row in rail.all_payments()}
    rail.stack.stop("oracle-utility-a")  # now no quorum is there without the foreign oracle
    rail.measure(2)
    rail.until_settled()
    rail.stack.restart_oracle("utility-a")
    with rail.store.read() as session:
        signers = {
            attestation.name
            for row in rail.all_payments()
            if row.payment_id not in earlier
            for attestation in payments.attestations_of(session, row.batch_digest)
        }
    assert NAME in signers and "utility-a" not in signers
