"""A pool of child processes, which are started on demand and reused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from fleet_q.services.worker.runners.child_process import ChildProcess
from fleet_q.services.worker.runners.wire import Start

IDLE_SECONDS: Final = 60.0
"""Seconds without a step after which a child is ended."""


class Pool:
    """The child processes of one event loop. ``start_message`` makes a child's first message."""

    def __init__(self, start_message: Callable[[], Start]) -> None:
        self._start_message = start_message
        self._children: set[ChildProcess] = set()
        self._idle: dict[ChildProcess, asyncio.TimerHandle] = {}

    @property
    def has_idle(self) -> bool:
        """Whether a child is idle."""
        return bool(self._idle)

    async def take(self) -> ChildProcess:
        """Take the idle child that was used last, or start one. Raises ``OSError`` if none can be
        started."""
        while self._idle:
            child, expiry = self._idle.popitem()
            expiry.cancel()
            if child.is_open:
                return child
        child = ChildProcess(self._on_end)
        await child.start(self._start_message())
        self._children.add(child)
        return child

    def put_back(self, child: ChildProcess) -> None:
        """Return a child to the pool, unless it is closed."""
        if child.is_open:
            expiry = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._end_idle, child)
            self._idle[child] = expiry

    def kill(self) -> None:
        """Kill all children. Can be called from any thread."""
        for child in list(self._children):
            child.kill()

    async def close(self) -> None:
        """End all children and wait for them. Those that run a function are killed."""
        for child in self._children - self._idle.keys():
            child.kill()
        for child in list(self._idle):
            self._end_idle(child)
        while self._children:
            await asyncio.sleep(0.005)

    def _end_idle(self, child: ChildProcess) -> None:
        self._idle.pop(child).cancel()
        child.leave()

    def _on_end(self, child: ChildProcess) -> None:
        self._children.discard(child)
        if expiry := self._idle.pop(child, None):
            expiry.cancel()
