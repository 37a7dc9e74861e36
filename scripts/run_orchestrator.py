"""Runs one rail: MQTT inlet, worker and HTTP API in one process, until it is told to stop.

    python -m scripts.run_orchestrator --home .proofrail

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

from device_adapters.inlets import Inlet
from orchestrator.core.receipt import Receipts
from orchestrator.edges.api import ApiParts, create_app
from orchestrator.edges.bank.channel import open_channel
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.artifacts import load_artifacts
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.reader import Registry
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.oracles import OracleClient
from orchestrator.edges.store import Store
from orchestrator.errors import Halt, Retry
from orchestrator.ingest.inlet_loop import InletLoop
from orchestrator.ingest.intake import Intake
from orchestrator.products import deployed
from orchestrator.settings import Settings
from orchestrator.steps import Committee, StepContext
from orchestrator.views.trace import trace
from orchestrator.worker import Worker

_START_POLL_S = 0.02


def main() -> int:
    """Exit code 0 after SIGTERM or SIGINT, 1 if the rail cannot start (with the next step)."""
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
    """Builds the rail from its home and runs it until a signal comes."""
    log = _log(settings.home / "logs" / "orchestrator.log")
    town = json.loads((settings.home / "rail.json").read_text())
    rail = build_rail(settings, town, log)
    worker = Worker(rail)
    worker.recover()
    receipts = Receipts((settings.keys / "receipt.pem").read_bytes())
    intake = Intake(rail.store, rail.registry, rail.rules, time.time)
    broker = town["broker"]
    inlet = Inlet(
        broker["host"],
        broker["port"],
        "rail",
        (settings.keys / "broker.password").read_text(),
        client_id="rail",
    )
    loop = InletLoop(inlet, intake, receipts, time.time, log)
    threads = [threading.Thread(target=t.run, name=n) for n, t in (("work", worker), ("in", loop))]
    app = create_app(
        ApiParts(
            store=rail.store,
            intake=intake,
            receipts=receipts,
            worker=worker.report,
            settings=settings,
            now=time.time,
            trace=trace,
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
        rail.store.close()
    return 0


def build_rail(settings: Settings, town: dict[str, Any], log: Any) -> StepContext:
    """The rail's doors, from its home and `rail.json`."""
    deployment = Deployment.load(settings.deployment)
    chain = Chain(town["rpc_url"], deployment, load_artifacts())
    store = Store(settings.database)
    known = deployed(deployment.addresses)
    doors = [
        OracleClient(
            o["name"],
            o["address"],
            o["domain"],
            o["url"],
            Path(settings.keys / f"{o['name']}.token").read_text(),
        )
        for o in town["oracles"]
    ]
    committee = Committee(
        {door.address: door.domain for door in doors},
        chain.view("OracleCommittee", "quorum"),
        chain.view("OracleCommittee", "minDomains"),
    )
    return StepContext(
        settings=settings,
        store=store,
        chain=chain,
        registry=Registry(chain, known),
        sender=Sender(store, chain, keystore.load(settings.keys, "sender")),
        minter=Sender(store, chain, keystore.load(settings.keys, "minter")),
        warden=Sender(store, chain, keystore.load(settings.keys, "warden")),
        oracles=doors,
        committee=committee,
        rules={name: p for name, (_, p) in known.items()},
        bank=open_channel(settings),
        safeguarding=town["safeguarding"],
        now=lambda: int(time.time()),
        log=log,
    )


def _serve_api(app: Any, settings: Settings, ready_file: Path | None) -> None:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((settings.api_host, settings.api_port))
    listener.listen()  # from here on callers wait and are not refused: the ready file may be read
    host, port = listener.getsockname()
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: setattr(server, "should_exit", True))
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
