"""Spans go to the collector that the setting names; without the setting nothing is loaded."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading

import pytest

from orchestrator.errors import Halt
from services import tracing
from services.tracing import open_tracing
from tests.support.source_tree import ROOT


class SpanCollector(http.server.BaseHTTPRequestHandler):
    """Takes OTLP over HTTP and keeps the bodies."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append((self.path, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_args) -> None:
        pass


@pytest.fixture
def collector():
    server = http.server.HTTPServer(("127.0.0.1", 0), SpanCollector)
    server.bodies = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_span__with_an_endpoint__reaches_the_collector(collector):
    span, end = open_tracing(f"http://127.0.0.1:{collector.server_port}/", "proofrail-test")
    span("step settle", 0.5, {"outcome": "done", "done": 3})
    end()
    ((path, body),) = collector.bodies
    assert path == "/v1/traces"
    assert b"step settle" in body and b"proofrail-test" in body and b"outcome" in body


def test_tracing__without_an_endpoint__loads_nothing():
    code = (
        "import sys; from services.tracing import open_tracing; span, end = open_tracing('', 'x');"
        "span('a', 1.0, {}); end(); print([m for m in sys.modules if 'opentelemetry' in m])"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ended.stdout == "[]\n", ended.stderr


def test_tracing__without_the_library__halts_with_the_next_step(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(tracing, "import_module", missing)
    with pytest.raises(Halt, match="Install opentelemetry-sdk"):
        open_tracing("http://127.0.0.1:4318", "x")
