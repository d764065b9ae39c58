"""What runners run, and what they have in common."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final, Protocol

from fleet_q.core.step import Outcome, claim_order
from fleet_q.services.app.tasks import Task
from fleet_q.services.worker.attempt import Attempt
from fleet_q.services.worker.runners.slots import Slots

Began = Callable[[str, str, float], None]
"""Told the id, claim token and timeout in seconds of a step whose function begins."""

RecordStart = Callable[[str, str], None]
"""Told the id and claim token of a step on its last try right before its function begins; see
:meth:`fleet_q.core.ports.StartRecord.add`."""


DEFER_FOR: Final = 0.1
"""Seconds for which a slot is left to a step of another kind that goes first."""


class Job:
    """An attempt, and the task that it is an attempt at. After ``begin_by``, a time of
    ``time.monotonic``, it may only begin once its claim has been confirmed; it was claimed to begin
    until ``claimed_until``."""

    __slots__ = ("_record_start", "attempt", "begin_by", "claimed_until", "is_awaited", "task")

    def __init__(
        self,
        attempt: Attempt,
        task: Task[Any, Any],
        begin_by: float,
        record_start: RecordStart | None = None,
    ) -> None:
        self.attempt = attempt
        self.task = task
        self._record_start = record_start
        self.begin_by = self.claimed_until = begin_by
        self.is_awaited = False  # by the event loop, after its function returned in a thread

    def call(self) -> Any:
        """Call the function. It is only here, where it runs, that its arguments are looked at:
        the pod's thread has enough to do."""
        self.attempt.context.app = self.task.app
        call = self.task.bound(self.attempt.step)
        if self._record_start is not None:
            self.record_start()
        return call()

    @property
    def records_start(self) -> bool:
        """Whether :meth:`record_start` has something to do."""
        return self._record_start is not None

    def record_start(self) -> None:
        """The function begins when this returns. Raises ``StartNotRecorded`` if it must not."""
        if self._record_start is not None:
            self._record_start(self.attempt.step.step_id, self.attempt.claim_token)


def job_order(job: Job) -> tuple[int, int, str]:
    """Sort key of jobs that wait: that of the queue in the store."""
    return claim_order(job.attempt.step)


class Runner(Protocol):
    """Runs the jobs of one kind: from ``jobs``, while there are slots."""

    jobs: deque[Job]
    is_mixed: bool
    """Whether jobs of other kinds may be waiting, too."""

    @property
    def trouble(self) -> str | None:
        """Why jobs wait though there are slots, if that is so."""

    @property
    def can_begin(self) -> bool:
        """Whether it would take a job if it were pulled, as far as it knows."""

    def add(self, jobs: list[Job]) -> None:
        """Let these wait, which are in claim order, with those that wait already."""

    def take_all(self) -> list[Job]:
        """Take back what waits."""

    def share(self, others: Sequence[Runner], on_unconfirmed: Callable[[], None]) -> None:
        """Share the slots with these runners. ``on_unconfirmed`` is called, in whatever thread, if
        the next job must not begin before its claim is confirmed."""

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
        self._others: Sequence[Runner] = ()
        self.is_mixed = False
        self._on_unconfirmed: Callable[[], None] = _nothing
        self._deferred_to: Job | None = None
        self._deferred_at = 0.0

    @property
    def can_begin(self) -> bool:
        """See :class:`Runner`."""
        return self.trouble is None

    def share(self, others: Sequence[Runner], on_unconfirmed: Callable[[], None]) -> None:
        """See :class:`Runner`."""
        self._others = others
        self._on_unconfirmed = on_unconfirmed

    def add(self, jobs: list[Job]) -> None:
        """See :class:`Runner`. Only the pod's thread adds jobs and takes them back, any thread may
        begin one meanwhile."""
        last = _peek(self.jobs, -1)
        if last is not None and job_order(jobs[0]) < job_order(last):
            jobs = sorted(self.take_all() + jobs, key=job_order)
        self.jobs.extend(jobs)

    def take_all(self) -> list[Job]:
        """See :class:`Runner`."""
        taken: list[Job] = []
        while True:
            try:
                taken.append(self.jobs.popleft())
            except IndexError:
                return taken

    def _next(self) -> Job | None:
        """The next job that is still wanted, with a slot taken for it; ``None`` if there is no
        job, no slot, or none that may begin now."""
        jobs, slots = self.jobs, self._slots
        while jobs and slots.has_free:
            if self.is_mixed and self._is_overtaken():
                return None
            try:
                job = jobs.popleft()
            except IndexError:  # another thread was faster
                return None
            attempt = job.attempt
            if attempt.context.cancelled:
                continue
            if monotonic() > job.begin_by:
                jobs.appendleft(job)
                self._on_unconfirmed()
                return None
            if not slots.take(attempt):  # another thread was faster; its slot may be free by now
                jobs.appendleft(job)
                continue
            if job.task.timeout is not None and self._begins_at_once:
                self._tell_began(job)
            return job
        return None

    def _tell_began(self, job: Job) -> None:
        """The function of ``job`` begins: its timeout counts from now."""
        step, timeout = job.attempt.step, job.task.timeout
        if timeout is not None:
            self._began(step.step_id, job.attempt.claim_token, timeout)

    def _is_overtaken(self) -> bool:
        """Whether the next step to begin is one of another kind. Its runner is told then, and left
        a slot for a moment; a blocked event loop keeps no thread waiting."""
        for other in self._others:
            if other.jobs and other.can_begin:
                first, mine = _peek(other.jobs, 0), _peek(self.jobs, 0)
                if first is not None and mine is not None and job_order(first) < job_order(mine):
                    other.pull()
                    return self._defers_to(first)
        return False

    def _defers_to(self, job: Job) -> bool:
        now = monotonic()
        if self._deferred_to is not job:
            self._deferred_to, self._deferred_at = job, now
        return now - self._deferred_at < DEFER_FOR


def _nothing() -> None: ...


def _peek(jobs: deque[Job], index: int) -> Job | None:
    try:
        return jobs[index]
    except IndexError:
        return None
