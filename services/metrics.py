"""Serves /metrics of a process on loopback, from a registry of its own.

There is no key: the address is loopback only. To collect from another machine, run an agent on
this one, or tunnel the port.
"""

from __future__ import annotations

from typing import Any

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.logs import LogSink

LOOPBACK = "127.0.0.1"


class ProcessFacts(Collector):
    """The name of the process, and how many log lines it lost."""

    def __init__(self, process: str, sink: LogSink | None) -> None:
        self._process, self._sink = process, sink

    def collect(self) -> list[Metric]:
        """Return both metrics."""
        name = GaugeMetricFamily("proofrail_process", "1 while it runs.", labels=["process"])
        name.add_metric([self._process], 1)
        lost = CounterMetricFamily(
            "proofrail_log_lines_dropped", "Log lines that could not be written."
        )
        lost.add_metric([], self._sink.dropped if self._sink else 0)
        return [name, lost]


def process_registry(process: str, sink: LogSink | None = None) -> CollectorRegistry:
    """Return a registry with what every process shows: memory, CPU time, open files, lost lines."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(ProcessFacts(process, sink))
    return registry


def serve(registry: CollectorRegistry, port: int, log: Any, host: str = LOOPBACK) -> Any:
    """Serve a registry; return the server (`shutdown`, `server_port`).

    A port that is taken stops no payment: it is logged, and None is returned.
    """
    try:
        server, _ = start_http_server(port, host, registry)
    except OSError as error:
        log.error("metrics are not served", port=port, error=str(error))
        return None
    log.info("metrics are served", url=f"http://{host}:{server.server_port}/metrics")
    return server
