"""Traces: one creation of a workplace is one trace, across services, calls and the broker.

Each service has a tracer provider of its own, so that four services in one process still go by their own names.
What is not set up records nothing and passes the context on all the same.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from fastapi import FastAPI
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from shared.runtime.settings import TelemetrySettings

_propagator = TraceContextTextMapPropagator()
_providers: dict[str, TracerProvider] = {}


class Telemetry:
    """The tracing of one service; `close` writes out what is left."""

    def __init__(self, service: str, settings: TelemetrySettings) -> None:
        self._service = service
        self._provider: TracerProvider | None = None
        if settings.trace_file is None and settings.otlp_endpoint is None:
            return
        self._provider = TracerProvider(resource=Resource({SERVICE_NAME: service}), shutdown_on_exit=False)
        if settings.trace_file is not None:
            self._provider.add_span_processor(SimpleSpanProcessor(_JsonLines(settings.trace_file)))
        if settings.otlp_endpoint is not None:
            exporter = OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces")
            self._provider.add_span_processor(BatchSpanProcessor(exporter))
        _providers[service] = self._provider

    def instrument(self, app: FastAPI) -> None:
        """Afterwards every request to the application is a span; health checks are not."""
        if self._provider is not None:
            FastAPIInstrumentor.instrument_app(
                app, tracer_provider=self._provider, excluded_urls="health/.*", exclude_spans=["send", "receive"]
            )

    def instrument_client(self, client: httpx.AsyncClient) -> None:
        """Afterwards every call of the client is a span and carries the trace context."""
        if self._provider is not None:
            HTTPXClientInstrumentor.instrument_client(client, tracer_provider=self._provider)

    def close(self) -> None:
        """Blocks until the spans are out, some seconds at most."""
        if self._provider is not None:
            if _providers.get(self._service) is self._provider:
                del _providers[self._service]
            self._provider.shutdown()


def setup(service: str, settings: TelemetrySettings) -> Telemetry:
    """Starts the tracing of a service, as far as it is configured."""
    return Telemetry(service, settings)


def tracer(service: str) -> Tracer:
    """The tracer of a service in this process; one that records nothing when the service has no tracing."""
    provider = _providers.get(service)
    return provider.get_tracer("yurt") if provider is not None else trace.NoOpTracer()


def inject() -> dict[str, str]:
    """The present trace context as W3C headers (`traceparent`, `tracestate`); empty outside of a trace."""
    headers: dict[str, str] = {}
    _propagator.inject(headers)
    return headers


@contextmanager
def continued(
    service: str, name: str, kind: SpanKind, headers: Mapping[str, str], attributes: Mapping[str, AttributeValue]
) -> Iterator[Span]:
    """Inside, the present span is one of `service` that continues the trace in `headers` (or begins one).

    An exception that passes through is recorded in the span by its type alone: messages may hold data.
    """
    token = context.attach(_propagator.extract(headers, context=context.Context()))
    try:
        with tracer(service).start_as_current_span(
            name, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except Exception as error:
                mark_failed(span, error)
                raise
    finally:
        context.detach(token)


def mark_failed(span: Span, error: BaseException) -> None:
    """The span ends as failed, with the type of the error and nothing of its message."""
    span.set_attribute("error.type", type(error).__qualname__)
    span.set_status(trace.StatusCode.ERROR)


class _JsonLines(SpanExporter):
    """Appends a line per span with a single write, so that several processes may share the file."""

    def __init__(self, file: Path) -> None:
        self._descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            os.write(self._descriptor, (json.dumps(_line(span), ensure_ascii=False, default=str) + "\n").encode())
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        os.close(self._descriptor)


def _line(span: ReadableSpan) -> dict[str, object]:
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.context is not None
    return {
        "trace": trace.format_trace_id(span.context.trace_id),
        "span": trace.format_span_id(span.context.span_id),
        "parent": trace.format_span_id(span.parent.span_id) if span.parent else None,
        "service": span.resource.attributes[SERVICE_NAME],
        "name": span.name,
        "kind": span.kind.name.lower(),
        "start": span.start_time / 1e9,
        "milliseconds": round((span.end_time - span.start_time) / 1e6, 3),
        "failed": span.status.status_code is trace.StatusCode.ERROR,
        "attributes": dict(span.attributes or {}),
    }
