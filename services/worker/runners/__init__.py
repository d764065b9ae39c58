"""The runners of functions: threads, the event loop and child processes.

The pod's thread starts attempts. A runner passes each outcome to ``on_outcome``, in the thread in
which the function ended. At most as many functions run at once as the pod has slots; the other
attempts wait in the runners' queues, so that the next one begins without a call of the pod's
thread. Abandoning an attempt stops it as far as possible: a child process is killed, a task is
cancelled, and a thread can only check ``current_step().cancelled``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from fleet_q.core.retry import RetryPolicy
from fleet_q.core.step import Outcome, Step
from fleet_q.core.worker.functions import Claim
from fleet_q.services.app.settings import Settings
from fleet_q.services.app.tasks import Registry
from fleet_q.services.worker.attempt import Attempt
from fleet_q.services.worker.runners.event_loop import EventLoop
from fleet_q.services.worker.runners.job import Job, OnBegan, RecordStart, Runner, job_order
from fleet_q.services.worker.runners.processes import Processes
from fleet_q.services.worker.runners.slots import Slots, TimedSlots, Times
from fleet_q.services.worker.runners.threads import Threads


class Runners:
    """Runs each step's function in the runner of its kind, at most ``max_running`` at once.

    ``on_began`` is called when a function with a timeout begins. ``on_unconfirmed`` is called when
    a step has waited for so long that its claim must be confirmed (:meth:`confirm`) before its
    function begins. ``record_start`` is called before the function of a step on its last attempt
    begins. ``times``: see :class:`TimedSlots`.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        retry_policy: RetryPolicy,
        on_outcome: Callable[[Outcome], None],
        on_began: OnBegan,
        loop: asyncio.AbstractEventLoop,
        max_running: int,
        on_unconfirmed: Callable[[], None],
        pod_id: str,
        settings: Settings,
        record_start: RecordStart | None = None,
        new_attempt: Callable[[Step, RetryPolicy, int], Attempt] = Attempt,
        times: Times | None = None,
    ) -> None:
        self._registry = registry
        self._new_attempt = new_attempt
        self._record_start = record_start
        self._retry_policy = retry_policy
        self._on_outcome = on_outcome
        self._max_result_bytes = settings.max_result_bytes
        slots = Slots(max_running, self.pull)
        if times is not None:
            slots = TimedSlots(max_running, self.pull, times)
        self._slots = slots
        event_loop = EventLoop(slots, on_outcome, on_began, loop)
        self._by_kind: dict[str, Runner] = {
            "thread": Threads(slots, on_outcome, on_began, event_loop),
            "loop": event_loop,
            "process": Processes(slots, on_outcome, on_began, pod_id, settings),
        }
        self._runners = list(self._by_kind.values())
        for runner in self._runners:
            others = [other for other in self._runners if other is not runner]
            runner.connect(others, on_unconfirmed)
        self._jobs: dict[Claim, tuple[Runner, Job]] = {}

    def start(self, steps: Iterable[Step], begin_by: float, ahead: float = 0.0) -> None:
        """Begin attempts at ``steps``, which are in claim order, or queue them for a slot. After
        ``begin_by``, a time of ``time.monotonic``, none begins before its claim is confirmed. The
        store's clock is ``ahead`` of that by so many seconds. A step whose task cannot be found
        fails."""
        waiting: dict[Runner, list[Job]] = {}
        for step in steps:
            attempt = self._new_attempt(step, self._retry_policy, self._max_result_bytes)
            try:
                task = self._registry.task_of(step)
            except Exception as error:
                self._on_outcome(attempt.failed(error))
                continue
            job = Job(attempt, task, begin_by, None if step.has_tries_left else self._record_start)
            if step.start_by_ts is not None:
                job.set_start_by(ahead)
            runner = self._by_kind[task.where]
            self._jobs[step.step_id, attempt.claim_token] = runner, job
            if runner in waiting:
                waiting[runner].append(job)
            else:
                waiting[runner] = [job]
        for runner, jobs in waiting.items():
            runner.add(jobs)
        is_mixed = sum(bool(runner.jobs) for runner in self._runners) > 1
        for runner in self._runners:
            runner.is_mixed = is_mixed
        for runner in waiting:
            runner.pull()

    @property
    def trouble(self) -> str | None:
        """Why no waiting function can begin although slots are free; ``None`` if it can."""
        return next(
            (runner.trouble for runner in self._runners if runner.trouble is not None), None
        )

    @property
    def used(self) -> int:
        """How many slots are used."""
        return self._slots.used

    @property
    def should_pull(self) -> bool:
        """Whether to call :meth:`pull`: attempts wait although a slot is free."""
        return self._slots.has_free and any(runner.jobs for runner in self._runners)

    def pull(self) -> None:
        """Begin waiting attempts while slots are free, also those that could not begin before."""
        for runner in self._runners:
            if runner.jobs:
                runner.pull()

    def confirm(self, begin_by: float) -> None:
        """The claims of all waiting attempts are confirmed: they may begin until ``begin_by``."""
        for runner in self._runners:
            if jobs := sorted(runner.take_all(), key=job_order):
                for job in jobs:
                    job.begin_by = min(begin_by, job.start_by)
                runner.add(jobs)
        self.pull()

    def forget(self, step_id: str, claim_token: str) -> None:
        """Remove an attempt that has ended."""
        self._jobs.pop((step_id, claim_token), None)

    def abandon(self, step_id: str, claim_token: str) -> None:
        """Stop an attempt as far as its kind can be stopped, and mark it as cancelled."""
        entry = self._jobs.pop((step_id, claim_token), None)
        if entry is not None:
            runner, job = entry
            job.attempt.context.cancel()
            runner.abandon(job)

    def withdraw(self, keep: int) -> list[Claim]:
        """Remove the waiting attempts except the first ``keep`` in claim order. Returns their ids
        and claim tokens."""
        waiting = [
            (job, runner)
            for runner in self._runners
            for job in runner.take_all()
            if not job.attempt.context.cancelled
        ]
        waiting.sort(key=lambda entry: job_order(entry[0]))
        for job, runner in waiting[:keep]:
            runner.add([job])
        self.pull()
        return self._forget_all(job for job, _ in waiting[keep:])

    def take_stuck(self, before: float) -> list[Claim]:
        """Remove the attempts that should have begun before the time ``before`` and wait although
        slots are free, because their runner cannot begin any. Returns ids and claim tokens."""
        stuck = []
        for runner in self._runners:
            if not runner.jobs or runner.can_begin or not self._slots.has_free:
                continue
            jobs = runner.take_all()
            stuck += [job for job in jobs if job.claimed_until < before]
            if waiting := [job for job in jobs if job.claimed_until >= before]:
                runner.add(waiting)
        return self._forget_all(job for job in stuck if not job.attempt.context.cancelled)

    def _forget_all(self, jobs: Iterable[Job]) -> list[Claim]:
        claims = [(job.attempt.step.step_id, job.attempt.claim_token) for job in jobs]
        for claim in claims:
            self.forget(*claim)
        return claims

    def close(self) -> None:
        """Abandon all attempts and stop the runners. A thread ends when its function returns."""
        for claim in list(self._jobs):
            self.abandon(*claim)
        for runner in self._runners:
            runner.close()
