"""Runs one rail: MQTT inlet, worker and HTTP API in one process, until a signal ends it.

    python -m services.orchestrator --home .proofrail

It reads `rail.json` in its home (where node, broker, oracles and bank are) and holds no key of an
oracle or a device.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer

from device_adapters.inlets.log_inlet import Inlet
from orchestrator.assembly import rail_from_home, read_config
from orchestrator.core.receipt import Receipts
from orchestrator.edges.api import ApiParts, create_app
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.sender import Sender, patience
from orchestrator.errors import Halt, Retry
from orchestrator.ingest.inlet_loop import InletLoop
from orchestrator.ingest.intake import Intake
from orchestrator.operations.agreements import AgreementOps
from orchestrator.operations.registration import Registration
from orchestrator.settings import Settings
from orchestrator.steps import StepContext
from orchestrator.views.trace import trace
from orchestrator.worker import Worker

_START_POLL_S = 0.02


def main() -> int:
    """Return 0 after SIGTERM or SIGINT, or 1 where the rail cannot start (stderr says why)."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, help="default: PROOFRAIL_HOME or .proofrail")
    parser.add_argument("--ready-file", type=Path, help="JSON with api_url and pid, once it serves")
    parser.add_argument("--start-file", type=Path, help="wait until this file exists")
    options = parser.parse_args()
    while options.start_file and not options.start_file.exists():
        time.sleep(_START_POLL_S)  # whoever starts a whole rail has the modules loaded meanwhile
    settings = Settings(home=options.home) if options.home else Settings()
    try:
        return serve(settings, options.ready_file)
    except (Halt, Retry) as error:
        print(error, file=sys.stderr)
        return 1


def serve(settings: Settings, ready_file: Path | None) -> int:
    """Build the rail from its home and run it until a signal comes."""
    log = _log(settings.home / "logs" / "orchestrator.log")
    context = rail_from_home(settings, log)
    worker = Worker(context)
    worker.recover()
    receipts = Receipts((settings.keys / "receipt.pem").read_bytes())
    intake = Intake(context.store, context.registry, context.rules, time.time, worker.wake)
    inlet = _inlet(settings, intake)
    loop = InletLoop(inlet, intake, receipts, time.time, log)
    threads = [
        threading.Thread(target=target, name=name)
        for name, target in (("work", worker.run), ("in", loop.run))
    ]
    app = create_app(
        ApiParts(
            store=context.store,
            intake=intake,
            receipts=receipts,
            worker=worker.report,
            settings=settings,
            now=time.time,
            trace=trace,
            registration=registration(context),
        )
    )
    for thread in threads:
        thread.start()
    try:
        _serve_api(app, settings, ready_file)
    finally:
        loop.stop()
        worker.stop()
        inlet.close()
        for thread in threads:
            thread.join(timeout=20)
        context.store.close()
    return 0


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
    password = (settings.keys / "broker.password").read_text()
    return Inlet(broker["host"], broker["nats_port"], "rail", password, intake.log_position())


def _serve_api(app: Any, settings: Settings, ready_file: Path | None) -> None:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((settings.api_host, settings.api_port))
    listener.listen()  # from here on callers wait and are not refused: the ready file may be read
    host, port = listener.getsockname()
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    server.install_signal_handlers = lambda: None
    url = f"http://{host}:{port}"
    print(f"rail serves {url}", flush=True)
    if ready_file:
        ready = {"api_url": url, "pid": os.getpid()}
        keystore.write_private(ready_file, json.dumps(ready).encode())
    server.run(sockets=[listener])


def _log(path: Path) -> Any:
    path.parent.mkdir(parents=True, exist_ok=True)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # without the frames' variables: they hold tokens and keys
            ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=path.open("a", buffering=1)),
    )
    return structlog.get_logger()


if __name__ == "__main__":
    raise SystemExit(main())
