"""Run the broker on loopback until SIGTERM: mosquitto if it is installed, else amqtt."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
from pathlib import Path

from orchestrator.edges.broker import mosquitto
from orchestrator.edges.broker.credentials import path, replace_private


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m services.broker --home DIR [--port 0] [--ready-file F] [--embedded]`.

    The ready file is JSON: {"host", "port", "broker": "amqtt" | "mosquitto", "pid"}.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--ready-file", type=Path)
    parser.add_argument(
        "--embedded", action="store_true", help="amqtt even if mosquitto is installed"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    asyncio.run(_run(options))


async def _run(options: argparse.Namespace) -> None:
    path(options.home).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if options.embedded or mosquitto.executable() is None:
        from orchestrator.edges.broker import embedded as broker  # amqtt is slow to import

        name = "amqtt"
    else:
        broker, name = mosquitto, "mosquitto"

    def ready(port: int) -> None:
        state = {"host": "127.0.0.1", "port": port, "broker": name, "pid": os.getpid()}
        print(f"broker {name} on 127.0.0.1:{port}", flush=True)
        if options.ready_file:
            replace_private(options.ready_file, json.dumps(state).encode())

    await broker.serve(options.home, options.port, ready, stop)


if __name__ == "__main__":
    main()
