"""The demand of a fleet in Prometheus' text format.

It is written here and not by a client library: gauges without labels need nothing escaped and no
state kept, and are three lines each (Prometheus' documentation, *Exposition formats*).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from fleet_q.services.scaler.scaler import Demand

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class _Gauge(NamedTuple):
    name: str
    help: str
    value: Callable[[Demand], float | None]


_GAUGES: Final = (
    _Gauge("pending_steps", "Steps that wait, due or not.", lambda d: d.pending),
    _Gauge(
        "claimable_steps",
        "Steps that are due and may be claimed within the limits of their queues.",
        lambda d: d.claimable,
    ),
    _Gauge("claimed_steps", "Steps that pods hold.", lambda d: d.claimed),
    _Gauge(
        "oldest_claimable_age_seconds",
        "For how long the oldest claimable step has waited.",
        lambda d: d.oldest_age,
    ),
    _Gauge(
        "next_due_seconds",
        "Seconds until the next step becomes due, or its queue's rate allows one; else no value.",
        lambda d: d.next_due_in,
    ),
    _Gauge(
        "wanted_pods",
        "Pods that run the claimable and claimed steps at once.",
        lambda d: d.wanted_pods,
    ),
)


def prometheus_text(demand: Demand) -> str:
    """Return the demand as gauges whose names begin with ``fleet_q_``."""
    lines: list[str] = []
    for gauge in _GAUGES:
        name = f"fleet_q_{gauge.name}"
        lines += [f"# HELP {name} {gauge.help}", f"# TYPE {name} gauge"]
        value = gauge.value(demand)
        if value is not None:
            lines.append(f"{name} {value}")
    return "\n".join(lines) + "\n"
