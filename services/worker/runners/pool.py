"""Child processes that are started when they are needed and used again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from fleet_q.services.worker.runners.child_process import ChildProcess
from fleet_q.services.worker.runners.wire import Start

IDLE: Final = 60.0
"""Seconds without a step after which a child is let go."""


class Pool:
    """The children of one event loop. ``start`` makes the first message to a new one."""

    def __init__(self, start: Callable[[], Start]) -> None:
        self._start = start
        self._children: set[ChildProcess] = set()
        self._idle: dict[ChildProcess, asyncio.TimerHandle] = {}

    @property
    def has_idle(self) -> bool:
        """Whether a child has nothing to do."""
        return bool(self._idle)

    async def take(self) -> ChildProcess:
        """The child that was used last of those with nothing to do, or a new one; ``OSError`` if
        none can be started."""
        while self._idle:
            child, expiry = self._idle.popitem()
            expiry.cancel()
            if child.is_open:
                return child
        child = ChildProcess(self._on_end)
        await child.start(self._start())
        self._children.add(child)
        return child

    def put_back(self, child: ChildProcess) -> None:
        """The child has nothing to do."""
        if child.is_open:
            expiry = asyncio.get_running_loop().call_later(IDLE, self._let_go, child)
            self._idle[child] = expiry

    def kill(self) -> None:
        """Kill all children, from any thread."""
        for child in list(self._children):
            child.kill()

    async def close(self) -> None:
        """End all children: those with a function at once."""
        for child in self._children - self._idle.keys():
            child.kill()
        for child in list(self._idle):
            self._let_go(child)
        while self._children:
            await asyncio.sleep(0.005)

    def _let_go(self, child: ChildProcess) -> None:
        self._idle.pop(child).cancel()
        child.leave()

    def _on_end(self, child: ChildProcess) -> None:
        self._children.discard(child)
        if expiry := self._idle.pop(child, None):
            expiry.cancel()
