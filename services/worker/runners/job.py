"""Jobs, the protocol of runners, and the queue that all runners share."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final, Protocol

from fleet_q.core.retry import MICROS
from fleet_q.core.step import Fail, Outcome, claim_order, must_begin_by
from fleet_q.services.app.tasks import Task
from fleet_q.services.worker.attempt import Attempt
from fleet_q.services.worker.runners.slots import Slots

OnBegan = Callable[[str, str, float, Fail | None], None]
"""Called with the id, claim token and timeout in seconds of a step whose function begins, and with
the outcome if it takes longer; ``None`` if that is as the settings say."""

RecordStart = Callable[[str, str], None]
"""Called with the id and claim token of a step on its last attempt right before its function
begins; see :meth:`fleet_q.core.ports.StartRecord.add`."""

DEFER_FOR: Final = 0.1
"""Seconds for which a runner leaves a free slot to another runner's job that comes first."""


class Job:
    """An attempt and its task. Its function may take ``timeout`` seconds; ``None``: any time. After
    ``begin_by``, a time of ``time.monotonic``, it must not begin before its claim is confirmed,
    which sets a later ``begin_by``. ``claimed_until`` is the first ``begin_by``. After ``start_by``
    it must not begin at all."""

    __slots__ = (
        "_record_start",
        "attempt",
        "begin_by",
        "claimed_until",
        "is_awaited",
        "start_by",
        "task",
        "timeout",
    )

    def __init__(
        self,
        attempt: Attempt,
        task: Task[Any, Any],
        begin_by: float,
        record_start: RecordStart | None = None,
    ) -> None:
        self.attempt = attempt
        self.task = attempt.task = task
        timeout = attempt.step.timeout
        self.timeout = task.timeout if timeout is None else timeout / MICROS
        self._record_start = record_start
        self.begin_by = self.claimed_until = begin_by
        self.start_by = math.inf
        self.is_awaited = False  # its function returned an awaitable in a thread

    def set_start_by(self, ahead: float) -> None:
        """Set ``start_by`` as the step says, for a store whose clock is ``ahead`` of
        ``time.monotonic`` by so many seconds."""
        must_begin = must_begin_by(self.attempt.step)
        if must_begin is not None:
            self.start_by = must_begin / MICROS - ahead
            self.begin_by = min(self.begin_by, self.start_by)

    def call(self) -> Any:
        """Validate the arguments, record the start and call the function. The arguments are
        validated here, in the runner's thread, to save the pod's thread the time."""
        self.attempt.context.app = self.task.app
        call = self.task.bound(self.attempt.step)
        if self._record_start is not None:
            self.record_start()
        return call()

    @property
    def records_start(self) -> bool:
        """Whether :meth:`record_start` must be called before the function begins."""
        return self._record_start is not None

    def record_start(self) -> None:
        """Record that the function begins, if that is needed. Raises ``StartNotRecorded`` if it
        must not begin."""
        if self._record_start is not None:
            self._record_start(self.attempt.step.step_id, self.attempt.claim_token)


def job_order(job: Job) -> tuple[int, int, str]:
    """The sort key of waiting jobs: the claim order of the store."""
    return claim_order(job.attempt.step)


class Runner(Protocol):
    """Runs the jobs of one kind: takes them from ``jobs`` while slots are free."""

    jobs: deque[Job]
    is_mixed: bool
    """Whether other runners may have waiting jobs as well."""

    @property
    def trouble(self) -> str | None:
        """Why no waiting job can begin although slots are free; ``None`` if one can."""

    @property
    def can_begin(self) -> bool:
        """Whether :meth:`pull` would probably begin a job."""

    def add(self, jobs: list[Job]) -> None:
        """Queue jobs, which are in claim order."""

    def take_all(self) -> list[Job]:
        """Remove and return all waiting jobs."""

    def connect(self, others: Sequence[Runner], on_unconfirmed: Callable[[], None]) -> None:
        """Set the runners that share the slots. ``on_unconfirmed`` is called, from any thread, if
        the next job must not begin before its claim is confirmed."""

    def pull(self) -> None:
        """Begin waiting jobs while slots are free. Raises nothing."""

    def abandon(self, job: Job) -> None:
        """Stop a waiting or running job as far as its kind can be stopped, and free its slot."""

    def close(self) -> None:
        """Stop the runner; it begins no more jobs."""


class Queue:
    """The waiting jobs of a runner, and the choice of the next one to begin."""

    _begins_at_once = True  # if not, the runner calls _report_began() itself

    def __init__(
        self,
        slots: Slots,
        on_outcome: Callable[[Outcome], None],
        on_began: OnBegan,
    ) -> None:
        self.jobs: deque[Job] = deque()
        self.trouble: str | None = None
        self._slots = slots
        self._on_outcome = on_outcome
        self._on_began = on_began
        self._others: Sequence[Runner] = ()
        self.is_mixed = False
        self._on_unconfirmed: Callable[[], None] = _nothing
        self._deferred_to: Job | None = None
        self._deferred_at = 0.0

    @property
    def can_begin(self) -> bool:
        """See :class:`Runner`."""
        return self.trouble is None

    def connect(self, others: Sequence[Runner], on_unconfirmed: Callable[[], None]) -> None:
        """See :class:`Runner`."""
        self._others = others
        self._on_unconfirmed = on_unconfirmed

    def add(self, jobs: list[Job]) -> None:
        """See :class:`Runner`. Only the pod's thread adds and removes jobs; any thread may begin
        one at the same time."""
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
        """Remove the next job that was not abandoned, take a slot for it and return it. ``None`` if
        there is no job, no free slot, or the next job must not begin now."""
        jobs, slots = self.jobs, self._slots
        while jobs and slots.has_free:
            if self.is_mixed and self._is_other_runner_next():
                return None
            try:
                job = jobs.popleft()
            except IndexError:  # another thread took it
                return None
            attempt = job.attempt
            if attempt.context.cancelled:
                continue
            if (now := monotonic()) > job.begin_by:
                if now > job.start_by:  # the store cancels it once it is released
                    self._on_outcome(attempt.released())
                    continue
                jobs.appendleft(job)
                self._on_unconfirmed()
                return None
            if not slots.take(attempt):  # another thread took the slot
                jobs.appendleft(job)
                continue
            if job.timeout is not None and self._begins_at_once:
                self._report_began(job)
            return job
        return None

    def _report_began(self, job: Job) -> None:
        """Report that the function of ``job`` begins, if it has a timeout, which starts now."""
        step, timeout = job.attempt.step, job.timeout
        if timeout is not None:
            on_timeout = job.attempt.timed_out(timeout)
            self._on_began(step.step_id, job.attempt.claim_token, timeout, on_timeout)

    def _is_other_runner_next(self) -> bool:
        """Whether another runner's first job comes before this one's. If so, that runner is pulled
        and left a slot for up to ``DEFER_FOR``: longer, a blocked event loop would stop the
        threads."""
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
