"""One run of an app's pod, and waiting for it in a coroutine.

Nothing here uses the event loop's default executor, all of whose threads may be taken by what
functions have given it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

from fleet_q.services.worker.pod_thread import Pod


class Run:
    """A pod from its start, which opens its store, to its end. ``start`` is called in :meth:`begin`
    once the run ``after`` which this one comes is over."""

    def __init__(self, start: Callable[[], Pod], after: Run | None) -> None:
        self.pod: Pod | None = None
        self.is_leaving = False
        self.over = threading.Event()
        self._start = start
        self._after = after

    def begin(self) -> Pod:
        """Start the pod; raises what its start raises."""
        if self._after is not None:
            self._after.over.wait()
            self._after = None
        try:
            pod = self._start()
        except BaseException:
            self.over.set()
            raise
        pod.when_ended(self.over.set)
        self.pod = pod
        if self.is_leaving:  # meanwhile nobody waits for it any more
            pod.drain(0)
        return pod

    async def begun(self) -> Pod:
        """The pod, started in a thread of its own."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Pod] = loop.create_future()

        def tell(pod: Pod | None, error: BaseException | None) -> None:
            if future.done():
                return
            if pod is not None:
                future.set_result(pod)
            elif error is not None:
                future.set_exception(error)

        def work() -> None:
            pod, raised = None, None
            try:
                pod = self.begin()
            except BaseException as error:
                raised = error
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(tell, pod, raised)

        try:
            threading.Thread(target=work, name="fleet-q-start", daemon=True).start()
        except BaseException:
            self.over.set()
            raise
        return await future

    def leave(self, grace: float | None = None) -> None:
        """Let the pod drain."""
        self.is_leaving = True
        if self.pod is not None:
            self.pod.drain(grace)

    def stay_with_the_parent(self) -> None:
        """In a child process this run is over."""
        if self.pod is not None:
            self.pod.stay_with_the_parent()
        self.over = threading.Event()
        self.over.set()

    async def drained(self) -> None:
        """Wait until the pod has ended. Cancelled once, it waits until the pod has released what
        runs; cancelled again, the pod ends by itself."""
        try:
            await self._ended()
        except asyncio.CancelledError:
            self.leave(0)
            await self._ended()
            raise

    async def _ended(self) -> None:
        assert self.pod is not None
        loop = asyncio.get_running_loop()
        has_ended = asyncio.Event()

        def tell() -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(has_ended.set)

        self.pod.when_ended(tell)
        await has_ended.wait()
