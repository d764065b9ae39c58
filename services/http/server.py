"""HttpServer, which serves a pod's HTTP API in a thread, with a limited number of connections."""

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
from fleet_q.services.http.handshakes import Handshakes
from fleet_q.services.http.tls import Tls
from fleet_q.services.worker.careful_log import CarefulLogger

log = CarefulLogger("fleet_q.http")

MOST_CONNECTIONS: Final = 1_000
BODY_RATE: Final = 64 * 1024
"""Bytes a second at which a client must send its body, after 20 s."""

RECEIVE_BUFFER: Final = 32 * 1024
"""Bytes that a socket buffers. They limit how much is parsed at once: tiny chunks parse slowly,
and other connections wait meanwhile."""

# Seconds
_CANCEL_WITHIN: Final = 0.5
_ROOM_CHECK: Final = 0.05
_LOG_INTERVAL: Final = 60.0

_sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def _close_copies() -> None:
    for inherited in list(_sockets):
        inherited.close()


# A forked child that outlives the pod would keep the port in use and its connections open.
os.register_at_fork(after_in_child=_close_copies)


def limits_for(max_body_bytes: int) -> Limits:
    """Return the limits of a server that accepts bodies of ``max_body_bytes``.

    Connections may use half of the process's file descriptors. The other half is left to the
    store, child processes and the functions of tasks.
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
    """Serves ``app`` on ``listener`` while the body of its ``with`` runs, with ``tls`` over HTTPS.

    It has a thread and an event loop of its own, so that a function that blocks the pod's event
    loop does not block ``/health``.
    """

    def __init__(
        self, app: ASGIApp, listener: socket.socket, limits: Limits, tls: Tls | None = None
    ) -> None:
        self._app = app
        self._listener = listener
        self._limits = limits
        self._tls = tls
        self._stopping = threading.Event()
        self._server: _Server | None = None
        self._thread = threading.Thread(target=self._run, name="fleet-q-http", daemon=True)

    def __enter__(self) -> Self:
        _sockets.add(self._listener)
        self._listener.setblocking(False)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Answer the open requests, for ``limits.stop`` seconds, and stop."""
        self._stopping.set()
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(self._limits.stop + 2 * _CANCEL_WITHIN)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._server = _Server(self._app, self._listener, self._limits, self._tls)
            try:
                asyncio.run(self._server.serve())
            except Exception:
                log.exception("the HTTP server failed; starting it again")
                self._stopping.wait(self._limits.interval)


class _Server(uvicorn.Server):
    """Uvicorn with an accept loop of its own and without signal handlers, which are the pod's.

    Uvicorn's accept loop has no limit of connections, and spins when descriptors run out.
    """

    def __init__(
        self, app: ASGIApp, listener: socket.socket, limits: Limits, tls: Tls | None
    ) -> None:
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
        self._tls = tls
        self._handshakes = Handshakes()
        self._next_log = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        self._tasks = [asyncio.create_task(loop()) for loop in (self._accept, self._check)]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for task in self._tasks:
            task.cancel()
        self._handshakes.cancel()
        await super().shutdown(sockets=[])
        if cancelled := list(self.server_state.tasks):
            await asyncio.wait(cancelled, timeout=_CANCEL_WITHIN)
        self._drop(self._connections())

    async def on_tick(self, counter: int) -> bool:
        for task in self._tasks:
            if task.done():
                task.result()  # raises the error that ended it
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def _connections(self) -> list[Connection]:
        return [c for c in self.server_state.connections if isinstance(c, Connection)]

    def _waiting(self) -> list[Connection]:
        return [connection for connection in self._connections() if connection.is_waiting]

    def _drop(self, connections: list[Connection]) -> None:
        for connection in connections:
            connection.drop()

    async def _check(self) -> None:
        """Drop the connections that have waited for their clients too long, again and again."""
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
                continue  # the client disconnected before it was accepted
            except OSError as error:
                self._log_rarely("no connection can be accepted: %s", error)
                self._drop_longest_waiting()
                await asyncio.sleep(self._limits.interval)
                continue
            await self._make_room()
            _sockets.add(client)
            if self._tls is None:
                await self._connect(client)
            else:
                self._handshakes.begin(self._connect(client, self._tls))

    async def _connect(self, client: socket.socket, tls: Tls | None = None) -> None:
        """Make a connection of an accepted socket; with ``tls``, after the handshake."""
        loop = asyncio.get_running_loop()
        within = None if tls is None else self._limits.head
        try:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            await loop.connect_accepted_socket(
                self._connection,
                client,
                ssl=None if tls is None else tls.context(),
                ssl_handshake_timeout=within,
                ssl_shutdown_timeout=within,
            )
        except OSError as error:  # includes those of TLS
            client.close()
            log.debug("a connection failed before its first request: %s", error)

    def _connection(self) -> Connection:
        loop = asyncio.get_running_loop()
        return Connection(self.config, self.server_state, loop, self._limits)

    async def _make_room(self) -> None:
        """Wait until one more connection is allowed, dropping those that wait for their clients."""
        while self._count() >= self._limits.connections:
            self._log_rarely("%d connections: dropping idle ones", self._limits.connections)
            dropped = self._drop_longest_waiting()
            await asyncio.sleep(0 if dropped else _ROOM_CHECK)

    def _count(self) -> int:
        return len(self.server_state.connections) + len(self._handshakes)

    def _drop_longest_waiting(self) -> int:
        """Drop up to an eighth of the connections, those that wait longest; return how many."""
        share = max(1, self._limits.connections // 8)
        waiting = [(connection.waiting_since, connection.drop) for connection in self._waiting()]
        longest = heapq.nsmallest(
            share, [*waiting, *self._handshakes.waiting()], key=lambda each: each[0]
        )
        for _, drop in longest:
            drop()
        return len(longest)

    def _log_rarely(self, message: str, *values: Any) -> None:
        """Log a warning, at most once a minute."""
        if time.monotonic() >= self._next_log:
            self._next_log = time.monotonic() + _LOG_INTERVAL
            log.warning(message, *values)
