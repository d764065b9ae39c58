"""What has ended long ago may be forgotten: found, kept elsewhere if so wished, and deleted.

Like a recovery cycle, a prune may be cut off after any call of the store, run again, or run by two
at once: a step is only deleted in the version that it was found in, and with all its events.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable
from typing import Any, Final

import msgspec

from fleet_q.core.calls import StoreCall, call
from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.leadership import leader
from fleet_q.core.lifecycle import FINAL, StepStatus
from fleet_q.core.pod import Pod
from fleet_q.core.ports import Store

PRUNED_BY_DEFAULT: Final[tuple[StepStatus, ...]] = tuple(
    status for status in FINAL if status != "failed"
)
"""Steps that nobody waits for any more. Dead letters may still be replayed, and so are pruned only
when somebody asks for it."""

LONGEST_INTERVAL: Final = 3_600.0
"""Seconds from one prune of a leader to its next, at most."""

TOLERANCE: Final = 0.1
"""By what part of the age that is asked for a step may be older before the leader looks again."""


class PruneStats(msgspec.Struct):
    """What was pruned; in a dry run, what would be."""

    steps: int = 0
    step_events: int = 0
    pods: int = 0
    pod_events: int = 0


Archive = Callable[[Iterable[StepEvent] | Iterable[PodEvent]], None]
"""Keeps events; when it returns, they are where they cannot be lost."""


def is_prunable(
    status: StepStatus, last_update_ts: int, statuses: Collection[StepStatus], before: int
) -> bool:
    """Whether a step has ended, in one of ``statuses``, at the store's time ``before`` or earlier:
    what happened to it last is its end."""
    return status in statuses and last_update_ts <= before


def prunable_pods(pods: Iterable[Pod], before: int) -> list[Pod]:
    """The pods that are down or asleep and were not heard of after ``before``. One that sleeps on
    joins anew when it wakes."""
    return [
        pod for pod in pods if pod.status in ("down", "asleep") and pod.last_heartbeat_ts <= before
    ]


def interval(prune_after: float) -> float:
    """Seconds from one prune to the next of a leader that prunes what is ``prune_after`` old."""
    return min(prune_after * TOLERANCE, LONGEST_INTERVAL)


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
    """Prune what ended, by the store's clock, ``older_than`` microseconds ago or earlier.

    It looks through ``prune_batch`` steps at a time, pauses after every batch, and adds to
    ``stats`` as it goes. ``archive`` is given what is about to be deleted. ``by`` is the pod that
    acts; with ``dead_after``, also in microseconds, nothing is done unless it leads.
    """
    fleet = yield from call(Store.pods)
    if dead_after is not None:
        head = leader(fleet.pods, fleet.at, dead_after)
        if head is None or head.pod_id != by:
            return
    before = fleet.at - older_than
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
    for pod in prunable_pods(fleet.pods, before):
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
