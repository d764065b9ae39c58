"""The runner of plain functions: daemon threads."""

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
from fleet_q.services.worker.runners.job import Job, OnBegan, Queue
from fleet_q.services.worker.runners.left_behind import LeftBehind
from fleet_q.services.worker.runners.slots import Slots

LEFT_PER_SLOT: Final = 4
"""Threads held by abandoned functions, per slot, at which no more functions begin."""


class Threads(Queue):
    """Runs plain functions in daemon threads. One that never returns keeps its thread, but blocks
    neither other steps nor the end of the process.

    Threads are woken one by one: a thread that takes a job wakes the next one if more jobs wait.
    A function that blocks so delays no other job. Functions that return quickly are run one after
    the other by the same thread, because waking a thread takes longer than they do.
    """

    def __init__(
        self,
        slots: Slots,
        on_outcome: Callable[[Outcome], None],
        on_began: OnBegan,
        event_loop: EventLoop,
    ) -> None:
        super().__init__(slots, on_outcome, on_began)
        self._idle: SimpleQueue[None] = SimpleQueue()  # one item per idle thread
        self._wakeups: SimpleQueue[bool] = SimpleQueue()  # False ends a thread
        self._is_waking = False  # a thread was woken and does not run yet
        self._count = 0
        self._process = this_process()
        self._event_loop = event_loop
        self._left = LeftBehind(limit=LEFT_PER_SLOT * slots.limit)
        self._is_full = False  # of abandoned functions
        self._start_error: str | None = None  # why no thread could be started

    def pull(self) -> None:
        """Wake or start a thread, unless a wake-up is under way."""
        if self._is_waking or self._is_full:
            return
        self._is_waking = True
        try:
            self._idle.get_nowait()
        except Empty:
            if not self._start():
                return
        self._wakeups.put(True)

    def abandon(self, job: Job) -> None:
        """Count the thread as left behind. Only ``current_step().cancelled`` tells the function."""
        if job.is_awaited:
            self._event_loop.abandon(job)
        elif self._slots.free(job.attempt, announce=False):
            self._left.add()
            self._update_trouble()
            self._slots.announce()

    def close(self) -> None:
        """End the idle threads now, and the others when their functions return."""
        for _ in range(self._count):
            self._wakeups.put(False)

    def _start(self) -> bool:
        """Start a thread. Returns whether that succeeded; if not, the jobs wait until a running
        thread is free, or for the next pull."""
        name = f"fleet-q-step-{self._count + 1}"
        try:
            threading.Thread(target=self._work, name=name, daemon=True).start()
        except (RuntimeError, MemoryError, OSError) as error:
            self._start_error = f"no thread can be started: {error}"
            self._update_trouble()
            self._is_waking = False
            return False
        self._count += 1
        self._start_error = None
        self._update_trouble()
        return True

    def _update_trouble(self) -> None:
        self._is_full = self._left.is_full
        self.trouble = self._left.trouble or self._start_error

    def _work(self) -> None:
        while True:
            try:
                self._serve()
                return
            except BaseException:  # another thread has raised it in this one
                self._is_waking = False
                self._idle.put(None)
                self.pull()

    def _serve(self) -> None:
        while self._wakeups.get():
            # A job is appended before pull() reads _is_waking, and _is_waking is reset before the
            # queue is read here. So a pull() that finds a wake-up under way needs no other one.
            self._is_waking = False
            while not self._is_full and (job := self._next()) is not None:
                if self.jobs:
                    self.pull()
                try:
                    contextvars.Context().run(self._run, job)
                except BaseException as error:  # as above; a second outcome is ignored
                    self._on_outcome(job.attempt.failed_in_pod(error))
                finally:
                    if not (
                        job.is_awaited or self._slots.free(job.attempt, announce=not self.jobs)
                    ):
                        self._on_abandoned_returned()
            self._idle.put(None)

    def _on_abandoned_returned(self) -> None:
        """A function has returned whose attempt was abandoned, which freed its slot."""
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
        except BaseException as error:  # SystemExit would end the thread
            end_if_forked(self._process, error)
            outcome = attempt.failed(error)
        self._on_outcome(outcome)
