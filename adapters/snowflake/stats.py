"""The rows of ``queue_stats.sql``, and the :class:`QueueStats` that they give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fleet_q.adapters import rows
from fleet_q.core.queue_stats import QueueStats, StepGroup, stats_of_types


def to_stats(found: Sequence[Sequence[Any]], window: int) -> QueueStats:
    """The stats of these rows, of which there is at least one: an empty store has one of NULLs."""
    at, inbox, *_ = found[0]
    groups: list[StepGroup] = []
    paused: set[str] = set()
    for _, _, queue, task_type, status, number, delayed, oldest, recent, first, is_paused in found:
        if queue is None:
            continue
        groups.append(
            StepGroup(
                queue, task_type, status, int(number), int(delayed), oldest, int(recent), first
            )
        )
        if is_paused:
            paused.add(queue)
    counts = rows.to_counts((group.status, group.number) for group in groups)
    return QueueStats(at, at - window, counts, stats_of_types(groups, paused), int(inbox))
