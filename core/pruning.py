"""Pruning: archive and delete final steps and inactive pods of a given age, with their events.

A prune may be interrupted after any store call, repeated, or run twice at once: a step is only
deleted if its version has not changed since it was found, and only together with all its events.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable
from typing import Any, Final

import msgspec

from fleet_q.core.calls import StoreCall, call
from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.leadership import is_leader
from fleet_q.core.lifecycle import FINAL, StepStatus
from fleet_q.core.pod import Pod
from fleet_q.core.ports import Store

PRUNED_BY_DEFAULT: Final[tuple[StepStatus, ...]] = tuple(
    status for status in FINAL if status != "failed"
)
"""The statuses that are pruned by default. Failed steps may still be replayed, so they are pruned
only on request."""

MAX_INTERVAL: Final = 3_600.0
"""Seconds between two prunes of a leader, at most."""

TOLERANCE: Final = 0.1
"""The interval between prunes, as a fraction of ``prune_after``: how late a step may be pruned."""


class PruneStats(msgspec.Struct):
    """Counts of what was pruned or, in a dry run, of what would be."""

    steps: int = 0
    step_events: int = 0
    pods: int = 0
    pod_events: int = 0


Archive = Callable[[Iterable[StepEvent] | Iterable[PodEvent]], None]
"""Archives events; they are stored durably when it returns."""


def statuses_to_prune(*, failed: bool) -> tuple[StepStatus, ...]:
    """The statuses that a prune deletes: with ``failed``, those of failed steps, too."""
    return FINAL if failed else PRUNED_BY_DEFAULT


def is_prunable(
    status: StepStatus, last_update_ts: int, statuses: Collection[StepStatus], before: int
) -> bool:
    """Whether a step is in one of the final ``statuses`` since store time ``before`` or earlier.
    The last update of such a step is the event that ended it."""
    return status in statuses and last_update_ts <= before


def prunable_pods(pods: Iterable[Pod], before: int) -> list[Pod]:
    """The pods that are down or asleep and sent no heartbeat after ``before``. A pruned pod that is
    asleep joins again when it wakes."""
    return [
        pod for pod in pods if pod.status in ("down", "asleep") and pod.last_heartbeat_ts <= before
    ]


def interval(prune_after: float) -> float:
    """Seconds between two prunes of a leader with the setting ``prune_after``, in seconds."""
    return min(prune_after * TOLERANCE, MAX_INTERVAL)


def prune_cycle(
    *,
    older_than: int,
    prune_batch: int,
    stats: PruneStats,
    statuses: Collection[StepStatus] = PRUNED_BY_DEFAULT,
    archive: Archive | None = None,
    dry_run: bool = False,
    by: str | None = None,
    dead_after: int | None = None,
) -> Generator[StoreCall | None, Any, None]:
    """Prune what ended ``older_than`` microseconds ago or earlier, by the store's clock.

    Steps are read and pruned in batches of ``prune_batch``; the program yields ``None`` before
    every batch, so that the interpreter can pause, and updates ``stats`` after it. ``archive``
    receives all events before they are deleted. ``by`` is the acting pod; if ``dead_after`` (in
    microseconds) is given, the program does nothing unless this pod is the leader.
    """
    pod_list = yield from call(Store.pods)
    if dead_after is not None and not is_leader(by, pod_list.pods, pod_list.at, dead_after):
        return
    before = pod_list.at - older_than
    after: str | None = ""
    while after is not None:
        yield None
        page = yield from call(Store.final_steps, statuses, before, prune_batch, after)
        after = page.after
        if dry_run:
            stats.steps += len(page.steps)
            stats.step_events += sum(step.version for step in page.steps)
        elif page.steps:
            if archive is not None:
                step_ids = [step.step_id for step in page.steps]
                archive((yield from call(Store.events_of_steps, step_ids)))
            pruned = yield from call(Store.prune, page.steps, before, by)
            stats.steps += pruned.streams
            stats.step_events += pruned.events
    for pod in prunable_pods(pod_list.pods, before):
        yield None
        if dry_run:
            stats.pods += 1
            stats.pod_events += pod.version
        else:
            if archive is not None:
                archive((yield from call(Store.pod_history, pod.pod_id)))
            pruned = yield from call(Store.prune_pod, pod)
            stats.pods += pruned.streams
            stats.pod_events += pruned.events
