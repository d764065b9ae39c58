"""StepContext, what a running function can read about its step; PermanentFailure and Snooze."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Collection
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar, overload

from fleet_q.core.errors import FleetQError, InvalidInput
from fleet_q.core.step import Step, Submit
from fleet_q.core.stored_json import labels_of
from fleet_q.core.submission import check_seconds
from fleet_q.services.app.checkpoint import Checkpoint, Saver, progress_json
from fleet_q.services.app.children import Children
from fleet_q.services.app.submitter import NewStep
from fleet_q.services.app.views import StepView

T = TypeVar("T")

_lock = threading.Lock()
"""Held for a moment while a function spawns steps, ends, or reads its checkpoint."""


def _begin_in_child() -> None:
    global _lock
    _lock = threading.Lock()  # a thread of the parent may have held it


os.register_at_fork(after_in_child=_begin_in_child)


class PermanentFailure(FleetQError):
    """Raised by a function to make its step a dead letter without another attempt."""


def is_permanent(error: BaseException) -> bool:
    """Whether another attempt would fail, too: the function says so, or passed on that FleetQ
    rejects what it was given, which it would reject again."""
    return issubclass(type(error), PermanentFailure | InvalidInput)


class Snooze(FleetQError):
    """Raised by a function to put its step off: another attempt begins after ``seconds``, and this
    one uses up no try. Raises :class:`InvalidInput` unless these are from 0 to ten years."""

    def __init__(self, seconds: float) -> None:
        check_seconds(seconds, "seconds")
        super().__init__(f"put off for {seconds:g} s")
        self.seconds = seconds


class RunningApp(Saver, Protocol):
    """The part of an app that its functions use."""

    def parents(self, step_id: str) -> dict[str, StepView]:
        """The steps that a step waited for, by id."""

    def traced(self, steps: Collection[NewStep]) -> Collection[NewStep]:
        """The steps, with the current trace context if the app is traced."""


class StepContext:
    """The step that a function runs for: its id, and the number of the attempt, from 1."""

    __slots__ = (
        "_cancelled", "_checkpoint", "_children", "_has_ended", "_step", "app", "saver",
    )  # fmt: skip

    def __init__(self, step: Step) -> None:
        self._step = step
        self.app: RunningApp | None = None  # the app whose function runs
        self.saver: Saver | None = None  # what stores checkpoints instead of the app
        self._checkpoint: Checkpoint | None = None
        self._children: Children | None = None
        self._cancelled = False
        self._has_ended = False

    @property
    def step_id(self) -> str:
        """The id of the step."""
        return self._step.step_id

    @property
    def attempt(self) -> int:
        """The number of the attempt, from 1."""
        return self._step.attempt

    @property
    def pod_id(self) -> str | None:
        """The id of the pod that runs the function."""
        return self._step.claimed_by

    @property
    def task_type(self) -> str | None:
        """The task type of the step; ``None`` if it has none."""
        return self._step.task_type or None

    @property
    def queue(self) -> str:
        """The queue that the step waited in."""
        return self._step.queue

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the step."""
        return labels_of(self._step.labels)

    @property
    def cancelled(self) -> bool:
        """Whether the function should stop: its step was cancelled, timed out, or recovered by
        the leader, so what the function returns will be discarded.

        It is never true in a function that runs in a process of its own: the process is killed.
        """
        return self._cancelled

    @property
    def parents(self) -> dict[str, StepView]:
        """The steps that this one waited for, by id in the order of ``after``, with their results.
        Those that were pruned are missing. Read from the store by each call, which blocks."""
        if self.app is None:
            raise RuntimeError("only functions of an app can read the parents of their steps")
        return self.app.parents(self.step_id)

    @property
    def saved(self) -> Any:
        """What this attempt or an earlier one saved last; ``None`` if none did."""
        if self._step.checkpoint is None and self._checkpoint is None:
            return None
        return self._checkpoints().saved

    def save(self, value: object) -> None:
        """Save ``value``, a JSON value, in place of what was saved before; stored when this
        returns. Later attempts find it in :attr:`saved`, also after the pod has died.

        It calls the store, which blocks: a coroutine uses :meth:`save_async`. Raises ``ClaimLost``
        if the step was cancelled, or recovered by the leader, and :class:`InvalidInput`, saving
        nothing, for a value that is not JSON or too large. All that is saved of a step may have as
        many bytes as a result.
        """
        self._checkpoints().save(value)

    async def save_async(self, value: object) -> None:
        """Like :meth:`save`, without blocking the event loop."""
        await asyncio.to_thread(self.save, value)

    @overload
    def once(self, name: str, function: Callable[[], Awaitable[T]]) -> Awaitable[T]: ...
    @overload
    def once(self, name: str, function: Callable[[], T]) -> T: ...
    def once(self, name: str, function: Callable[[], Any]) -> Any:
        """Call ``function`` unless an attempt of this step has done so under this ``name``, and
        return what it returned then, a JSON value. The result of an async function is awaited.

        The result is saved before this returns. If the pod dies before that, ``function`` is called
        again. Who calls at the same time, in another thread or in a coroutine of the same event
        loop, waits and gets the same result. Raises what :meth:`save` and ``function`` raise; then
        the name is free.
        """
        return self._checkpoints().once(name, function)

    def progress(self, fraction: float | None = None, text: str | None = None) -> None:
        """Report how far the function is, as a ``fraction`` from 0 to 1, and what it does, a
        ``text`` of up to 200 characters. ``app.status`` and lists show it until the step is
        completed.

        It calls no store: the pod's next sync takes the last report along, a heartbeat at the
        latest. Raises :class:`InvalidInput`.
        """
        step, saver = self._step, self.saver or self.app
        if saver is None:
            raise RuntimeError("only functions of an app can report progress")
        assert step.claim_token is not None
        saver.report_progress(step.step_id, step.claim_token, progress_json(fraction, text))

    def spawn(self, step: NewStep, *, detached: bool = False) -> str:
        """Let the step ``task.step(...)`` or ``task.options(...).step(...)`` be stored with the
        completion of this one, in the same transaction; return its id.

        If this attempt fails, is snoozed, or has lost its claim when it ends, no step is stored.
        What waits for this step then waits for the spawned one, too, unless it is ``detached``. A
        spawned step may wait for others that are spawned, and for existing ones; it has the
        workflow of this step. Raises :class:`InvalidInput`. If the store finds that the steps
        cannot be stored, because a step that one waits for does not exist, or an id or a unique key
        is taken, this step fails without another attempt.
        """
        self.spawn_together([step], detached=detached)
        return step.step_id

    def spawn_together(self, steps: Collection[NewStep], *, detached: bool = False) -> None:
        """Like :meth:`spawn`, for all of these steps or, after an error, none."""
        app: object = self.app
        for step in steps:
            if isinstance(step, NewStep) and step.app is not app:
                raise InvalidInput(f"step {step.step_id!r} is one of another app; submit it there")
        if self.app is not None:
            steps = self.app.traced(steps)
        with _lock:
            if self._has_ended:
                raise InvalidInput(f"step {self.step_id!r} has ended; it spawns no more steps")
            if self._children is None:
                self._children = Children(self._step)
            self._children.add_together(steps, detached=detached)

    def take_children(self) -> tuple[tuple[Submit, ...], tuple[str, ...]]:
        """The spawned steps, and the ids of those that are detached; the function has ended."""
        with _lock:
            self._has_ended = True
            return ((), ()) if self._children is None else self._children.take()

    def _checkpoints(self) -> Checkpoint:
        with _lock:
            if self._checkpoint is None:
                saver = self.saver or self.app
                if saver is None:
                    raise RuntimeError("only functions of an app can save checkpoints")
                self._checkpoint = Checkpoint(self._step, saver)
            return self._checkpoint

    def cancel(self) -> None:
        """Set :attr:`cancelled`."""
        self._cancelled = True


def step_of(context: StepContext) -> Step:
    """The step of a context, as it was claimed."""
    return context._step


current: ContextVar[StepContext | None] = ContextVar("fleet_q_step", default=None)


def current_step() -> StepContext:
    """Return the step that the calling function runs for. Raises ``RuntimeError`` outside one."""
    context = current.get()
    if context is None:
        raise RuntimeError("current_step() works only within a function that runs a step")
    return context
