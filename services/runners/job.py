"""What runners run, and what they have in common."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from fleet_q.core.step import Outcome
from fleet_q.services.attempt import Attempt
from fleet_q.services.runners.slots import Slots
from fleet_q.services.tasks import Task

Began = Callable[[str, str, float], None]
"""Told the id, claim token and timeout in seconds of a step whose function begins."""


class Job:
    """An attempt, and the task that it is an attempt at."""

    __slots__ = ("attempt", "task")

    def __init__(self, attempt: Attempt, task: Task[Any, Any]) -> None:
        self.attempt = attempt
        self.task = task

    def call(self) -> Any:
        """Call the function. It is only here, where it runs, that its arguments are looked at:
        the pod's thread has enough to do."""
        return self.task.bound(self.attempt.step)()


class Runner(Protocol):
    """Runs the jobs of one kind: from ``jobs``, while there are slots."""

    jobs: deque[Job]
    trouble: str | None
    """Why jobs wait though there are slots, if that is so."""

    def pull(self) -> None:
        """Jobs wait, or a slot has become free. Raises nothing."""

    def abandon(self, job: Job) -> None:
        """Stop a job that waits or runs, as far as that is possible, and free its slot."""

    def close(self) -> None:
        """Run no more."""


class Queue:
    """The jobs that wait, and how one is taken from among them."""

    _begins_at_once = True  # or the runner calls _tell_began() itself

    def __init__(
        self,
        slots: Slots,
        done: Callable[[Outcome], None],
        began: Began,
    ) -> None:
        self.jobs: deque[Job] = deque()
        self.trouble: str | None = None
        self._slots = slots
        self._done = done
        self._began = began

    def _next(self) -> Job | None:
        """The next job that is still wanted, with a slot taken for it; ``None`` if there is no
        job, or no slot."""
        while self.jobs and self._slots.take():
            try:
                job = self.jobs.popleft()
            except IndexError:  # another thread was faster
                self._slots.give_back()
                return None
            attempt = job.attempt
            if attempt.context.cancelled:
                self._slots.give_back()
                continue
            self._slots.hold(attempt)
            if self._begins_at_once:
                self._tell_began(job)
            return job
        return None

    def _tell_began(self, job: Job) -> None:
        """The function of ``job`` begins: its timeout counts from now."""
        step, timeout = job.attempt.step, job.task.timeout
        if timeout is not None:
            self._began(step.step_id, job.attempt.claim_token, timeout)
