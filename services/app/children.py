"""Children, the steps that a function spawns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from fleet_q.core import uniqueness
from fleet_q.core.dependencies import MAX_PARENTS, check_no_circle, parents_of
from fleet_q.core.errors import FleetQError, InvalidInput
from fleet_q.core.step import Step, Submit
from fleet_q.services.app.submitter import NewStep

MAX_CHILDREN: Final = MAX_PARENTS
"""The maximum number of children of an attempt: others may wait for all of them."""

MAX_CHILDREN_BYTES: Final = 4 * 1024 * 1024
"""The maximum size of all children of an attempt, in bytes of JSON: they are stored in one
transaction with the completion."""


class Children:
    """The children of one attempt at ``step``. One thread at a time may use it."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._children: dict[str, Submit] = {}
        self._detached: list[str] = []
        self._awaited: set[str] = set()  # what children wait for
        self._size = 0

    def add(self, new: NewStep, *, detached: bool) -> None:
        """Add a child. Raises :class:`InvalidInput`, adding nothing."""
        if not isinstance(new, NewStep):
            raise InvalidInput(
                f"spawn() takes a step such as task.step(...), not {type(new).__name__}"
            )
        try:
            self._add(new.command, detached)
        except FleetQError as error:
            raise InvalidInput(f"step {self._step.step_id!r}: {error}") from None

    def add_together(self, new: Iterable[NewStep], *, detached: bool) -> None:
        """Add children, all of them or, raising :class:`InvalidInput`, none."""
        before = dict(self._children), list(self._detached), set(self._awaited), self._size
        try:
            for step in new:
                self.add(step, detached=detached)
        except InvalidInput:
            self._children, self._detached, self._awaited, self._size = before
            raise

    def take(self) -> tuple[tuple[Submit, ...], tuple[str, ...]]:
        """The children, and the ids of those that are detached."""
        return tuple(self._children.values()), tuple(self._detached)

    def _add(self, command: Submit, detached: bool) -> None:
        step_id, parent = command.step_id, self._step
        if step_id == parent.step_id or step_id in self._children:
            raise InvalidInput(f"a child has the id {step_id!r}, which is taken; use another one")
        if len(self._children) == MAX_CHILDREN:
            raise InvalidInput(f"an attempt may spawn {MAX_CHILDREN} steps; let these spawn others")
        if self._size + command.size > MAX_CHILDREN_BYTES:
            raise InvalidInput(
                f"the spawned steps have more than {MAX_CHILDREN_BYTES} bytes; let these spawn"
                " others, or pass references to what is large"
            )
        child = replace(
            command,
            spawned_by=parent.step_id,
            workflow_id=command.workflow_id or parent.workflow_id,
        )
        self._check_together(child)
        self._children[step_id] = child
        self._size += child.size
        self._awaited.update(parents_of(child.parents))
        if detached:
            self._detached.append(step_id)

    def _check_together(self, child: Submit) -> None:
        """Check what only children that are spawned together can do wrong."""
        others: Iterable[Submit] = self._children.values()
        if child.unique_key is not None:
            uniqueness.merged([*(o for o in others if o.unique_key == child.unique_key), child])
        if child.parents is not None and child.step_id in self._awaited | {child.step_id}:
            check_no_circle([*others, child])
