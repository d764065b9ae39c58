"""Where functions run: threads, the event loop, or processes of their own.

Runners are told of attempts by the pod's thread and hand every outcome to ``done``, from whatever
thread it comes to be in. As many run at once as the pod has slots; the others wait here, so that
the next one begins without anybody being asked. To abandon an attempt is to stop it as far as its
kind can be stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from fleet_q.core.retry import RetryPolicy
from fleet_q.core.step import Outcome, Step
from fleet_q.services.app.settings import Settings
from fleet_q.services.app.tasks import Registry
from fleet_q.services.worker.attempt import Attempt
from fleet_q.services.worker.runners.event_loop import EventLoop
from fleet_q.services.worker.runners.job import Began, Job, RecordStart, Runner, job_order
from fleet_q.services.worker.runners.processes import Processes
from fleet_q.services.worker.runners.slots import Slots
from fleet_q.services.worker.runners.threads import Threads


class Runners:
    """Runs every step's function where it belongs.

    ``began`` is told of every function with a timeout when it begins; ``most`` is how many run at
    once. ``on_unconfirmed`` is called if a step has waited for so long that its claim has to be
    confirmed (:meth:`confirm`) before it begins, ``record_start`` before a step on its last try
    does.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        retry_policy: RetryPolicy,
        done: Callable[[Outcome], None],
        began: Began,
        loop: asyncio.AbstractEventLoop,
        most: int,
        on_unconfirmed: Callable[[], None],
        pod_id: str,
        settings: Settings,
        record_start: RecordStart | None = None,
    ) -> None:
        self._registry = registry
        self._record_start = record_start
        self._retry_policy = retry_policy
        self._done = done
        self._max_result_bytes = settings.max_result_bytes
        self._slots = slots = Slots(most, self.pull)
        event_loop = EventLoop(slots, done, began, loop)
        self._by_kind: dict[str, Runner] = {
            "thread": Threads(slots, done, began, event_loop),
            "loop": event_loop,
            "process": Processes(slots, done, began, pod_id, settings),
        }
        self._runners = list(self._by_kind.values())
        for runner in self._runners:
            others = [other for other in self._runners if other is not runner]
            runner.share(others, on_unconfirmed)
        self._jobs: dict[tuple[str, str], tuple[Runner, Job]] = {}

    def start(self, steps: Iterable[Step], begin_by: float) -> None:
        """Begin attempts, or let them wait for a slot, until ``begin_by``. They are in claim
        order, and so is what waits. Whatever is wrong with a step becomes its outcome."""
        waiting: dict[Runner, list[Job]] = {}
        for step in steps:
            attempt = Attempt(step, self._retry_policy, self._max_result_bytes)
            try:
                task = self._registry.task_of(step)
            except Exception as error:
                self._done(attempt.failed(error))
                continue
            job = Job(attempt, task, begin_by, None if step.has_tries_left else self._record_start)
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
        """Why steps wait though there are slots for them, if that is so."""
        return next((r.trouble for r in self._runners if r.trouble is not None), None)

    @property
    def should_pull(self) -> bool:
        """Whether to call :meth:`pull` soon: steps wait though there is a slot."""
        return self._slots.has_free and any(runner.jobs for runner in self._runners)

    def pull(self) -> None:
        """Begin what waits, if there are slots; after trouble it is tried again."""
        for runner in self._runners:
            if runner.jobs:
                runner.pull()

    def confirm(self, begin_by: float) -> None:
        """The claims of all that waits stand: it may begin until ``begin_by``."""
        for runner in self._runners:
            if jobs := sorted(runner.take_all(), key=job_order):
                for job in jobs:
                    job.begin_by = begin_by
                runner.add(jobs)
        self.pull()

    def forget(self, step_id: str, claim_token: str) -> None:
        """The attempt has ended by itself."""
        self._jobs.pop((step_id, claim_token), None)

    def abandon(self, step_id: str, claim_token: str) -> None:
        """Stop an attempt, or at least tell it."""
        found = self._jobs.pop((step_id, claim_token), None)
        if found is not None:
            runner, job = found
            job.attempt.context.cancel()
            runner.abandon(job)

    def withdraw(self, keep: int) -> list[tuple[str, str]]:
        """Take back what waits for a slot, but for the first ``keep`` in claim order: ids and
        claim tokens."""
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
        withdrawn = [
            (job.attempt.step.step_id, job.attempt.claim_token) for job, _ in waiting[keep:]
        ]
        for claim in withdrawn:
            self.forget(*claim)
        return withdrawn

    def take_stuck(self, before: float) -> list[tuple[str, str]]:
        """Take back what should have begun ``before`` that time and waits though there are slots,
        for its runner can begin nothing: ids and claim tokens."""
        stuck = []
        for runner in self._runners:
            if not runner.jobs or runner.can_begin or not self._slots.has_free:
                continue
            jobs = runner.take_all()
            stuck += [job for job in jobs if job.claimed_until < before]
            if waiting := [job for job in jobs if job.claimed_until >= before]:
                runner.add(waiting)
        claims = [
            (job.attempt.step.step_id, job.attempt.claim_token)
            for job in stuck
            if not job.attempt.context.cancelled
        ]
        for claim in claims:
            self.forget(*claim)
        return claims

    def close(self) -> None:
        """Stop whatever can be stopped. Threads end with the function that they run."""
        for claim in list(self._jobs):
            self.abandon(*claim)
        for runner in self._runners:
            runner.close()
