"""The first steps that a claim may take, if those that wait are of several queues or task types, or
limits hold some of them back.

However many steps wait in front of them that it may not take, few rows are read: of each queue,
only as many as it has room for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec

from fleet_q.adapters import rows
from fleet_q.core.claim_limits import ClaimLimits
from fleet_q.core.queues import QueueRoom
from fleet_q.core.routing import Routes
from fleet_q.core.step import claim_order

WINDOW: Final = 4
"""How many steps of a queue with a limit per key are read, in the order of claims, for each that
the claim asks for. If they do not have enough keys with room, one entry for each key is read."""

Query = Callable[[str, dict[str, Any]], Iterable[Any]]


class Candidate(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A step that may be claimed; ``id`` is its rowid."""

    id: int
    step_id: str
    priority: int
    created_ts: int
    queue: str
    key: str | None
    payload_size: int
    has_tries_left: bool


Pair = tuple[str, str]
"""A queue and a task type."""


class Waiting(NamedTuple):
    """Steps of one queue and task type wait, with keys or without."""

    queue: str
    task_type: str
    is_keyless: int
    has_limits: int


_decode_pair = msgspec.json.Decoder(tuple[str, str, int]).decode


@lru_cache(100)
def served(pair: str | None, has_limits: int, routes: Routes) -> tuple[Waiting, ...]:
    """The steps of the pair that ``first_pair.sql`` names, if there is one and ``routes`` serve
    it."""
    if pair is None:
        return ()
    queue, task_type, is_keyless = _decode_pair(pair)
    waiting = Waiting(queue, task_type, is_keyless, has_limits)
    return (waiting,) if routes.serve(queue, task_type) else ()


def all_served(query: Query, routes: Routes) -> list[Waiting]:
    """All steps that wait and that ``routes`` serve."""
    return [Waiting(*row) for row in query("waiting_types", {}) if routes.serve(row[0], row[1])]


def candidates(
    query: Query, waiting: Iterable[Waiting], limit: int, limits: ClaimLimits | None, at: int
) -> list[Candidate]:
    """The first ``limit`` of the steps that wait for which there is room within ``limits``, in
    claim order."""
    first: list[Candidate] = []
    for queue, task_type, is_keyless, _ in waiting:
        values = {"queue": queue, "task_type": task_type, "is_keyless": is_keyless, "now": at}
        room = limits.rooms.get(queue) if limits is not None else None
        if room is None:
            found = query("first_of_queue", {**values, "limit": limit})
        elif not room.steps:
            continue
        elif is_keyless or room.per_key is None:
            found = query("first_of_queue", {**values, "limit": min(limit, room.steps)})
        else:
            found = _by_key(query, values, room, room.per_key, min(limit, room.steps))
        first += (Candidate(*row) for row in found)
    first.sort(key=claim_order)
    return list(islice(first if limits is None else filter(limits.take, first), limit))


def _by_key(
    query: Query, values: dict[str, Any], room: QueueRoom, per_key: int, limit: int
) -> Iterator[Any]:
    used = rows.encode(room.used())
    values = {**values, "used": used, "per_key": per_key, "limit": limit}
    window = WINDOW * limit
    found = list(query("first_of_queue_by_key", {**values, "window": window}))
    if len(found) < limit and (not found or found[0][-1] == window):
        return iter(query("first_of_keys", {**values, "each": min(per_key, limit)}))
    return (row[:-1] for row in found)
