"""Handshakes, the connections of a server whose TLS handshakes are under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable


class Handshakes:
    """Runs handshakes beside the loop that accepts connections, which a slow client would block."""

    def __init__(self) -> None:
        self._began: dict[asyncio.Task[None], float] = {}

    def __len__(self) -> int:
        return len(self._began)

    def begin(self, handshake: Coroutine[None, None, None]) -> None:
        """Run a handshake."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(handshake)
        self._began[task] = loop.time()
        task.add_done_callback(lambda done: self._began.pop(done, None))

    def waiting(self) -> Iterable[tuple[float, Callable[[], object]]]:
        """Return since when each has waited for its client, and what ends it."""
        return [(began, task.cancel) for task, began in self._began.items()]

    def cancel(self) -> None:
        """End all of them."""
        for task in self._began:
            task.cancel()
