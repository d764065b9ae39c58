"""Which steps a pod may take: those of its queues whose functions it has."""

from __future__ import annotations

from typing import Final

import msgspec


class Routes(msgspec.Struct, frozen=True):
    """The queues that a pod claims from and the task types that it knows; ``None``: all.

    A step whose payload names no task type has the type ``""``. A pod with an executor knows all
    types.
    """

    queues: tuple[str, ...] | None = None
    task_types: tuple[str, ...] | None = None

    def serve(self, queue: str, task_type: str) -> bool:
        """Whether the pod may take steps of this queue and this task type."""
        return (self.queues is None or queue in self.queues) and (
            self.task_types is None or task_type in self.task_types
        )

    @property
    def lead_nowhere(self) -> bool:
        """Whether the pod may take no step at all."""
        return self.queues == () or self.task_types == ()


EVERYWHERE: Final = Routes()
"""The routes of a pod that takes every step."""


def to_everywhere() -> Routes:
    """The routes of a pod that takes every step."""
    return EVERYWHERE
