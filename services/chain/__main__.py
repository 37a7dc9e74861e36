"""Runs the development chain of one rail until a signal ends it.

    python -m services.chain --home .proofrail --port 8545

The chain is kept in HOME/chain and goes on from there at the next start.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

from orchestrator.errors import Halt, Retry
from services import logs
from services.chain.dumps import Dumps
from services.chain.keeper import Keeper
from services.chain.schedule import Schedule
from services.chain.server import listener, server
from services.metrics import process_registry
from services.metrics import serve as serve_metrics


def main() -> int:
    """Return 0 after SIGTERM or SIGINT with the chain stored, else 1 (stderr says why)."""
    options = _options()
    log, sink = logs.set_up("chain")
    if options.metrics_port:
        serve_metrics(process_registry("chain", sink), options.metrics_port, log)
    try:
        return serve(options, Dumps(options.home / "chain"))
    except (Halt, Retry, RuntimeError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, required=True, help="the rail's home folder")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (JSON-RPC)")
    parser.add_argument("--port", type=int, default=8545, help="0 for a free one")
    parser.add_argument("--block-seconds", type=float, default=1.0, help="longest wait for a block")
    parser.add_argument("--heartbeat-seconds", type=float, default=300.0, help="of an idle chain")
    parser.add_argument(
        "--depth", type=int, default=3, help="empty blocks on top of work (finality_blocks)"
    )
    parser.add_argument("--timestamp", type=int, help="Unix seconds of a new chain's block 0")
    parser.add_argument(
        "--metrics-port", type=int, default=0, help="/metrics on loopback, without a key; 0: none"
    )
    parser.add_argument("--ready-file", type=Path, help="JSON with rpc_url and pid, once it serves")
    return parser.parse_args()


def serve(options: argparse.Namespace, dumps: Dumps) -> int:
    """Keep the chain until a signal comes; return the exit code."""
    dumps.claim()
    bound = listener(options.host, options.port)
    schedule = Schedule(
        options.block_seconds, options.heartbeat_seconds, options.depth, time.monotonic()
    )
    log = logging.getLogger("chain")
    keeper = Keeper(dumps, schedule, log, genesis_at=options.timestamp).start()
    http, failures = server(keeper), []

    def keep() -> None:
        try:
            keeper.run()
        except Exception as error:  # any: a chain that nobody keeps must not go on
            failures.append(error)
            http.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(http, "should_exit", True))
    loop = threading.Thread(target=keep, name="keep")
    loop.start()
    host, port = bound.getsockname()[:2]
    url = f"http://{host}:{port}"
    log.info("chain serves %s from block %d", url, keeper.final)
    if options.ready_file:
        _write(options.ready_file, {"rpc_url": url, "pid": os.getpid()})
    try:
        http.run(sockets=[bound])
    finally:
        keeper.end_loop()
        loop.join()
        stored = keeper.stop()
    if failures:
        log.error("the chain ended: %s", failures[0], exc_info=failures[0])
    return 0 if stored and not failures else 1


def _write(path: Path, content: dict[str, object]) -> None:
    """Write a small file that is absent or complete."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(content))
    temporary.replace(path)


if __name__ == "__main__":
    raise SystemExit(main())
