"""The metrics of a pod and of its fleet as families of ``prometheus_client``.

Names of the pod's own begin with ``fleet_q_pod_``; all others are of the fleet, so that each pod
serves the same values. Units and suffixes follow Prometheus' documentation, *Metric and label
naming*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import get_args

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from fleet_q.core.retry import MICROS
from fleet_q.core.worker.membership import Phase
from fleet_q.services.app.version import installed_version
from fleet_q.services.metrics.fleet_count import Count, FleetCount
from fleet_q.services.worker.pod_metrics import Histogram, Pair, PodMetrics
from fleet_q.services.worker.pod_thread import Pod

_PAIR = ("queue", "task_type")


@dataclass(frozen=True)
class Exposition(Collector):
    """Serves the metrics of the pod that ``pod`` returns, with its counters ``metrics``, and those
    of the fleet as counted by ``count``."""

    pod: Callable[[], Pod | None]
    metrics: PodMetrics | None
    count: FleetCount

    def text(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics in the format that the header ``Accept`` asks for, and the format's
        media type."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        encode, media_type = choose_encoder(accept)
        return encode(registry), media_type

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering it reads no store."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Return all families that have a value now."""
        pod = self.pod()
        if pod is not None:
            yield from _of_pod(pod)
        if self.metrics is not None:
            leads = self.metrics.leads and pod is not None and pod.machine.phase == "up"
            yield from _counted_by_pod(self.metrics, leads=leads)
        counted = self.count.current()
        is_available = 1 if self.count.is_available else 0
        yield _gauge("pod_count_ok", "Whether the store answered the pod's count.", is_available)
        if counted is not None:
            yield from _of_fleet(*counted)


def _of_pod(pod: Pod) -> Iterator[Metric]:
    machine, phase = pod.machine, pod.machine.phase
    info = GaugeMetricFamily(
        "fleet_q_pod_info", "Always 1; the labels describe the pod.", labels=["pod", "version"]
    )
    info.add_metric([pod.pod_id, installed_version()], 1)
    yield info
    phases = GaugeMetricFamily(
        "fleet_q_pod_phase", "1 for the phase that the pod is in, else 0.", labels=["phase"]
    )
    for name in get_args(Phase):
        phases.add_metric([name], 1 if name == phase else 0)
    yield phases
    yield _gauge("pod_healthy", "Whether the pod can do all its work.", int(pod.is_healthy()))
    yield _gauge(
        "pod_store_silence_seconds",
        "For how long the store has not answered the pod.",
        pod.silent_for,
    )
    yield _gauge("pod_slots", "Steps that run at once in the pod, at most.", machine.slots)
    yield _gauge("pod_slots_used", "Steps that run in the pod.", pod.slots_used)
    yield _gauge(
        "pod_held_steps", "Steps that the pod has claimed, running or waiting.", machine.running
    )


def _counted_by_pod(metrics: PodMetrics, *, leads: bool) -> Iterator[Metric]:
    outcomes = CounterMetricFamily(
        "fleet_q_pod_outcomes",
        "Attempts of the pod that ended, by how: completed, retried, failed (dead letters),"
        " released, snoozed; rejected by the store, because the claim was lost.",
        labels=[*_PAIR, "outcome"],
    )
    for (queue, task_type, result), number in metrics.ended.copy().items():
        outcomes.add_metric([queue, task_type, result], number)
    yield outcomes
    yield _histograms(
        "pod_wait_seconds",
        "From when a step was submitted, or due if that was later, to its first claim.",
        metrics.waits,
    )
    yield _histograms(
        "pod_run_seconds",
        "For how long an attempt had a slot of the pod, or a client held the step.",
        metrics.runs,
    )
    syncs = HistogramMetricFamily(
        "fleet_q_pod_sync_seconds", "How long the store took to answer a sync of the pod."
    )
    syncs.add_metric([], metrics.syncs.buckets, metrics.syncs.sum)
    yield syncs
    yield _counter(
        "pod_lock_wait_seconds",
        "About how long syncs of the pod waited for locks: by how much they took longer than the"
        " fastest.",
        metrics.lock_waited,
    )
    yield _counter(
        "pod_contended_syncs",
        "Syncs that the store rejected because too many waited for its lock.",
        metrics.contended,
    )
    yield _counter(
        "pod_unavailable_calls",
        "Calls of the pod that the store did not answer.",
        metrics.unavailable,
    )
    yield _counter(
        "pod_lost_claims",
        "Steps that were cancelled, or recovered by the leader, while the pod held them.",
        metrics.lost,
    )
    yield _gauge("pod_is_leader", "Whether the pod led in its last recovery cycle.", int(leads))
    yield _counter("pod_dead_pods", "Pods that it declared dead, as the leader.", metrics.dead_pods)
    recovered = CounterMetricFamily(
        "fleet_q_pod_recovered_steps",
        "Steps of dead pods that it recovered, as the leader: requeued or failed.",
        labels=["result"],
    )
    recovered.add_metric(["requeued"], metrics.requeued)
    recovered.add_metric(["failed"], metrics.failed)
    yield recovered
    yield _counter(
        "pod_failed_recoveries", "Recovery cycles that an error ended.", metrics.failed_recoveries
    )
    yield _counter("pod_scheduled_steps", "Steps that it submitted for schedules.", metrics.fired)
    yield _counter("pod_pruned_steps", "Steps that it pruned, as the leader.", metrics.pruned)


def _of_fleet(count: Count, age: float) -> Iterator[Metric]:
    backlog, stats = count.backlog, count.stats
    yield _gauge(
        "pod_count_age_seconds", "How long ago the pod counted the steps of the fleet.", age
    )
    yield from _demand(
        backlog.pending, backlog.claimable, backlog.claimed, _age(backlog.oldest, backlog.at, age)
    )
    steps = GaugeMetricFamily("fleet_q_steps", "Steps of the fleet.", labels=["status"])
    for status, number in stats.counts.items():
        steps.add_metric([status], number)
    yield steps
    by_type = GaugeMetricFamily(
        "fleet_q_queue_steps",
        "Steps of the fleet that are not completed or cancelled. Those that are pending but not due"
        " are delayed.",
        labels=[*_PAIR, "status"],
    )
    oldest = GaugeMetricFamily(
        "fleet_q_queue_oldest_age_seconds",
        "For how long the oldest due step has waited.",
        labels=_PAIR,
    )
    unserved = GaugeMetricFamily(
        "fleet_q_unserved_steps", "Pending steps that no live pod takes.", labels=_PAIR
    )
    for each in stats.types:
        pair = [each.queue, each.task_type]
        numbers: Mapping[str, int] = {
            "pending": each.pending - each.delayed,
            "delayed": each.delayed,
            "waiting": each.waiting,
            "claimed": each.claimed,
            "failed": each.failed,
        }
        for kind, number in numbers.items():
            by_type.add_metric([*pair, kind], number)
        oldest.add_metric(pair, _age(each.oldest, stats.at, age))
        is_unserved = (each.queue, each.task_type) in count.unserved
        unserved.add_metric(pair, each.pending if is_unserved else 0)
    paused = GaugeMetricFamily(
        "fleet_q_queue_paused", "Whether the queue is paused.", labels=["queue"]
    )
    for queue, is_paused in {each.queue: each.is_paused for each in stats.types}.items():
        paused.add_metric([queue], int(is_paused))
    yield from (by_type, oldest, unserved, paused)
    yield _gauge("inbox_rows", "Rows of the inbox that are no steps yet.", stats.inbox)


def _demand(pending: int, claimable: int, claimed: int, oldest_age: float) -> Iterator[Metric]:
    """What the fleet has to do, under the names that the scaler uses."""
    yield _gauge("pending_steps", "Steps that wait, due or not.", pending)
    yield _gauge(
        "claimable_steps",
        "Steps that are due and may be claimed within the limits of their queues.",
        claimable,
    )
    yield _gauge("claimed_steps", "Steps that pods hold.", claimed)
    yield _gauge(
        "oldest_claimable_age_seconds",
        "For how long the oldest claimable step has waited.",
        oldest_age,
    )


def _gauge(name: str, help: str, value: float) -> Metric:
    return GaugeMetricFamily(f"fleet_q_{name}", help, value=value)


def _counter(name: str, help: str, value: float) -> Metric:
    return CounterMetricFamily(f"fleet_q_{name}", help, value=value)


def _histograms(name: str, help: str, histograms: dict[Pair, Histogram]) -> Metric:
    family = HistogramMetricFamily(f"fleet_q_{name}", help, labels=_PAIR)
    for pair, histogram in histograms.copy().items():
        family.add_metric(pair, histogram.buckets, histogram.sum)
    return family


def _age(since: int | None, at: int, elapsed: float) -> float:
    """For how many seconds something lasts since store time ``since``; it was read at ``at``,
    ``elapsed`` seconds ago."""
    return 0.0 if since is None else max(0.0, (at - since) / MICROS + elapsed)
