"""What the limits of queues let one claim take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Protocol

from fleet_q.core.queues import Queue, QueueRoom

Running = Mapping[str, Mapping[str | None, int]]
"""How many steps are claimed, by queue and key."""


class InQueue(Protocol):
    """What the limits concern of a step."""

    @property
    def queue(self) -> str: ...
    @property
    def key(self) -> str | None: ...


class ClaimLimits:
    """The room in each queue that has limits, at store time ``at``.

    The claims that are ``running`` count, whether their functions have begun or not.
    """

    def __init__(self, queues: Iterable[Queue], running: Running, at: int) -> None:
        self.rooms = {q.queue: QueueRoom(q, running.get(q.queue, {}), at) for q in queues}

    def concerns(self, step: InQueue) -> bool:
        """Whether the step's queue has limits, so that the step is claimed for a free slot only: if
        it waited in a pod, it would take room from those that could run."""
        return step.queue in self.rooms

    def take(self, step: InQueue) -> bool:
        """Whether there is room for the step; then it takes some of it. To be called in claim
        order."""
        room = self.rooms.get(step.queue)
        return room is None or room.take(step.key)

    @property
    def is_any_ahead(self) -> bool:
        """See :attr:`QueueRoom.is_ahead`."""
        return any(room.is_ahead for room in self.rooms.values())

    def after_claim(self, claimed: Iterable[InQueue]) -> list[Queue]:
        """The rows of queues that change by a claim of these steps."""
        counts = Counter(step.queue for step in claimed)
        changed = (room.after_claim(counts[queue]) for queue, room in self.rooms.items())
        return [queue for queue in changed if queue is not None]

    def next_token(self) -> int | None:
        """When the next token of a bucket without one is there; ``None``: none is awaited."""
        tokens = (room.next_token() for room in self.rooms.values())
        return min((token for token in tokens if token is not None), default=None)
