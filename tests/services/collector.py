"""A collector of OpenTelemetry spans: OTLP over HTTP, on loopback."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tests.receiver import Receiver, receiving

KINDS: Final = {
    trace_pb2.Span.SPAN_KIND_PRODUCER: "producer",
    trace_pb2.Span.SPAN_KIND_CONSUMER: "consumer",
    trace_pb2.Span.SPAN_KIND_INTERNAL: "internal",
}


@dataclass
class Received:
    """A span as the collector has received it. Ids are in hexadecimal digits."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    links: list[str]
    attributes: dict[str, Any]
    is_error: bool
    events: list[str]
    seconds: float


class Collector:
    """The spans that a receiver was sent, and the address that they are sent to."""

    def __init__(self, receiver: Receiver) -> None:
        self.url = receiver.url
        self._receiver = receiver

    def provider(self) -> TracerProvider:
        """A provider whose spans arrive here before the code that made them goes on."""
        return provider_to(self.url)

    @property
    def spans(self) -> list[Received]:
        """All spans, in the order in which they were received."""
        return [
            _received(span)
            for path, headers, body in self._receiver.requests
            if path == "/v1/traces"
            for resource in _decoded(headers, body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def named(self, name: str) -> list[Received]:
        """The spans of this name, in the order in which they ended."""
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> Received:
        """The only span of this name."""
        (span,) = self.named(name)
        return span


def provider_to(url: str) -> TracerProvider:
    """A provider that sends each span to ``url`` when it ends."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))
    return provider


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector."""
    with receiving() as receiver:
        yield Collector(receiver)


def _decoded(headers: dict[str, str], body: bytes) -> ExportTraceServiceRequest:
    is_compressed = headers.get("Content-Encoding") == "gzip"
    request = ExportTraceServiceRequest()
    request.ParseFromString(gzip.decompress(body) if is_compressed else body)
    return request


def _received(span: trace_pb2.Span) -> Received:
    return Received(
        span.name,
        KINDS[span.kind],
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        [link.span_id.hex() for link in span.links],
        {
            entry.key: getattr(entry.value, str(entry.value.WhichOneof("value")))
            for entry in span.attributes
        },
        span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        [event.name for event in span.events],
        (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
    )
