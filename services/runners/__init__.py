"""Where functions run: threads, the event loop, or processes of their own.

Runners are told of attempts by the pod's thread and hand every outcome to ``done``, from whatever
thread it comes to be in. As many run at once as the pod has slots; the others wait here, so that
the next one begins without anybody being asked. To abandon an attempt is to stop it as far as its
kind can be stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from fleet_q.core.step import Outcome, Step
from fleet_q.services.attempt import Attempt, Failing
from fleet_q.services.runners.event_loop import EventLoop
from fleet_q.services.runners.job import Began, Job, Runner
from fleet_q.services.runners.processes import Processes
from fleet_q.services.runners.slots import Slots
from fleet_q.services.runners.threads import Threads
from fleet_q.services.settings import Settings
from fleet_q.services.tasks import Registry


class Runners:
    """Runs every step's function where it belongs.

    ``began`` is told of every function with a timeout when it begins; ``most`` is how many run at
    once.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        failing: Failing,
        done: Callable[[Outcome], None],
        began: Began,
        loop: asyncio.AbstractEventLoop,
        most: int,
        pod_id: str,
        settings: Settings,
    ) -> None:
        self._registry = registry
        self._failing = failing
        self._done = done
        self._max_result_bytes = settings.max_result_bytes
        slots = Slots(most, self.pull)
        self._by_kind: dict[str, Runner] = {
            "thread": Threads(slots, done, began),
            "loop": EventLoop(slots, done, began, loop),
            "process": Processes(slots, done, began, pod_id, settings),
        }
        self._runners = list(self._by_kind.values())
        self._jobs: dict[tuple[str, str], tuple[Runner, Job]] = {}

    def start(self, steps: Iterable[Step]) -> None:
        """Begin attempts, or let them wait for a slot. Whatever is wrong with a step becomes its
        outcome."""
        called = set()
        for step in steps:
            attempt = Attempt(step, self._failing, self._max_result_bytes)
            try:
                task = self._registry.task_of(step)
            except Exception as error:
                self._done(attempt.failed(error))
                continue
            job = Job(attempt, task)
            runner = self._by_kind[task.where]
            self._jobs[step.step_id, attempt.claim_token] = runner, job
            runner.jobs.append(job)
            called.add(runner)
        for runner in called:
            runner.pull()

    @property
    def trouble(self) -> str | None:
        """Why steps wait though there are slots for them, if that is so."""
        return next((r.trouble for r in self._runners if r.trouble is not None), None)

    def pull(self) -> None:
        """Begin what waits, if there are slots; after trouble it is tried again."""
        for runner in self._runners:
            if runner.jobs:
                runner.pull()

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

    def withdraw(self) -> list[tuple[str, str]]:
        """Take back what waits for a slot: ids and claim tokens."""
        withdrawn = []
        for runner in self._runners:
            while True:
                try:
                    job = runner.jobs.pop()
                except IndexError:
                    break
                if not job.attempt.context.cancelled:
                    withdrawn.append((job.attempt.step.step_id, job.attempt.claim_token))
        for claim in withdrawn:
            self.forget(*claim)
        return withdrawn

    def close(self) -> None:
        """Stop whatever can be stopped. Threads end with the function that they run."""
        for claim in list(self._jobs):
            self.abandon(*claim)
        for runner in self._runners:
            runner.close()
