"""Run the broker (nats-server with MQTT and a durable log) until SIGTERM or until it fails."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from orchestrator.edges.broker import broker
from orchestrator.edges.broker.credentials import path, replace_private
from orchestrator.edges.broker.server import BrokerTls, ServerPlan, free_ports
from orchestrator.errors import Halt
from orchestrator.settings import Settings
from services import logs
from services.metrics import process_registry
from services.metrics import serve as serve_metrics

_MEMORY = "256MiB"  # from here on nats-server collects its garbage more often


def main(arguments: list[str] | None = None) -> int:
    """Run `python -m services.broker --home DIR [--port 0] [--host H] [--ready-file F]`.

    The ready file is JSON: {"host", "port", "nats_port", "broker": "nats", "pid"}. It ends when
    nats-server ends, so that whoever supervises it starts both again.

    Returns:
        The exit code: 0 after a signal, 1 if the broker cannot start or failed (stderr says why).
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="for MQTT; 0: a free one")
    parser.add_argument("--nats-port", type=int, help="for readers; default: configured, or port+1")
    parser.add_argument("--ready-file", type=Path)
    parser.add_argument(
        "--metrics-port", type=int, default=0, help="/metrics on loopback, without a key; 0: none"
    )
    options = parser.parse_args(arguments)
    os.environ.setdefault("GOMEMLIMIT", _MEMORY)  # the child inherits it
    log, sink = logs.set_up("broker")
    if options.metrics_port:
        serve_metrics(process_registry("broker", sink), options.metrics_port, log)
    try:
        asyncio.run(_run(options, _plan(options)))
    except Halt as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _plan(options: argparse.Namespace) -> ServerPlan:
    settings = Settings(home=options.home)
    mqtt_port, nats_port = options.port, options.nats_port or settings.broker_nats_port
    if not mqtt_port:
        mqtt_port, free = free_ports(2)
        nats_port = nats_port or free
    tls = None
    if settings.broker_tls_cert and settings.broker_tls_key:
        tls = BrokerTls(
            settings.broker_tls_cert, settings.broker_tls_key, settings.broker_tls_client_ca
        )
    return ServerPlan(
        home=options.home,
        host=options.host,
        mqtt_port=mqtt_port,
        nats_port=nats_port or mqtt_port + 1,
        log_bytes=settings.broker_log_bytes,
        log_seconds=settings.broker_log_hours * 3600,
        subject_messages=settings.broker_device_messages,
        tls=tls,
    )


async def _run(options: argparse.Namespace, plan: ServerPlan) -> None:
    path(options.home).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def ready() -> None:
        state = {"host": plan.host, "port": plan.mqtt_port, "nats_port": plan.nats_port}
        state |= {"broker": "nats", "pid": os.getpid()}
        print(f"broker on {plan.host}:{plan.mqtt_port} (MQTT) and {plan.nats_port}", flush=True)
        if options.ready_file:
            replace_private(options.ready_file, json.dumps(state).encode())

    await broker.serve(plan, ready, stop)


if __name__ == "__main__":
    raise SystemExit(main())
