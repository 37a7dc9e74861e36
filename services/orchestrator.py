"""Runs one rail: MQTT inlet, worker and HTTP API in one process, until a signal ends it.

    python -m services.orchestrator --home .proofrail

It reads `rail.json` in its home (where node, broker, oracles and bank are) and holds no key of an
oracle or a device.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import ssl
import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from device_adapters.inlets.log_inlet import Inlet
from oracles.server import Listen
from orchestrator.assembly import rail_from_home, read_config
from orchestrator.edges.api import ApiParts, create_app
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.sender import Sender, patience
from orchestrator.errors import Halt, Retry
from orchestrator.halts import Halts
from orchestrator.health_monitor import HealthMonitor, WatchedParts
from orchestrator.home_lock import HomeInUse, hold, holder
from orchestrator.ingest.inlet_loop import InletLoop
from orchestrator.ingest.intake import Intake
from orchestrator.ingest.outcome_sender import OutcomeSender
from orchestrator.metrics import MeteredIntake, RailCollector, RailMetrics
from orchestrator.operations.agreements import AgreementOps
from orchestrator.operations.keys import open_receipts
from orchestrator.operations.party_calls import PartyCalls
from orchestrator.operations.registration import Registration
from orchestrator.secret_file import read_secret
from orchestrator.settings import Settings, read_settings
from orchestrator.status_file import HALTS
from orchestrator.steps import StepContext
from orchestrator.views.trace import trace
from orchestrator.worker import Worker
from services import logs
from services.connections import most_connections, raise_open_files, server_options
from services.metrics import process_registry
from services.metrics import serve as serve_metrics
from services.threads import VitalThreads
from services.tracing import Span, open_tracing

PROCESS = "orchestrator"
_START_POLL_S = 0.02
_GRACE_S = 10


def main() -> int:
    """Run until SIGTERM or SIGINT.

    Returns:
        0; 1 if the rail cannot start; 2 if another process works on the home (stderr says why).
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, help="default: PROOFRAIL_HOME or .proofrail")
    parser.add_argument("--ready-file", type=Path, help="JSON with api_url and pid, once it serves")
    parser.add_argument("--start-file", type=Path, help="wait until this file exists")
    parser.add_argument("--supervisor", type=int, help="the process that holds the home's lock")
    options = parser.parse_args()
    while options.start_file and not options.start_file.exists():
        time.sleep(_START_POLL_S)  # whoever starts a whole rail has the modules loaded meanwhile
    try:
        settings = read_settings(options.home)
        if options.supervisor and holder(settings.lock) == options.supervisor:
            return serve(settings, options.ready_file)
        with hold(settings.lock):
            return serve(settings, options.ready_file)
    except HomeInUse as error:
        print(error, file=sys.stderr)
        return 2
    except (Halt, Retry) as error:
        print(error, file=sys.stderr)
        return 1


def serve(settings: Settings, ready_file: Path | None) -> int:
    """Build the rail from its home and run it until a signal comes."""
    log, sink = logs.set_up(PROCESS, settings.home / "logs" / f"{PROCESS}.log", logging.WARNING)
    open_files = raise_open_files()
    registry = process_registry(PROCESS, sink)
    metrics = RailMetrics(registry)
    span, end_tracing = open_tracing(settings.otlp_endpoint, f"proofrail-{PROCESS}")
    context = _watched(rail_from_home(settings, log), metrics)
    worker = Worker(context, Halts(settings.home / HALTS), StepRecorder(metrics, span))
    worker.recover()
    receipts = open_receipts(settings)
    intake = Intake(context.store, context.registry, context.rules, time.time, worker.wake)
    metered = MeteredIntake(intake, metrics, log, span)
    inlet = _inlet(settings, intake)
    loop = InletLoop(inlet, metered, receipts, time.time, log)
    sender = OutcomeSender(context.store, inlet, receipts, time.time, log)
    threads = VitalThreads(log)
    monitor = HealthMonitor(
        context, worker, WatchedParts(partial(_broker_problem, inlet), threads.dead)
    )
    registry.register(
        RailCollector(context.store, monitor.problems, monitor.head, nodes=monitor.nodes)
    )
    app = create_app(
        ApiParts(
            store=context.store,
            intake=metered,
            receipts=receipts,
            worker=worker.report,
            settings=settings,
            now=time.time,
            trace=trace,
            health=monitor.problems,
            registration=registration(context),
            party_calls=PartyCalls(context.store, context.chain, time.time),
        )
    )
    runs = {"work": worker.run, "in": loop.run, "out": sender.run, "health": monitor.run}
    for name, run in runs.items():
        threads.start(name, run)
    threads.watch()
    if settings.metrics_port:
        serve_metrics(registry, settings.metrics_port, log)
    try:
        _serve_api(app, settings, ready_file, open_files)
    finally:
        threads.stopping()
        loop.stop()
        sender.stop()
        worker.stop()
        monitor.stop()
        inlet.close()
        threads.join(timeout_s=20)
        context.store.close()
        end_tracing()
    return 0


@dataclass(frozen=True)
class StepRecorder:
    """Sends each step to the metrics, and each that worked, waited or halted to the traces."""

    metrics: RailMetrics
    span: Span

    def step(self, name: str, outcome: str, seconds: float, done: int) -> None:
        """Record one step (`worker.StepWatch`)."""
        self.metrics.step(name, outcome, seconds, done)
        if done or outcome != "done":
            self.span(f"step {name}", seconds, {"outcome": outcome, "done": done})


def _watched(context: StepContext, metrics: RailMetrics) -> StepContext:
    """Return the context with oracles whose answers are counted."""
    return replace(
        context, oracles=[replace(oracle, watch=metrics.oracle) for oracle in context.oracles]
    )


def _broker_problem(inlet: Inlet) -> str:
    if inlet.healthy():
        return ""
    return inlet.refusal or "it is not connected, or what arrives is not taken"


def registration(context: StepContext) -> Registration | None:
    """Return what the API registers with; None where the setting api_registration is off."""
    settings, store, chain = context.settings, context.store, context.chain
    if not settings.api_registration:
        return None
    registrar = Sender(store, chain, keystore.load(settings.keys, "registrar"))
    senders = {"registrar": registrar, "sender": context.sender, "warden": context.warden}
    return Registration(
        settings,
        store,
        chain.deployment,
        lambda: AgreementOps(senders, context.now, patience()),
        context.safeguarding["iban"],
        context.now,
    )


def _inlet(settings: Settings, intake: Intake) -> Inlet:
    broker = read_config(settings)["broker"]
    password = read_secret(settings.keys / "broker.password")
    position, authorities = intake.log_position(), settings.broker_tls_ca
    tls = ssl.create_default_context(cafile=authorities) if authorities else None
    return Inlet(
        broker["host"],
        broker["nats_port"],
        "rail",
        password,
        position,
        tls=tls,
        acknowledgements=True,
    )


def _listen(settings: Settings) -> Listen:
    try:
        return Listen(
            settings.api_host, settings.api_port, settings.api_tls_cert, settings.api_tls_key
        )
    except ValueError as error:
        raise Halt(
            f"The API cannot listen: {error}. Set PROOFRAIL_API_TLS_CERT and PROOFRAIL_API_TLS_KEY "
            "(`proofrail tls issue` makes both), or PROOFRAIL_API_HOST to 127.0.0.1."
        ) from error


def _serve_api(app: Any, settings: Settings, ready_file: Path | None, open_files: int) -> None:
    listen = _listen(settings)
    try:
        listener = listen.open()
    except OSError as error:
        raise Halt(
            f"The API {error.strerror}. Nothing was lost. End the other program, or choose another "
            "port under [api] in proofrail.toml."
        ) from error
    host, port = listener.getsockname()[:2]
    most = most_connections(settings.api_connections, open_files)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            log_config=None,  # its lines go where all lines of this process go
            access_log=False,
            timeout_graceful_shutdown=_GRACE_S,
            **server_options(most),
            **listen.tls_options(),
        )
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    server.install_signal_handlers = lambda: None
    url = f"{listen.scheme}://{host}:{port}"
    print(f"rail serves {url}", flush=True)
    if ready_file:
        ready = {"api_url": url, "pid": os.getpid()}
        keystore.write_private(ready_file, json.dumps(ready).encode())
    server.run(sockets=[listener])


if __name__ == "__main__":
    raise SystemExit(main())
