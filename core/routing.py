"""Which steps a pod may take: those of its queues whose functions it has."""

from __future__ import annotations

from typing import Final

import msgspec

Names = tuple[str, ...]


class Routes(msgspec.Struct, frozen=True):
    """The queues that a pod claims from and the task types that it knows; ``None``: all.

    A step whose payload names no task type has the type ``""``. A pod with an executor knows all
    types.
    """

    queues: Names | None = None
    task_types: Names | None = None

    def serve(self, queue: str, task_type: str) -> bool:
        """Whether the pod may take steps of this queue and this task type."""
        return (self.queues is None or queue in self.queues) and (
            self.task_types is None or task_type in self.task_types
        )

    def within(self, other: Routes) -> Routes:
        """The routes that serve what both serve, the same for the same names in any order."""
        return Routes(
            _common(self.queues, other.queues), _common(self.task_types, other.task_types)
        )

    @property
    def lead_nowhere(self) -> bool:
        """Whether the pod may take no step at all."""
        return self.queues == () or self.task_types == ()


def named(names: Names) -> str:
    """The names in one line; that of the type of steps without one as ``""``."""
    return ", ".join(name or '""' for name in names)


def _common(names: Names | None, others: Names | None) -> Names | None:
    if names is None or others is None:
        names = others if names is None else names
        return None if names is None else tuple(sorted(set(names)))
    return tuple(sorted(set(names) & set(others)))


EVERYWHERE: Final = Routes()
"""The routes of a pod that takes every step."""


def to_everywhere() -> Routes:
    """The routes of a pod that takes every step."""
    return EVERYWHERE
