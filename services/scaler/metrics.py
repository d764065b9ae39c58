"""The demand of a fleet in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

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


class _Gauges(Collector):
    """The gauges of ``demand``, whose names begin with ``fleet_q_``."""

    def __init__(self, demand: Demand) -> None:
        self._demand = demand

    def collect(self) -> Iterator[Metric]:
        for gauge in _GAUGES:
            value = gauge.value(self._demand)
            yield GaugeMetricFamily(f"fleet_q_{gauge.name}", gauge.help, value=value)


def prometheus_text(demand: Demand) -> bytes:
    """Return the demand as gauges whose names begin with ``fleet_q_``."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Gauges(demand))
    return generate_latest(registry)
