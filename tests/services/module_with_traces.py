"""A module whose app is traced, also in child processes."""

from __future__ import annotations

import os

from opentelemetry import trace

from fleet_q import FleetQ
from tests.services.collector import provider_to

app = FleetQ("memory://")
provider = provider_to(os.environ["COLLECTOR"])
app.trace(provider)


@app.task("work", process=True)
def work() -> str:
    with provider.get_tracer("test").start_as_current_span("inside"):
        return format(trace.get_current_span().get_span_context().trace_id, "032x")
