"""Workflow, which describes steps that belong together, and submits all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, TypeVar

from msgspec.structs import replace

from fleet_q.adapters.ids import new_workflow_id
from fleet_q.core.errors import InvalidInput
from fleet_q.core.step import Submit
from fleet_q.core.submission import MAX_ID_LENGTH, check_id, with_parents
from fleet_q.services.app.context import current_step
from fleet_q.services.app.submitter import NewStep, SubmittingApp

T = TypeVar("T")

MAX_NAME_LENGTH: Final = MAX_ID_LENGTH - len(new_workflow_id(""))
"""The maximum number of characters of a name, so that the id is not too long."""


class App(SubmittingApp, Protocol):
    """The part of an app that stores the steps of a workflow."""

    def submit_together(self, commands: Sequence[Submit]) -> list[str]:
        """Store steps in one transaction."""


class Steps:
    """Steps of a workflow that were added together. Passed as ``after``, they are what others wait
    for."""

    def __init__(self, flow: Workflow, step_ids: tuple[str, ...], ends: tuple[str, ...]) -> None:
        self._flow = flow
        self.step_ids = step_ids
        self.ends = ends  # what others wait for: if there are no steps, what these would wait for

    def collect(self, step: NewStep) -> Steps:
        """Add ``step``, which waits for all of these."""
        return self._flow.add(step, after=self)


After = Steps | NewStep | Iterable[Steps | NewStep]
"""The steps of a workflow that others wait for."""


class Workflow:
    """Steps that belong together, as they are described; :meth:`submit` stores all of them.

    A step waits for the success of those that are given as ``after``, besides the steps that its
    own option ``after`` names. Adding raises :class:`InvalidInput` for a step of another app, and
    for one that was added before.
    """

    def __init__(self, app: App, name: str) -> None:
        if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME_LENGTH or "\0" in name:
            raise InvalidInput(
                f"the name of a workflow must be a text of 1 to {MAX_NAME_LENGTH} characters"
                f" without NUL, not {name!r}"
            )
        self.name = name
        self.workflow_id = check_id(new_workflow_id(name), "the name of a workflow")
        """The id that the workflow will have: its name and a UUID."""
        self._app = app
        self._commands: dict[str, Submit] = {}
        self._is_submitted = False

    def add(self, *steps: NewStep, after: After = ()) -> Steps:
        """Add steps side by side."""
        ends = _ends(after)
        for step in steps:
            self._add(step, ends)
        step_ids = tuple(step.step_id for step in steps)
        return Steps(self, step_ids, step_ids or ends)

    def chain(self, *steps: NewStep, after: After = ()) -> Steps:
        """Add steps of which each waits for the one before it; return the last."""
        last = self.add(after=after)
        for step in steps:
            last = self.add(step, after=last)
        return last

    def map(
        self, describe: Callable[[T], NewStep], items: Iterable[T], *, after: After = ()
    ) -> Steps:
        """Add the step that ``describe`` returns for each of the items, side by side:
        ``flow.map(load.step, files)``. If there are none, what follows waits for ``after``."""
        return self.add(*map(describe, items), after=after)

    def submit(self) -> str:
        """Store all steps, in one transaction; return the id of the workflow.

        After an error, it may be called again: steps that were stored nevertheless are not stored
        twice. Raises :class:`InvalidInput` if there are none, if they wait for each other, or if
        they are too large for one transaction of the store, and what
        :meth:`fleet_q.FleetQ.submit` raises.
        """
        self._check_is_complete()
        self._app.submit_together(list(self._commands.values()))
        self._is_submitted = True
        return self.workflow_id

    def spawn(self, *, detached: bool = False) -> str:
        """In a function: let all steps be stored with the completion of its step, in the same
        transaction, or never; return the id of the workflow. See :meth:`StepContext.spawn`."""
        self._check_is_complete()
        step = current_step()
        new = [NewStep(self._app, command) for command in self._commands.values()]
        step.spawn_together(new, detached=detached)
        self._is_submitted = True
        return self.workflow_id

    def _check_is_complete(self) -> None:
        self._check_is_open()
        if not self._commands:
            raise InvalidInput(f"workflow {self.name!r} has no steps")

    def _add(self, step: NewStep, ends: tuple[str, ...]) -> None:
        self._check_is_open()
        if not isinstance(step, NewStep):
            raise InvalidInput(
                f"workflow {self.name!r} takes what task.step(...) returns, not {step!r}"
            )
        if step.app is not self._app:
            raise InvalidInput(f"step {step.step_id!r} is of another app than its workflow")
        if step.step_id in self._commands:
            raise InvalidInput(f"step {step.step_id!r} is in workflow {self.name!r} already")
        command = with_parents(step.command, ends) if ends else step.command
        # Not unique: the store looks whether an earlier call has stored it.
        self._commands[step.step_id] = replace(command, workflow_id=self.workflow_id, unique=False)

    def _check_is_open(self) -> None:
        if self._is_submitted:
            raise InvalidInput(f"workflow {self.workflow_id!r} was submitted; make another")


def _ends(after: After) -> tuple[str, ...]:
    """The ids of the steps to wait for, each once."""
    groups = [after] if isinstance(after, Steps | NewStep) else after
    ends: dict[str, None] = {}
    for group in groups:
        if isinstance(group, Steps):
            ends.update(dict.fromkeys(group.ends))
        elif isinstance(group, NewStep):
            ends[group.step_id] = None
        else:
            raise InvalidInput(
                f"after takes what the methods of a workflow and task.step(...) return,"
                f" not {group!r}"
            )
    return tuple(ends)
