"""Plain functions, in daemon threads."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

from fleet_q.core.step import Outcome
from fleet_q.services.app.callables import is_awaitable
from fleet_q.services.worker.runners.event_loop import EventLoop
from fleet_q.services.worker.runners.forked import end_if_forked, this_process
from fleet_q.services.worker.runners.job import Began, Job, Queue
from fleet_q.services.worker.runners.left_behind import LeftBehind
from fleet_q.services.worker.runners.slots import Slots

LEFT_PER_SLOT: Final = 4
"""Threads that functions hold whose time is up, for each slot, before no more are begun."""


class Threads(Queue):
    """A function that never returns keeps its thread, but neither another step's nor the process
    from ending.

    Threads are called one by one: whoever takes a job calls the next thread first if more jobs
    wait. A function that blocks is overtaken at once; functions that return at once are run one
    after the other by the same thread, since waking a thread costs more than they do.
    """

    def __init__(
        self, slots: Slots, done: Callable[[Outcome], None], began: Began, event_loop: EventLoop
    ) -> None:
        super().__init__(slots, done, began)
        self._idle: SimpleQueue[None] = SimpleQueue()  # as many as threads wait for the bell
        self._bell: SimpleQueue[bool] = SimpleQueue()
        self._called = False  # a thread has been called and has not come yet
        self._count = 0
        self._process = this_process()
        self._event_loop = event_loop
        self._left = LeftBehind(most=LEFT_PER_SLOT * slots.most)
        self._is_full = False  # with threads left behind
        self._refused: str | None = None  # why no thread could be started

    def pull(self) -> None:
        """Call a thread, unless one is on its way."""
        if self._called or self._is_full:
            return
        self._called = True
        try:
            self._idle.get_nowait()
        except Empty:
            if not self._start():
                return
        self._bell.put(True)

    def abandon(self, job: Job) -> None:
        """Its function may look at ``current_step().cancelled``; its thread is left behind."""
        if job.is_awaited:
            self._event_loop.abandon(job)
        elif self._slots.free(job.attempt, announce=False):
            self._left.add()
            self._update_trouble()
            self._slots.announce()

    def close(self) -> None:
        """Let the threads end."""
        for _ in range(self._count):
            self._bell.put(False)

    def _start(self) -> bool:
        """Start a thread, if that is possible. Otherwise the jobs wait for one that runs, or for
        the next pull."""
        name = f"fleet-q-step-{self._count + 1}"
        try:
            threading.Thread(target=self._work, name=name, daemon=True).start()
        except (RuntimeError, MemoryError, OSError) as error:
            self._refused = f"no thread can be started: {error}"
            self._update_trouble()
            self._called = False
            return False
        self._count += 1
        self._refused = None
        self._update_trouble()
        return True

    def _update_trouble(self) -> None:
        self._is_full = self._left.is_full
        self.trouble = self._left.trouble or self._refused

    def _work(self) -> None:
        while True:
            try:
                self._serve()
                return
            except BaseException:  # another thread has raised it in this one
                self._called = False
                self._idle.put(None)
                self.pull()

    def _serve(self) -> None:
        while self._bell.get():
            # A job is appended before a thread is called, and this is taken back before a job is
            # looked for: whoever found a thread called already may rely on its finding the job.
            self._called = False
            while not self._is_full and (job := self._next()) is not None:
                if self.jobs:
                    self.pull()
                try:
                    contextvars.Context().run(self._run, job)
                except BaseException as error:  # as above; a second outcome changes nothing
                    self._done(job.attempt.failed(error))
                finally:
                    if not (
                        job.is_awaited or self._slots.free(job.attempt, announce=not self.jobs)
                    ):
                        self._returned()
            self._idle.put(None)

    def _returned(self) -> None:
        """A function has returned that was given up, and its slot with it."""
        if self._left.remove():
            self._update_trouble()
            self._slots.announce()

    def _run(self, job: Job) -> None:
        attempt = job.attempt
        attempt.begin()
        try:
            result = job.call()
            end_if_forked(self._process)
            if is_awaitable(result):
                job.is_awaited = True
                self._event_loop.adopt(attempt, result)
                return
            outcome = attempt.succeeded(result)
        except BaseException as error:  # sys.exit() in a function must not end its thread
            end_if_forked(self._process, error)
            outcome = attempt.failed(error)
        self._done(outcome)
