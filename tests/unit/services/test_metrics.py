"""/metrics of a process: on loopback, from its own registry, and never a reason to stop."""

from __future__ import annotations

import socket

import httpx

from services.logs import LogSink
from services.metrics import process_registry, serve


class EventNames:
    """A log that keeps the names of its lines."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def info(self, event, **_):
        self.events.append(event)

    error = info


def test_serve__a_registry__answers_on_loopback_alone():
    sink = LogSink()
    sink.dropped = 3
    server = serve(process_registry("bank", sink), 0, EventNames())
    try:
        assert server.server_address[0] == "127.0.0.1"
        text = httpx.get(f"http://127.0.0.1:{server.server_port}/metrics", timeout=60).text
    finally:
        server.shutdown()
        server.server_close()
    assert 'proofrail_process{process="bank"} 1.0' in text
    assert "proofrail_log_lines_dropped_total 3.0" in text
    assert "process_open_fds" in text and "process_resident_memory_bytes" in text


def test_serve__on_a_port_that_is_taken__is_logged_and_stops_nothing():
    log = EventNames()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert serve(process_registry("bank"), taken.getsockname()[1], log) is None
    assert log.events == ["metrics are not served"]


def test_registries__of_two_processes__share_nothing():
    first, second = process_registry("bank"), process_registry("chain")
    labels = {"process": "bank"}
    assert first.get_sample_value("proofrail_process", labels) == 1
    assert second.get_sample_value("proofrail_process", labels) is None
