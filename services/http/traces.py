"""The trace context of requests that submit steps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Final

from fastapi import Header

from fleet_q.core.submission import MAX_LABELS
from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.labels import TRACEPARENT

TraceParent = Annotated[
    str | None, Header(description="the client's trace context: the steps belong to its trace")
]

_VALID: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
"""W3C, *Trace Context*, section 3.2. A header of another form is ignored, as it says there."""


@contextmanager
def in_trace(
    fleet: FleetQ, steps: Sequence[dict[str, Any]], traceparent: str | None
) -> Iterator[None]:
    """Let ``steps``, the options of submissions in the body, belong to the trace of the client: as
    children of its span if the app is traced, and otherwise by their label."""
    if traceparent is None or _VALID.fullmatch(traceparent) is None:
        yield
    elif fleet.tracing is not None:
        with fleet.tracing.within(traceparent):
            yield
    else:
        for options in steps:
            labels = options.get("labels") or {}
            if len(labels) < MAX_LABELS:
                options["labels"] = {TRACEPARENT: traceparent, **labels}
        yield
