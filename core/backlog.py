"""How many of the steps that wait may be claimed within the limits of their queues."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter

import msgspec

from fleet_q.core.claim_limits import ClaimLimits
from fleet_q.core.ports import Backlog
from fleet_q.core.queues import QueueRoom


class PendingGroup(msgspec.Struct, frozen=True):
    """Pending steps of one queue, and of one key if the queue has a limit per key.

    ``due`` of the ``pending`` steps are due, the one that has waited longest since ``oldest``, and
    the next of the others is due at ``next_due``.
    """

    queue: str
    key: str | None
    pending: int
    due: int
    oldest: int | None
    next_due: int | None


def backlog_of(
    at: int, groups: Iterable[PendingGroup], limits: ClaimLimits | None, claimed: int, inbox: int
) -> Backlog:
    """The backlog of ``groups``, of which there is one for each queue and key, in a store with
    ``claimed`` steps that pods hold and ``inbox`` rows of the inbox. ``limits`` are those of all
    queues that have any."""
    pending = claimable = inbox
    oldest: list[int] = []
    next_due: list[int | None] = []
    of_queues = sorted(groups, key=attrgetter("queue"))
    for queue, group in groupby(of_queues, key=attrgetter("queue")):
        room = None if limits is None else limits.rooms.get(queue)
        parts = list(group)
        pending += sum(part.pending for part in parts)
        number, since, next_time = _within(room, parts)
        claimable += number
        oldest += since
        next_due += next_time
    return Backlog(
        at,
        pending=pending,
        claimable=claimable,
        claimed=claimed,
        oldest=min(oldest, default=at if inbox else None),
        next_due=min((time for time in next_due if time is not None), default=None),
    )


def _within(
    room: QueueRoom | None, parts: list[PendingGroup]
) -> tuple[int, list[int], list[int | None]]:
    """How many steps of a queue may be claimed, since when those have waited that may be, and when
    more may be."""
    due = sum(part.due for part in parts)
    next_due = [part.next_due for part in parts]
    if room is None:
        return due, [part.oldest for part in parts if part.oldest is not None], next_due
    if room.is_paused:
        return 0, [], []
    with_room = [part for part in parts if room.of_key(part.key)]
    claimable = min(room.steps, sum(min(part.due, room.of_key(part.key)) for part in with_room))
    if due:
        next_due.append(room.next_token())
    return claimable, [part.oldest for part in with_room if part.oldest is not None], next_due
