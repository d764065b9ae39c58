"""StepContext, what a running function can read about its step; PermanentFailure and Snooze."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Protocol

from fleet_q.core.errors import FleetQError
from fleet_q.core.submission import check_seconds
from fleet_q.services.app.views import StepView


class PermanentFailure(FleetQError):
    """Raised by a function to make its step a dead letter without another attempt."""


class Snooze(FleetQError):
    """Raised by a function to put its step off: another attempt begins after ``seconds``, and this
    one uses up no try. Raises :class:`InvalidInput` unless these are from 0 to ten years."""

    def __init__(self, seconds: float) -> None:
        check_seconds(seconds, "seconds")
        super().__init__(f"put off for {seconds:g} s")
        self.seconds = seconds


class RunningApp(Protocol):
    """The part of an app that its functions use."""

    def parents(self, step_id: str) -> dict[str, StepView]:
        """The steps that a step waited for, by id."""


class StepContext:
    """The step that a function runs for: its id, and the number of the attempt, from 1."""

    __slots__ = ("_cancelled", "app", "attempt", "step_id")

    def __init__(self, step_id: str, attempt: int) -> None:
        self.step_id = step_id
        self.attempt = attempt
        self.app: RunningApp | None = None  # the app whose function runs
        self._cancelled = False

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

    def cancel(self) -> None:
        """Set :attr:`cancelled`."""
        self._cancelled = True


current: ContextVar[StepContext | None] = ContextVar("fleet_q_step", default=None)


def current_step() -> StepContext:
    """Return the step that the calling function runs for. Raises ``RuntimeError`` outside one."""
    context = current.get()
    if context is None:
        raise RuntimeError("current_step() works only within a function that runs a step")
    return context
