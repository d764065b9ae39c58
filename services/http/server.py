"""The server of a pod's HTTP API: a thread of its own, and only so many connections."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import os
import resource
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any, Final, Self

import uvicorn
from starlette.types import ASGIApp

from fleet_q.services.http.connection import Connection, Limits
from fleet_q.services.worker.careful_log import CarefulLogger

log = CarefulLogger("fleet_q.http")

MOST_CONNECTIONS: Final = 1_000
BODY_RATE: Final = 64 * 1024
"""Bytes a second that a client has to send of its body at least, after a first few seconds."""

RECEIVE_BUFFER: Final = 32 * 1024
"""Bytes that a client can send ahead of their being read. It bounds how much is parsed in one go,
which takes long if it is in tiny chunks, while others wait."""

_CANCEL_WITHIN: Final = 0.5
_ROOM_CHECK: Final = 0.05
_LOG_INTERVAL: Final = 60.0


_sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def _close_copies() -> None:
    for copy in list(_sockets):
        copy.close()


# A forked child that lives on would keep the port, and clients waiting for the end of an answer.
os.register_at_fork(after_in_child=_close_copies)


def limits_for(max_body_bytes: int) -> Limits:
    """The limits of a server that takes bodies of ``max_body_bytes``.

    Half of the process's descriptors may be connections. The other half is kept for the store,
    child processes, and what the tasks' functions open.
    """
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if descriptors == resource.RLIM_INFINITY:
        descriptors = 2 * MOST_CONNECTIONS
    return Limits(
        connections=max(1, min(MOST_CONNECTIONS, descriptors // 2)),
        body=20 + max_body_bytes / BODY_RATE,
        chunked_bytes=2 * max_body_bytes + 64 * 1024,
    )


class HttpServer:
    """Serves ``app`` on ``listener`` while its block runs.

    It has a thread and an event loop of its own, so a function that blocks the loop of the pod
    does not stop it.
    """

    def __init__(self, app: ASGIApp, listener: socket.socket, limits: Limits) -> None:
        self._app = app
        self._listener = listener
        self._limits = limits
        self._stopping = threading.Event()
        self._server: _Server | None = None
        self._thread = threading.Thread(target=self._run, name="fleet-q-http", daemon=True)

    def __enter__(self) -> Self:
        _sockets.add(self._listener)
        self._listener.setblocking(False)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Answer what has been asked, for some seconds, and end."""
        self._stopping.set()
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(self._limits.stop + 2 * _CANCEL_WITHIN)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._server = _Server(self._app, self._listener, self._limits)
            try:
                asyncio.run(self._server.serve())
            except Exception:
                log.exception("the HTTP server ended; starting it again")
                self._stopping.wait(self._limits.interval)


class _Server(uvicorn.Server):
    """Uvicorn, but for how connections are accepted: its own loop has no bound, and spins when
    descriptors run out. Signals are left to the pod."""

    def __init__(self, app: ASGIApp, listener: socket.socket, limits: Limits) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                timeout_graceful_shutdown=limits.stop,
            )
        )
        self._listener = listener
        self._limits = limits
        self._next_log = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        self._tasks = [asyncio.create_task(work()) for work in (self._accept, self._check)]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for task in self._tasks:
            task.cancel()
        await super().shutdown(sockets=[])
        if cancelled := list(self.server_state.tasks):
            await asyncio.wait(cancelled, timeout=_CANCEL_WITHIN)
        self._drop(self._connections())

    async def on_tick(self, counter: int) -> bool:
        for task in self._tasks:
            if task.done():
                task.result()  # raises what ended it
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def _connections(self) -> list[Connection]:
        return [each for each in self.server_state.connections if isinstance(each, Connection)]

    def _waiting(self) -> list[Connection]:
        return [connection for connection in self._connections() if connection.is_waiting]

    def _drop(self, connections: list[Connection]) -> None:
        for connection in connections:
            connection.drop()

    async def _check(self) -> None:
        """Drop those whose clients keep them waiting for too long."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._limits.interval)
            for connection in self._connections():
                connection.check(loop.time())

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(self._listener)
            except ConnectionError:
                continue  # it has gone before it was accepted
            except OSError as error:
                self._log_seldom("no connection can be accepted: %s", error)
                self._drop_longest_waiting()
                await asyncio.sleep(self._limits.interval)
                continue
            await self._make_room()
            try:
                _sockets.add(client)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
                await loop.connect_accepted_socket(self._connection, client)
            except OSError as error:
                client.close()
                log.debug("a connection was not made: %s", error)

    def _connection(self) -> Connection:
        loop = asyncio.get_running_loop()
        return Connection(self.config, self.server_state, loop, self._limits)

    async def _make_room(self) -> None:
        """Wait until there may be one more connection, dropping those that only wait."""
        while len(self.server_state.connections) >= self._limits.connections:
            self._log_seldom("%d connections: dropping idle ones", self._limits.connections)
            dropped = self._drop_longest_waiting()
            await asyncio.sleep(0 if dropped else _ROOM_CHECK)

    def _drop_longest_waiting(self) -> int:
        """Drop an eighth of the connections; how many."""
        share = max(1, self._limits.connections // 8)
        longest = heapq.nsmallest(share, self._waiting(), key=lambda each: each.waiting_since)
        self._drop(longest)
        return len(longest)

    def _log_seldom(self, message: str, *values: Any) -> None:
        if time.monotonic() >= self._next_log:
            self._next_log = time.monotonic() + _LOG_INTERVAL
            log.warning(message, *values)
