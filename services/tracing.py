"""Optional spans to an OpenTelemetry collector: one for each step that worked, and each batch.

The library is an extra: without the setting `otlp_endpoint` it is not loaded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from orchestrator.errors import Halt

Span = Callable[[str, float, Mapping[str, Any]], None]  # name, seconds, attributes


def open_tracing(endpoint: str, process: str) -> tuple[Span, Callable[[], None]]:
    """Return (a function that records a span that has just ended, a function that ends tracing).

    Args:
        endpoint: URL of the collector (OTLP over HTTP); "" records nothing.
        process: The name of the service in the spans.

    Raises:
        Halt: OpenTelemetry is not installed.
    """
    if not endpoint:
        return (lambda name, seconds, attributes: None), (lambda: None)
    try:
        exporter = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        export = import_module("opentelemetry.sdk.trace.export")
        provider_module = import_module("opentelemetry.sdk.trace")
        resources = import_module("opentelemetry.sdk.resources")
    except ModuleNotFoundError as error:
        raise Halt(
            "The setting otlp_endpoint needs OpenTelemetry, which is not installed "
            f"({error.name} is missing). Install opentelemetry-sdk and "
            "opentelemetry-exporter-otlp-proto-http, or leave the setting empty."
        ) from error
    provider = provider_module.TracerProvider(
        resource=resources.Resource.create({"service.name": process})
    )
    url = f"{endpoint.rstrip('/')}/v1/traces"
    provider.add_span_processor(export.BatchSpanProcessor(exporter.OTLPSpanExporter(url)))
    tracer = provider.get_tracer("proofrail")

    def span(name: str, seconds: float, attributes: Mapping[str, Any]) -> None:
        end = time.time_ns()
        begun = tracer.start_span(name, start_time=end - int(seconds * 1e9))
        begun.set_attributes(attributes)
        begun.end(end)

    return span, provider.shutdown
