"""Run one oracle as a process with its own key, database, broker subscription and chain view.

    python -m services.oracle --name north --domain 1 --home DIR --rpc URL --deployment FILE ...

It reads devices and agreements directly from the chain, and evidence directly from the broker.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import ssl
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog

from device_adapters.inlets.log_inlet import Inlet
from device_adapters.types import Message
from oracles.attest import address_of, batch_digest, sign
from oracles.memory import Memory
from oracles.node import Identity, OracleNode, OracleView
from oracles.readers import OWN, READERS
from oracles.server import Listen, OracleServer
from oracles.types import Batch, Progress
from oracles.wire import OracleAnswer, Request
from orchestrator.edges.chain.artifacts import load_artifacts
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.ethereum import Account
from orchestrator.edges.chain.keystore import LOCAL_CHAIN, write_private
from orchestrator.edges.chain.rails import rails
from orchestrator.edges.chain.reader import Registry
from orchestrator.edges.chain.settlements import Recorded, settled_claims
from orchestrator.errors import Halt, Retry, passing_trouble
from orchestrator.home_lock import HomeInUse, hold
from orchestrator.products import deployed
from services import logs
from services.connections import most_connections, raise_open_files, server_options
from services.metrics import process_registry
from services.metrics import serve as serve_metrics
from services.oracle_watch import NodeAge, OracleMetrics, WatchedOracle
from services.threads import VitalThreads

REREAD_BLOCKS = 8  # deeper reorganisations do not happen on a chain that is fit for payments
_CONNECTIONS = 64  # only the rail calls, and whoever watches the health
FOLLOW_SECONDS = 1.0  # the greatest age of this oracle's view of the chain
RETRY_SECONDS = 1.0
START_POLL_S = 0.02
_log = structlog.get_logger()


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT.

    Returns:
        0; 1 if the oracle cannot start; 2 if another process works on its home.
    """
    options = parser().parse_args(arguments)
    while options.start_file and not options.start_file.exists():
        time.sleep(START_POLL_S)
    _, sink = logs.set_up(f"oracle-{options.name}")
    try:
        with hold(options.home / "lock"):
            return serve(options, sink)
    except HomeInUse as error:
        print(error, file=sys.stderr)
        return 2
    except (Halt, Retry) as error:
        print(error, file=sys.stderr)
        return 1


def serve(options: argparse.Namespace, sink: logs.LogSink) -> int:
    """Build the oracle from its options and run it until a signal arrives."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    chain, registry = connect(options)
    node = _node(options, chain, registry)
    authorities = options.broker_tls_ca
    inlet = Inlet(
        options.broker_host,
        options.broker_port,
        options.broker_user,
        _secret(options.broker_password_file),
        node.memory.log_position(),
        tls=ssl.create_default_context(cafile=authorities) if authorities else None,
    )
    metrics_registry = process_registry(f"oracle-{options.name}", sink)
    metrics, seen = OracleMetrics(metrics_registry), NodeAge()
    metrics_registry.register(seen)
    oracle = WatchedOracle(Liar(node) if options.lie else node, metrics, seen, inlet.healthy)
    most = most_connections(_CONNECTIONS, raise_open_files())
    try:
        server = OracleServer(
            oracle, _secret(options.token_file), _listen(options), server_options(most)
        )
    except OSError as error:
        raise Halt(
            f"This oracle {error.strerror}. Nothing was signed. End the other program, or choose "
            "another port."
        ) from error
    threads = VitalThreads(_log)
    threads.start("follow", partial(follow, chain, registry, node.memory, seen, stop))
    threads.start("take", partial(take_all, node, inlet, metrics, stop))
    threads.watch()
    server.start()
    if options.metrics_port:
        serve_metrics(metrics_registry, options.metrics_port, _log)
    _write_ready_file(options, node, server.port, inlet)
    stop.wait()
    threads.stopping()
    server.stop()
    inlet.close()
    threads.join(timeout_s=60)
    node.memory.close()
    return 0


def take_all(node: OracleNode, inlet: Inlet, metrics: OracleMetrics, stop: threading.Event) -> None:
    """Store all messages that arrive until `stop`, with their position in the broker's log."""
    for messages in inlet.batches():
        if not _until(stop, lambda batch=messages: _take(node, batch, metrics)):
            return


def follow(
    chain: Chain, registry: Registry, memory: Memory, seen: NodeAge, stop: threading.Event
) -> None:
    """Look for a new block every second until `stop`, and read it.

    So a revocation takes effect within a second, and so do claims that others attested while this
    oracle was down. While no block is new, nothing is read.
    """
    caught_up, recorded = None, Recorded()
    while not stop.wait(FOLLOW_SECONDS):
        try:
            head = registry.refresh()
            if head != caught_up:
                catch_up(chain, memory, recorded)
                caught_up = head
            seen.now()
        except Exception as error:
            if (trouble := passing_trouble(error)) is None:
                raise
            _log.warning("the chain cannot be read, trying again", reason=trouble)


def catch_up(chain: Chain, memory: Memory, recorded: Recorded | None = None) -> None:
    """Store the claims settled since the last call; the newest blocks are read again each time.

    Args:
        chain: The node's client.
        memory: Where the claims are stored.
        recorded: The settlements of the newest blocks that are stored already; it is kept up to
            date, so that the next call fetches only the call data of new ones.

    Raises:
        Retry: the node does not answer.
    """
    above = memory.settled_up_to() - REREAD_BLOCKS
    for claims, block in settled_claims(chain, above, chain.head(), recorded):
        memory.record_settled(claims, block)
    for key in [key for key, number in (recorded or {}).items() if number <= above]:
        del recorded[key]


class Liar:
    """A development fault: signs the batch with the last word of all facts increased by one.

    Warning: only for a local chain; it shows that one lying oracle moves no money.
    """

    def __init__(self, node: OracleNode) -> None:
        if node.identity.chain_id != LOCAL_CHAIN:
            raise Halt(f"--lie is for the development chain {LOCAL_CHAIN} only. Start without it.")
        self._node, self.health, self.rulings = node, node.health, node.rulings

    def attest(self, request: Request) -> OracleAnswer:
        """Return a valid signature over inflated facts."""
        if request.product not in self._node.view.products:
            return self._node.attest(request)
        identity, (address, _) = self._node.identity, self._node.view.products[request.product]
        claims = tuple(replace(claim, facts=_inflated(claim.facts)) for claim in request.claims)
        batch = Batch(identity.rail, address, claims)
        digest = batch_digest(batch, identity.chain_id, identity.committee)
        return OracleAnswer(identity.address, identity.sign(digest))


def _inflated(facts: bytes) -> bytes:
    """Return other facts; this works for every product, since all facts are ABI words."""
    word = int.from_bytes(facts[-32:], "big") + 1
    return facts[:-32] + (word % (1 << 256)).to_bytes(32, "big")


def _take(node: OracleNode, messages: Sequence[Message], metrics: OracleMetrics) -> None:
    """Store messages; one that makes our own code fail is left out, and logged.

    Its record is not lost: the rail sends the evidence of a claim along when an oracle lacks it.
    """
    try:
        taken = node.take(messages)
    except Exception as error:
        if passing_trouble(error) is not None:
            raise
        if len(messages) > 1:
            for message in messages:
                _take(node, [message], metrics)
            return
        _log.error("message left out", device=messages[0].device, exc_info=True)
        metrics.records.labels("internal_error").inc()
        return
    metrics.take(taken)
    _log.info(
        "records taken",
        records=["0x" + event.event_id.hex() for event in taken.events],
        repeated=len(taken.repeated),
        rejected=[f"{refusal.reason}: {refusal.detail}" for refusal in taken.rejected],
    )


def _until(stop: threading.Event, work: Callable[[], None]) -> bool:
    """Retry until the work succeeds (True) or `stop` is set (False)."""
    while not stop.is_set():
        try:
            work()
            return True
        except Exception as error:
            if (trouble := passing_trouble(error)) is None:
                raise
            _log.warning("messages are not stored yet, trying again", reason=trouble)
            stop.wait(RETRY_SECONDS)
    return False


def _listen(options: argparse.Namespace) -> Listen:
    if options.tls_key is not None:
        _secret(options.tls_key)  # refuses a key that others can read
    try:
        return Listen(
            options.http_host,
            options.http_port,
            options.tls_cert,
            options.tls_key,
            options.tls_client_ca,
        )
    except ValueError as error:
        raise Halt(f"This oracle cannot listen: {error}. Correct its options.") from error


def connect(options: argparse.Namespace) -> tuple[Chain, Registry]:
    """Return the client of this oracle's node, and the devices and agreements on its chain.

    Raises:
        Halt: The node is of another chain than the deployment.
        Retry: The node does not answer.
    """
    deployment = Deployment.load(options.deployment)
    chain = Chain(options.rpc, deployment, load_artifacts())
    chain.check_identity()
    addresses = deployment.addresses
    registry = Registry(chain, deployed(addresses), contracts=addresses.values())
    registry.refresh()
    return chain, registry


def _node(options: argparse.Namespace, chain: Chain, registry: Registry) -> OracleNode:
    key = read_key(options.keystore, options.password_file)
    at = chain.deployment.addresses
    identity = Identity(
        name=options.name,
        domain=options.domain,
        address=address_of(key),
        sign=partial(sign, private_key=key),
        chain_id=chain.deployment.chain_id,
        committee=at["OracleCommittee"],
        rail=at["PaymentRail"],
    )
    view = OracleView(
        keys=registry,
        agreements=registry,
        progress=partial(_progress, chain),
        products=deployed(at),
    )
    memory = Memory(options.home / "oracle.sqlite3")
    return OracleNode(identity, view, memory, READERS[options.reader])


def _progress(chain: Chain, agreement: bytes) -> Progress | None:
    """Return how far the chain has settled an agreement; None if there is none."""
    for rail in rails(chain.deployment):
        sequence, last_counter, *_, status = chain.view(rail, "agreementState", agreement)
        if status:
            return Progress(sequence, last_counter)
    return None


def read_key(keystore: Path, password_file: Path) -> bytes:
    """Return the private key of a keystore (32 bytes).

    Raises:
        Halt: A file is missing or others can read it, or the password does not open the keystore.
    """
    _secret(keystore)  # refuses a keystore that others can read: they could guess its password
    content = json.loads(keystore.read_text())
    try:
        return bytes(Account.decrypt(content, _secret(password_file)))
    except ValueError:
        raise Halt(f"the password in {password_file} does not open {keystore}") from None


def _secret(path: Path) -> str:
    """Return the text of a file that only its owner may read."""
    if not path.exists():
        raise Halt(f"there is no file {path}")
    if path.stat().st_mode & 0o077:
        raise Halt(f"{path} can be read by others; run: chmod 600 {path}")
    return path.read_text().strip()


def _write_ready_file(
    options: argparse.Namespace, node: OracleNode, port: int, inlet: Inlet
) -> None:
    """Announce that the oracle serves, if possible with the broker's log; it keeps trying."""
    if not inlet.wait_ready(10):
        reason = inlet.refusal or "the broker does not answer"
        _log.warning("the broker's log is not read yet", reason=reason)
    ready = {"port": port, "address": node.identity.address, "pid": os.getpid()}
    print(f"oracle {options.name} serves http://127.0.0.1:{port}", flush=True)
    write_private(options.ready_file, json.dumps(ready).encode())


def parser() -> argparse.ArgumentParser:
    """Return the parser of an oracle's options."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--name", required=True)
    options.add_argument("--domain", type=int, required=True, help="trust domain, 1 to 255")
    for flag in ("--home", "--deployment", "--ready-file"):
        options.add_argument(flag, type=Path, required=True)
    options.add_argument("--rpc", required=True, help="URL of this oracle's own node")
    options.add_argument("--broker-host", default="127.0.0.1")
    options.add_argument("--broker-port", type=int, required=True, help="of its NATS listener")
    options.add_argument("--broker-user", required=True)
    options.add_argument("--broker-tls-ca", type=Path, help="authorities of the broker, PEM")
    for flag in ("--broker-password-file", "--keystore", "--password-file", "--token-file"):
        options.add_argument(flag, type=Path, required=True, help="readable by its owner only")
    options.add_argument("--http-host", default="127.0.0.1", help="beyond loopback TLS is needed")
    options.add_argument("--tls-cert", type=Path, help="certificate chain of this server, PEM")
    options.add_argument("--tls-key", type=Path, help="its private key, PEM")
    options.add_argument("--tls-client-ca", type=Path, help="who may connect: authorities, PEM")
    options.add_argument("--http-port", type=int, default=0, help="0 chooses a free port")
    options.add_argument(
        "--metrics-port", type=int, default=0, help="/metrics on loopback, without a key; 0: none"
    )
    options.add_argument(
        "--reader",
        choices=sorted(READERS),
        default=OWN.name,
        help="library: read OCMF with pyocmf alone, not with the project's own decoder",
    )
    options.add_argument("--start-file", type=Path, help="wait until this file exists")
    options.add_argument(
        "--lie",
        nargs="?",
        const="inflated_facts",
        choices=["inflated_facts"],
        help="development chain only: attest more than the evidence supports",
    )
    return options


if __name__ == "__main__":
    raise SystemExit(main())
