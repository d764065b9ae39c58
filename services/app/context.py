"""What a step's function can ask about the step it works on."""

from __future__ import annotations

from contextvars import ContextVar

from fleet_q.core.errors import FleetQError


class PermanentFailure(FleetQError):
    """Raise this from a function to make its step a dead letter without another try."""


class StepContext:
    """The step that a function works on: its id, and the number of the attempt, from 1."""

    __slots__ = ("_cancelled", "app", "attempt", "step_id")

    def __init__(self, step_id: str, attempt: int) -> None:
        self.step_id = step_id
        self.attempt = attempt
        self.app: object = None  # whose function works on the step
        self._cancelled = False

    @property
    def cancelled(self) -> bool:
        """Whether the step is no longer wanted of this function: cancelled, timed out, or taken
        away. Nothing that the function returns will be kept, so it may as well stop.

        A function in a process of its own is ended instead of told.
        """
        return self._cancelled

    def cancel(self) -> None:
        """Set the flag."""
        self._cancelled = True


current: ContextVar[StepContext | None] = ContextVar("fleet_q_step", default=None)


def current_step() -> StepContext:
    """The step that the calling function works on; ``RuntimeError`` outside of one."""
    context = current.get()
    if context is None:
        raise RuntimeError("current_step() is only known within a function that runs a step")
    return context
