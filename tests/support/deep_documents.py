"""Deeply nested documents before every decoder, in a process that has imported the chain adapter.

Run as a script by test_deep_nesting.py, because what it guards against ends the process. Prints one
line of JSON: what became of each document by name.
"""

from __future__ import annotations

import json
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from typer.testing import CliRunner

from device_adapters import strict_json
from device_adapters.registry import protocols, read
from device_adapters.types import Message, Rejected
from oracles import wire
from orchestrator.cli import app as cli
from orchestrator.core.audit import verify
from orchestrator.edges.bank import camt, order_files, reading
from orchestrator.edges.chain import client  # noqa: F401 - the adapter that the rail runs with
from orchestrator.products import products
from tests.support.api_rail import ApiRail

LEVELS = 90_000  # an interpreter with a raised limit ends between 32,000 and these
LISTS = b"[" * LEVELS + b"]" * LEVELS
OBJECTS = b'{"a":' * 30_000 + b"1" + b"}" * 30_000
XML = b"<a>" * 30_000 + b"</a>" * 30_000
CAMT = b'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08">' + XML + b"</Document>"
RECORD = b"[" * 60_000  # within the size of one record
DOCUMENTS = {"lists": LISTS, "objects": OBJECTS, "xml": XML, "camt": CAMT, "record": RECORD}
BODIES = {
    "ocmf": b'OCMF|{"FV":"1.0","PG":%b}|{"SD":"00"}',
    "epcis": b'{"@context":[],"type":"EPCISDocument","epcisBody":{"eventList":%b}}',
    "voucher": b'{"voucher":%b}',
}


def outcome(read_it: Any, document: Any) -> str:
    """How a decoder refused the document; "taken" where it did not."""
    try:
        answer = read_it(document)
    except Rejected as refusal:
        return str(refusal.reason)
    if isinstance(answer, list) and answer and isinstance(answer[0], Rejected):
        return str(answer[0].reason)
    return "taken"


def in_process() -> Iterator[tuple[str, str]]:
    for kind, document in DOCUMENTS.items():
        yield f"strict_json {kind}", outcome(strict_json.decode, document.decode())
        yield f"oracle wire {kind}", outcome(wire.read_request, document)
        for name in protocols():
            bodies = (document, BODIES.get(name, b"%b") % document)
            for place, body in zip(("bare", "inside"), bodies, strict=True):
                message = Message(name, "", body, source="http")
                yield f"{name} {place} {kind}", outcome(read, message)
        problems = reading.read(document).problems
        yield f"bank reading {kind}", str(problems[0].reason) if problems else "taken"
        yield f"bank file {kind}", outcome(camt.parse, document)
        yield f"bank order {kind}", outcome(order_files.read_orders, document)
    nested: Any = []
    for _ in range(LEVELS):
        nested = [nested]
    report = verify({"format": nested, "payment": nested}, products())
    yield "bundle in memory", "taken" if report.ok else "refused"


def by_command(folder: Path) -> Iterator[tuple[str, str]]:
    for kind, document in DOCUMENTS.items():
        file = folder / kind
        file.write_bytes(document)
        for command in (["audit", "verify"], ["evidence", "check"], ["bank", "parse"]):
            answer = CliRunner().invoke(cli, [*command, str(file)])
            crashed = answer.exception and not isinstance(answer.exception, SystemExit)
            ending = repr(answer.exception) if crashed else f"exit code {answer.exit_code}"
            yield f"{' '.join(command)} {kind}", ending


def over_http(folder: Path) -> Iterator[tuple[str, str]]:
    rail = ApiRail(folder)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(rail.app, log_level="critical"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    address = "http://{}:{}".format(*listener.getsockname())
    key = {"Authorization": f"Bearer {rail.keys['acme']}"}
    for path in ("/v1/evidence", "/capture"):
        for media in ("application/json", "text/plain", "application/ld+json"):
            for kind, document in DOCUMENTS.items():
                headers = key | {"Content-Type": media}
                answer = httpx.post(address + path, content=document, headers=headers, timeout=60)
                yield f"{path} {media} {kind}", f"status {answer.status_code}"
    alive = httpx.get(f"{address}/health", timeout=60).status_code
    yield "the server afterwards", f"status {alive}"
    server.should_exit = True
    thread.join()
    listener.close()
    rail.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [*in_process(), *by_command(folder), *over_http(folder)]
    print(json.dumps({"limit": sys.getrecursionlimit(), "outcomes": dict(rows)}))


if __name__ == "__main__":
    main()
