"""The rows of ``backlog.sql``, and the :class:`Backlog` that they give."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from fleet_q.adapters import rows
from fleet_q.core.backlog import PendingGroup, backlog_of
from fleet_q.core.claim_limits import ClaimLimits
from fleet_q.core.ports import Backlog
from fleet_q.core.queues import Queue


def to_backlog(found: Sequence[Sequence[Any]]) -> Backlog:
    """The backlog of these rows, of which there is at least one: without steps, one of NULLs."""
    groups: list[PendingGroup] = []
    running: defaultdict[str, dict[str | None, int]] = defaultdict(dict)
    queues: dict[str, Queue] = {}
    for _, _, claimed, queue, key, pending, due, oldest, next_due, *limits in found:
        if queue is None:
            continue
        groups.append(PendingGroup(queue, key, int(pending), int(due), oldest, next_due))
        running[queue][key] = int(claimed)
        if limits[0] is not None:
            queues[queue] = rows.to_queue(limits)
    at, inbox, *_ = found[0]
    limited = [queue for queue in queues.values() if queue.has_limits]
    claimed = sum(sum(of_queue.values()) for of_queue in running.values())
    return backlog_of(at, groups, ClaimLimits(limited, running, at), claimed, int(inbox))
