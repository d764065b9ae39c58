"""The run of an app's pod: starting it, draining it, and waiting for it in a coroutine.

Nothing here uses the event loop's default executor: functions may occupy all of its threads.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

from fleet_q.services.worker.pod_thread import Pod


class Run:
    """A pod from its start to its end. ``start_pod`` opens the store and starts the pod; it is
    called once the run before, ``previous``, has ended."""

    is_shared = False
    """Whether an app that is told to run a pod uses this run's instead, as in tests."""

    def __init__(self, start_pod: Callable[[], Pod], previous: Run | None) -> None:
        self.pod: Pod | None = None
        self.is_draining = False
        self.ended = threading.Event()
        self._start_pod = start_pod
        self._previous = previous

    def start(self) -> Pod:
        """Start the pod. Raises what opening the store and starting the pod raise."""
        if self._previous is not None:
            self._previous.ended.wait()
            self._previous = None
        try:
            pod = self._start_pod()
        except BaseException:
            self.ended.set()
            raise
        pod.when_ended(self.ended.set)
        self.pod = pod
        if self.is_draining:  # drain() was called while the pod started
            pod.drain(0)
        return pod

    async def start_async(self) -> Pod:
        """Start the pod in a new thread and wait for it. Raises what :meth:`start` raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Pod] = loop.create_future()

        def on_started(pod: Pod | None, error: BaseException | None) -> None:
            if future.done():
                return
            if pod is not None:
                future.set_result(pod)
            elif error is not None:
                future.set_exception(error)

        def run() -> None:
            pod, raised = None, None
            try:
                pod = self.start()
            except BaseException as error:
                raised = error
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(on_started, pod, raised)

        try:
            threading.Thread(target=run, name="fleet-q-start", daemon=True).start()
        except BaseException:
            self.ended.set()
            raise
        return await future

    def before_wait(self, timeout: float | None, is_over: Callable[[], bool]) -> float | None:
        """Called before an app waits for up to ``timeout`` seconds until something ``is_over()``;
        returns for how long it should."""
        return timeout

    def drain(self, grace: float | None = None) -> None:
        """Make the pod drain, for ``grace`` seconds or those of the settings."""
        self.is_draining = True
        if self.pod is not None:
            self.pod.drain(grace)

    def detach_in_child(self) -> None:
        """Mark this run as ended in a forked child: its pod runs in the parent only."""
        if self.pod is not None:
            self.pod.stay_with_the_parent()
        self.ended = threading.Event()
        self.ended.set()

    async def wait_ended(self) -> None:
        """Wait until the pod has ended.

        If the wait is cancelled, the pod releases its steps at once, and the wait goes on until it
        has; if it is cancelled again, it stops while the pod ends by itself.
        """
        try:
            await self._wait_ended()
        except asyncio.CancelledError:
            self.drain(0)
            await self._wait_ended()
            raise

    async def _wait_ended(self) -> None:
        assert self.pod is not None
        loop = asyncio.get_running_loop()
        has_ended = asyncio.Event()

        def on_ended() -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(has_ended.set)

        self.pod.when_ended(on_ended)
        await has_ended.wait()
